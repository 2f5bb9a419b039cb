"""NumPy kernels of the ops that move elements without computing. Where NumPy can, they return views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from amalthea.core import dtypes

Ints = tuple[int, ...]


def reshape(x: np.ndarray, newshape: Ints) -> np.ndarray:
    """The elements in row-major order under another shape."""
    return x.reshape(newshape)


def transpose(x: np.ndarray, axes: Ints) -> np.ndarray:
    """Axis i of the result is axis axes[i] of x."""
    return x.transpose(axes)


def concatenate(*xs: np.ndarray, axis: int) -> np.ndarray:
    """The arrays one after another along an axis."""
    return np.concatenate(xs, axis=axis)


def constant_pad(x: np.ndarray, low: Ints, high: Ints, interior: Ints, value: float) -> np.ndarray:
    """`low` and `high` elements before and after each axis, and `interior` ones between any two elements."""
    places, shape = [], []
    for size, before, after, between in zip(x.shape, low, high, interior, strict=True):
        spread = size + (size - 1) * between if size else 0
        places.append(slice(before, before + spread, between + 1))
        shape.append(before + spread + after)
    out = np.full(shape, value, dtype=x.dtype)
    out[tuple(places)] = x
    return out


def flip(x: np.ndarray, axis: Ints) -> np.ndarray:
    """The elements in reverse order along the axes."""
    return np.flip(x, axis)


def strided_slice(x: np.ndarray, start: Ints, stop: Ints, strides: Ints) -> np.ndarray:
    """x[start:stop:strides] on every axis."""
    return x[tuple(map(slice, start, stop, strides))]


def iota(size: int, dtype: str) -> np.ndarray:
    """0, 1, ..., size - 1."""
    return np.arange(size).astype(dtypes.to_numpy(dtype))


KERNELS: dict[str, Callable[..., Any]] = {
    "reshape": reshape,
    "transpose": transpose,
    "broadcast_to": np.broadcast_to,
    "concatenate": concatenate,
    "constant_pad": constant_pad,
    "flip": flip,
    "strided_slice": strided_slice,
    "iota": iota,
}
