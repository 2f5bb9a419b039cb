"""The TensorFlow backend: primitives are TensorFlow ops, and a graph becomes one `tf.function`.

Install it with `pip install amalthea[tensorflow]`.
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
    import tensorflow as tf
except ImportError as error:
    raise missing_engine("tensorflow", error) from None

from amalthea.backends.tensorflow import exchange
from amalthea.backends.tensorflow.state import Cell

CARRIED = 1 << 22
"""Elements of state from which steps are called one by one."""


class TensorFlowBackend:
    """TensorFlow behind the backend protocol of `amalthea.core.backend`."""

    name = "tensorflow"
    array_type = type(tf.zeros(()))
    state_types: tuple[type, ...] = (Cell,)
    large = None
    composites = ("batch_normalization_gradient", "batch_normalization_training")

    def __init__(self) -> None:
        self.bare_kernels: dict[str, Callable[..., Any]] = {}
        for module in pkgutil.iter_modules(__path__):
            found = importlib.import_module(f"{__name__}.{module.name}")
            self.bare_kernels.update(getattr(found, "KERNELS", {}))
        self.kernels = dict(self.bare_kernels)

    def to_array(self, value: Any, dtype: np.dtype | None = None) -> Any:
        """A TensorFlow tensor of the value, in the dtype if one is given; arrays come without a copy if they can."""
        if type(value) is Cell:
            value = value.read()
        made = value if isinstance(value, tf.Tensor) else exchange.from_array(value)
        return made if dtype is None or made.dtype == dtype else tf.cast(made, dtype)

    def to_numpy(self, array: Any) -> np.ndarray:
        """The tensor as NumPy; on the CPU without a copy."""
        tensor = array.read() if type(array) is Cell else array
        return np.asarray(tensor if tensor.shape.rank else tensor.numpy())

    def compile(self, graph: Graph, jit_compile: bool | None = None) -> Callable[..., list[Any]]:
        """A `tf.function` for a graph of primitives.

        XLA compiles the whole of it if `jit_compile`, nothing if that is False, else parts (`clusters`).
        """
        from amalthea.backends.tensorflow.program import Program

        return Program(graph, self.bare_kernels, jit_compile)

    def lendable(self, array: Any) -> bool:
        """Whether it is a variable of TensorFlow's, which programs overwrite."""
        return type(array) is Cell

    def loops_well(self, graph: Graph) -> bool:
        """Unless it updates so much that copies cost more than calls: what a loop carries is never overwritten."""
        return sum(value.spec.size for _, value in graph.updates) < CARRIED

    def compile_eager(self, graph: Graph) -> None:
        """None: a program would call the same ops as eager code does."""

    def interpret(self, graph: Graph) -> Callable[[Sequence[Any]], list[Any]]:
        """A program that calls kernel after kernel."""
        return interpret(graph, self.bare_kernels, self.name, tf.convert_to_tensor)

    def devices(self) -> list[str]:
        """All that TensorFlow can use, e.g. ["gpu:0", "cpu:0"]."""
        found = [device.name.removeprefix("/physical_device:").lower() for device in tf.config.list_physical_devices()]
        return sorted(found, key=lambda name: name.startswith("cpu"))

    def device_of(self, array: Any) -> str:
        """The name of the device that holds a tensor."""
        return array.device.rpartition("device:")[2].lower() or "cpu:0"

    def on(self, device: str) -> contextlib.AbstractContextManager[Any]:
        """A context in which tensors are made on the named device."""
        return tf.device(f"/{device}")  # type: ignore[no-any-return]


BACKEND = TensorFlowBackend()
