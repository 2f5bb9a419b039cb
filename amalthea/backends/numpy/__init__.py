"""The reference backend: every primitive as one readable NumPy kernel."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from amalthea.backends.numpy.program import compile_graph
from amalthea.core.graph import Graph


class NumpyBackend:
    """NumPy behind the backend protocol of `amalthea.core.backend`."""

    name = "numpy"
    array_type = np.ndarray

    def __init__(self) -> None:
        self.kernels: dict[str, Callable[..., Any]] = {}
        for module in pkgutil.iter_modules(__path__):
            if not module.name.startswith("_"):
                found = importlib.import_module(f"{__name__}.{module.name}")
                self.kernels.update(getattr(found, "KERNELS", {}))

    def to_array(self, value: Any, dtype: np.dtype | None = None) -> np.ndarray:
        """A NumPy array of the value, in the dtype if one is given."""
        if not isinstance(value, np.ndarray) and hasattr(value, "__dlpack__") and hasattr(value, "cpu"):
            value = value.detach().cpu()
        return np.asarray(value, dtype)

    def to_numpy(self, array: Any) -> np.ndarray:
        """The array itself."""
        return np.asarray(array)

    def compile(self, graph: Graph) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
        """A program for a graph of primitives."""
        return compile_graph(graph, self.kernels)

    def devices(self) -> list[str]:
        """NumPy computes on the CPU."""
        return ["cpu:0"]


BACKEND = NumpyBackend()
