"""TensorFlow kernel of `contract`: transposed operands, merged axes and one (batched) matrix product."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import tensorflow as tf

from amalthea.backends.numpy.contractions import plan_of
from amalthea.backends.tensorflow.types import HALF, wide


def contract(x: Any, y: Any, *, subscripts: str) -> Any:
    """The product of two tensors, summed over the letters that the result does not have."""
    kind = x.dtype
    work = tf.float32 if kind in HALF else tf.int32 if kind == tf.bool else wide(x).dtype
    x, y = tf.cast(x, work), tf.cast(y, work)
    plan = plan_of(subscripts)
    if plan.x_order is not None:
        x = tf.transpose(x, plan.x_order)
    if plan.y_order is not None:
        y = tf.transpose(y, plan.y_order)
    n, i, k = plan.batch, plan.x_free, plan.summed
    batch, rows, columns = tuple(x.shape[:n]), tuple(x.shape[n : n + i]), tuple(y.shape[n + k :])
    x = tf.reshape(x, (*batch, prod(rows), prod(x.shape[n + i :])))
    y = tf.reshape(y, (*batch, prod(y.shape[n : n + k]), prod(columns)))
    out = tf.reshape(tf.matmul(x, y), batch + rows + columns)
    out = out if plan.out_order is None else tf.transpose(out, plan.out_order)
    return tf.not_equal(out, 0) if kind == tf.bool else tf.cast(out, kind)


KERNELS: dict[str, Callable[..., Any]] = {"contract": contract}
