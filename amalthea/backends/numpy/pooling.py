"""NumPy kernels of the pooling primitives: one pass over the input for each place of the window."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from amalthea.backends.numpy.convolution import padded, positions, windows

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def lowest(dtype: np.dtype) -> float:
    """What padding never wins a maximum with."""
    return np.iinfo(dtype).min if dtype.kind in "iu" else 0 if dtype.kind == "b" else -np.inf


def _places(x: np.ndarray, size: Ints, strides: Ints) -> list[int]:
    return [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], size, strides, strict=True)]


def max_pooling(x: np.ndarray, *, size: Ints, strides: Ints, padding: Pairs) -> np.ndarray:
    x = padded(x, padding, lowest(x.dtype))
    return _best(x, size, _places(x, size, strides), strides)


def _best(x: np.ndarray, size: Ints, places: Sequence[int], strides: Ints) -> np.ndarray:
    views = (x[where] for _, where in positions(size, places, strides, (1,) * len(size)))
    best = next(views).copy()
    for view in views:
        np.maximum(best, view, out=best)
    return best


def max_pooling_gradient(x: np.ndarray, g: np.ndarray, *, size: Ints, strides: Ints, padding: Pairs) -> np.ndarray:
    x = padded(x, padding, lowest(x.dtype))
    ones = (1,) * len(size)
    places = g.shape[1:-1]
    best = _best(x, size, places, strides)
    spread = np.zeros(x.shape, g.dtype)
    left = np.ones(g.shape, bool)  # windows whose maximum has not been met yet
    for _, where in positions(size, places, strides, ones):
        here = left & ((x[where] == best) | (best != best))  # in a window with NaN, the first place takes it
        spread[where] += np.where(here, g, g.dtype.type(0))
        left &= ~here
    return padded(spread, [(-lo, -hi) for lo, hi in padding])


def extract_windows(x: np.ndarray, *, size: Ints, strides: Ints) -> np.ndarray:
    return windows(x, size, strides, (1,) * len(size))


def overlap_add(x: np.ndarray, *, input_size: Ints, size: Ints, strides: Ints) -> np.ndarray:
    n = len(size)
    out = np.zeros((x.shape[0], *input_size, x.shape[-1]), x.dtype)
    for index, where in positions(size, x.shape[1 : 1 + n], strides, (1,) * n):
        out[where] += x[(slice(None),) * (1 + n) + index]
    return out


KERNELS: dict[str, Callable] = {
    "max_pooling": max_pooling,
    "max_pooling_gradient": max_pooling_gradient,
    "extract_windows": extract_windows,
    "overlap_add": overlap_add,
}
