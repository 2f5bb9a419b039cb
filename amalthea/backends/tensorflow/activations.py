"""TensorFlow kernels of composites that it has in one: softmax and its logarithm, over any axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

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


KERNELS: dict[str, Callable[..., Any]] = {
    "softmax": _over(tf.raw_ops.Softmax),
    "log_softmax": _over(tf.raw_ops.LogSoftmax),
}
