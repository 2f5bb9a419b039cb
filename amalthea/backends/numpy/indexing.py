"""NumPy kernels of the ops that read and write at computed places. None of them writes to its inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from amalthea.core.errors import ArgumentError, fail

Ints = tuple[int, ...]


def check_range(indices: np.ndarray, size: int, where: str, axis: int) -> None:
    """Raise unless every index is in [-size, size)."""
    if indices.size:
        low, high = int(indices.min()), int(indices.max())
        if low < -size or high >= size:
            worst = low if low < -size else high
            fail(
                ArgumentError,
                f"index {worst} is out of range for axis {axis}, which has {size} elements",
                where=where,
                received=f"indices from {low} to {high}",
                fix=f"use indices from {-size} to {size - 1}",
            )


def gather(x: np.ndarray, indices: np.ndarray, axis: int) -> np.ndarray:
    """The slices of x along an axis at the indices; negative ones count from the end."""
    try:
        return np.take(x, indices, axis=axis)
    except IndexError:
        check_range(indices, x.shape[axis], "gather", axis)
        raise


def _clamped(starts: np.ndarray, shape: Ints, sizes: Ints) -> tuple[slice, ...]:
    """The slices of the given sizes nearest to the starts that lie inside the shape; negative starts from the end."""
    places = []
    for start, whole, size in zip(starts.tolist(), shape, sizes, strict=True):
        first = min(max(start + whole if start < 0 else start, 0), whole - size)
        places.append(slice(first, first + size))
    return tuple(places)


def dynamic_slice(x: np.ndarray, start_indices: np.ndarray, shape: Ints) -> np.ndarray:
    """The block of a static shape at a computed place, moved inside where it would stick out."""
    return x[_clamped(start_indices, x.shape, shape)]


def dynamic_update_slice(x: np.ndarray, updates: np.ndarray, start_indices: np.ndarray) -> np.ndarray:
    """x with the block at a computed place replaced by the updates."""
    out = x.copy()
    out[_clamped(start_indices, x.shape, updates.shape)] = updates
    return out


def _segments(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(order, starts, places): equal indices brought together, where each run starts, and the index of each run."""
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return order, starts, ordered[starts]


_REDUCTIONS = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def scatter_update(inputs: np.ndarray, indices: np.ndarray, updates: np.ndarray, reduction: str | None) -> np.ndarray:
    """A copy of the inputs with updates[i] written to, or combined with, the element or slice at indices[i].

    Repeated places are combined by sorting and one segmented reduction, which is many times faster than `ufunc.at`
    on slices; without a reduction the last update wins.
    """
    depth = indices.shape[-1]
    leading, rest = inputs.shape[:depth], inputs.shape[depth:]
    indices = indices.reshape(-1, depth)
    out = inputs.copy()
    if not len(indices) or not out.size:
        return out
    flat = np.zeros(len(indices), np.int64)
    for axis, size in enumerate(leading):
        column = indices[:, axis].astype(np.int64)
        check_range(column, size, "scatter_update", axis)
        flat = flat * size + np.where(column < 0, column + size, column)
    rows = out.reshape((-1, *rest))
    updates = updates.reshape((-1, *rest))
    if reduction is None:
        rows[flat] = updates
        return out
    combine = _REDUCTIONS[reduction]
    order, starts, places = _segments(flat)
    wide = np.float32 if out.dtype.itemsize == 2 and out.dtype.kind not in "iu" else out.dtype
    runs = combine.reduceat(updates[order].astype(wide, copy=False), starts, axis=0)
    rows[places] = combine(rows[places].astype(wide, copy=False), runs).astype(out.dtype, copy=False)
    return out


KERNELS: dict[str, Callable[..., Any]] = {
    "gather": gather,
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
    "scatter_update": scatter_update,
}
