"""TensorFlow kernels of sorting and searching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from amalthea.backends.tensorflow.types import HALF, ordered


def argsort(x: Any, axis: int) -> Any:
    """The int32 order that sorts along an axis; equal elements keep theirs and NaN comes last."""
    last = x.shape.rank - 1
    order = [i for i in range(x.shape.rank) if i != axis % max(x.shape.rank, 1)] + [axis % max(x.shape.rank, 1)]
    if x.dtype == tf.bool:
        x = tf.cast(x, tf.int32)
    x = tf.transpose(ordered(tf.cast(x, tf.float32) if x.dtype in HALF else x), order)
    size = x.shape[last]
    if not x.dtype.is_floating:
        made = tf.math.top_k(tf.bitwise.invert(x), size).indices  # equal elements: the lower place first
    else:
        nan = tf.math.is_nan(x)
        made = tf.math.top_k(-tf.where(nan, tf.cast(float("inf"), x.dtype), x), size).indices
        is_nan = tf.gather(nan, made, batch_dims=last)
        moved = tf.math.top_k(-tf.cast(is_nan, tf.int32), size).indices
        made = tf.gather(made, moved, batch_dims=last)
    back = sorted(range(len(order)), key=order.__getitem__)
    return tf.transpose(made, back)


def searchsorted(sorted_sequence: Any, values: Any, side: str) -> Any:
    """The int32 place of each value in a sorted vector."""
    sequence, flat = ordered(sorted_sequence), tf.reshape(ordered(values), (-1,))
    return tf.reshape(tf.searchsorted(sequence, flat, side=side, out_type=tf.int32), values.shape)


KERNELS: dict[str, Callable[..., Any]] = {"argsort": argsort, "searchsorted": searchsorted}
