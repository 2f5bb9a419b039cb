"""Margin losses, of support vector machines."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.nn.losses.alignment import TensorLike, target_and_prediction
from amalthea.nn.losses.loss import FunctionLoss
from amalthea.nn.objects import public


def signs(y_true: Tensor) -> Tensor:
    """Targets that are all 0 or 1 as -1 and 1; any others as they are."""
    binary = ops.all(ops.logical_or(ops.equal(y_true, 0), ops.equal(y_true, 1)))
    return ops.where(binary, 2.0 * y_true - 1.0, y_true)


@public("keras.losses.hinge", "keras.metrics.hinge")
def hinge(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Mean over the last axis of `max(1 - y_true * y_pred, 0)`.

    Args:
        y_true: targets -1 and 1, shape `(batch, ..., d)`; 0 and 1 are understood as well.
        y_pred: predictions (scores, without an activation), same shape.

    Returns:
        Losses of shape `(batch, ...)`.

    Raises:
        ShapeError: the shapes differ (by more than a last axis of size one).

    Example:
    >>> import amalthea as am
    >>> am.losses.hinge([[-1.0, 1.0]], [[0.5, 2.0]]).numpy()
    array([0.75], dtype=float32)
    """
    y_true, y_pred = target_and_prediction("hinge", y_true, y_pred)
    return ops.mean(ops.maximum(1.0 - signs(y_true) * y_pred, 0.0), axis=-1)


@public("keras.losses.squared_hinge", "keras.metrics.squared_hinge")
def squared_hinge(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Mean over the last axis of `max(1 - y_true * y_pred, 0)**2`. Arguments, result and errors as `hinge`.

    >>> import amalthea as am
    >>> am.losses.squared_hinge([[-1.0, 1.0]], [[1.0, 2.0]]).numpy()
    array([2.], dtype=float32)
    """
    y_true, y_pred = target_and_prediction("squared_hinge", y_true, y_pred)
    return ops.mean(ops.square(ops.maximum(1.0 - signs(y_true) * y_pred, 0.0)), axis=-1)


@public("keras.losses.categorical_hinge", "keras.metrics.categorical_hinge")
def categorical_hinge(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """How far the score of the right class fails to stand 1 above that of the best wrong one.

    Args:
        y_true: one-hot targets, shape `(batch, ..., classes)`.
        y_pred: scores, same shape.

    Returns:
        Losses of shape `(batch, ...)`.

    Raises:
        ShapeError: the shapes differ.

    Example:
    >>> import amalthea as am
    >>> am.losses.categorical_hinge([[0.0, 1.0]], [[0.5, 1.0]]).numpy()
    array([0.5], dtype=float32)
    """
    y_true, y_pred = target_and_prediction("categorical_hinge", y_true, y_pred)
    right = ops.sum(y_true * y_pred, axis=-1)
    wrong = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.maximum(wrong - right + 1.0, 0.0)


@public("keras.losses.Hinge")
class Hinge(FunctionLoss):
    """`hinge` as a `Loss`; the arguments are those of `Loss`.

    >>> import amalthea as am
    >>> float(am.losses.Hinge()([[-1.0, 1.0]], [[0.5, 2.0]]))
    0.75
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "hinge", dtype: Any = None
    ) -> None:
        super().__init__(hinge, reduction, name, dtype)


@public("keras.losses.SquaredHinge")
class SquaredHinge(FunctionLoss):
    """`squared_hinge` as a `Loss`; the arguments are those of `Loss`.

    >>> import amalthea as am
    >>> float(am.losses.SquaredHinge()([[-1.0, 1.0]], [[1.0, 2.0]]))
    2.0
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "squared_hinge", dtype: Any = None
    ) -> None:
        super().__init__(squared_hinge, reduction, name, dtype)


@public("keras.losses.CategoricalHinge")
class CategoricalHinge(FunctionLoss):
    """`categorical_hinge` as a `Loss`; the arguments are those of `Loss`.

    >>> import amalthea as am
    >>> float(am.losses.CategoricalHinge()([[0.0, 1.0]], [[0.5, 1.0]]))
    0.5
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "categorical_hinge", dtype: Any = None
    ) -> None:
        super().__init__(categorical_hinge, reduction, name, dtype)
