"""How often predictions are right."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.config import floatx
from amalthea.core.errors import ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn.losses.alignment import TensorLike, shapes_agree, target_and_prediction
from amalthea.nn.metrics.means import FunctionMetric
from amalthea.nn.objects import public
from amalthea.ops.whole_numbers import as_whole_numbers


def accuracy(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """1 where prediction and target are equal, else 0; the shape of both."""
    y_true, y_pred = target_and_prediction("accuracy", y_true, y_pred)
    return ops.cast(ops.equal(y_true, y_pred), floatx())


@public("keras.metrics.binary_accuracy")
def binary_accuracy(y_true: TensorLike, y_pred: TensorLike, threshold: float = 0.5) -> Tensor:
    """1 where a yes/no answer is right, else 0.

    Args:
        y_true: targets 0 or 1, any shape.
        y_pred: predicted probabilities, same shape.
        threshold: above this the answer is yes.

    Returns:
        Zeros and ones of the same shape.

    Raises:
        ShapeError: the shapes differ (by more than a last axis of size one).

    Example:
    >>> import amalthea as am
    >>> am.metrics.binary_accuracy([1.0, 0.0], [0.7, 0.9]).numpy()
    array([1., 0.], dtype=float32)
    """
    y_true, y_pred = target_and_prediction("binary_accuracy", y_true, y_pred)
    return ops.cast(ops.equal(y_true, ops.cast(ops.greater(y_pred, threshold), y_true.dtype)), floatx())


@public("keras.metrics.categorical_accuracy")
def categorical_accuracy(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """1 where the class with the highest prediction is that of the one-hot target, else 0.

    Args:
        y_true: one-hot targets, shape `(batch, ..., classes)`.
        y_pred: predictions, same shape.

    Returns:
        Zeros and ones of shape `(batch, ...)`.

    Raises:
        ShapeError: the shapes differ.

    Example:
    >>> import amalthea as am
    >>> am.metrics.categorical_accuracy([[0.0, 1.0]], [[0.2, 0.8]]).numpy()
    array([1.], dtype=float32)
    """
    y_true, y_pred = target_and_prediction("categorical_accuracy", y_true, y_pred)
    return ops.cast(ops.equal(ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1)), floatx())


def _class_numbers(where: str, y_true: TensorLike, y_pred: TensorLike) -> tuple[Tensor, Tensor]:
    """Integer targets of the shape of the predictions without their class axis."""
    y_true = ops.cast(as_whole_numbers(ops.convert_to_tensor(y_true), "y_true", where), "int32")
    y_pred = ops.convert_to_tensor(y_pred)
    shape = y_true.shape
    if y_true.ndim == y_pred.ndim and y_true.ndim and shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    if not y_pred.ndim or not shapes_agree(y_true.shape, y_pred.shape[:-1]):
        fail(
            ShapeError,
            "the targets must be class numbers, one where the predictions have one row of classes",
            where=where,
            received=f"y_true of shape {shape}, y_pred of shape {y_pred.shape}",
            fix=f"use {where.replace('sparse_', '')}, since y_true looks one-hot"
            if shapes_agree(shape, y_pred.shape)
            else f"pass y_true of shape {y_pred.shape[:-1]}",
        )
    return y_true, y_pred


@public("keras.metrics.sparse_categorical_accuracy")
def sparse_categorical_accuracy(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """1 where the class with the highest prediction is the target, else 0.

    Args:
        y_true: class numbers, shape `(batch, ...)`, or with a last axis of size one.
        y_pred: predictions, shape `(batch, ..., classes)`.

    Returns:
        Zeros and ones of shape `(batch, ...)`.

    Raises:
        ShapeError: the shapes do not belong together.

    Example:
    >>> import amalthea as am
    >>> am.metrics.sparse_categorical_accuracy([1], [[0.2, 0.8]]).numpy()
    array([1.], dtype=float32)
    """
    y_true, y_pred = _class_numbers("sparse_categorical_accuracy", y_true, y_pred)
    right = ops.cast(ops.equal(y_true, ops.cast(ops.argmax(y_pred, axis=-1), "int32")), floatx())
    return ops.squeeze(right, -1) if right.ndim > 1 and right.shape[-1] == 1 else right


def _among_best(y_true: Tensor, y_pred: Tensor, k: int) -> Tensor:
    """Whether each target class is among the `k` highest predictions; the shape of `y_true`."""
    flat = ops.in_top_k(ops.reshape(y_true, (-1,)), ops.reshape(y_pred, (-1, y_pred.shape[-1])), k=k)
    return ops.cast(ops.reshape(flat, y_true.shape), floatx())


@public("keras.metrics.top_k_categorical_accuracy")
def top_k_categorical_accuracy(y_true: TensorLike, y_pred: TensorLike, k: int = 5) -> Tensor:
    """1 where the class of the one-hot target is among the `k` highest predictions, else 0.

    Args:
        y_true: one-hot targets, shape `(batch, ..., classes)`.
        y_pred: predictions, same shape.
        k: how many predictions count.

    Returns:
        Zeros and ones of shape `(batch, ...)`.

    Raises:
        ShapeError: the shapes differ.

    Example:
    >>> import amalthea as am
    >>> am.metrics.top_k_categorical_accuracy([[0.0, 1.0, 0.0]], [[0.5, 0.3, 0.2]], k=2).numpy()
    array([1.], dtype=float32)
    """
    y_true, y_pred = target_and_prediction("top_k_categorical_accuracy", y_true, y_pred)
    return _among_best(ops.cast(ops.argmax(y_true, axis=-1), "int32"), y_pred, k)


@public("keras.metrics.sparse_top_k_categorical_accuracy")
def sparse_top_k_categorical_accuracy(
    y_true: TensorLike, y_pred: TensorLike, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    """1 where the target class is among the `k` highest predictions, else 0.

    Args:
        y_true: class numbers, shape `(batch, ...)`.
        y_pred: predictions, shape `(batch, ..., classes)`.
        k: how many predictions count.
        from_sorted_ids: whether `y_pred` holds class numbers, best first, rather than scores.

    Returns:
        Zeros and ones of shape `(batch, ...)`.

    Raises:
        ShapeError: the shapes do not belong together.

    Example:
    >>> import amalthea as am
    >>> am.metrics.sparse_top_k_categorical_accuracy([1], [[0.5, 0.3, 0.2]], k=2).numpy()
    array([1.], dtype=float32)
    """
    y_true, y_pred = _class_numbers("sparse_top_k_categorical_accuracy", y_true, y_pred)
    if not from_sorted_ids:
        return _among_best(y_true, y_pred, k)
    wanted = ops.expand_dims(ops.cast(y_true, y_pred.dtype), -1)
    return ops.cast(ops.any(ops.equal(wanted, y_pred[..., :k]), axis=-1), floatx())


@public("keras.metrics.Accuracy")
class Accuracy(FunctionMetric):
    """How often prediction and target are equal.

    In `compile(metrics=["accuracy"])` the name stands for whichever accuracy fits the shapes, not for this class.

    >>> import amalthea as am
    >>> float(am.metrics.Accuracy()([1, 2, 3, 4], [1, 2, 0, 4]))
    0.75
    """

    _direction = "up"

    def __init__(self, name: str | None = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name, dtype)


@public("keras.metrics.BinaryAccuracy")
class BinaryAccuracy(FunctionMetric):
    """How often a probability falls on the right side of `threshold`.

    >>> import amalthea as am
    >>> float(am.metrics.BinaryAccuracy()([1.0, 0.0], [0.7, 0.9]))
    0.5
    """

    _direction = "up"

    def __init__(self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


@public("keras.metrics.CategoricalAccuracy")
class CategoricalAccuracy(FunctionMetric):
    """How often the highest prediction is that of the one-hot target.

    >>> import amalthea as am
    >>> float(am.metrics.CategoricalAccuracy()([[0.0, 1.0]], [[0.2, 0.8]]))
    1.0
    """

    _direction = "up"

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


@public("keras.metrics.SparseCategoricalAccuracy")
class SparseCategoricalAccuracy(FunctionMetric):
    """How often the highest prediction is that of the target class number.

    >>> import amalthea as am
    >>> float(am.metrics.SparseCategoricalAccuracy()([1], [[0.2, 0.8]]))
    1.0
    """

    _direction = "up"

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


@public("keras.metrics.TopKCategoricalAccuracy")
class TopKCategoricalAccuracy(FunctionMetric):
    """How often the class of the one-hot target is among the `k` highest predictions.

    >>> import amalthea as am
    >>> float(am.metrics.TopKCategoricalAccuracy(k=2)([[0.0, 1.0, 0.0]], [[0.5, 0.3, 0.2]]))
    1.0
    """

    _direction = "up"

    def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


@public("keras.metrics.SparseTopKCategoricalAccuracy")
class SparseTopKCategoricalAccuracy(FunctionMetric):
    """How often the target class number is among the `k` highest predictions.

    >>> import amalthea as am
    >>> float(am.metrics.SparseTopKCategoricalAccuracy(k=2)([1], [[0.5, 0.3, 0.2]]))
    1.0
    """

    _direction = "up"
    _left_out = {"from_sorted_ids": False}

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids)
