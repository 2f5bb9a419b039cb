"""Composites that eager code calls on large tensors, as compiled programs: one pass over memory instead of many.

From which size a call is worth it (`large`), and which programs are (`compile_eager`), the backend says. It depends on
shapes and dtypes alone, never on what was measured or called before: a run can be repeated to the last digit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from amalthea.core import dtypes, tree
from amalthea.core.backend import active, kept_ops
from amalthea.core.config import code_settings
from amalthea.core.context import context, eager_scope
from amalthea.core.errors import TraceError
from amalthea.core.graph import build
from amalthea.core.infer import tree_key
from amalthea.core.node import Slot, fill
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import KerasTensor, Tensor, array_of, wrap
from amalthea.core.tracing import Trace

KEPT, KNOWN = 1024, 8192  # programs, some hundred kilobytes each, and calls known not to be worth one

_programs: dict[Any, Any] = {}
_plain: dict[Any, None] = {}
dtypes.when_floatx_changes(_programs.clear)
dtypes.when_floatx_changes(_plain.clear)


def compiled_call(op: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The results of `op`, in its structure, by a compiled program; None if this call is not worth one.

    Args:
        op: the composite.
        args, kwargs: its arguments; variables are read already.
    """
    tensors: list[Tensor] = []
    key: list[Any] = [op, active.backend, len(args)]
    for x in args:
        _add(x, key, tensors)
    for name in kwargs:
        key.append(name)
        _add(kwargs[name], key, tensors)
    if not tensors or not _pays(tensors):
        return None
    key.append(code_settings())
    try:
        found = _programs.get(tuple(key))
    except TypeError:  # an argument that cannot be hashed
        return None
    if found is None:
        place = tuple(key)
        if place in _plain:
            return None
        found = _compile(op, args, kwargs, tensors)
        kept, most = (_plain, KNOWN) if found is None else (_programs, KEPT)
        if len(kept) >= most:
            kept.clear()
        kept[place] = found
        if found is None:
            return None
    program, structure = found
    arrays = program([array_of(t) for t in tensors])
    return wrap(arrays[0]) if type(structure) is Slot else fill(structure, [wrap(array) for array in arrays])


def _add(x: Any, key: list[Any], tensors: list[Tensor]) -> None:
    """Add to the key what a program depends on, and to the tensors those of an argument."""
    kind = type(x)
    if kind is Tensor:
        tensors.append(x)
        array = x._array
        key.append(array.shape)
        key.append(array.dtype)
    elif (kind is list or kind is tuple) and x and type(x[0]) is Tensor:
        key.append(len(x))
        for item in x:
            _add(item, key, tensors)
    elif x is None or kind is str:
        key.append(x)
    else:
        key.append(tree_key(x))


def _pays(tensors: list[Tensor]) -> bool:
    least = active.large
    if least is None or (least and all(t.size < least for t in tensors)):
        return False
    return not any(tape._watches(tensors) for tape in context.tapes)


def _compile(op: Any, args: Sequence[Any], kwargs: Mapping[str, Any], tensors: list[Tensor]) -> Any:
    try:
        with eager_scope(), Trace(level="op", eager=True) as trace:
            inputs: list[KerasTensor] = [trace.input(TensorSpec(t.shape, t.dtype)) for t in tensors]
            symbols = iter(inputs)

            def symbolic(x: Any) -> Any:
                if type(x) is Tensor:
                    return next(symbols)
                taken = (type(x) is list or type(x) is tuple) and x and type(x[0]) is Tensor
                return type(x)(map(symbolic, x)) if taken else x

            taken = [symbolic(x) for x in args]
            result = op.inline(*taken, **{name: symbolic(x) for name, x in kwargs.items()})
        if not all(isinstance(leaf, KerasTensor) for leaf in tree.flatten(result)):
            return None
        graph = build(op.name, inputs, result, trace)
        if graph.variables or graph.captures:
            return None
        with eager_scope(), Trace(eager=True):
            opened = graph.expand("primitive", keep=kept_ops())
    except TraceError:  # a body asks for values
        return None
    program = active.backend.compile_eager(opened)
    return None if program is None else (program, graph.structure)
