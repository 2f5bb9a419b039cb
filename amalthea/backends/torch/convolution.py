"""PyTorch kernels of the convolution primitives: torch's, on permuted views, which are channels-last memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from amalthea.backends.torch.types import in_float32

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
_CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)


def padded(x: Any, padding: Sequence[tuple[int, int]], value: float = 0) -> Any:
    """`x` (batch, *sizes, channels) with (before, after) elements added to the inner axes; negatives crop."""
    if all(lo == hi == 0 for lo, hi in padding):
        return x
    return F.pad(x, [0, 0, *(n for pair in reversed(padding) for n in pair)], value=value)


def _first(x: Any) -> Any:
    """(batch, *sizes, channels) as (batch, channels, *sizes)."""
    return x.movedim(-1, 1)


def _filters(kernel: Any) -> Any:
    """(*sizes, channels, filters) as (filters, channels, *sizes)."""
    return kernel.movedim((-1, -2), (0, 1))


@in_float32
def convolution(x: Any, kernel: Any, *, strides: Ints, padding: Pairs, dilation: Ints, groups: int) -> Any:
    """The convolution of (batch, *sizes, channels) with (*kernel_sizes, channels / groups, filters)."""
    same = all(lo == hi >= 0 for lo, hi in padding)
    edges: Any = [lo for lo, _ in padding] if same else 0
    x = _first(x if same else padded(x, padding))
    made = _CONVOLUTIONS[len(strides) - 1](x, _filters(kernel), None, strides, edges, dilation, groups)
    return made.movedim(1, -1)


def _backward(
    y: Any, x: Any, kernel: Any, strides: Ints, dilation: Ints, groups: int, input: bool
) -> tuple[Any, Any, Any]:
    """Torch's own gradients of a convolution without padding."""
    n = len(strides)
    return torch.ops.aten.convolution_backward(  # type: ignore[no-any-return]
        y, x, kernel, None, strides, [0] * n, dilation, False, [0] * n, groups, [input, not input, False]
    )


@in_float32
def conv_input_gradient(
    y: Any, kernel: Any, *, input_size: Ints, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    """What a convolution's output gradient gives for its input."""
    full = [n + lo + hi for n, (lo, hi) in zip(input_size, padding, strict=True)]
    x = y.new_empty((y.shape[0], *full, kernel.shape[-2] * groups))
    made = _backward(_first(y), _first(x), _filters(kernel), strides, dilation, groups, True)[0]
    return padded(made.movedim(1, -1), [(-lo, -hi) for lo, hi in padding])


@in_float32
def conv_kernel_gradient(
    x: Any, y: Any, *, kernel_size: Ints, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    """What a convolution's output gradient gives for its kernel."""
    kernel = x.new_empty((*kernel_size, x.shape[-1] // groups, y.shape[-1]))
    x = _first(padded(x, padding))
    return _backward(_first(y), x, _filters(kernel), strides, dilation, groups, False)[1].movedim((0, 1), (-1, -2))


KERNELS: dict[str, Callable[..., Any]] = {
    "convolution": convolution,
    "conv_input_gradient": conv_input_gradient,
    "conv_kernel_gradient": conv_kernel_gradient,
}
