"""Metrics of yes/no answers over many thresholds: areas under curves, and one rate at a bound on another."""

from __future__ import annotations

from enum import Enum
from typing import Any

from amalthea import ops
from amalthea.core.config import epsilon
from amalthea.core.tensor import Tensor
from amalthea.core.variable import Variable
from amalthea.nn.losses.alignment import TensorLike
from amalthea.nn.metrics.confusion import checked_thresholds, count_confusion
from amalthea.nn.metrics.metric import Metric
from amalthea.nn.objects import deserialize_keras_object, public

_NAMES = {"tp": "true_positives", "fp": "false_positives", "tn": "true_negatives", "fn": "false_negatives"}


def evenly_spaced(number: int) -> list[float]:
    """That many thresholds from 0 to 1."""
    return [i / (number - 1) for i in range(number)]


class _FourCounts(Metric):
    """All four counts at each threshold."""

    _direction = "up"
    true_positives: Variable
    false_positives: Variable
    true_negatives: Variable
    false_negatives: Variable

    def _add_counts(self, shape: tuple[int, ...]) -> None:
        for name in _NAMES.values():
            setattr(self, name, self.add_variable(shape, "zeros", name=name))

    def _counts(self) -> dict[str, Variable]:
        return {kind: getattr(self, name) for kind, name in _NAMES.items()}

    def _recall(self) -> Tensor:
        return ops.divide_no_nan(self.true_positives, self.true_positives + self.false_negatives)

    def _precision(self) -> Tensor:
        return ops.divide_no_nan(self.true_positives, self.true_positives + self.false_positives)

    def _specificity(self) -> Tensor:
        return ops.divide_no_nan(self.true_negatives, self.true_negatives + self.false_positives)


class _BestUnderBound(_FourCounts):
    """The best of one rate over the thresholds where another is at least `bound`; 0 where it never is."""

    _bound_name = ""

    def __init__(self, bound: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        if not 0 <= bound <= 1:
            raise ValueError(
                f"[{self.name}] `{self._bound_name}` must lie between 0 and 1. "
                f"Received: {self._bound_name}={bound}. Fix: pass a rate such as 0.8."
            )
        if num_thresholds <= 0:
            raise ValueError(
                f"[{self.name}] `num_thresholds` must be at least 1. Received: num_thresholds={num_thresholds}. "
                "Fix: the default is 200."
            )
        setattr(self, self._bound_name, bound)
        self.value = bound
        self.num_thresholds = num_thresholds
        self.class_id = class_id
        self.thresholds = [0.5] if num_thresholds == 1 else evenly_spaced(num_thresholds)
        self._add_counts((num_thresholds,))

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        """Add a batch."""
        count_confusion(
            self.name,
            self._counts(),
            y_true,
            y_pred,
            self.thresholds,
            class_id=self.class_id,
            sample_weight=sample_weight,
        )

    def _best(self, bounded: Tensor, wanted: Tensor) -> Tensor:
        return ops.max(ops.where(bounded >= self.value, wanted, 0.0))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "class_id": self.class_id,
            "num_thresholds": self.num_thresholds,
            self._bound_name: self.value,
        }


@public("keras.metrics.SensitivityAtSpecificity")
class SensitivityAtSpecificity(_BestUnderBound):
    """The best sensitivity (recall) among thresholds whose specificity is at least `specificity`.

    Args:
        specificity: the bound, 0 to 1.
        num_thresholds: how many thresholds are tried.
        class_id: look at this class alone.
        name: name of the metric.
        dtype: see `Metric`.

    Raises:
        ValueError: `specificity` is not between 0 and 1, or there is no threshold.

    Example:
    >>> import amalthea as am
    >>> float(am.metrics.SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]))
    0.5
    """

    _bound_name = "specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)

    def result(self) -> Tensor:
        return self._best(self._specificity(), self._recall())


@public("keras.metrics.SpecificityAtSensitivity")
class SpecificityAtSensitivity(_BestUnderBound):
    """The best specificity among thresholds whose sensitivity is at least `sensitivity`.

    Arguments and errors as `SensitivityAtSpecificity`.

    >>> import amalthea as am
    >>> round(float(am.metrics.SpecificityAtSensitivity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])), 4)
    0.6667
    """

    _bound_name = "sensitivity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)

    def result(self) -> Tensor:
        return self._best(self._recall(), self._specificity())


