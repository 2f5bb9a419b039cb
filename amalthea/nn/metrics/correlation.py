"""Correlations of targets and predictions."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.config import epsilon
from amalthea.core.tensor import Tensor
from amalthea.nn.losses.alignment import TensorLike, target_and_prediction
from amalthea.nn.metrics.means import FunctionMetric
from amalthea.nn.objects import public


@public("keras.metrics.pearson_correlation")
def pearson_correlation(y_true: TensorLike, y_pred: TensorLike, axis: int = -1) -> Tensor:
    """Pearson's correlation coefficient along an axis.

    Args:
        y_true: targets.
        y_pred: predictions, same shape.
        axis: axis whose entries are correlated.

    Returns:
        Coefficients from -1 to 1, without `axis`; NaN where one side does not vary.

    Raises:
        ShapeError: the shapes differ.

    Example:
    >>> import amalthea as am
    >>> round(float(am.metrics.pearson_correlation([[0.0, 1.0, 2.0]], [[1.0, 3.0, 5.0]])[0]), 4)
    1.0
    """
    y_true, y_pred = target_and_prediction("pearson_correlation", y_true, y_pred)
    y_true = y_true - ops.mean(y_true, axis=axis, keepdims=True)
    y_pred = y_pred - ops.mean(y_pred, axis=axis, keepdims=True)
    y_true = y_true / ops.std(y_true, axis=axis, keepdims=True)
    y_pred = y_pred / ops.std(y_pred, axis=axis, keepdims=True)
    return ops.mean(y_true * y_pred, axis=axis)


@public("keras.metrics.concordance_correlation")
def concordance_correlation(y_true: TensorLike, y_pred: TensorLike, axis: int = -1) -> Tensor:
    """Lin's concordance coefficient along an axis: a correlation that also asks for equal mean and scale (1989).

    Args:
        y_true: targets.
        y_pred: predictions, same shape.
        axis: axis whose entries are compared.

    Returns:
        Coefficients from -1 to 1, without `axis`.

    Raises:
        ShapeError: the shapes differ.

    Example:
    >>> import amalthea as am
    >>> round(float(am.metrics.concordance_correlation([[0.0, 1.0, 2.0]], [[0.0, 1.0, 2.0]])[0]), 4)
    1.0
    """
    y_true, y_pred = target_and_prediction("concordance_correlation", y_true, y_pred)
    true_mean = ops.mean(y_true, axis=axis, keepdims=True)
    pred_mean = ops.mean(y_pred, axis=axis, keepdims=True)
    spread = ops.var(y_true, axis=axis, keepdims=True) + ops.var(y_pred, axis=axis, keepdims=True)
    spread = spread + ops.square(true_mean - pred_mean) + epsilon()
    # One centred factor is enough: the mean of the other times it is the covariance whatever is subtracted there.
    return ops.mean(2 * (y_true - pred_mean) * (y_pred - pred_mean) / spread, axis=axis)


@public("keras.metrics.PearsonCorrelation")
class PearsonCorrelation(FunctionMetric):
    """The mean of `pearson_correlation` over all samples; `axis` is what is correlated.

    >>> import amalthea as am
    >>> round(float(am.metrics.PearsonCorrelation()([[0.0, 1.0, 2.0]], [[1.0, 3.0, 5.0]])), 4)
    1.0
    """

    _direction = "up"

    def __init__(self, name: str | None = "pearson_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)


@public("keras.metrics.ConcordanceCorrelation")
class ConcordanceCorrelation(FunctionMetric):
    """The mean of `concordance_correlation` over all samples; `axis` is what is compared.

    >>> import amalthea as am
    >>> round(float(am.metrics.ConcordanceCorrelation()([[0.0, 1.0, 2.0]], [[0.0, 1.0, 2.0]])), 4)
    1.0
    """

    _direction = "up"

    def __init__(self, name: str | None = "concordance_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)
