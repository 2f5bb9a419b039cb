"""The parts of a graph: values (each made once), nodes that make them, and the record that links the two.

A node points at the values it takes and a value at the node that made it, so a graph is found by walking back from
its outputs and nothing else has to be kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from amalthea.core.context import context
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import KerasTensor, Tensor, symbolic
from amalthea.core.value import Value, now


class Constant(Value):
    """A value known when the graph is made."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(TensorSpec(tensor.shape, tensor.dtype))
        self.tensor = tensor


class Slot(NamedTuple):
    """The place of a node's i-th input among its call arguments."""

    index: int  # type: ignore[assignment]


class Node:
    """One call of an op (or a layer): `outputs = op(*inputs, **attrs)`.

    `inputs` are the values taken; `attrs` the static arguments by name. `arguments` keeps the call as it was written,
    (args, kwargs) with a `Slot` for each input, where that is not simply the inputs in order. `path` names the layers
    in which the call stood, `structure` the form of the result (a Slot per output).
    """

    __slots__ = ("arguments", "attrs", "inputs", "op", "order", "outputs", "path", "structure")

    def __init__(
        self,
        op: Any,
        inputs: tuple[Value, ...],
        attrs: dict[str, Any],
        arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None,
    ) -> None:
        self.op, self.inputs, self.attrs, self.arguments = op, inputs, attrs, arguments
        self.path: tuple[str, ...] = context.layers
        self.order = now()
        self.outputs: tuple[Value, ...] = ()
        self.structure: Any = None

    def call(self, function: Any, tensors: list[Tensor]) -> Any:
        """`function` called the way the node's op was, with these tensors in place of its inputs."""
        if self.arguments is None:
            return function(*tensors, **self.attrs)
        args, kwargs = fill(self.arguments, tensors)
        return function(*args, **kwargs)


def fill(structure: Any, items: Any) -> Any:
    """The structure with each `Slot(i)` replaced by `items[i]`."""
    if type(structure) is Slot:
        return items[structure.index]
    if isinstance(structure, dict):
        return {key: fill(item, items) for key, item in structure.items()}
    if isinstance(structure, (list, tuple)):
        filled = [fill(item, items) for item in structure]
        if hasattr(structure, "_fields"):
            return type(structure)(*filled)
        return tuple(filled) if isinstance(structure, tuple) else filled
    return structure


def slots(structure: Any, found: list[Tensor]) -> Any:
    """The structure with a `Slot` for each tensor in it; the tensors are appended to `found`."""
    if isinstance(structure, Tensor):
        found.append(structure)
        return Slot(len(found) - 1)
    if isinstance(structure, dict):
        return {key: slots(item, found) for key, item in structure.items()}
    if isinstance(structure, (list, tuple)):
        replaced = [slots(item, found) for item in structure]
        if hasattr(structure, "_fields"):
            return type(structure)(*replaced)
        return tuple(replaced) if isinstance(structure, tuple) else replaced
    return structure


def iterate_slots(structure: Any) -> Iterator[Slot]:
    """All `Slot`s of a structure."""
    if type(structure) is Slot:
        yield structure
    elif isinstance(structure, dict):
        for item in structure.values():
            yield from iterate_slots(item)
    elif isinstance(structure, (list, tuple)):
        for item in structure:
            yield from iterate_slots(item)


def value_of(tensor: Tensor) -> Value:
    """The value a tensor stands for in a graph: its own if symbolic, else a constant."""
    return tensor._value if isinstance(tensor, KerasTensor) else Constant(tensor)


def record(
    op: Any,
    inputs: list[Tensor],
    attrs: dict[str, Any],
    result: Any,
    arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None,
) -> Any:
    """Record a call of `op` and return symbolic tensors in the form of `result`, a structure of `TensorSpec`s."""
    node = Node(op, tuple([value_of(t) for t in inputs]), attrs, arguments)
    trace = 0 if context.trace is None else context.trace.id
    if type(result) is TensorSpec:
        value = Value(result, node, 0, trace)
        node.outputs, node.structure = (value,), Slot(0)
        return symbolic(value)
    specs: list[TensorSpec] = []
    node.structure = _spec_slots(result, specs)
    node.outputs = tuple([Value(spec, node, i, trace) for i, spec in enumerate(specs)])
    return fill(node.structure, [symbolic(v) for v in node.outputs])


def _spec_slots(structure: Any, found: list[TensorSpec]) -> Any:
    if isinstance(structure, TensorSpec):
        found.append(structure)
        return Slot(len(found) - 1)
    if isinstance(structure, dict):
        return {key: _spec_slots(item, found) for key, item in structure.items()}
    if isinstance(structure, (list, tuple)):
        replaced = [_spec_slots(item, found) for item in structure]
        if hasattr(structure, "_fields"):
            return type(structure)(*replaced)
        return tuple(replaced) if isinstance(structure, tuple) else replaced
    return structure
