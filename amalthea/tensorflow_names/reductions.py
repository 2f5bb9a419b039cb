"""Reductions over axes, under TensorFlow's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core import dtypes
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.tensorflow_names.adapting import refuse

Axis = int | Sequence[int] | None


def reduce_mean(input_tensor: Any, axis: Axis = None, keepdims: bool = False, name: str | None = None) -> Tensor:
    """The mean along axes (all by default); of whole numbers it is a whole number, rounded towards zero.

    >>> import amalthea as tf
    >>> tf.reduce_mean(input_tensor=[[1.0, 3.0], [5.0, 7.0]], axis=0).numpy().tolist()
    [3.0, 5.0]
    """
    x = as_tensor(input_tensor)
    mean = ops.mean(x, axis=_axes(axis), keepdims=bool(keepdims))
    return ops.cast(mean, x.dtype) if dtypes.is_integer(x.dtype) else mean


def reduce_sum(input_tensor: Any, axis: Axis = None, keepdims: bool = False, name: str | None = None) -> Tensor:
    """The sum along axes (all by default)."""
    return ops.sum(input_tensor, axis=_axes(axis), keepdims=bool(keepdims))


def reduce_prod(input_tensor: Any, axis: Axis = None, keepdims: bool = False, name: str | None = None) -> Tensor:
    """The product along axes (all by default)."""
    return ops.prod(input_tensor, axis=_axes(axis), keepdims=bool(keepdims))


def reduce_max(input_tensor: Any, axis: Axis = None, keepdims: bool = False, name: str | None = None) -> Tensor:
    """The largest element along axes (all by default)."""
    return ops.max(input_tensor, axis=_axes(axis), keepdims=bool(keepdims))


def reduce_min(input_tensor: Any, axis: Axis = None, keepdims: bool = False, name: str | None = None) -> Tensor:
    """The smallest element along axes (all by default)."""
    return ops.min(input_tensor, axis=_axes(axis), keepdims=bool(keepdims))


def reduce_all(input_tensor: Any, axis: Axis = None, keepdims: bool = False, name: str | None = None) -> Tensor:
    """Whether all elements are true, along axes (all by default)."""
    return ops.all(input_tensor, axis=_axes(axis), keepdims=bool(keepdims))


def reduce_any(input_tensor: Any, axis: Axis = None, keepdims: bool = False, name: str | None = None) -> Tensor:
    """Whether any element is true, along axes (all by default)."""
    return ops.any(input_tensor, axis=_axes(axis), keepdims=bool(keepdims))


def reduce_logsumexp(input_tensor: Any, axis: Axis = None, keepdims: bool = False, name: str | None = None) -> Tensor:
    """log(sum(exp(elements))) along axes (all by default)."""
    return ops.logsumexp(input_tensor, axis=_axes(axis), keepdims=bool(keepdims))


def reduce_std(input_tensor: Any, axis: Axis = None, keepdims: bool = False, name: str | None = None) -> Tensor:
    """The standard deviation (divided by the count) along axes (all by default)."""
    return ops.std(input_tensor, axis=_axes(axis), keepdims=bool(keepdims))


def reduce_variance(input_tensor: Any, axis: Axis = None, keepdims: bool = False, name: str | None = None) -> Tensor:
    """The variance (divided by the count) along axes (all by default)."""
    return ops.var(input_tensor, axis=_axes(axis), keepdims=bool(keepdims))


def reduce_euclidean_norm(
    input_tensor: Any, axis: Axis = None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """The root of the sum of squares along axes (all by default)."""
    return ops.sqrt(ops.sum(ops.square(input_tensor), axis=_axes(axis), keepdims=bool(keepdims)))


def count_nonzero(
    input: Any, axis: Axis = None, keepdims: bool | None = None, dtype: Any = "int64", name: str | None = None
) -> Tensor:
    """How many elements are not 0.

    >>> import amalthea as tf
    >>> int(tf.math.count_nonzero([0, 3, 4]))
    2
    """
    return ops.sum(ops.cast(ops.not_equal(input, 0), dtype), axis=_axes(axis), keepdims=bool(keepdims))


def zero_fraction(value: Any, name: str | None = None) -> Tensor:
    """The share of zeros among the elements, float32."""
    return ops.mean(ops.cast(ops.equal(value, 0), "float32"))


def cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Tensor:
    """Sums from the start of an axis to each element.

    Args:
        x: a tensor.
        axis: along which axis, the first by default.
        exclusive: leave the element itself out of its sum.
        reverse: sum from the end instead.

    >>> import amalthea as tf
    >>> tf.cumsum([1, 2, 3], exclusive=True, reverse=True).numpy().tolist()
    [5, 3, 0]
    """
    return _running(ops.cumsum, 0, x, axis, exclusive, reverse)


def cumprod(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Tensor:
    """Products from the start of an axis to each element; arguments as in `cumsum`."""
    return _running(ops.cumprod, 1, x, axis, exclusive, reverse)


def _running(op: Any, start: int, x: Any, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    x = as_tensor(x)
    if reverse:
        x = ops.flip(x, axis)
    if exclusive:
        size = x.shape[axis]
        edge = ops.cast(ops.full_like(ops.take(x, ops.arange(min(size, 1)), axis=axis), start), x.dtype)
        x = ops.concatenate([edge, ops.take(x, ops.arange(max(size - 1, 0)), axis=axis)], axis=axis)
    x = op(x, axis=axis)
    return ops.flip(x, axis) if reverse else x


def bincount(
    arr: Any,
    weights: Any = None,
    minlength: int | None = None,
    maxlength: int | None = None,
    dtype: Any = "int32",
    name: str | None = None,
    axis: int | None = None,
    binary_output: bool = False,
) -> Tensor:
    """How often each whole number from 0 on occurs.

    >>> import amalthea as tf
    >>> tf.math.bincount([1, 1, 3]).numpy().tolist()
    [0, 2, 0, 1]
    """
    refuse("math.bincount", axis=axis, maxlength=maxlength, binary_output=binary_output)
    counts = ops.bincount(ops.reshape(arr, (-1,)), weights=weights, minlength=minlength or 0)
    return counts if weights is not None else ops.cast(counts, dtype)


def confusion_matrix(
    labels: Any,
    predictions: Any,
    num_classes: int | None = None,
    weights: Any = None,
    dtype: Any = "int32",
    name: str | None = None,
) -> Tensor:
    """How often each class (row) was predicted as each class (column).

    >>> import amalthea as tf
    >>> tf.math.confusion_matrix([0, 1, 1], [0, 1, 0]).numpy().tolist()
    [[1, 0], [1, 1]]
    """
    labels, predictions = as_tensor(labels), as_tensor(predictions)
    if num_classes is None:
        num_classes = max(int(ops.max(labels)), int(ops.max(predictions))) + 1
    ones = ops.ones_like(labels, dtype=dtype) if weights is None else ops.cast(weights, dtype)
    return ops.scatter(ops.stack([labels, predictions], axis=-1), ones, (num_classes, num_classes))


def _axes(axis: Axis) -> Any:
    if axis is None:
        return None
    return tuple(int(a) for a in axis) if isinstance(axis, Sequence) else int(axis)
