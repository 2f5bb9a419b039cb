"""Running compiled code: arrays in, arrays out, with memory for the values between steps."""

from __future__ import annotations

import ctypes
import math
import sys
import threading
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import numpy as np

from amalthea.compiler.engine import Loaded
from amalthea.compiler.layout import Layout, Native, Place
from amalthea.compiler.memory import ALIGNMENT
from amalthea.compiler.threads import num_threads, run
from amalthea.core import dtypes

Kernels = Mapping[str, Callable[..., Any]]


class Execution:
    """Compiled code that can be called from several Python threads at once.

    Args:
        layout: sizes, places and order.
        loaded: the native functions; None if there are none.
        fallback: NumPy kernels for the steps without code, by the name of their primitive.
    """

    def __init__(self, layout: Layout, loaded: Loaded | None, fallback: Kernels) -> None:
        self.layout, self.loaded, self.fallback = layout, loaded, fallback
        self._addresses = {name: loaded.address(name) for name in layout.names} if loaded else {}
        self._results = [_Results(shape, dtypes.to_numpy(dtype)) for shape, dtype in layout.outputs]
        self._arenas: list[Arena] = []
        self._lock = threading.Lock()

    def __call__(self, arrays: Sequence[np.ndarray], owned: Container[int] = ()) -> list[np.ndarray]:
        """The outputs for these inputs.

        An output that takes the memory of an input is that input's array if its place is `owned`, else a copy.
        """
        # A NumPy scalar has no memory of its own.
        inputs = [a if type(a) is np.ndarray and a.flags.c_contiguous else np.array(a, order="C") for a in arrays]
        for place in self.layout.in_place.values():
            if place not in owned and inputs[place] is arrays[place]:
                inputs[place] = arrays[place].copy()
        with self._lock:
            results = self.results(inputs)
            arena = self._arenas.pop() if self._arenas else Arena(self.layout)
        try:
            arena.point_to(inputs, results)
            for i in range(len(self.layout.stretches)):
                self.run(i, arena)
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
        for check, worst in reversed(list(zip(self.layout.checks, found, strict=True))):
            if worst:
                check.fail(worst)

    def results(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Arrays for the outputs: inputs whose place they take, and arrays that nobody else holds."""
        in_place = self.layout.in_place
        return [inputs[in_place[i]] if i in in_place else made.array() for i, made in enumerate(self._results)]

    def run(self, number: int, arena: Arena) -> None:
        """Run one step on the arrays that the arena points to."""
        step = self.layout.stretches[number]
        if isinstance(step, Native):
            threads = num_threads() if step.shared else 1
            run(self._addresses[step.name], ctypes.addressof(arena.arguments), threads)
            return
        with np.errstate(all="ignore"):
            made = self.fallback[step.op](*map(arena.array, step.inputs), **step.attrs)
        parts = made if isinstance(made, (tuple, list)) else (made,)
        for place, part in zip(step.outputs, parts, strict=True):
            np.copyto(arena.array(place), part, casting="no")


class _Results:
    """Arrays for one output. A large one is used again when its last holder has let go of it.

    Memory that was never touched costs a page fault for each page: 0.1 ms a megabyte, as long as to fill it.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.shape, self.dtype = shape, dtype
        self.large = math.prod(shape) * dtype.itemsize >= _LARGE and _PRIVATE > 0
        self.kept: list[np.ndarray] = []

    def array(self) -> np.ndarray:
        """An array that nobody else refers to, nor to a part of it."""
        if not self.large:
            return np.empty(self.shape, self.dtype)
        for i in range(len(self.kept)):
            if sys.getrefcount(self.kept[i]) == _PRIVATE:
                return self.kept[i]
        made = np.empty(self.shape, self.dtype)
        self.kept = [made, *self.kept[: _KEPT - 1]]
        return made


_LARGE, _KEPT = 1 << 18, 2
"""Bytes from which an array is kept, and how many: a caller often holds one result while the next is computed."""


def _private_count() -> int:
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return 0  # threads without the interpreter's lock: references cannot be counted
    kept = [np.empty(1)]
    count = sys.getrefcount(kept[0])
    return count if count <= 2 else 0  # a debugger that holds references makes counts useless


_PRIVATE = _private_count()


class Arena:
    """The memory of one run: values between steps, and the table of pointers."""

    def __init__(self, layout: Layout) -> None:
        raw = np.empty(layout.arena + ALIGNMENT, np.uint8)
        start = -_address(raw) % ALIGNMENT
        self.memory = raw[start : start + layout.arena]
        self.constants = layout.constants
        self.inputs: Sequence[np.ndarray] = ()
        self.results: Sequence[np.ndarray] = ()
        # In the order of `Routine.parameters`.
        self._first = 2 + layout.inputs
        self.arguments = (ctypes.c_void_p * (self._first + len(self.constants) + len(layout.outputs)))()
        self.faults = (ctypes.c_int64 * len(layout.checks))()
        self.arguments[0], self.arguments[1] = _address(self.memory), ctypes.addressof(self.faults)
        self._point(self._first, self.constants)

    def point_to(self, inputs: Sequence[np.ndarray], results: Sequence[np.ndarray]) -> None:
        """Write the addresses of what goes in and comes out into the table."""
        self.inputs, self.results = inputs, results
        self._point(2, inputs)
        self._point(self._first + len(self.constants), results)

    def _point(self, at: int, arrays: Sequence[np.ndarray]) -> None:
        self.arguments[at : at + len(arrays)] = list(map(_address, arrays))

    def array(self, place: Place) -> np.ndarray:
        """The value that lives in a place."""
        dtype = dtypes.to_numpy(place.dtype)
        if place.kind == "arena":
            found = self.memory[place.at : place.at + math.prod(place.shape) * dtype.itemsize]
        else:
            found = {"input": self.inputs, "constant": self.constants, "output": self.results}[place.kind][place.at]
        return found.reshape(-1).view(dtype).reshape(place.shape)


def _slow_address(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


_HEAD = object.__basicsize__
"""Bytes before the first field of an array object, which in NumPy's interface for C is the pointer to the data."""


def _fast_address(array: np.ndarray) -> int:
    """The address of an array's data, in a tenth of the time; a program has many arrays."""
    return ctypes.c_void_p.from_address(id(array) + _HEAD).value or 0


def _has_known_form() -> bool:
    examples: list[np.ndarray] = [np.zeros((2, 3)), np.zeros(5, np.int8)[2:], np.zeros(())]
    known = type(examples[0]).__basicsize__ > _HEAD and sys.implementation.name == "cpython"
    return known and all(_fast_address(array) == _slow_address(array) for array in examples)


_address = _fast_address if _has_known_form() else _slow_address
