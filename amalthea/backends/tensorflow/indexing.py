"""TensorFlow kernels of the ops that read and write at computed places."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import tensorflow as tf

from amalthea.backends.numpy.indexing import check_range
from amalthea.backends.tensorflow.types import HALF, wide

Ints = tuple[int, ...]


def _positive(indices: Any, size: int, where: str, axis: int) -> Any:
    """Indices that count from the start, int32 ones as they are and others in int64.

    ArgumentError where one is out of range: looked for eagerly only, in programs TensorFlow's kernels do so.
    """
    if hasattr(indices, "numpy") and tf.executing_eagerly():
        check_range(indices.numpy(), size, where, axis)
    if indices.dtype != tf.int32 or size > tf.int32.max:
        indices = tf.cast(indices, tf.int64)
    return tf.where(indices < 0, indices + size, indices)


def gather(x: Any, indices: Any, axis: int) -> Any:
    """The slices of x along an axis at the indices; negative ones count from the end."""
    return tf.gather(x, _positive(indices, x.shape[axis], "gather", axis), axis=axis)


def _starts(start_indices: Any, shape: Ints, sizes: Ints) -> Any:
    starts = tf.cast(start_indices, tf.int64)
    whole, block = tf.constant(shape, tf.int64), tf.constant(sizes, tf.int64)
    return tf.clip_by_value(tf.where(starts < 0, starts + whole, starts), 0, whole - block)


def dynamic_slice(x: Any, start_indices: Any, shape: Ints) -> Any:
    """The block of a static shape at a computed place, moved inside where it would stick out."""
    if not shape:
        return x
    return tf.ensure_shape(tf.slice(x, _starts(start_indices, tuple(x.shape), shape), shape), shape)


def dynamic_update_slice(x: Any, updates: Any, start_indices: Any) -> Any:
    """x with the block at a computed place replaced by the updates."""
    sizes = tuple(updates.shape)
    if not sizes or not prod(sizes):
        return updates if not sizes else x
    places = tf.stack(tf.meshgrid(*[tf.range(n, dtype=tf.int64) for n in sizes], indexing="ij"), -1)
    places = places + _starts(start_indices, tuple(x.shape), sizes)
    made = tf.tensor_scatter_nd_update(wide(x), places, wide(updates))
    return tf.cast(made, x.dtype)


_PLACES: dict[str | None, Callable[..., Any]] = {
    "add": tf.tensor_scatter_nd_add,
    "max": tf.tensor_scatter_nd_max,
    "min": tf.tensor_scatter_nd_min,
}
"""TensorFlow's scatters that combine; they refuse an index out of range."""


def _flat_places(indices: Any, shape: Ints) -> Any:
    """Indices (count, axes) as places in a flat array; one behind its end, which TensorFlow refuses, for any that is
    out of range: of negative ones its segment ops leave out the updates."""
    flat, inside = tf.zeros(indices.shape[:1], tf.int64), tf.ones(indices.shape[:1], tf.bool)
    for axis, size in enumerate(shape):
        place = tf.cast(_positive(indices[:, axis], size, "scatter_update", axis), tf.int64)
        inside = inside & (place >= 0) & (place < size)
        flat = flat * size + place
    return tf.where(inside, flat, tf.constant(prod(shape), tf.int64))


def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None) -> Any:
    """The inputs with updates[i] written to, or combined with, the element or slice at indices[i]."""
    shape, depth = tuple(inputs.shape), indices.shape[-1]
    indices = tf.reshape(indices, (-1, depth))
    count, total = indices.shape[0], prod(shape[:depth])
    if not count or not prod(shape):
        return inputs
    if depth == 1 and reduction in _PLACES:
        flat = _positive(tf.reshape(indices, (-1,)), total, "scatter_update", 0)
    else:
        flat = _flat_places(indices, shape[:depth])
    kind = tf.float32 if inputs.dtype in HALF else wide(inputs).dtype
    if inputs.dtype == tf.bool:
        kind = tf.int32
    rows = tf.reshape(tf.cast(inputs, kind), (total, -1))
    updates = tf.reshape(tf.cast(updates, kind), (count, -1))
    if reduction is None:
        # TensorFlow leaves open which of several updates of one place stays: here it is the last
        winner = tf.math.unsorted_segment_max(tf.range(count, dtype=tf.int64), flat, total)
        made = tf.where((winner >= 0)[:, None], tf.gather(updates, tf.maximum(winner, 0)), rows)
    elif reduction == "mul":
        made = rows * tf.math.unsorted_segment_prod(updates, flat, total)
    else:
        made = _PLACES[reduction](rows, flat[:, None], updates)
    return tf.cast(tf.reshape(made, shape), inputs.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    "gather": gather,
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
    "scatter_update": scatter_update,
}
