"""TensorFlow kernel of `contract`: transposed operands, merged axes and one (batched) matrix product."""

from __future__ import annotations

import functools
from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import tensorflow as tf

from amalthea.backends.numpy.contractions import plan_of
from amalthea.backends.tensorflow.types import HALF, ints, wide

Ints = tuple[int, ...]

WHOLE = frozenset((tf.float32, tf.float64, tf.int32, tf.int64))
"""Dtypes of TensorFlow's own matrix products."""


class _Recipe(NamedTuple):
    """How operands of known letters become one matrix product: orders of their axes (None: as they are), and flags."""

    x_order: Ints | None
    y_order: Ints | None
    x_turned: bool
    y_turned: bool


@functools.lru_cache(1024)
def _recipe(subscripts: str) -> _Recipe:
    """The plan of NumPy's kernel, but that whole groups of axes in the wrong order are left to the product itself."""
    plan = plan_of(subscripts)
    n, i, k = plan.batch, plan.x_free, plan.summed
    x_order, x_turned = _turned(plan.x_order, n, i)
    y_order, y_turned = _turned(plan.y_order, n, k)
    return _Recipe(x_order, y_order, x_turned, y_turned)


def _turned(order: Ints | None, batch: int, rows: int) -> tuple[Ints | None, bool]:
    """The order of the axes, and whether it only changes rows and columns: then nothing is to be moved."""
    if order is None:
        return None, False
    head, first, second = order[:batch], order[batch : batch + rows], order[batch + rows :]
    swapped = (*head, *second, *first)
    return (None, True) if swapped == tuple(range(len(order))) else (order, False)


def contract(x: Any, y: Any, *, subscripts: str) -> Any:
    """The product of two tensors, summed over the letters that the result does not have."""
    kind = x.dtype
    if kind not in WHOLE:
        work = tf.float32 if kind in HALF else tf.int32 if kind == tf.bool else wide(x).dtype
        x, y = tf.cast(x, work), tf.cast(y, work)
    plan, recipe = plan_of(subscripts), _recipe(subscripts)
    x = x if recipe.x_order is None else tf.raw_ops.Transpose(x=x, perm=ints(recipe.x_order))
    y = y if recipe.y_order is None else tf.raw_ops.Transpose(x=y, perm=ints(recipe.y_order))
    n, i, k = plan.batch, plan.x_free, plan.summed
    j = y.shape.rank - n - k
    x_sizes, y_sizes = tuple(x.shape), tuple(y.shape)
    x_rows = k if recipe.x_turned else i
    y_rows = j if recipe.y_turned else k
    x, y = _matrix(x, x_sizes, n, x_rows), _matrix(y, y_sizes, n, y_rows)
    if n:
        out = tf.raw_ops.BatchMatMulV2(x=x, y=y, adj_x=recipe.x_turned, adj_y=recipe.y_turned)
    else:
        out = tf.raw_ops.MatMul(a=x, b=y, transpose_a=recipe.x_turned, transpose_b=recipe.y_turned)
    if n > 1 or i != 1 or j != 1:
        rows = x_sizes[n + k :] if recipe.x_turned else x_sizes[n : n + i]
        columns = y_sizes[n : n + j] if recipe.y_turned else y_sizes[n + k :]
        out = tf.raw_ops.Reshape(tensor=out, shape=ints((*x_sizes[:n], *rows, *columns)))
    out = out if plan.out_order is None else tf.raw_ops.Transpose(x=out, perm=ints(plan.out_order))
    if kind in WHOLE:
        return out
    return tf.not_equal(out, 0) if kind == tf.bool else tf.cast(out, kind)


def _matrix(x: Any, sizes: Ints, batch: int, rows: int) -> Any:
    """Each group of axes (batch, rows, columns) as one axis; no batch axis where there are none."""
    if batch in (0, 1) and rows == 1 and len(sizes) == batch + 2:
        return x
    head = (prod(sizes[:batch]),) if batch else ()
    flat = (*head, prod(sizes[batch : batch + rows]), prod(sizes[batch + rows :]))
    return tf.raw_ops.Reshape(tensor=x, shape=ints(flat))


KERNELS: dict[str, Callable[..., Any]] = {"contract": contract}
