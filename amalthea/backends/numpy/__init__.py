"""The reference backend: every primitive as one readable NumPy kernel."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from amalthea.backends.interpreter import interpret
from amalthea.backends.numpy.control import Control
from amalthea.core.graph import Graph


class NumpyBackend:
    """NumPy behind the backend protocol of `amalthea.core.backend`.

    log(0) is -inf and 0 / 0 is NaN without NumPy's warnings, as on every other backend: `kernels` hold each kernel so
    wrapped (0.4 microseconds a call), and a compiled program silences them once for all its kernels.
    """

    name = "numpy"
    array_type = np.ndarray
    state_types: tuple[type, ...] = ()
    large: int | None = None
    composites: Collection[str] = ("threefry2x32",)

    def __init__(self) -> None:
        self.bare_kernels: dict[str, Callable[..., Any]] = {}
        for module in pkgutil.iter_modules(__path__):
            if not module.name.startswith("_"):
                found = importlib.import_module(f"{__name__}.{module.name}")
                self.bare_kernels.update(getattr(found, "KERNELS", {}))
        self.bare_kernels.update(Control(self.compile, self.bare_kernels).kernels())
        self.kernels = {name: np.errstate(all="ignore")(kernel) for name, kernel in self.bare_kernels.items()}

    def to_array(self, value: Any, dtype: np.dtype | None = None) -> np.ndarray:
        """A NumPy array of the value, in the dtype if one is given."""
        if not isinstance(value, np.ndarray) and hasattr(value, "__dlpack__") and hasattr(value, "cpu"):
            value = value.detach().cpu()
        return np.asarray(value, dtype)

    def to_numpy(self, array: Any) -> np.ndarray:
        """The array itself."""
        return np.asarray(array)

    def compile(
        self, graph: Graph, jit_compile: bool | None = None
    ) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
        """A program for a graph of primitives."""
        return self.interpret(graph)

    def lendable(self, array: Any) -> bool:
        """Whether it owns its memory, whole and in order."""
        flags = array.flags
        return type(array) is np.ndarray and array.base is None and flags.writeable and flags.c_contiguous

    def loops_well(self, graph: Graph) -> bool:
        """Always: what runs in a loop is the same."""
        return True

    def compile_eager(self, graph: Graph) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]] | None:
        """None: a program calls the same kernels as eager code does."""
        return None

    def interpret(self, graph: Graph) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
        """A program that calls kernel after kernel."""
        return np.errstate(all="ignore")(interpret(graph, self.bare_kernels, self.name, np.asarray))

    def devices(self) -> list[str]:
        """NumPy computes on the CPU."""
        return ["cpu:0"]

    def device_of(self, array: Any) -> str:
        """The CPU."""
        return "cpu:0"

    def on(self, device: str) -> contextlib.AbstractContextManager[Any]:
        """Nothing to choose."""
        return contextlib.nullcontext()


BACKEND = NumpyBackend()
