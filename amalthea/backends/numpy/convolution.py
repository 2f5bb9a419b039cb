"""NumPy kernels of the convolution primitives: patches times the kernel matrix, or a pass for each kernel place.

`x` is (batch, *sizes, channels) and the kernel (*kernel_sizes, channels / groups, filters). Patches are copied for a
part of the batch at a time, so that the copy stays in cache.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]

PATCH_ELEMENTS = 1 << 19  # of a copy of patches: 2 MiB of float32


def padded(x: np.ndarray, padding: Sequence[tuple[int, int]], value: float = 0) -> np.ndarray:
    """`x` with (before, after) elements of `value` added to the axes between batch and channels; negatives crop."""
    crops = tuple(slice(max(-lo, 0), size - max(-hi, 0)) for (lo, hi), size in zip(padding, x.shape[1:-1], strict=True))
    x = x[(slice(None), *crops)]
    if all(lo <= 0 and hi <= 0 for lo, hi in padding):
        return x
    grown = [max(lo, 0) + size + max(hi, 0) for (lo, hi), size in zip(padding, x.shape[1:-1], strict=True)]
    out = np.full((x.shape[0], *grown, x.shape[-1]), value, x.dtype)
    inside = (slice(max(lo, 0), max(lo, 0) + size) for (lo, _), size in zip(padding, x.shape[1:-1], strict=True))
    out[(slice(None), *inside)] = x
    return out


def windows(x: np.ndarray, size: Ints, strides: Ints, dilation: Ints) -> np.ndarray:
    """A view (batch, *places, *size, channels) of all windows of `x`."""
    places = [
        max((n - (k - 1) * d - 1) // s + 1, 0)
        for n, k, s, d in zip(x.shape[1:-1], size, strides, dilation, strict=True)
    ]
    batch_step, *steps, channel_step = x.strides
    return as_strided(
        x,
        (x.shape[0], *places, *size, x.shape[-1]),
        (
            batch_step,
            *(step * s for step, s in zip(steps, strides, strict=True)),
            *(step * d for step, d in zip(steps, dilation, strict=True)),
            channel_step,
        ),
        writeable=False,
    )


def positions(size: Ints, places: Sequence[int], strides: Ints, dilation: Ints) -> Iterator[tuple[Ints, tuple]]:
    """For each place in a window: its index, and the slice of the padded input that all windows have there."""
    for index in itertools.product(*(range(k) for k in size)):
        yield (
            index,
            (
                slice(None),
                *(
                    slice(i * d, i * d + (n - 1) * s + 1 if n else 0, s)
                    for i, n, s, d in zip(index, places, strides, dilation, strict=True)
                ),
            ),
        )


def _in_float32(kernel: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Compute half-precision arrays in float32 and round once."""

    @functools.wraps(kernel)
    def run(a: np.ndarray, b: np.ndarray, **attrs: object) -> np.ndarray:
        dtype = a.dtype
        if dtype.kind == "V" or dtype == np.float16:
            return kernel(a.astype(np.float32), b.astype(np.float32), **attrs).astype(dtype)
        return kernel(a, b, **attrs)

    return run


def _batches(x: np.ndarray, elements_each: int) -> Iterator[slice]:
    step = max(PATCH_ELEMENTS // max(elements_each, 1), 1)
    return (slice(start, start + step) for start in range(0, x.shape[0], step))


def _group(array: np.ndarray, group: int, groups: int) -> np.ndarray:
    width = array.shape[-1] // groups
    return array[..., group * width : (group + 1) * width]


@_in_float32
def convolution(
    x: np.ndarray, kernel: np.ndarray, *, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    x = padded(x, padding)
    size, filters = kernel.shape[:-2], kernel.shape[-1]
    view = windows(x, size, strides, dilation)
    places = view.shape[1 : 1 + len(size)]
    out = np.empty((x.shape[0], *places, filters), x.dtype)
    if kernel.shape[-2] == 1 and groups > 1:
        return _depthwise(x, kernel, places, strides, dilation, groups)
    for group in range(groups):
        matrix = _group(kernel, group, groups).reshape(-1, filters // groups)
        part = _group(view, group, groups)
        for some in _batches(x, prod(view.shape[1:]) // groups):
            patches = part[some].reshape(-1, matrix.shape[0])
            _group(out, group, groups)[some] = np.matmul(patches, matrix).reshape(-1, *places, matrix.shape[1])
    return out


def _depthwise(
    x: np.ndarray, kernel: np.ndarray, places: Ints, strides: Ints, dilation: Ints, groups: int
) -> np.ndarray:
    factors = kernel.reshape(*kernel.shape[:-2], groups, -1)  # (*size, channels, multiplier)
    out = np.zeros((x.shape[0], *places, groups, factors.shape[-1]), x.dtype)
    for index, where in positions(kernel.shape[:-2], places, strides, dilation):
        out += x[where][..., None] * factors[index]
    return out.reshape(x.shape[0], *places, -1)


@_in_float32
def conv_input_gradient(
    y: np.ndarray, kernel: np.ndarray, *, input_size: Ints, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    places, part, filters = y.shape[1:-1], kernel.shape[-2], kernel.shape[-1]
    full = [n + lo + hi for n, (lo, hi) in zip(input_size, padding, strict=True)]
    spread = np.zeros((y.shape[0], *full, part * groups), y.dtype)
    if part == 1 and groups > 1:
        factors = kernel.reshape(*kernel.shape[:-2], groups, -1)
        grouped = y.reshape(*y.shape[:-1], groups, -1)
        for index, where in positions(kernel.shape[:-2], places, strides, dilation):
            spread[where] += np.einsum("...cm,cm->...c", grouped, factors[index])
    else:
        for group in range(groups):
            into = _group(spread, group, groups)
            rows = _group(y, group, groups).reshape(-1, filters // groups)
            matrices = _group(kernel, group, groups)
            for index, where in positions(kernel.shape[:-2], places, strides, dilation):
                into[where] += np.matmul(rows, matrices[index].T).reshape(*y.shape[:-1], part)
    return padded(spread, [(-lo, -hi) for lo, hi in padding])


@_in_float32
def conv_kernel_gradient(
    x: np.ndarray, y: np.ndarray, *, kernel_size: Ints, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    x = padded(x, padding)
    part, filters, places = x.shape[-1] // groups, y.shape[-1], y.shape[1:-1]
    out = np.zeros((*kernel_size, part, filters), x.dtype)
    if part == 1 and groups > 1:
        grouped = y.reshape(-1, groups, filters // groups)
        for index, where in positions(kernel_size, places, strides, dilation):
            seen = x[where].reshape(-1, groups)
            out[index] = np.einsum("nc,ncm->cm", seen, grouped).reshape(1, filters)
        return out
    view = windows(x, kernel_size, strides, dilation)
    view = view[(slice(None), *(slice(n) for n in places))]
    for group in range(groups):
        seen, made = _group(view, group, groups), _group(y, group, groups)
        total = np.zeros((prod(kernel_size) * part, filters // groups), x.dtype)
        for some in _batches(x, prod(view.shape[1:]) // groups):
            total += np.matmul(seen[some].reshape(-1, total.shape[0]).T, made[some].reshape(-1, total.shape[1]))
        _group(out, group, groups)[...] = total.reshape(*kernel_size, part, -1)
    return out


KERNELS: dict[str, Callable] = {
    "convolution": convolution,
    "conv_input_gradient": conv_input_gradient,
    "conv_kernel_gradient": conv_kernel_gradient,
}
