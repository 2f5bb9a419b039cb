"""Composites that eager code calls on large tensors, as compiled programs: one pass over memory instead of many.

Which calls are worth a program the backend says (`compile_eager`). It depends on shapes and dtypes alone, never
on what was measured or called before: a run can be repeated to the last digit.
"""

from __future__ import annotations

from typing import Any

from amalthea.core import dtypes, tree
from amalthea.core.backend import active, kept_ops
from amalthea.core.config import code_settings
from amalthea.core.context import eager_scope
from amalthea.core.errors import TraceError
from amalthea.core.graph import build
from amalthea.core.infer import tree_key
from amalthea.core.node import fill
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import KerasTensor, Tensor, array_of, wrap
from amalthea.core.tracing import Trace

KEPT, KNOWN = 128, 8192  # programs, some hundred kilobytes each, and calls known not to be worth one

_programs: dict[Any, Any] = {}
_plain: dict[Any, None] = {}
dtypes.when_floatx_changes(_programs.clear)
dtypes.when_floatx_changes(_plain.clear)


def compiled_call(op: Any, tensors: list[Tensor], arguments: dict[str, Any]) -> Any:
    """The results of `op`, in its structure, by a compiled program; None if this call is not worth one.

    Args:
        op: the composite.
        tensors: its tensors.
        arguments: all its arguments, with a `Slot` for each of the tensors.
    """
    try:
        key = (
            active.backend,
            code_settings(),
            op,
            tree_key(arguments),
            tuple([(t.shape, t._array.dtype) for t in tensors]),
        )
        found = _programs.get(key)
        if found is None and key in _plain:
            return None
    except TypeError:  # an argument that cannot be hashed
        return None
    if found is None:
        found = _compile(op, tensors, arguments)
        kept, most = (_plain, KNOWN) if found is None else (_programs, KEPT)
        if len(kept) >= most:
            kept.clear()
        kept[key] = found
    if found is None:
        return None
    program, structure = found
    return fill(structure, [wrap(array) for array in program([array_of(t) for t in tensors])])


def _compile(op: Any, tensors: list[Tensor], arguments: dict[str, Any]) -> Any:
    try:
        with eager_scope(), Trace(level="op") as trace:
            inputs: list[KerasTensor] = [trace.input(TensorSpec(t.shape, t.dtype)) for t in tensors]
            result = op.function(**fill(arguments, inputs))
    except TraceError:  # the body asks for values
        return None
    if not all(isinstance(leaf, KerasTensor) for leaf in tree.flatten(result)):
        return None
    graph = build(op.name, inputs, result, trace)
    if graph.variables or graph.captures:
        return None
    program = active.backend.compile_eager(graph.expand("primitive", keep=kept_ops()))
    return None if program is None else (program, graph.structure)
