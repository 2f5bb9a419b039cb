"""TensorFlow kernels of the ops that move elements without computing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from amalthea.backends.tensorflow.types import ints

Ints = tuple[int, ...]


def constant_pad(x: Any, low: Ints, high: Ints, interior: Ints, value: float) -> Any:
    """`low` and `high` elements before and after each axis, and `interior` ones between any two elements."""
    fill = tf.cast(tf.constant(np.array(value)), x.dtype)  # TensorFlow keeps one constant for 0.0 and -0.0
    for axis, between in enumerate(interior):
        size = x.shape[axis]
        if between and size > 1:
            gaps = tf.fill((*x.shape[: axis + 1], between, *x.shape[axis + 1 :]), fill)
            spread = tf.concat([tf.expand_dims(x, axis + 1), gaps], axis + 1)
            shape = (*x.shape[:axis], size * (between + 1), *x.shape[axis + 1 :])
            x = tf.reshape(spread, shape)[(slice(None),) * axis + (slice(0, size + (size - 1) * between),)]
    x = x[tuple(slice(max(-a, 0), n - max(-b, 0)) for a, b, n in zip(low, high, x.shape, strict=True))]
    edges = [(max(a, 0), max(b, 0)) for a, b in zip(low, high, strict=True)]
    return tf.pad(x, edges, constant_values=fill) if any(map(any, edges)) else x


def strided_slice(x: Any, start: Ints, stop: Ints, strides: Ints) -> Any:
    """x[start:stop:strides] on every axis."""
    return tf.raw_ops.StridedSlice(input=x, begin=ints(start), end=ints(stop), strides=ints(strides)) if start else x


KERNELS: dict[str, Callable[..., Any]] = {
    "reshape": lambda x, newshape: tf.raw_ops.Reshape(tensor=x, shape=ints(newshape)),
    "transpose": lambda x, axes: tf.raw_ops.Transpose(x=x, perm=ints(axes)),
    "broadcast_to": lambda x, shape: tf.raw_ops.BroadcastTo(input=x, shape=ints(shape)),
    "concatenate": lambda *xs, axis: tf.concat(xs, axis),
    "constant_pad": constant_pad,
    "flip": lambda x, axis: tf.reverse(x, axis),
    "strided_slice": strided_slice,
    "iota": lambda size, dtype: tf.cast(tf.range(size), str(dtype)),
}
