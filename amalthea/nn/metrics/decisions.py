"""Metrics of yes/no answers at fixed thresholds: the four counts, precision and recall."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.core.variable import Variable
from amalthea.nn.losses.alignment import TensorLike
from amalthea.nn.metrics.confusion import LOWEST, checked_thresholds, count_confusion
from amalthea.nn.metrics.metric import Metric
from amalthea.nn.objects import public

Thresholds = float | list[float] | tuple[float, ...] | None


class _ConfusionCount(Metric):
    """One of the four counts."""

    _kind = ""

    def __init__(self, thresholds: Thresholds = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.thresholds = checked_thresholds(self.name, thresholds)
        self.accumulator = self.add_variable((len(self.thresholds),), "zeros", name="accumulator")

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        """Add a batch."""
        count_confusion(
            self.name,
            {self._kind: self.accumulator},
            y_true,
            y_pred,
            self.thresholds,
            sample_weight=sample_weight,
        )

    def result(self) -> Tensor:
        return self.accumulator[0] if len(self.thresholds) == 1 else self.accumulator.value

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


@public("keras.metrics.TruePositives")
class TruePositives(_ConfusionCount):
    """The (weighted) number of yes answers that are right.

    Args:
        thresholds: predictions above this count as yes; a list gives a count for each. Default 0.5.
        name: name of the metric.
        dtype: see `Metric`.

    Raises:
        ValueError: a threshold is not between 0 and 1.

    Example:
    >>> import amalthea as am
    >>> float(am.metrics.TruePositives()([0, 1, 1], [0.9, 0.8, 0.2]))
    1.0
    """

    _kind = "tp"


@public("keras.metrics.FalsePositives")
class FalsePositives(_ConfusionCount):
    """The (weighted) number of yes answers that are wrong. Arguments as `TruePositives`.

    >>> import amalthea as am
    >>> float(am.metrics.FalsePositives()([0, 1, 1], [0.9, 0.8, 0.2]))
    1.0
    """

    _kind = "fp"


@public("keras.metrics.TrueNegatives")
class TrueNegatives(_ConfusionCount):
    """The (weighted) number of no answers that are right. Arguments as `TruePositives`.

    >>> import amalthea as am
    >>> float(am.metrics.TrueNegatives()([0, 1, 1], [0.1, 0.8, 0.2]))
    1.0
    """

    _kind = "tn"


@public("keras.metrics.FalseNegatives")
class FalseNegatives(_ConfusionCount):
    """The (weighted) number of no answers that are wrong. Arguments as `TruePositives`.

    >>> import amalthea as am
    >>> float(am.metrics.FalseNegatives()([0, 1, 1], [0.9, 0.8, 0.2]))
    1.0
    """

    _kind = "fn"


class _Share(Metric):
    """True positives as a share of true positives and of one kind of error."""

    _direction = "up"
    _error_kind = ""

    def __init__(
        self,
        thresholds: Thresholds = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.top_k = top_k
        self.class_id = class_id
        self.thresholds = checked_thresholds(self.name, thresholds, default=0.5 if top_k is None else LOWEST)
        shape = (len(self.thresholds),)
        self.true_positives = self.add_variable(shape, "zeros", name="true_positives")
        self._errors: Variable = self.add_variable(
            shape, "zeros", name={"fp": "false_positives", "fn": "false_negatives"}[self._error_kind]
        )

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        """Add a batch."""
        count_confusion(
            self.name,
            {"tp": self.true_positives, self._error_kind: self._errors},
            y_true,
            y_pred,
            self.thresholds,
            top_k=self.top_k,
            class_id=self.class_id,
            sample_weight=sample_weight,
        )

    def result(self) -> Tensor:
        share = ops.divide_no_nan(self.true_positives, self.true_positives + self._errors)
        return share[0] if len(self.thresholds) == 1 else share

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "thresholds": self.init_thresholds,
            "top_k": self.top_k,
            "class_id": self.class_id,
        }


@public("keras.metrics.Precision")
class Precision(_Share):
    """The share of yes answers that are right.

    Args:
        thresholds: predictions above this count as yes; a list gives a result for each. Default 0.5.
        top_k: let the `k` highest predictions of each row count as yes, whatever their value.
        class_id: look at this class alone.
        name: name of the metric.
        dtype: see `Metric`.

    Raises:
        ValueError: a threshold is not between 0 and 1.

    Example:
    >>> import amalthea as am
    >>> float(am.metrics.Precision()([0, 1, 1], [0.9, 0.8, 0.2]))
    0.5
    """

    _error_kind = "fp"

    @property
    def false_positives(self) -> Variable:
        """The count of wrong yes answers."""
        return self._errors


@public("keras.metrics.Recall")
class Recall(_Share):
    """The share of true cases that are answered yes. Arguments as `Precision`.

    >>> import amalthea as am
    >>> float(am.metrics.Recall()([0, 1, 1], [0.9, 0.8, 0.2]))
    0.5
    """

    _error_kind = "fn"

    @property
    def false_negatives(self) -> Variable:
        """The count of wrong no answers."""
        return self._errors