@public("keras.metrics.PrecisionAtRecall")
class PrecisionAtRecall(_BestUnderBound):
    """The best precision among thresholds whose recall is at least `recall`.

    Arguments and errors as `SensitivityAtSpecificity`.

    >>> import amalthea as am
    >>> float(am.metrics.PrecisionAtRecall(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]))
    0.5
    """

    _bound_name = "recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)

    def result(self) -> Tensor:
        return self._best(self._recall(), self._precision())


@public("keras.metrics.RecallAtPrecision")
class RecallAtPrecision(_BestUnderBound):
    """The best recall among thresholds whose precision is at least `precision`.

    Arguments and errors as `SensitivityAtSpecificity`.

    >>> import amalthea as am
    >>> float(am.metrics.RecallAtPrecision(0.8)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]))
    0.5
    """

    _bound_name = "precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)

    def result(self) -> Tensor:
        return self._best(self._precision(), self._recall())


class AUCCurve(Enum):
    """Which curve `AUC` takes the area of."""

    ROC = "ROC"
    PR = "PR"
    PRGAIN = "PRGAIN"


class AUCSummationMethod(Enum):
    """How `AUC` sums between two thresholds."""

    INTERPOLATION = "interpolation"
    MAJORING = "majoring"
    MINORING = "minoring"


def _choice(kind: type[Enum], argument: str, value: Any) -> Any:
    for option in kind:
        if value is option or (isinstance(value, str) and value.lower() == option.value.lower()):
            return option
    raise ValueError(
        f"[AUC] unknown `{argument}`. Received: {argument}={value!r}. "
        f"Fix: use one of {[option.value for option in kind]}."
    )


