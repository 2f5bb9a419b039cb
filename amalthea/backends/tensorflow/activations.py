"""TensorFlow kernels of composites that it has in one: relu, and softmax and its logarithm over any axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from amalthea.backends.tensorflow import elementwise
from amalthea.backends.tensorflow.types import in_float32, ints
from amalthea.core import dtypes


def _over(function: Callable[..., Any]) -> Callable[..., Any]:
    """TensorFlow's op over the last axis for any axes; integers as the default floating dtype."""

    def run(x: Any, axis: int | Sequence[int] = -1) -> Any:
        x = x if x.dtype.is_floating else tf.cast(x, dtypes.floatx().name)
        rank = x.shape.rank
        if axis in (-1, rank - 1):
            return function(logits=x) if x.shape[-1] else x
        axes = [i % rank for i in ((axis,) if isinstance(axis, int) else axis)]
        order = [*(i for i in range(rank) if i not in axes), *axes]
        moved = tf.raw_ops.Transpose(x=x, perm=ints(tuple(order)))
        count = 1
        for i in axes:
            count *= x.shape[i]
        if not count:
            return x
        made = function(logits=tf.reshape(moved, (x.shape.num_elements() // count, count)))
        back = tuple(sorted(range(rank), key=order.__getitem__))
        return tf.raw_ops.Transpose(x=tf.reshape(made, moved.shape), perm=ints(back))

    return in_float32(run)


def relu(x: Any) -> Any:
    """max(x, 0); bools as int32.

    In programs not by TensorFlow's op of that name: it would be fused with the product or convolution before it, and
    what comes out of that has zeros in place of NaN.
    """
    if x.dtype.is_floating and tf.executing_eagerly():
        return tf.raw_ops.Relu(features=x)
    x = tf.cast(x, tf.int32) if x.dtype == tf.bool else x
    return elementwise.KERNELS["maximum"](x, tf.zeros((), x.dtype))


KERNELS: dict[str, Callable[..., Any]] = {
    "relu": relu,
    "softmax": _over(tf.raw_ops.Softmax),
    "log_softmax": _over(tf.raw_ops.LogSoftmax),
}
