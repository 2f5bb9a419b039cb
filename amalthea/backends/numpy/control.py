"""Branches and loops: the graphs inside a node run as programs of their own, of the backend whose kernels these are."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Container, Sequence

import numpy as np

from amalthea.core.graph import Graph

Program = Callable[[Sequence[np.ndarray]], list[np.ndarray]]


class Control:
    """The kernels of control flow.

    Args:
        compile: what makes a program of a graph of primitives.
        keep: the composites that stay closed in it.
    """

    def __init__(self, compile: Callable[[Graph], Program], keep: Container[str]) -> None:
        self._compile, self._keep = compile, keep
        self._programs: weakref.WeakKeyDictionary[Graph, Program] = weakref.WeakKeyDictionary()

    def kernels(self) -> dict[str, Callable[..., tuple[np.ndarray, ...]]]:
        """The rows for a table of kernels."""
        return {"branch": self.branch, "scan_loop": self.scan_loop, "loop": self.loop}

    def _program(self, graph: Graph) -> Program:
        found = self._programs.get(graph)
        if found is None:
            opened = graph if graph.level == "primitive" else graph.expand("primitive", keep=self._keep)
            found = self._programs[graph] = self._compile(opened)
        return found

    def branch(self, index: np.ndarray, *operands: np.ndarray, graphs: tuple[Graph, ...]) -> tuple[np.ndarray, ...]:
        """One of the graphs on the operands."""
        chosen = min(max(int(index), 0), len(graphs) - 1)
        return tuple(self._program(graphs[chosen])(operands))

    def scan_loop(
        self, *inputs: np.ndarray, body: Graph, carries: int, sequences: int, length: int, reverse: bool, save: bool
    ) -> tuple[np.ndarray, ...]:
        """A loop over the first axis of the sequences."""
        run = self._program(body)
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

    def loop(self, *inputs: np.ndarray, test: Graph, body: Graph, carries: int) -> tuple[np.ndarray, ...]:
        """A loop while the test holds."""
        going, run = self._program(test), self._program(body)
        carry, constants = list(inputs[:carries]), inputs[carries:]
        while bool(going([*carry, *constants])[0]):
            carry = run([*carry, *constants])
        return tuple(carry)
