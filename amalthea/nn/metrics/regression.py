"""Metrics of real-valued targets."""

from __future__ import annotations

import warnings
from typing import Any

from amalthea import ops
from amalthea.core.context import context
from amalthea.core.errors import ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.core.variable import Variable
from amalthea.nn import losses
from amalthea.nn.losses.alignment import TensorLike, target_and_prediction
from amalthea.nn.metrics.means import FunctionMetric, Mean
from amalthea.nn.metrics.metric import Metric
from amalthea.nn.objects import public


@public("keras.metrics.MeanSquaredError")
class MeanSquaredError(FunctionMetric):
    """The mean of `am.losses.mean_squared_error` over all samples.

    >>> import amalthea as am
    >>> float(am.metrics.MeanSquaredError()([[0.0], [1.0]], [[1.0], [3.0]]))
    2.5
    """

    _direction = "down"

    def __init__(self, name: str | None = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_error, name, dtype)


@public("keras.metrics.MeanAbsoluteError")
class MeanAbsoluteError(FunctionMetric):
    """The mean of `am.losses.mean_absolute_error` over all samples.

    >>> import amalthea as am
    >>> float(am.metrics.MeanAbsoluteError()([[0.0], [1.0]], [[1.0], [3.0]]))
    1.5
    """

    _direction = "down"

    def __init__(self, name: str | None = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_error, name, dtype)


