"""F-scores: precision and recall in one number."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.config import epsilon
from amalthea.core.errors import ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.core.variable import Variable
from amalthea.nn.losses.alignment import TensorLike, same_rank
from amalthea.nn.metrics.metric import Metric
from amalthea.nn.objects import public


@public("keras.metrics.FBetaScore")
class FBetaScore(Metric):
    """The weighted harmonic mean of precision and recall, `(1 + b**2) p r / (b**2 p + r)`, of each class.

    Targets and predictions have the shape `(batch, classes)`.

    Args:
        average: None gives one score per class; `"macro"` their mean; `"weighted"` their mean weighted by the number of
            true cases; `"micro"` one score over all classes together.
        beta: how many times recall counts as much as precision; a positive float.
        threshold: above this a prediction counts as yes; None takes the highest of each row.
        name: name of the metric.
        dtype: see `Metric`.

    Raises:
        ValueError: an argument is none of these.
        ShapeError: at the first update, if the inputs are not of rank 2.

    Example:
    >>> import amalthea as am
    >>> metric = am.metrics.FBetaScore(beta=2.0, threshold=0.5)
    >>> metric([[1.0, 0.0], [0.0, 1.0]], [[0.9, 0.1], [0.8, 0.9]]).shape
    (2,)
    """

    _direction = "up"
    true_positives: Variable
    false_positives: Variable
    false_negatives: Variable
    intermediate_weights: Variable

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(
                f"[{self.name}] unknown `average`. Received: average={average!r}. "
                "Fix: use None, 'micro', 'macro' or 'weighted'."
            )
        if not isinstance(beta, float) or beta <= 0:
            raise ValueError(
                f"[{self.name}] `beta` must be a positive float. Received: beta={beta!r}. Fix: write 1.0, not 1."
            )
        if threshold is not None and not (isinstance(threshold, float) and 0 < threshold <= 1):
            raise ValueError(
                f"[{self.name}] `threshold` must be a float above 0 and at most 1. Received: threshold={threshold!r}. "
                "Fix: for logits put a sigmoid on the predictions."
            )
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self.axis = None if average == "micro" else 0

    def _build(self, y_true: Tensor, y_pred: Tensor) -> None:
        if y_true.ndim != 2 or y_true.shape != y_pred.shape:
            fail(
                ShapeError,
                "targets and predictions must both have the shape (batch, classes)",
                where=self.name,
                received=f"y_true of shape {y_true.shape}, y_pred of shape {y_pred.shape}",
                fix="pass one-hot (or 0/1) targets; reshape further axes into the batch",
            )
        shape = () if self.average == "micro" else (y_pred.shape[-1],)
        for name in ("true_positives", "false_positives", "false_negatives", "intermediate_weights"):
            setattr(self, name, self.add_variable(shape, "zeros", dtype=self.dtype, name=name))

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        """Add a batch; `sample_weight` has the shape `(batch,)`."""
        y_true = ops.convert_to_tensor(y_true, dtype=self.dtype)
        y_pred = ops.convert_to_tensor(y_pred, dtype=self.dtype)
        y_true, y_pred = same_rank(y_true, y_pred)
        if not self.variables:
            self._build(y_true, y_pred)
        if self.threshold is None:
            highest = ops.max(y_pred, axis=-1, keepdims=True)
            yes = ops.logical_and(y_pred >= highest, ops.abs(y_pred) > 1e-9)
        else:
            yes = y_pred > self.threshold
        yes = ops.cast(yes, self.dtype)
        weight = None
        if sample_weight is not None:
            weight = ops.expand_dims(ops.convert_to_tensor(sample_weight, dtype=self.dtype), 1)
        for variable, cases in (
            (self.true_positives, yes * y_true),
            (self.false_positives, yes * (1 - y_true)),
            (self.false_negatives, (1 - yes) * y_true),
            (self.intermediate_weights, y_true),
        ):
            variable.assign_add(ops.sum(cases if weight is None else cases * weight, axis=self.axis))

    def result(self) -> Tensor:
        if not self.variables:
            return ops.zeros((), dtype=self.dtype)
        precision = self.true_positives / (self.true_positives + self.false_positives + epsilon())
        recall = self.true_positives / (self.true_positives + self.false_negatives + epsilon())
        square = self.beta**2
        score = precision * recall / (square * precision + recall + epsilon()) * (1 + square)
        if self.average == "weighted":
            weights = self.intermediate_weights / (ops.sum(self.intermediate_weights) + epsilon())
            return ops.sum(score * weights)
        return score if self.average is None else ops.mean(score)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "average": self.average, "beta": self.beta, "threshold": self.threshold}


@public("keras.metrics.F1Score")
class F1Score(FBetaScore):
    """The harmonic mean of precision and recall of each class: `FBetaScore` with `beta=1`.

    Arguments and errors as `FBetaScore`.

    >>> import amalthea as am
    >>> metric = am.metrics.F1Score(average="micro", threshold=0.5)
    >>> round(float(metric([[1.0, 0.0]], [[0.9, 0.1]])), 3)
    1.0
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average=average, beta=1.0, threshold=threshold, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["beta"]
        return config
