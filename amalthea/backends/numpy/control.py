"""Branches and loops: the graphs inside a node run as programs of their own."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

import numpy as np

from amalthea.core.backend import active
from amalthea.core.graph import Graph

_programs: weakref.WeakKeyDictionary[Graph, Callable[[Sequence[np.ndarray]], list[np.ndarray]]]
_programs = weakref.WeakKeyDictionary()


def _program(graph: Graph) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
    found = _programs.get(graph)
    if found is None:
        opened = graph if graph.level == "primitive" else graph.expand("primitive", keep=active.kernels)
        found = _programs[graph] = active.backend.compile(opened)
    return found


def branch(index: np.ndarray, *operands: np.ndarray, graphs: tuple[Graph, ...]) -> tuple[np.ndarray, ...]:
    """One of the graphs on the operands."""
    chosen = min(max(int(index), 0), len(graphs) - 1)
    return tuple(_program(graphs[chosen])(operands))


def scan_loop(
    *inputs: np.ndarray, body: Graph, carries: int, sequences: int, length: int, reverse: bool, save: bool
) -> tuple[np.ndarray, ...]:
    """A loop over the first axis of the sequences."""
    run = _program(body)
    carry, xs = list(inputs[:carries]), inputs[carries : carries + sequences]
    constants = inputs[carries + sequences :]
    specs = [value.spec for value in body.outputs[carries:]]
    stacked: list[np.ndarray] = [np.empty((length, *s.shape), s.dtype.as_numpy_dtype) for s in specs]  # type: ignore[arg-type]
    saved = [np.empty((length, *c.shape), c.dtype) for c in carry] if save else []
    for i in reversed(range(length)) if reverse else range(length):
        for kept, c in zip(saved, carry, strict=False):
            kept[i] = c
        results = run([*carry, *(x[i] for x in xs), *constants])
        carry = results[:carries]
        for column, y in zip(stacked, results[carries:], strict=True):
            column[i] = y
    return (*carry, *stacked, *saved)


def loop(*inputs: np.ndarray, test: Graph, body: Graph, carries: int) -> tuple[np.ndarray, ...]:
    """A loop while the test holds."""
    going, run = _program(test), _program(body)
    carry, constants = list(inputs[:carries]), inputs[carries:]
    while bool(going([*carry, *constants])[0]):
        carry = run([*carry, *constants])
    return tuple(carry)


KERNELS = {"branch": branch, "scan_loop": scan_loop, "loop": loop}
