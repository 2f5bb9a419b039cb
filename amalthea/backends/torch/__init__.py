"""The PyTorch backend: primitives are torch functions; nothing is recorded for torch's own autograd.

Install it with `pip install amalthea[torch]`.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from amalthea.backends.interpreter import interpret
from amalthea.core import dtypes
from amalthea.core.backend import missing_engine
from amalthea.core.graph import Graph

try:
    import torch
except ImportError as error:
    raise missing_engine("torch", error) from None

from amalthea.backends.torch import types
from amalthea.backends.torch.types import to_torch


class TorchBackend:
    """PyTorch behind the backend protocol of `amalthea.core.backend`."""

    name = "torch"
    array_type = torch.Tensor
    state_types: tuple[type, ...] = ()
    large = None
    composites = (
        "attention",
        "attention_gradient",
        "batch_normalization_gradient",
        "batch_normalization_training",
        "gelu",
        "gelu_gradient",
        "layer_normalization",
        "layer_normalization_gradient",
        "log_softmax",
        "log_softmax_gradient",
        "relu",
        "softmax",
        "softmax_gradient",
        "threefry2x32",
    )

    def __init__(self) -> None:
        self.bare_kernels: dict[str, Callable[..., Any]] = {}
        for module in pkgutil.iter_modules(__path__):
            found = importlib.import_module(f"{__name__}.{module.name}")
            self.bare_kernels.update(getattr(found, "KERNELS", {}))
        self.kernels = dict(self.bare_kernels)  # no array asks for gradients, so torch records none

    def to_array(self, value: Any, dtype: np.dtype | None = None) -> Any:
        """A torch tensor of the value, in the dtype if one is given; other engines' arrays come by DLPack."""
        wanted = None if dtype is None else to_torch(dtypes.from_numpy(dtype))
        if isinstance(value, torch.Tensor):
            return value.detach().to(types.here.device, wanted)
        if hasattr(value, "__dlpack__") and not isinstance(value, (np.ndarray, np.generic)):
            return torch.from_dlpack(value).to(types.here.device, wanted)
        array = np.asarray(value)
        kind = dtypes.from_numpy(array.dtype)
        if array.dtype.kind == "V":  # bfloat16 and float8 of ml_dtypes: the same bits
            bits = torch.from_numpy(np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}").copy())
            made = bits.view(to_torch(kind)).reshape(array.shape)
        else:
            made = torch.from_numpy(
                array if array.flags.writeable and all(s >= 0 for s in array.strides) else array.copy()
            )
        return made.to(types.here.device, wanted)

    def to_numpy(self, array: Any) -> np.ndarray:
        """The tensor as NumPy; on the CPU without a copy."""
        array = array.detach().cpu()
        kind = dtypes.to_numpy(dtypes.from_numpy(array.dtype))
        if kind.kind == "V":
            return array.contiguous().view(torch.uint8 if kind.itemsize == 1 else torch.int16).numpy().view(kind)
        return array.numpy()

    def compile(self, graph: Graph, jit_compile: bool | None = None) -> Callable[[Sequence[Any]], list[Any]]:
        """A program of torch functions, called one after the other or, if `jit_compile`, through `torch.compile`."""
        from amalthea.backends.torch.compiled.program import Program  # brings the compiler's passes

        if not jit_compile:
            return Program(graph, self.bare_kernels, self.to_array)
        from amalthea.backends.torch.compiled.inductor import compiled

        return Program(graph, self.bare_kernels, self.to_array, compiled)

    def lendable(self, array: Any) -> bool:
        """Whether its elements lie in order in memory of torch's that no other tensor shares."""
        if not array.is_contiguous() or array.is_inference():
            return False
        storage = array.untyped_storage()
        alone = 1 + (storage.data_ptr() in types.fixed)
        return storage.resizable() and types.holders(array) == alone and storage.nbytes() == array.nbytes

    def loops_well(self, graph: Graph) -> bool:
        """Not on CUDA, where a step alone is replayed and a loop reads a value each time it goes round."""
        return types.here.device.type != "cuda"

    def compile_eager(self, graph: Graph) -> Callable[[Sequence[Any]], list[Any]]:
        """The same as `compile`: writing a program costs some milliseconds."""
        return self.compile(graph)

    def interpret(self, graph: Graph) -> Callable[[Sequence[Any]], list[Any]]:
        """A program that calls kernel after kernel, without torch's bookkeeping of gradients."""
        return torch.inference_mode(False)(
            torch.no_grad()(interpret(graph, self.bare_kernels, self.name, self.to_array))
        )

    def devices(self) -> list[str]:
        """All that torch can use, e.g. ["gpu:0", "cpu:0"]."""
        found = [f"gpu:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
        return [*found, "cpu:0"]

    def device_of(self, array: Any) -> str:
        """The name of the device that holds a tensor."""
        kind = "gpu" if array.device.type == "cuda" else array.device.type
        return f"{kind}:{array.device.index or 0}"

    @contextlib.contextmanager
    def on(self, device: str) -> Iterator[None]:
        """A context in which tensors are made on the named device."""
        kind, _, number = device.partition(":")
        here = types.here
        before = here.device
        name = {"cpu": "cpu", "gpu": f"cuda:{number}"}.get(kind, device)
        here.device = torch.device(name)
        try:
            yield
        finally:
            here.device = before


BACKEND = TorchBackend()
