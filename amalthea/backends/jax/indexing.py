"""JAX kernels of the ops that read and write at computed places.

Eagerly an index out of range is an error, as on every backend; inside a compiled program it is clamped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from amalthea.backends.numpy.indexing import check_range

Ints = tuple[int, ...]


def _check_gather(x: Any, indices: Any, axis: int) -> None:
    if not isinstance(indices, jax.core.Tracer):
        check_range(np.asarray(indices), x.shape[axis], "gather", axis)


def gather(x: Any, indices: Any, axis: int) -> Any:
    """The slices of x along an axis at the indices; negative ones count from the end."""
    _check_gather(x, indices, axis)
    size = x.shape[axis]
    if not size:
        return jnp.zeros((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)
    return jnp.take(x, jnp.where(indices < 0, indices + size, indices), axis=axis, mode="clip")


def _starts(start_indices: Any, shape: Ints) -> list[Any]:
    starts = start_indices.astype(jnp.int64)
    return [jnp.where(starts[i] < 0, starts[i] + size, starts[i]) for i, size in enumerate(shape)]


def dynamic_slice(x: Any, start_indices: Any, shape: Ints) -> Any:
    """The block of a static shape at a computed place, moved inside where it would stick out."""
    return lax.dynamic_slice(x, _starts(start_indices, x.shape), shape)


def dynamic_update_slice(x: Any, updates: Any, start_indices: Any) -> Any:
    """x with the block at a computed place replaced by the updates."""
    return lax.dynamic_update_slice(x, updates, _starts(start_indices, x.shape))


def _check_scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None) -> None:
    if not isinstance(indices, jax.core.Tracer) and inputs.size:
        places = np.asarray(indices)
        for axis, size in enumerate(inputs.shape[: indices.shape[-1]]):
            check_range(places[..., axis], size, "scatter_update", axis)


def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None) -> Any:
    """The inputs with updates[i] written to, or combined with, the element or slice at indices[i]."""
    _check_scatter_update(inputs, indices, updates, reduction)
    depth = indices.shape[-1]
    rest = inputs.shape[depth:]
    indices = indices.reshape(-1, depth)
    if not indices.shape[0] or not inputs.size:
        return inputs
    columns = []
    for axis, size in enumerate(inputs.shape[:depth]):
        columns.append(jnp.where(indices[:, axis] < 0, indices[:, axis] + size, indices[:, axis]))
    updates = updates.reshape(-1, *rest)
    half = inputs.dtype.itemsize == 2 and inputs.dtype.kind not in "iu"
    if reduction is None:
        # JAX leaves open which of several updates of one place stays: here it is the last
        flat = jnp.zeros(len(updates), jnp.int64)
        for column, size in zip(columns, inputs.shape, strict=False):
            flat = flat * size + column
        total = 1
        for size in inputs.shape[:depth]:
            total *= size
        winner = jnp.full(total, -1, jnp.int64).at[flat].max(jnp.arange(len(updates)))
        rows = inputs.reshape(total, *rest)
        mask = (winner >= 0).reshape(-1, *(1,) * len(rest))
        return jnp.where(mask, updates[jnp.maximum(winner, 0)], rows).reshape(inputs.shape)
    wide = jnp.float32 if half else jnp.int32 if inputs.dtype == bool else inputs.dtype  # XLA adds no bools
    places = inputs.astype(wide).at[tuple(columns)]
    combine = {"add": places.add, "mul": places.multiply, "max": places.max, "min": places.min}[reduction]
    return combine(updates.astype(wide)).astype(inputs.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    "gather": gather,
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
    "scatter_update": scatter_update,
}

CHECKS: dict[str, Callable[..., Any]] = {"gather": _check_gather, "scatter_update": _check_scatter_update}
"""What eager calls look at before a program runs, which clamps."""
