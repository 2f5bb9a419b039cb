"""PyTorch kernels of the pooling primitives: torch's own, or one pass for each place of the window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from amalthea.backends.numpy.convolution import positions
from amalthea.backends.torch.convolution import padded

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def _lowest(dtype: torch.dtype) -> float:
    if dtype.is_floating_point:
        return float("-inf")
    return 0 if dtype == torch.bool else torch.iinfo(dtype).min


def _places(x: Any, size: Ints, strides: Ints) -> list[int]:
    return [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], size, strides, strict=True)]


def _best(x: Any, size: Ints, places: Sequence[int], strides: Ints) -> Any:
    best = None
    for _, where in positions(size, places, strides, (1,) * len(size)):
        best = x[where] if best is None else torch.maximum(best, x[where])
    return best


_POOLS: dict[int, tuple[Any, Any]] = {
    2: (torch.ops.aten.max_pool2d_with_indices.default, torch.ops.aten.max_pool2d_with_indices_backward.default),
    3: (torch.ops.aten.max_pool3d_with_indices.default, torch.ops.aten.max_pool3d_with_indices_backward.default),
}
"""By the number of axes torch's max pooling, which also tells where each maximum was found, and its gradient."""


def has_pooling(dtype: torch.dtype, size: Ints) -> bool:
    """Whether torch pools such windows itself."""
    return dtype.is_floating_point and len(size) in _POOLS


def _even(size: Ints, padding: Pairs) -> bool:
    """Whether torch takes the padding as it is: the same on both sides, and at most half a window."""
    return all(lo == hi and 0 <= 2 * lo <= k for k, (lo, hi) in zip(size, padding, strict=True))


def _to_pool(x: Any, size: Ints, padding: Pairs) -> tuple[Any, list[int]]:
    """The input with channels first, and the padding that is left to torch."""
    if not _even(size, padding):
        x, padding = padded(x, padding, float("-inf")), ((0, 0),) * len(size)
    return x.movedim(-1, 1), [lo for lo, _ in padding]


def pooled(x: Any, size: Ints, strides: Ints, padding: Pairs) -> tuple[Any, Any]:
    """The greatest element of each window, and where each was found."""
    x, edges = _to_pool(x, size, padding)
    made, places = _POOLS[len(size)][0](x, size, strides, edges)
    return made.movedim(1, -1), places


def pooled_gradient(x: Any, g: Any, places: Any, size: Ints, strides: Ints, padding: Pairs) -> Any:
    """The gradient of each window where `pooled` found its greatest element."""
    wide, edges = _to_pool(x, size, padding)
    ones = [1] * len(size)
    made = _POOLS[len(size)][1](g.movedim(-1, 1), wide, size, strides, edges, ones, False, places).movedim(1, -1)
    return made if made.shape == x.shape else padded(made, [(-lo, -hi) for lo, hi in padding])


def max_pooling(x: Any, *, size: Ints, strides: Ints, padding: Pairs) -> Any:
    """The greatest element of each window; NaN if there is one."""
    if has_pooling(x.dtype, size) and x.numel():
        return pooled(x, size, strides, padding)[0]
    x = padded(x, padding, _lowest(x.dtype))
    return _best(x, size, _places(x, size, strides), strides).clone()


def max_pooling_gradient(x: Any, g: Any, *, size: Ints, strides: Ints, padding: Pairs) -> Any:
    """The gradient of each window at its first greatest element."""
    if has_pooling(x.dtype, size) and x.dtype == g.dtype and x.numel():
        return pooled_gradient(x, g, pooled(x, size, strides, padding)[1], size, strides, padding)
    x = padded(x, padding, _lowest(x.dtype))
    places = g.shape[1:-1]
    best = _best(x, size, places, strides)
    spread = torch.zeros(x.shape, dtype=g.dtype, device=g.device)
    left = torch.ones(g.shape, dtype=torch.bool, device=g.device)
    for _, where in positions(size, places, strides, (1,) * len(size)):
        here = left & ((x[where] == best) | (best != best))
        spread[where] += torch.where(here, g, torch.zeros_like(g))
        left &= ~here
    return padded(spread, [(-lo, -hi) for lo, hi in padding])


def extract_windows(x: Any, *, size: Ints, strides: Ints) -> Any:
    """All windows: (batch, *places, *size, channels)."""
    n = len(size)
    for i, (k, s) in enumerate(zip(size, strides, strict=True)):
        x = x.unfold(1 + i, k, s)  # the window's places go to the end
    return x.movedim(1 + n, -1)


def overlap_add(x: Any, *, input_size: Ints, size: Ints, strides: Ints) -> Any:
    """The transpose of `extract_windows`: windows are added where they lie."""
    n = len(size)
    out = torch.zeros((x.shape[0], *input_size, x.shape[-1]), dtype=x.dtype, device=x.device)
    for index, where in positions(size, x.shape[1 : 1 + n], strides, (1,) * n):
        out[where] += x[(slice(None),) * (1 + n) + index]
    return out


KERNELS: dict[str, Callable[..., Any]] = {
    "max_pooling": max_pooling,
    "max_pooling_gradient": max_pooling_gradient,
    "extract_windows": extract_windows,
    "overlap_add": overlap_add,
}
