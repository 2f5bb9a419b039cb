"""Running a linked routine: arrays in, arrays out, with memory for the values between steps."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import numpy as np

from amalthea.compiler.linking import Linked, Stretch
from amalthea.compiler.memory import ALIGNMENT
from amalthea.compiler.routine import Routine, Step, size_of
from amalthea.compiler.threads import num_threads, run
from amalthea.core import dtypes
from amalthea.core.value import Value

Kernels = Mapping[str, Callable[..., Any]]


class Execution:
    """A routine that can be called from several Python threads at once.

    Args:
        routine: the plan.
        linked: its code.
        fallback: NumPy kernels for the steps without code, by the name of their primitive.
    """

    def __init__(self, routine: Routine, linked: Linked, fallback: Kernels) -> None:
        self.routine, self.linked, self.fallback = routine, linked, fallback
        self._arenas: list[Arena] = []
        self._lock = threading.Lock()

    def __call__(self, arrays: Sequence[np.ndarray], owned: Container[int] = ()) -> list[np.ndarray]:
        """The outputs for these inputs.

        An output that takes the memory of an input is that input's array if its place is `owned`, else a copy.
        """
        # A NumPy scalar has no memory of its own.
        inputs = [a if type(a) is np.ndarray and a.flags.c_contiguous else np.array(a, order="C") for a in arrays]
        for place in self.routine.in_place.values():
            if place not in owned and inputs[place] is arrays[place]:
                inputs[place] = arrays[place].copy()
        results = self.results(inputs)
        with self._lock:
            arena = self._arenas.pop() if self._arenas else Arena(self.routine)
        try:
            arena.point_to(inputs, results)
            for stretch in self.linked.stretches:
                self.run(stretch, arena)
            if any(arena.faults):
                self._fail(arena)
            return results
        finally:
            arena.point_to((), ())  # the arrays are the caller's alone again
            with self._lock:
                self._arenas.append(arena)

    def _fail(self, arena: Arena) -> None:
        """Raise for the first index that was out of range."""
        found = list(arena.faults)
        ctypes.memset(arena.faults, 0, ctypes.sizeof(arena.faults))
        for check, worst in reversed(list(zip(self.routine.checks, found, strict=True))):
            if worst:
                check.fail(worst)

    def results(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Arrays for the outputs: new ones, and inputs whose place they take."""
        in_place = self.routine.in_place
        return [
            inputs[in_place[i]] if i in in_place else np.empty(v.spec.sizes, dtypes.to_numpy(v.spec.dtype))
            for i, v in enumerate(self.routine.outputs)
        ]

    def run(self, stretch: Stretch, arena: Arena) -> None:
        """Run one stretch on the arrays that the arena points to."""
        if stretch.name:
            run(self.linked.address(stretch), ctypes.addressof(arena.arguments), num_threads())
        else:
            self._fall_back(self.routine.steps[stretch.steps[0]], arena)

    def _fall_back(self, step: Step, arena: Arena) -> None:
        node = step.node
        assert node is not None
        with np.errstate(all="ignore"):
            made = self.fallback[node.op.name](*[arena.array(v) for v in node.inputs], **node.attrs)
        parts = made if isinstance(made, (tuple, list)) else (made,)
        for value, part in zip(node.outputs, parts, strict=True):
            np.copyto(arena.array(value), part, casting="no")


class Arena:
    """The memory of one run: values between steps, and the table of pointers."""

    def __init__(self, routine: Routine) -> None:
        self.routine = routine
        raw = np.empty(routine.arena_size + ALIGNMENT, np.uint8)
        start = -_address(raw) % ALIGNMENT
        self.memory = raw[start : start + routine.arena_size]
        self.constants = [np.ascontiguousarray(value.tensor.numpy()) for value in routine.constants]
        self.inputs: Sequence[np.ndarray] = ()
        self.results: Sequence[np.ndarray] = ()
        self.arguments = (ctypes.c_void_p * len(routine.parameters()))()
        self._first = 2 + len(routine.inputs)
        self.faults = (ctypes.c_int64 * len(routine.checks))()
        self.arguments[0], self.arguments[1] = _address(self.memory), ctypes.addressof(self.faults)
        self._point(self._first, self.constants)

    def point_to(self, inputs: Sequence[np.ndarray], results: Sequence[np.ndarray]) -> None:
        """Write the addresses of what goes in and comes out into the table."""
        self.inputs, self.results = inputs, results
        self._point(2, inputs)
        self._point(self._first + len(self.constants), results)

    def _point(self, at: int, arrays: Sequence[np.ndarray]) -> None:
        for i, array in enumerate(arrays, at):
            self.arguments[i] = _address(array)

    def array(self, value: Value) -> np.ndarray:
        """A value of the routine, wherever it lives."""
        base = self.routine.base(value)
        kind, at = self.routine.places[base]
        if kind == "arena":
            found = self.memory[at : at + size_of(base)].view(dtypes.to_numpy(base.spec.dtype))
        else:
            found = {"input": self.inputs, "constant": self.constants, "output": self.results}[kind][at]
        return found.reshape(-1).view(dtypes.to_numpy(value.spec.dtype)).reshape(value.spec.sizes)


def _address(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
