"""The JAX backend: primitives are rows of `jax.numpy` and `jax.lax`, and a graph becomes one jitted function.

Install it with `pip install amalthea[jax]`. 64-bit types are switched on in JAX (`jax_enable_x64`), as dtypes mean the
same on every backend.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from amalthea.backends.interpreter import interpret
from amalthea.core.backend import missing_engine
from amalthea.core.graph import Graph

try:
    import jax
except ImportError as error:
    raise missing_engine("jax", error) from None

from amalthea.backends.jax.copies import from_numpy
from amalthea.backends.jax.eager import eager_kernel

jax.config.update("jax_enable_x64", True)


class JaxBackend:
    """JAX behind the backend protocol of `amalthea.core.backend`."""

    name = "jax"
    array_type = type(jax.numpy.zeros(()))
    state_types: tuple[type, ...] = ()
    large = 0
    composites: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.bare_kernels: dict[str, Callable[..., Any]] = {}
        self._checks: dict[str, Callable[..., Any]] = {}
        for module in pkgutil.iter_modules(__path__):
            found = importlib.import_module(f"{__name__}.{module.name}")
            self.bare_kernels.update(getattr(found, "KERNELS", {}))
            self._checks.update(getattr(found, "CHECKS", {}))
        self.kernels = {
            name: eager_kernel(kernel, self._checks.get(name)) for name, kernel in self.bare_kernels.items()
        }

    def to_array(self, value: Any, dtype: np.dtype | None = None) -> Any:
        """A JAX array of the value, in the dtype if one is given; other engines' tensors come by DLPack."""
        if type(value) is np.ndarray:
            return from_numpy(value, dtype)
        if hasattr(value, "__dlpack__") and not isinstance(value, (np.ndarray, np.generic, jax.Array)):
            value = jax.dlpack.from_dlpack(value)
        return jax.numpy.asarray(value, dtype)

    def to_numpy(self, array: Any) -> np.ndarray:
        """The array as NumPy; on the CPU without a copy."""
        return np.asarray(array)

    def compile(self, graph: Graph, jit_compile: bool | None = None) -> Callable[[Sequence[Any]], list[Any]]:
        """A jitted function for a graph of primitives."""
        from amalthea.backends.jax.program import compile_graph

        return compile_graph(graph, self.bare_kernels)

    def lendable(self, array: Any) -> bool:
        """Always: JAX itself leaves a buffer alone that NumPy or DLPack looks into."""
        return True

    def loops_well(self, graph: Graph) -> bool:
        """Not where there are convolutions on the CPU, which XLA runs up to a hundred times slower inside loops."""
        from amalthea.backends.jax.program import has_convolutions

        return self.devices()[0].partition(":")[0] != "cpu" or not has_convolutions(graph)

    def compile_eager(self, graph: Graph) -> Callable[[Sequence[Any]], list[Any]] | None:
        """A jitted function, as JAX compiles each op in any case, after a look at values that ops refuse (`CHECKS`).

        None where such values are computed in the graph.
        """
        from amalthea.backends.jax.program import guarded

        return guarded(graph, self._checks, self.bare_kernels)

    def interpret(self, graph: Graph) -> Callable[[Sequence[Any]], list[Any]]:
        """A program that calls kernel after kernel."""
        return interpret(graph, self.kernels, self.name, jax.numpy.asarray)

    def devices(self) -> list[str]:
        """All that JAX can use, e.g. ["gpu:0", "cpu:0"]."""
        found = [*jax.devices(), *(jax.devices("cpu") if jax.default_backend() != "cpu" else [])]
        return [f"{device.platform}:{device.id}" for device in found]

    def device_of(self, array: Any) -> str:
        """The name of the (first) device that holds an array."""
        device = next(iter(array.devices()))
        return f"{device.platform}:{device.id}"

    def on(self, device: str) -> contextlib.AbstractContextManager[Any]:
        """A context in which arrays are made and computed with on the named device; those elsewhere are moved there."""
        return jax.default_device(_device(device))  # type: ignore[no-any-return]


def _device(name: str) -> Any:
    kind, _, number = name.partition(":")
    return next(device for device in jax.devices(kind) if device.id == int(number))


BACKEND = JaxBackend()
