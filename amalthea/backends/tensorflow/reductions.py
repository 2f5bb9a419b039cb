"""TensorFlow kernels of the reductions and cumulative ops; half-precision sums are accumulated in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from amalthea.backends.tensorflow.types import HALF, ints, ordered, unordered, wide

Axis = tuple[int, ...]


def _over(reduce: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, axis, keepdims: reduce(input=x, axis=ints(axis), keep_dims=keepdims)


def _accumulated(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, axis: Any, **attrs: Any) -> Any:
        made = function(tf.cast(x, tf.float32) if x.dtype in HALF else wide(x), axis, **attrs)
        return made if made.dtype == x.dtype else tf.cast(made, x.dtype)

    return run


def _best(reduce: Callable[..., Any], pick: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, axis: Axis, keepdims: bool, initial: float | None) -> Any:
        numbers = tf.cast(x, tf.int32) if x.dtype == tf.bool else ordered(x)
        made = reduce(numbers, axis, keepdims=keepdims) if axis else numbers
        if initial is not None:
            made = pick(
                made, ordered(tf.cast(initial, x.dtype)) if x.dtype == tf.uint64 else tf.cast(initial, made.dtype)
            )
        return unordered(made, x.dtype)

    return run


def _place(best: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, axis: int | None, keepdims: bool) -> Any:
        x = tf.cast(x, tf.int32) if x.dtype == tf.bool else ordered(x)
        flat = tf.reshape(x, (-1,)) if axis is None else x
        dim = 0 if axis is None else axis
        hit = tf.equal(flat, best(flat, dim, keepdims=True)) | tf.not_equal(flat, flat)
        if x.dtype.is_floating:  # the first NaN wins, as TensorFlow's own maximum may not say
            nan = tf.math.is_nan(flat)
            hit = tf.where(tf.reduce_any(nan, dim, keepdims=True), nan, hit)
        made = tf.argmax(tf.cast(hit, tf.int32), dim, output_type=tf.int32)
        if keepdims:
            return tf.reshape(made, (1,) * x.shape.rank) if axis is None else tf.expand_dims(made, dim)
        return made

    return run


KERNELS: dict[str, Callable[..., Any]] = {
    "sum": _accumulated(_over(tf.raw_ops.Sum)),
    "prod": _accumulated(_over(tf.raw_ops.Prod)),
    "max": _best(_over(tf.raw_ops.Max), tf.maximum),
    "min": _best(_over(tf.raw_ops.Min), tf.minimum),
    "argmax": _place(tf.reduce_max),
    "argmin": _place(tf.reduce_min),
    "cumulative_sum": _accumulated(tf.cumsum),
}
