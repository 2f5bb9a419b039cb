"""PyTorch kernels of the convolution primitives: torch's, on permuted views, which are channels-last memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from amalthea.backends.torch.types import HALF, in_float32

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


def _edges(padding: Pairs) -> list[int] | None:
    """The padding as torch takes it; None where the two sides differ."""
    return [lo for lo, _ in padding] if all(lo == hi >= 0 for lo, hi in padding) else None


def convolved(x: Any, kernel: Any, bias: Any, strides: Ints, padding: Pairs, dilation: Ints, groups: int) -> Any:
    """A convolution, plus a bias `(filters,)` if there is one."""
    edges = _edges(padding)
    x = _first(padded(x, padding) if edges is None else x)
    made = _CONVOLUTIONS[len(strides) - 1](x, _filters(kernel), bias, strides, edges or 0, dilation, groups)
    return made.movedim(1, -1)


def gradients(
    y: Any, x: Any, kernel: Any, strides: Ints, padding: Pairs, dilation: Ints, groups: int, wanted: tuple[bool, bool]
) -> tuple[Any, Any]:
    """What an output's gradient gives for the input and for the kernel; None for what is not wanted."""
    edges, n = _edges(padding), len(strides)
    wide = x if edges is not None else padded(x, padding)
    for_input, for_kernel, _ = torch.ops.aten.convolution_backward(
        *(_first(y), _first(wide), _filters(kernel), None, strides, edges or [0] * n, dilation, False, [0] * n, groups),
        [*wanted, False],
    )
    if wanted[0]:
        for_input = for_input.movedim(1, -1)
        for_input = for_input if edges is not None else padded(for_input, [(-lo, -hi) for lo, hi in padding])
    return for_input, for_kernel.movedim((0, 1), (-1, -2)) if wanted[1] else None


_BRAIN: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()


def convolves(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether torch convolves this dtype well, with sums in float32.

    On processors it does so with bfloat16 where they have instructions for it; float16 is slower there than float32,
    and its gradients fifty times.
    """
    if dtype not in HALF:
        return dtype.is_floating_point
    return device.type != "cpu" or (dtype == torch.bfloat16 and _BRAIN)


def _in_floats(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute half precision in float32 unless torch `convolves` it, and integers in float64: exact up to 2**53."""

    widened = in_float32(function)

    @functools.wraps(function)
    def run(x: Any, y: Any, **attrs: Any) -> Any:
        if x.dtype.is_floating_point:
            return (function if convolves(x.dtype, x.device) else widened)(x, y, **attrs)
        made = function(x.to(torch.float64), y.to(torch.float64), **attrs).to(torch.int64)
        return made != 0 if x.dtype == torch.bool else made.to(x.dtype)

    return run


@_in_floats
def convolution(x: Any, kernel: Any, *, strides: Ints, padding: Pairs, dilation: Ints, groups: int) -> Any:
    """The convolution of (batch, *sizes, channels) with (*kernel_sizes, channels / groups, filters)."""
    return convolved(x, kernel, None, strides, padding, dilation, groups)


@_in_floats
def conv_input_gradient(
    y: Any, kernel: Any, *, input_size: Ints, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    """What a convolution's output gradient gives for its input."""
    x = y.new_empty((y.shape[0], *input_size, kernel.shape[-2] * groups))
    return gradients(y, x, kernel, strides, padding, dilation, groups, (True, False))[0]


@_in_floats
def conv_kernel_gradient(
    x: Any, y: Any, *, kernel_size: Ints, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    """What a convolution's output gradient gives for its kernel."""
    kernel = x.new_empty((*kernel_size, x.shape[-1] // groups, y.shape[-1]))
    return gradients(y, x, kernel, strides, padding, dilation, groups, (False, True))[1]


KERNELS: dict[str, Callable[..., Any]] = {
    "convolution": convolution,
    "conv_input_gradient": conv_input_gradient,
    "conv_kernel_gradient": conv_kernel_gradient,
}
