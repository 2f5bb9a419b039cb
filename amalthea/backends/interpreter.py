"""Running a graph of primitives kernel by kernel, each value dropped after its last use.

NumPy's programs are this; other engines trace it, so that it becomes a program of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from amalthea.core.backend import fail_without_kernel
from amalthea.core.graph import Graph
from amalthea.core.node import Constant
from amalthea.core.value import Value


def interpret(
    graph: Graph,
    kernels: dict[str, Callable[..., Any]],
    backend: str,
    to_array: Callable[[Any], Any],
) -> Callable[[Sequence[Any]], list[Any]]:
    """A program for the graph: takes the arrays of `graph.all_inputs`, returns those of `graph.all_outputs`.

    Args:
        graph: a graph of ops that have kernels.
        kernels: by the ops' names.
        backend: whose kernels they are, for errors.
        to_array: makes an array of the backend out of a constant, and of whatever a kernel returned.
    """
    places: dict[Value, int] = {value: i for i, value in enumerate(graph.all_inputs)}
    constants: dict[int, Any] = {}

    def place(value: Value) -> int:
        if value not in places:
            places[value] = len(places)
            if isinstance(value, Constant):
                constants[places[value]] = to_array(value.tensor.numpy())
        return places[value]

    steps: list[Any] = []
    for node in graph.nodes:
        kernel = kernels.get(node.op.name)
        if kernel is None:
            fail_without_kernel(node.op.name, backend)
        taken = [place(value) for value in node.inputs]
        made = [place(value) for value in node.outputs]
        steps.append([kernel, taken, dict(node.attrs), made, node.op.name, ()])
    wanted = [place(value) for value in graph.all_outputs]
    _drop_after_last_use(steps, {*wanted, *constants})
    program = [tuple(step) for step in steps]
    size, n_inputs = len(places), len(graph.all_inputs)

    def run(arrays: Sequence[Any]) -> list[Any]:
        slots: list[Any] = [None] * size
        slots[:n_inputs] = arrays
        for i, constant in constants.items():
            slots[i] = constant
        for kernel, taken, attrs, made, _, dropped in program:
            result = kernel(*[slots[i] for i in taken], **attrs)
            if len(made) == 1 and not isinstance(result, (tuple, list)):
                slots[made[0]] = result
            else:
                for i, array in zip(made, result, strict=True):
                    slots[i] = array
            for i in dropped:
                slots[i] = None
        return [to_array(slots[i]) for i in wanted]

    return run


def _drop_after_last_use(steps: list[Any], kept: set[int]) -> None:
    seen = set(kept)
    for step in reversed(steps):
        last = {i for i in (*step[1], *step[3]) if i not in seen}
        step[5] = tuple(last)
        seen |= last
