"""Losses of real-valued targets: the distance between what was and what was predicted."""

from __future__ import annotations

import math
from typing import Any

from amalthea import ops
from amalthea.core.config import epsilon
from amalthea.core.tensor import Tensor
from amalthea.nn.losses.alignment import TensorLike, target_and_prediction
from amalthea.nn.losses.loss import FunctionLoss
from amalthea.nn.objects import public


@public("keras.losses.mean_squared_error", "keras.metrics.mean_squared_error")
def mean_squared_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Mean over the last axis of the squared differences.

    Args:
        y_true: targets, shape `(batch, ..., d)`.
        y_pred: predictions, same shape.

    Returns:
        Losses of shape `(batch, ...)`.

    Raises:
        ShapeError: the shapes differ (by more than a last axis of size one).

    Example:
    >>> import amalthea as am
    >>> am.losses.mean_squared_error([[0.0, 1.0]], [[1.0, 3.0]]).numpy()
    array([2.5], dtype=float32)
    """
    y_true, y_pred = target_and_prediction("mean_squared_error", y_true, y_pred)
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


@public("keras.losses.mean_absolute_error", "keras.metrics.mean_absolute_error")
def mean_absolute_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Mean over the last axis of the absolute differences. Arguments, result and errors as `mean_squared_error`.

    >>> import amalthea as am
    >>> am.losses.mean_absolute_error([[0.0, 1.0]], [[1.0, 3.0]]).numpy()
    array([1.5], dtype=float32)
    """
    y_true, y_pred = target_and_prediction("mean_absolute_error", y_true, y_pred)
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


@public("keras.losses.mean_absolute_percentage_error", "keras.metrics.mean_absolute_percentage_error")
def mean_absolute_percentage_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Mean over the last axis of the differences in per cent of the targets.

    Targets nearer to zero than `am.config.epsilon()` count as that. Arguments, result and errors as
    `mean_squared_error`.

    >>> import amalthea as am
    >>> am.losses.mean_absolute_percentage_error([[2.0, 4.0]], [[1.0, 4.0]]).numpy()
    array([25.], dtype=float32)
    """
    y_true, y_pred = target_and_prediction("mean_absolute_percentage_error", y_true, y_pred)
    return 100.0 * ops.mean(ops.abs((y_true - y_pred) / ops.maximum(ops.abs(y_true), epsilon())), axis=-1)


@public("keras.losses.mean_squared_logarithmic_error", "keras.metrics.mean_squared_logarithmic_error")
def mean_squared_logarithmic_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Mean over the last axis of `(log(1 + y_true) - log(1 + y_pred))**2`.

    Negative values count as `am.config.epsilon()`. Arguments, result and errors as `mean_squared_error`.

    >>> import amalthea as am
    >>> float(am.losses.mean_squared_logarithmic_error([[1.0]], [[1.0]])[0])
    0.0
    """
    y_true, y_pred = target_and_prediction("mean_squared_logarithmic_error", y_true, y_pred)
    difference = ops.log(ops.maximum(y_pred, epsilon()) + 1.0) - ops.log(ops.maximum(y_true, epsilon()) + 1.0)
    return ops.mean(ops.square(difference), axis=-1)


@public("keras.losses.cosine_similarity")
def cosine_similarity(y_true: TensorLike, y_pred: TensorLike, axis: int = -1) -> Tensor:
    """Minus the cosine of the angle between targets and predictions: -1 is the same direction, 0 a right angle.

    Args:
        y_true: targets.
        y_pred: predictions, same shape.
        axis: axis that holds the vectors.

    Returns:
        Losses, without `axis`. A vector of zeros gives 0.

    Raises:
        ShapeError: the shapes differ.

    Example:
    >>> import amalthea as am
    >>> am.losses.cosine_similarity([[0.0, 1.0]], [[0.0, 5.0]]).numpy()
    array([-1.], dtype=float32)
    """
    y_true, y_pred = target_and_prediction("cosine_similarity", y_true, y_pred)
    return -ops.sum(ops.normalize(y_true, axis=axis) * ops.normalize(y_pred, axis=axis), axis=axis)