@public("keras.metrics.AUC")
class AUC(_FourCounts):
    """The area under a curve that is drawn by moving the threshold.

    `"ROC"`: true positive rate over false positive rate. `"PR"`: precision over recall. `"PRGAIN"`: the same as gains
    over always answering yes (Flach and Kull, 2015).

    Args:
        num_thresholds: how many thresholds (at least 2); more is nearer to the exact area.
        curve: `"ROC"`, `"PR"` or `"PRGAIN"`.
        summation_method: between two thresholds `"interpolation"` (trapezia; for PR the exact form of Davis and
            Goadrich, 2006), `"minoring"` (the lower side) or `"majoring"` (the higher).
        name: name of the metric.
        dtype: see `Metric`.
        thresholds: thresholds of your own instead, between 0 and 1.
        multi_label: take the mean of one area per label of `(batch, labels)`; otherwise all is one set of answers.
        num_labels: number of labels with `multi_label`, where it must be known before the first batch.
        label_weights: weights of the labels.
        from_logits: whether predictions are logits.

    Raises:
        ValueError: an argument is none of these.

    Example:
    >>> import amalthea as am
    >>> round(float(am.metrics.AUC(num_thresholds=3)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])), 4)
    0.75
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: Any = "ROC",
        summation_method: Any = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: list[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self._init_from_thresholds = thresholds is not None
        if thresholds is not None:
            inner = sorted(checked_thresholds(self.name, list(thresholds)))
        elif num_thresholds <= 1:
            raise ValueError(
                f"[{self.name}] `num_thresholds` must be at least 2. Received: num_thresholds={num_thresholds}. "
                "Fix: the default is 200."
            )
        else:
            inner = evenly_spaced(num_thresholds)[1:-1]
        # The outermost thresholds lie just outside, so that predictions of exactly 0 and 1 fall between two.
        self._thresholds = [-epsilon(), *inner, 1.0 + epsilon()]
        self.num_thresholds = len(self._thresholds)
        self.curve = _choice(AUCCurve, "curve", curve)
        self.summation_method = _choice(AUCSummationMethod, "summation_method", summation_method)
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else ops.convert_to_tensor(label_weights, dtype=self.dtype)
        self._from_logits = from_logits
        if num_labels and not multi_label:
            raise ValueError(
                f"[{self.name}] `num_labels` belongs to multi_label=True. Received: num_labels={num_labels}, "
                "multi_label=False. Fix: leave num_labels out, or set multi_label=True."
            )
        if not multi_label:
            self._add_counts((self.num_thresholds,))
        elif num_labels:
            self._add_counts((self.num_thresholds, num_labels))

    @property
    def thresholds(self) -> list[float]:
        """The thresholds, rising; the outermost lie just outside 0 and 1."""
        return list(self._thresholds)

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        """Add a batch; with `multi_label` the first one tells how many labels there are."""
        y_pred = ops.convert_to_tensor(y_pred, dtype=self.dtype)
        if not self.variables:
            self._add_counts((self.num_thresholds, y_pred.shape[-1]))
        count_confusion(
            self.name,
            self._counts(),
            y_true,
            ops.sigmoid(y_pred) if self._from_logits else y_pred,
            self.thresholds,
            sample_weight=sample_weight,
            multi_label=self.multi_label,
            label_weights=None if self.multi_label else self.label_weights,
        )

    def interpolate_pr_auc(self) -> Tensor:
        """The area under the precision-recall curve, with true positives linear in all positives between thresholds.

        Between thresholds A and B, with slope s = dTP / dP and intercept i = TP_B - s P_B, precision is s + i / P, so
        the area is s (dTP + i log(P_A / P_B)) over the number of true cases.
        """
        true, positives = self.true_positives.value, self.true_positives + self.false_positives
        higher, lower = positives[:-1], positives[1:]
        d_true = true[:-1] - true[1:]
        slope = ops.divide_no_nan(d_true, ops.maximum(higher - lower, 0))
        intercept = true[1:] - slope * lower
        both = ops.logical_and(higher > 0, lower > 0)
        ratio = ops.where(both, ops.divide_no_nan(higher, ops.maximum(lower, 0)), 1.0)
        cases = ops.maximum(true[1:] + self.false_negatives[1:], 0)
        return self._over_labels(ops.divide_no_nan(slope * (d_true + intercept * ops.log(ratio)), cases))

    def _axes(self) -> tuple[Tensor, Tensor]:
        """The curve's x and y at each threshold."""
        if self.curve is AUCCurve.ROC:
            negatives = self.false_positives + self.true_negatives
            return ops.divide_no_nan(self.false_positives, negatives), self._recall()
        if self.curve is AUCCurve.PR:
            return self._recall(), self._precision()
        odds = ops.divide_no_nan(self.true_positives + self.false_negatives, self.true_negatives + self.false_positives)
        none = ops.equal(self.true_positives, 0.0)
        recall = 1.0 - odds * ops.divide_no_nan(self.false_negatives, self.true_positives)
        precision = 1.0 - odds * ops.divide_no_nan(self.false_positives, self.true_positives)
        return ops.maximum(ops.where(none, 0.0, recall), 0.0), ops.where(none, 1.0, precision)

    def result(self) -> Tensor:
        if self.curve is AUCCurve.PR and self.summation_method is AUCSummationMethod.INTERPOLATION:
            return self.interpolate_pr_auc()
        x, y = self._axes()
        if self.summation_method is AUCSummationMethod.INTERPOLATION:
            heights = (y[:-1] + y[1:]) / 2.0
        elif self.summation_method is AUCSummationMethod.MINORING:
            heights = ops.minimum(y[:-1], y[1:])
        else:
            heights = ops.maximum(y[:-1], y[1:])
        return self._over_labels((x[:-1] - x[1:]) * heights)

    def _over_labels(self, terms: Tensor) -> Tensor:
        """Sum over the thresholds, then the (weighted) mean over the labels, if they are apart."""
        areas = ops.sum(terms, axis=0)
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return ops.mean(areas)
        return ops.divide_no_nan(ops.sum(areas * self.label_weights), ops.sum(self.label_weights))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        # Keras writes the label weights as a tensor.
        return cls(**{**config, "label_weights": deserialize_keras_object(config.get("label_weights"))})

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve.value,
            "summation_method": self.summation_method.value,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": None if self.label_weights is None else self.label_weights.numpy().tolist(),
            "from_logits": self._from_logits,
        }
        if self._init_from_thresholds:
            config["thresholds"] = self.thresholds[1:-1]
        return config
