"""Tracing: running a Python function on symbolic tensors to get its graph."""

from __future__ import annotations

import itertools
from collections.abc import Container
from typing import Any

from amalthea.core.context import context
from amalthea.core.errors import TraceError, fail
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import KerasTensor, Tensor, is_symbolic, symbolic
from amalthea.core.value import Value

_ids = itertools.count(1)


class Trace:
    """One tracing in progress; inside `with`, ops are recorded instead of computed.

    `level` says what is recorded as one node: "layer" (calls of layers), "op" (composites) or "primitive" (and the
    composites named in `keep`). Variables
    read become inputs of the graph, variables assigned outputs. A trace inside another one (the body of a loop) reads
    variables through the outer one; what it assigns it keeps for the op that traces it. `eager` says that what is
    traced is a call of eager code, whose tensors have values: see `has_values`.
    """

    def __init__(self, level: str = "op", keep: Container[str] = (), eager: bool = False) -> None:
        self.id = next(_ids)
        self.eager = eager
        self.level = level
        self.keep = keep
        self.parent: Trace | None = None
        self.inputs: dict[int, tuple[Any, Value]] = {}  # by id of the variable: it and its value at the start
        self.current: dict[int, Tensor] = {}  # its value now, where it was read or assigned
        self.written: dict[int, Any] = {}

    def __enter__(self) -> Trace:
        self.parent = context.trace
        self._before = context.enter(trace=self)
        return self

    def __exit__(self, *error: Any) -> None:
        context.restore(self._before)

    def input(self, spec: TensorSpec) -> KerasTensor:
        """A symbolic tensor that is an input of the graph."""
        return symbolic(Value(spec, trace=self.id))

    def read(self, variable: Any) -> Tensor:
        """The variable's current value in this trace."""
        found = self.current.get(id(variable))
        if found is None:
            if self.parent is not None:
                found = self.parent.read(variable)
            else:
                value = Value(TensorSpec(variable._shape, variable._dtype), trace=self.id, name=variable.path)
                self.inputs[id(variable)] = (variable, value)
                found = symbolic(value)
            self.current[id(variable)] = found
        return found

    def write(self, variable: Any, tensor: Tensor) -> None:
        """Make `tensor` the variable's value from here on."""
        if self.parent is None and id(variable) not in self.inputs:
            self.read(variable)
        self.written[id(variable)] = variable
        self.current[id(variable)] = tensor


def has_values(x: Any) -> bool:
    """Whether the values of a tensor are known: for bodies of ops that look at them where they can.

    Raises TraceError while a call of eager code is traced to be compiled: it has values and the trace has not, so it
    must run op by op.
    """
    if not is_symbolic(x):
        return True
    trace = context.trace
    while trace is not None:
        if trace.eager:
            fail(TraceError, "the op looks at values, so a call of it cannot be compiled", fix="call it op by op")
        trace = trace.parent
    return False