@public("keras.losses.huber", "keras.metrics.huber")
def huber(y_true: TensorLike, y_pred: TensorLike, delta: float = 1.0) -> Tensor:
    """Half the squared difference up to `delta`, linear beyond it: one outlier cannot take over (Huber, 1964).

    Args:
        y_true: targets, shape `(batch, ..., d)`.
        y_pred: predictions, same shape.
        delta: where the parabola turns into a line.

    Returns:
        Losses of shape `(batch, ...)`.

    Raises:
        ShapeError: the shapes differ.

    Example:
    >>> import amalthea as am
    >>> am.losses.huber([[0.0]], [[3.0]]).numpy()
    array([2.5], dtype=float32)
    """
    y_true, y_pred = target_and_prediction("huber", y_true, y_pred)
    error = y_pred - y_true
    size = ops.abs(error)
    return ops.mean(ops.where(size <= delta, 0.5 * ops.square(error), delta * size - 0.5 * delta * delta), axis=-1)


@public("keras.losses.log_cosh", "keras.metrics.log_cosh")
def log_cosh(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Mean over the last axis of `log(cosh(y_pred - y_true))`: a smooth relative of the Huber loss.

    Arguments, result and errors as `mean_squared_error`.

    >>> import amalthea as am
    >>> float(am.losses.log_cosh([[0.0]], [[0.0]])[0])
    0.0
    """
    y_true, y_pred = target_and_prediction("log_cosh", y_true, y_pred)
    error = y_pred - y_true
    return ops.mean(error + ops.softplus(error * -2.0) - math.log(2.0), axis=-1)


@public("keras.losses.MeanSquaredError")
class MeanSquaredError(FunctionLoss):
    """`mean_squared_error` as a `Loss`; the arguments are those of `Loss`.

    >>> import amalthea as am
    >>> float(am.losses.MeanSquaredError()([[0.0], [1.0]], [[1.0], [3.0]]))
    2.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_squared_error, reduction, name, dtype)


@public("keras.losses.MeanAbsoluteError")
class MeanAbsoluteError(FunctionLoss):
    """`mean_absolute_error` as a `Loss`; the arguments are those of `Loss`.

    >>> import amalthea as am
    >>> float(am.losses.MeanAbsoluteError()([[0.0], [1.0]], [[1.0], [3.0]]))
    1.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_absolute_error, reduction, name, dtype)


@public("keras.losses.MeanAbsolutePercentageError")
class MeanAbsolutePercentageError(FunctionLoss):
    """`mean_absolute_percentage_error` as a `Loss`; the arguments are those of `Loss`.

    >>> import amalthea as am
    >>> float(am.losses.MeanAbsolutePercentageError()([[2.0]], [[1.0]]))
    50.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_percentage_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


@public("keras.losses.MeanSquaredLogarithmicError")
class MeanSquaredLogarithmicError(FunctionLoss):
    """`mean_squared_logarithmic_error` as a `Loss`; the arguments are those of `Loss`.

    >>> import amalthea as am
    >>> float(am.losses.MeanSquaredLogarithmicError()([[1.0]], [[1.0]]))
    0.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_logarithmic_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


@public("keras.losses.CosineSimilarity")
class CosineSimilarity(FunctionLoss):
    """`cosine_similarity` as a `Loss`; `axis` holds the vectors, the other arguments are those of `Loss`.

    >>> import amalthea as am
    >>> float(am.losses.CosineSimilarity()([[0.0, 1.0]], [[0.0, 5.0]]))
    -1.0
    """

    _left_out = {"axis": -1}

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)


@public("keras.losses.Huber")
class Huber(FunctionLoss):
    """`huber` as a `Loss`; `delta` is where it turns linear, the other arguments are those of `Loss`.

    >>> import amalthea as am
    >>> float(am.losses.Huber(delta=2.0)([[0.0]], [[3.0]]))
    4.0
    """

    _left_out = {"delta": 1.0}

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(huber, reduction, name, dtype, delta=delta)


@public("keras.losses.LogCosh")
class LogCosh(FunctionLoss):
    """`log_cosh` as a `Loss`; the arguments are those of `Loss`.

    >>> import amalthea as am
    >>> float(am.losses.LogCosh()([[0.0]], [[0.0]]))
    0.0
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "log_cosh", dtype: Any = None
    ) -> None:
        super().__init__(log_cosh, reduction, name, dtype)