@public("keras.metrics.MeanAbsolutePercentageError")
class MeanAbsolutePercentageError(FunctionMetric):
    """The mean of `am.losses.mean_absolute_percentage_error` over all samples.

    >>> import amalthea as am
    >>> float(am.metrics.MeanAbsolutePercentageError()([[2.0]], [[1.0]]))
    50.0
    """

    _direction = "down"

    def __init__(self, name: str | None = "mean_absolute_percentage_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_percentage_error, name, dtype)


@public("keras.metrics.MeanSquaredLogarithmicError")
class MeanSquaredLogarithmicError(FunctionMetric):
    """The mean of `am.losses.mean_squared_logarithmic_error` over all samples.

    >>> import amalthea as am
    >>> float(am.metrics.MeanSquaredLogarithmicError()([[1.0]], [[1.0]]))
    0.0
    """

    _direction = "down"

    def __init__(self, name: str | None = "mean_squared_logarithmic_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_logarithmic_error, name, dtype)


@public("keras.metrics.LogCoshError")
class LogCoshError(FunctionMetric):
    """The mean of `am.losses.log_cosh` over all samples.

    >>> import amalthea as am
    >>> float(am.metrics.LogCoshError()([[0.0]], [[0.0]]))
    0.0
    """

    _direction = "down"

    def __init__(self, name: str | None = "logcosh", dtype: Any = None) -> None:
        super().__init__(losses.log_cosh, name, dtype)


def _cosine(y_true: TensorLike, y_pred: TensorLike, axis: int = -1) -> Tensor:
    return -losses.cosine_similarity(y_true, y_pred, axis=axis)


_cosine.__name__ = "cosine_similarity"


@public("keras.metrics.CosineSimilarity")
class CosineSimilarity(FunctionMetric):
    """The mean cosine of the angle between targets and predictions: 1 is the same direction (the loss has -1 there).

    >>> import amalthea as am
    >>> float(am.metrics.CosineSimilarity()([[0.0, 1.0]], [[0.0, 5.0]]))
    1.0
    """

    _direction = "up"
    _left_out = {"axis": -1}

    def __init__(self, name: str | None = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(_cosine, name, dtype, axis=axis)


@public("keras.metrics.RootMeanSquaredError")
class RootMeanSquaredError(Mean):
    """The square root of the mean squared difference over all elements seen.

    >>> import amalthea as am
    >>> float(am.metrics.RootMeanSquaredError()([[0.0], [0.0]], [[2.0], [2.0]]))
    2.0
    """

    _direction = "down"

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype=dtype)

    def update_state(  # type: ignore[override]
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> None:
        """Take a batch in."""
        y_true, y_pred = target_and_prediction(self.name, y_true, ops.convert_to_tensor(y_pred, dtype=self.dtype))
        super().update_state(ops.square(y_pred - y_true), sample_weight=sample_weight)

    def result(self) -> Tensor:
        return ops.sqrt(super().result())


@public("keras.metrics.R2Score")
class R2Score(Metric):
    """The share of the targets' variance that predictions explain: 1 is perfect, 0 as good as their mean.

    Targets and predictions have the shape `(batch, outputs)`.

    Args:
        class_aggregation: None gives one score per output; `"uniform_average"` their mean;
            `"variance_weighted_average"` their mean weighted by the targets' variances.
        num_regressors: number of independent variables of the model; above 0 the score is adjusted for it.
        name: name of the metric.
        dtype: see `Metric`.

    Raises:
        ValueError: an argument is none of these.
        ShapeError: at the first update, if the inputs are not of rank 2.

    Example:
    >>> import amalthea as am
    >>> metric = am.metrics.R2Score()
    >>> round(float(metric([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]])), 4)
    0.5714
    """

    _direction = "up"
    squared_sum: Variable
    sum: Variable
    total_mse: Variable
    count: Variable

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if class_aggregation not in (None, "uniform_average", "variance_weighted_average"):
            raise ValueError(
                f"[{self.name}] unknown `class_aggregation`. Received: class_aggregation={class_aggregation!r}. "
                "Fix: use None, 'uniform_average' or 'variance_weighted_average'."
            )
        if num_regressors < 0:
            raise ValueError(
                f"[{self.name}] `num_regressors` cannot be negative. Received: num_regressors={num_regressors}. "
                "Fix: 0 leaves the score as it is."
            )
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_variable((), "zeros", name="num_samples")
        self._built = False

    def _build(self, y_true: Tensor, y_pred: Tensor) -> None:
        if y_true.ndim != 2 or y_pred.ndim != 2:
            fail(
                ShapeError,
                "targets and predictions must both have the shape (batch, outputs)",
                where=self.name,
                received=f"y_true of shape {y_true.shape}, y_pred of shape {y_pred.shape}",
                fix="add a last axis of size one with ops.expand_dims(..., -1)",
            )
        shape = (y_pred.shape[-1],)
        self.squared_sum = self.add_variable(shape, "zeros", name="squared_sum")
        self.sum = self.add_variable(shape, "zeros", name="sum")
        self.total_mse = self.add_variable(shape, "zeros", name="residual")
        self.count = self.add_variable(shape, "zeros", name="count")
        self._built = True

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        """Take a batch in; `sample_weight` has the shape `(batch,)` or that of the targets."""
        y_true, y_pred = target_and_prediction(self.name, y_true, ops.convert_to_tensor(y_pred, dtype=self.dtype))
        if not self._built:
            self._build(y_true, y_pred)
        weight = ops.convert_to_tensor(1.0 if sample_weight is None else sample_weight, dtype=self.dtype)
        weight = ops.broadcast_to(ops.expand_dims(weight, 1) if weight.ndim == 1 else weight, y_true.shape)
        weighted = y_true * weight
        self.sum.assign_add(ops.sum(weighted, axis=0))
        self.squared_sum.assign_add(ops.sum(y_true * weighted, axis=0))
        self.total_mse.assign_add(ops.sum(ops.square(y_true - y_pred) * weight, axis=0))
        self.count.assign_add(ops.sum(weight, axis=0))
        self.num_samples.assign_add(float(y_true.size))

    def result(self) -> Tensor:
        if not self._built:
            return ops.zeros((), dtype=self.dtype)
        total = self.squared_sum - self.sum * (self.sum / self.count)
        scores = 1 - self.total_mse / total
        scores = ops.where(ops.isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = ops.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            scores = ops.sum(total * scores) / ops.sum(total)
        if not self.num_regressors:
            return scores
        freedom = self.num_samples - 1.0 - self.num_regressors
        if context.trace is None and float(freedom) <= 0:
            warnings.warn(
                f"[{self.name}] the adjusted score needs more samples than {self.num_regressors + 1}, so the plain one "
                f"is returned. Received: {int(self.num_samples)} samples. Fix: pass more data, or num_regressors=0.",
                stacklevel=2,
            )
        adjusted = 1.0 - (1.0 - scores) * (self.num_samples - 1.0) / ops.where(freedom > 0, freedom, 1.0)
        return ops.where(freedom > 0, adjusted, scores)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "class_aggregation": self.class_aggregation,
            "num_regressors": self.num_regressors,
        }
