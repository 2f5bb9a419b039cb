"""Every metric against the real Keras over several weighted updates; configs; the functional form; and the mistakes."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import pytest

import amalthea as am

# The real Keras asks JAX for int64 where JAX has none.
pytestmark = pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")
RNG = np.random.default_rng(1)
BATCHES = 2


def probabilities(*shape: int) -> np.ndarray:
    x = RNG.uniform(0.05, 1.0, shape)
    return (x / x.sum(-1, keepdims=True)).astype("float32")


def batches(make: Any) -> list[tuple[Any, Any]]:
    return [make() for _ in range(BATCHES)]


def one_hot(n: int, classes: int) -> np.ndarray:
    return np.eye(classes, dtype="float32")[RNG.integers(0, classes, n)]


REAL = batches(lambda: (RNG.normal(size=(6, 4)).astype("float32"), RNG.normal(size=(6, 4)).astype("float32")))
POSITIVE = [(np.abs(a) + 0.1, np.abs(b) + 0.1) for a, b in REAL]
BINARY = batches(lambda: (RNG.integers(0, 2, (6, 4)).astype("float32"), RNG.uniform(0, 1, (6, 4)).astype("float32")))
FLAT = [(a[:, 0], b[:, 0]) for a, b in BINARY]
LOGITS = [(a, (b * 8 - 4).astype("float32")) for a, b in BINARY]
ONE_HOT = batches(lambda: (one_hot(6, 8), probabilities(6, 8)))
SPARSE = [(a.argmax(-1), b) for a, b in ONE_HOT]
SPARSE_COLUMN = [(a[:, None], b) for a, b in SPARSE]
STEPS = batches(lambda: (RNG.integers(0, 5, (6, 3)), probabilities(6, 3, 5)))
STEPS_ONE_HOT = [(np.eye(5, dtype="float32")[a], b) for a, b in STEPS]
RANKED = [(a, np.argsort(-b, axis=-1).astype("float32")) for a, b in SPARSE]
CLASSES = batches(lambda: (RNG.integers(0, 3, (6,)), RNG.integers(0, 3, (6,))))
SIGNS = [(a * 2 - 1, RNG.normal(size=a.shape).astype("float32")) for a, _ in BINARY]
VALUES = [(a,) for a, _ in REAL]

# (class, arguments, updates)
CASES: list[tuple[str, dict[str, Any], Any]] = [
    ("Mean", {}, VALUES),
    ("Sum", {}, VALUES),
    ("Accuracy", {}, CLASSES),
    ("BinaryAccuracy", {}, BINARY),
    ("BinaryAccuracy", {"threshold": 0.3}, FLAT),
    ("CategoricalAccuracy", {}, ONE_HOT),
    ("CategoricalAccuracy", {}, STEPS_ONE_HOT),
    ("SparseCategoricalAccuracy", {}, SPARSE),
    ("SparseCategoricalAccuracy", {}, SPARSE_COLUMN),
    ("SparseCategoricalAccuracy", {}, STEPS),
    ("TopKCategoricalAccuracy", {"k": 3}, ONE_HOT),
    ("TopKCategoricalAccuracy", {"k": 2}, STEPS_ONE_HOT),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, SPARSE),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, STEPS),
    ("SparseTopKCategoricalAccuracy", {"k": 3, "from_sorted_ids": True}, RANKED),
    ("TruePositives", {}, BINARY),
    ("FalsePositives", {"thresholds": 0.3}, FLAT),
    ("TrueNegatives", {"thresholds": [0.2, 0.8]}, BINARY),
    ("FalseNegatives", {"thresholds": [0.0, 0.5, 1.0]}, BINARY),
    ("Precision", {}, BINARY),
    ("Precision", {"thresholds": [0.1, 0.4, 0.9]}, FLAT),
    ("Precision", {"top_k": 2}, ONE_HOT),
    ("Precision", {"class_id": 1}, BINARY),
    ("Precision", {"top_k": 3, "class_id": 2, "thresholds": 0.1}, ONE_HOT),
    ("Recall", {}, BINARY),
    ("Recall", {"top_k": 2}, ONE_HOT),
    ("Recall", {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0], "class_id": 3}, BINARY),
    ("SensitivityAtSpecificity", {"specificity": 0.4}, BINARY),
    ("SpecificityAtSensitivity", {"sensitivity": 0.4, "num_thresholds": 20}, FLAT),
    ("PrecisionAtRecall", {"recall": 0.6}, BINARY),
    ("RecallAtPrecision", {"precision": 0.5, "class_id": 1}, BINARY),
    ("RecallAtPrecision", {"precision": 0.5, "num_thresholds": 1}, BINARY),
    ("AUC", {}, BINARY),
    ("AUC", {}, FLAT),
    *[
        ("AUC", {"curve": curve, "summation_method": method, "num_thresholds": 20}, BINARY)
        for curve in ("ROC", "PR", "PRGAIN")
        for method in ("interpolation", "majoring", "minoring")
    ],
    ("AUC", {"thresholds": [0.2, 0.5, 0.9]}, FLAT),
    ("AUC", {"from_logits": True}, LOGITS),
    ("AUC", {"multi_label": True}, BINARY),
    ("AUC", {"multi_label": True, "num_labels": 4, "label_weights": [1.0, 2.0, 0.5, 1.0]}, BINARY),
    ("AUC", {"multi_label": True, "curve": "PR", "num_labels": 4, "label_weights": [1.0, 2.0, 0.5, 1.0]}, BINARY),
    ("AUC", {"label_weights": [1.0, 2.0, 0.5, 1.0]}, BINARY),
    ("F1Score", {}, ONE_HOT),
    ("F1Score", {"average": "micro", "threshold": 0.5}, BINARY),
    ("F1Score", {"average": "macro", "threshold": 0.5}, BINARY),
    ("FBetaScore", {"average": "weighted", "beta": 2.0, "threshold": 0.3}, BINARY),
    ("FBetaScore", {"beta": 0.5}, ONE_HOT),
    ("MeanSquaredError", {}, REAL),
    ("RootMeanSquaredError", {}, REAL),
    ("MeanAbsoluteError", {}, REAL),
    ("MeanAbsolutePercentageError", {}, REAL),
    ("MeanSquaredLogarithmicError", {}, POSITIVE),
    ("LogCoshError", {}, REAL),
    ("CosineSimilarity", {}, REAL),
    ("R2Score", {}, REAL),
    ("R2Score", {"class_aggregation": None}, REAL),
    ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 2}, REAL),
    ("IoU", {"num_classes": 3, "target_class_ids": [0, 2]}, CLASSES),
    ("MeanIoU", {"num_classes": 3}, CLASSES),
    ("MeanIoU", {"num_classes": 3, "ignore_class": 1}, CLASSES),
    ("MeanIoU", {"num_classes": 5, "sparse_y_pred": False}, STEPS),
    ("BinaryIoU", {"threshold": 0.3}, FLAT),
    ("BinaryIoU", {"target_class_ids": [1]}, BINARY),
    ("OneHotIoU", {"num_classes": 8, "target_class_ids": [0, 3]}, ONE_HOT),
    ("OneHotMeanIoU", {"num_classes": 8}, ONE_HOT),
    ("KLDivergence", {}, ONE_HOT),
    ("Poisson", {}, POSITIVE),
    ("BinaryCrossentropy", {}, BINARY),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, LOGITS),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, ONE_HOT),
    ("SparseCategoricalCrossentropy", {}, SPARSE),
    ("SparseCategoricalCrossentropy", {"ignore_class": 3}, STEPS),
    ("Hinge", {}, SIGNS),
    ("SquaredHinge", {}, SIGNS),
    ("CategoricalHinge", {}, ONE_HOT),
    ("PearsonCorrelation", {}, REAL),
    ("PearsonCorrelation", {"axis": 0}, REAL),
    ("ConcordanceCorrelation", {}, REAL),
]
IDS = [f"{name}-{i}" for i, (name, _, _) in enumerate(CASES)]
INTEGER_WEIGHTS = {"IoU", "MeanIoU", "BinaryIoU", "OneHotIoU", "OneHotMeanIoU"}


def both(name: str, /, **arguments: Any) -> tuple[Any, Any]:
    return getattr(am.metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)


def weights_for(name: str, data: Any, seed: int) -> np.ndarray:
    shape = (6,) if name not in INTEGER_WEIGHTS else np.shape(data[0])[:1] or (6,)
    values = np.random.default_rng(seed).integers(0, 3, shape)
    return values if name in INTEGER_WEIGHTS else values.astype("float32") * 0.5


def weightable(name: str, arguments: dict[str, Any], updates: Any) -> bool:
    """Whether Keras takes a weight per sample here."""
    if name in INTEGER_WEIGHTS:
        return any(updates is flat for flat in (CLASSES, FLAT, ONE_HOT))
    return arguments.get("axis") != 0 and not ("ignore_class" in arguments and updates is STEPS)


def assert_close(ours: Any, theirs: Any) -> None:
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "arguments", "updates"), CASES, ids=IDS)
def test_results_and_state_are_those_of_keras(name, arguments, updates, weighted):
    if weighted and not weightable(name, arguments, updates):
        return
    ours, theirs = both(name, **arguments)
    for i, data in enumerate(updates):
        weight = {"sample_weight": weights_for(name, data, i)} if weighted else {}
        ours.update_state(*data, **weight)
        theirs.update_state(*data, **weight)
        assert_close(ours.result(), theirs.result())
    assert [v.name for v in ours.variables] == [v.name for v in theirs.variables]
    for mine, yours in zip(ours.variables, theirs.variables, strict=True):
        assert_close(mine, yours)
    ours.reset_state()
    assert all((v.numpy() == 0).all() for v in ours.variables)


@pytest.mark.parametrize(("name", "arguments", "updates"), CASES, ids=IDS)
def test_a_traced_update_is_the_eager_one(name, arguments, updates):
    eager, traced = (getattr(am.metrics, name)(**arguments) for _ in range(2))
    step = am.function(lambda *data: traced(*data))
    for data in updates:
        eager.update_state(*data)
        result = step(*data)
    np.testing.assert_allclose(result.numpy(), eager.result().numpy(), rtol=1e-5, atol=1e-6)
    for one, other in zip(traced.variables, eager.variables, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "arguments", "updates"), CASES, ids=IDS)
def test_configs_go_both_ways(name, arguments, updates):
    ours, theirs = both(name, **arguments, name="mine")
    written = am.metrics.serialize(ours)
    if "label_weights" not in arguments:  # a tensor in Keras' config, a plain list in ours
        assert written == keras.metrics.serialize(theirs)
    again, read = am.metrics.deserialize(written), am.metrics.deserialize(keras.metrics.serialize(theirs))
    assert type(again) is type(read) is type(ours) and again.get_config() == read.get_config() == ours.get_config()
    keras_read = keras.metrics.deserialize(written)
    for metric in (ours, again, keras_read):
        metric.update_state(*updates[0])
    np.testing.assert_allclose(again.result().numpy(), ours.result().numpy())
    np.testing.assert_allclose(np.asarray(keras_read.result()), ours.result().numpy(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["Mean", "AUC", "MeanSquaredError"])
def test_the_functional_form_assigns_nothing(name):
    metric, mirror = getattr(am.metrics, name)(), getattr(am.metrics, name)()
    updates = {"Mean": VALUES, "AUC": BINARY, "MeanSquaredError": REAL}[name]
    state = metric.stateless_reset_state()
    for data in updates:
        state = metric.stateless_update_state(state, *data)
        mirror.update_state(*data)
    np.testing.assert_allclose(metric.stateless_result(state).numpy(), mirror.result().numpy())
    assert all((v.numpy() == 0).all() for v in metric.variables)
    traced = am.function(lambda state, *data: metric.stateless_update_state(state, *data))
    for new, old in zip(traced(state, *updates[0]), metric.stateless_update_state(state, *updates[0]), strict=True):
        np.testing.assert_allclose(new.numpy(), old.numpy(), rtol=1e-6)
    with pytest.raises(ValueError, match="Fix"):
        metric.stateless_result([])


@pytest.mark.parametrize("weight", ["steps", "samples", "scalar"])
def test_weights_of_means_broadcast_as_in_keras(weight):
    weight = {"steps": RNG.uniform(size=(6, 4)), "samples": RNG.uniform(size=(6, 1)), "scalar": 0.5}[weight]
    for name in ("Mean", "Sum"):
        ours, theirs = both(name)
        assert_close(ours(REAL[0][0], sample_weight=weight), theirs(REAL[0][0], sample_weight=weight))


def test_masks_are_those_of_keras():
    mask = np.array([1, 0, 1, 1, 0, 1], bool)
    ours, theirs = both("MeanAbsoluteError")
    y_ours, y_theirs = am.ops.convert_to_tensor(REAL[0][1]), keras.ops.convert_to_tensor(REAL[0][1])
    y_ours._keras_mask = am.ops.convert_to_tensor(mask)
    keras.src.backend.set_keras_mask(y_theirs, keras.ops.convert_to_tensor(mask))
    assert_close(ours(REAL[0][0], y_ours), theirs(REAL[0][0], y_theirs))


FUNCTIONS = {
    "binary_accuracy": BINARY,
    "categorical_accuracy": ONE_HOT,
    "sparse_categorical_accuracy": SPARSE,
    "top_k_categorical_accuracy": ONE_HOT,
    "sparse_top_k_categorical_accuracy": SPARSE,
    "pearson_correlation": REAL,
    "concordance_correlation": REAL,
    "mean_squared_error": REAL,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_those_of_keras(name):
    data = FUNCTIONS[name][0]
    assert_close(getattr(am.metrics, name)(*data), getattr(keras.metrics, name)(*data))


def test_names_stand_for_metrics_as_in_keras():
    for name in ("mse", "MAE", "accuracy", "auc", "Precision", "recall", "bce", "f1_score", "r2_score"):
        assert type(am.metrics.get(name)).__name__ == type(keras.metrics.get(name)).__name__
    assert am.metrics.get(None) is None
    metric = am.metrics.Mean()
    assert am.metrics.get(metric) is metric and isinstance(am.metrics.get(am.metrics.Mean), am.metrics.Mean)
    assert am.metrics.Precision().name.startswith("precision")
    wrapped = am.metrics.MeanMetricWrapper(am.losses.huber, name="h", delta=2.0)
    again = am.metrics.MeanMetricWrapper.from_config(wrapped.get_config())
    assert float(again([[0.0]], [[9.0]])) == 16.0
    theirs = keras.metrics.MeanMetricWrapper(keras.losses.huber, name="h", delta=2.0)
    assert am.metrics.serialize(wrapped) == keras.metrics.serialize(theirs)


def test_metrics_hold_metrics():
    class Both(am.metrics.Metric):
        def __init__(self):
            super().__init__(name="both")
            self.parts = {"low": am.metrics.Mean(name="low"), "high": [am.metrics.Sum(name="high")]}
            self.extra = am.Variable(0.0, trainable=False)

        def update_state(self, values, sample_weight=None):
            self.parts["low"].update_state(values)
            self.parts["high"][0].update_state(values)
            self.extra.assign_add(1.0)

        def result(self):
            return {"low": self.parts["low"].result(), "high": self.parts["high"][0].result(), "n": self.extra}

    metric = Both()
    result = metric([1.0, 3.0])
    assert {k: float(v) for k, v in result.items()} == {"low": 2.0, "high": 4.0, "n": 1.0}
    assert len(metric.variables) == 4
    metric.reset_state()
    assert float(metric.extra) == 0.0


def test_one_output_needs_no_class_axis_of_its_targets():
    y_true, y_pred = BINARY[0][0][:, 0], BINARY[0][1][:, :1]
    column = am.metrics.F1Score(threshold=0.5)(y_true[:, None], y_pred)
    assert_close(am.metrics.F1Score(threshold=0.5)(y_true, y_pred), column)


def test_adjusting_with_too_few_samples_warns_and_falls_back():
    plain, adjusted = am.metrics.R2Score(), am.metrics.R2Score(num_regressors=50)
    expected = plain(*REAL[0])
    with pytest.warns(UserWarning, match="more samples"):
        assert float(adjusted(*REAL[0])) == pytest.approx(float(expected))


def test_weights_that_would_be_cut_warn():
    with pytest.warns(UserWarning, match="whole numbers"):
        am.metrics.MeanIoU(3).update_state(*CLASSES[0], sample_weight=np.full(6, 0.5))


class Late(am.metrics.Metric):
    def __init__(self):
        self.total = am.Variable(0.0)


MISTAKES = [
    (lambda: am.metrics.get("acuracy"), ValueError, ["'acuracy'", "'accuracy'", "Fix"]),
    (lambda: am.metrics.get(3), TypeError, ["3", "Fix"]),
    (lambda: Late(), RuntimeError, ["super().__init__()"]),
    (lambda: am.metrics.Metric()(1), NotImplementedError, ["update_state", "Fix"]),
    (lambda: am.metrics.Precision(thresholds=1.5), ValueError, ["1.5", "Fix"]),
    (lambda: am.metrics.AUC(num_thresholds=1), ValueError, ["num_thresholds=1", "Fix"]),
    (lambda: am.metrics.AUC(curve="XY"), ValueError, ["'XY'", "ROC", "Fix"]),
    (lambda: am.metrics.AUC(num_labels=3), ValueError, ["num_labels=3", "Fix"]),
    (lambda: am.metrics.PrecisionAtRecall(1.2), ValueError, ["recall=1.2", "Fix"]),
    (lambda: am.metrics.SensitivityAtSpecificity(0.5, num_thresholds=0), ValueError, ["num_thresholds=0", "Fix"]),
    (lambda: am.metrics.F1Score(average="all"), ValueError, ["'all'", "Fix"]),
    (lambda: am.metrics.FBetaScore(beta=1), ValueError, ["beta=1", "Fix"]),
    (lambda: am.metrics.F1Score(threshold=2.0), ValueError, ["threshold=2.0", "Fix"]),
    (lambda: am.metrics.F1Score()(np.ones(3), np.ones(3)), ValueError, ["(3,)", "Fix"]),
    (lambda: am.metrics.R2Score(class_aggregation="x"), ValueError, ["'x'", "Fix"]),
    (lambda: am.metrics.R2Score(num_regressors=-1), ValueError, ["-1", "Fix"]),
    (lambda: am.metrics.IoU(2, [2]), ValueError, ["[2]", "num_classes=2", "Fix"]),
    (lambda: am.metrics.MeanIoU(2)(np.ones((4, 2)), np.ones(4)), ValueError, ["8 target", "4 predicted", "Fix"]),
    (
        lambda: am.metrics.SparseCategoricalAccuracy()(np.eye(3), np.ones((3, 3))),
        ValueError,
        ["(3, 3)", "categorical_accuracy", "Fix"],
    ),
    (lambda: am.metrics.BinaryAccuracy()(np.ones((4, 2)), np.ones((4, 3))), ValueError, ["(4, 2)", "(4, 3)", "Fix"]),
    (lambda: am.metrics.AUC()(np.ones((4, 2)), np.ones((4, 3))), ValueError, ["(4, 2)", "(4, 3)", "Fix"]),
    (lambda: am.metrics.AUC(multi_label=True)(np.ones(4), np.ones(4)), ValueError, ["(batch, labels)", "Fix"]),
    (lambda: am.metrics.Precision(class_id=1)(np.ones(4), np.ones(4)), ValueError, ["class_id", "Fix"]),
    (lambda: am.metrics.Mean()(np.ones(4), sample_weight=np.ones(3)), ValueError, ["(3,)", "(4,)", "Fix"]),
    (lambda: am.metrics.Recall()(np.ones(4), np.ones(4), np.ones(3)), ValueError, ["(3,)", "(4,)", "Fix"]),
]


@pytest.mark.parametrize(("mistake", "kind", "parts"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_gets_an_error_that_says_how_to_mend_it(mistake, kind, parts):
    with pytest.raises(kind) as error:
        mistake()
    assert all(part in str(error.value) for part in parts), str(error.value)
