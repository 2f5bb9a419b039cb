"""Every loss against the real Keras: values, gradients, reductions, weights, masks, configs; and the mistakes."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
import pytest

import amalthea as am

RNG = np.random.default_rng(0)
REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None]


def probabilities(*shape: int) -> np.ndarray:
    x = RNG.uniform(0.05, 1.0, shape)
    return (x / x.sum(-1, keepdims=True)).astype("float32")


REAL = (RNG.normal(size=(4, 5)).astype("float32"), RNG.normal(size=(4, 5)).astype("float32"))
POSITIVE = tuple(np.abs(x) + 0.1 for x in REAL)
SPREAD = (RNG.normal(size=(4, 5)).astype("float32") * 3, RNG.normal(size=(4, 5)).astype("float32") * 3)
BINARY = (RNG.integers(0, 2, (4, 5)).astype("float32"), RNG.uniform(0.05, 0.95, (4, 5)).astype("float32"))
BINARY_LOGITS = (BINARY[0], SPREAD[0])
SIGNS = (BINARY[0] * 2 - 1, REAL[0])
ONE_HOT = (np.eye(5, dtype="float32")[[0, 3, 1, 4]], probabilities(4, 5))
ONE_HOT_LOGITS = (ONE_HOT[0], SPREAD[1])
SPARSE = (np.array([0, 3, 1, 4]), ONE_HOT[1])
SPARSE_LOGITS = (SPARSE[0], SPREAD[1])
STEPS = (RNG.integers(0, 5, (4, 3)), probabilities(4, 3, 5))
CLASSES_FIRST = (RNG.integers(0, 5, (4, 3)), np.moveaxis(STEPS[1], -1, 1))
UNIT = SPREAD[0] / np.linalg.norm(SPREAD[0], axis=-1, keepdims=True)

# (class, arguments, (targets, predictions))
CASES: list[tuple[str, dict[str, Any], Any]] = [
    ("MeanSquaredError", {}, REAL),
    ("MeanAbsoluteError", {}, REAL),
    ("MeanAbsolutePercentageError", {}, REAL),
    ("MeanSquaredLogarithmicError", {}, POSITIVE),
    ("CosineSimilarity", {}, REAL),
    ("CosineSimilarity", {"axis": 0}, REAL),
    ("Huber", {}, SPREAD),
    ("Huber", {"delta": 2.5}, SPREAD),
    ("LogCosh", {}, SPREAD),
    ("BinaryCrossentropy", {}, BINARY),
    ("BinaryCrossentropy", {"from_logits": True}, BINARY_LOGITS),
    ("BinaryCrossentropy", {"label_smoothing": 0.2}, BINARY),
    ("BinaryCrossentropy", {"axis": 0}, BINARY),
    ("BinaryFocalCrossentropy", {}, BINARY),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5}, BINARY),
    ("BinaryFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, BINARY_LOGITS),
    ("CategoricalCrossentropy", {}, ONE_HOT),
    ("CategoricalCrossentropy", {"from_logits": True}, ONE_HOT_LOGITS),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2}, ONE_HOT),
    ("CategoricalCrossentropy", {"axis": 0}, ONE_HOT),
    ("CategoricalFocalCrossentropy", {}, ONE_HOT),
    ("CategoricalFocalCrossentropy", {"alpha": 0.4, "gamma": 1.5, "from_logits": True}, ONE_HOT_LOGITS),
    ("SparseCategoricalCrossentropy", {}, SPARSE),
    ("SparseCategoricalCrossentropy", {}, (SPARSE[0][:, None], SPARSE[1])),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, SPARSE_LOGITS),
    ("SparseCategoricalCrossentropy", {"ignore_class": 3}, SPARSE),
    ("SparseCategoricalCrossentropy", {"ignore_class": 3, "from_logits": True}, SPARSE_LOGITS),
    ("SparseCategoricalCrossentropy", {}, STEPS),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.7}, SPARSE),
    ("Hinge", {}, SIGNS),
    ("Hinge", {}, (BINARY[0], REAL[0])),
    ("SquaredHinge", {}, SIGNS),
    ("SquaredHinge", {}, (BINARY[0], REAL[0])),
    ("CategoricalHinge", {}, (ONE_HOT[0], REAL[0])),
    ("KLDivergence", {}, (probabilities(4, 5), probabilities(4, 5))),
    ("Poisson", {}, POSITIVE),
    ("Dice", {}, BINARY),
    ("Dice", {"axis": -1}, BINARY),
    ("Tversky", {"alpha": 0.3, "beta": 0.7}, BINARY),
    ("Tversky", {"axis": 1}, BINARY),
    ("Circle", {}, (np.array([0, 0, 1, 1]), UNIT)),
    ("Circle", {"gamma": 2.0, "margin": 0.2, "remove_diagonal": False}, (np.array([0, 0, 1, 1]), UNIT)),
]
NAMES = [f"{name}-{i}" for i, (name, _, _) in enumerate(CASES)]


def both(name: str, /, **arguments: Any) -> tuple[Any, Any]:
    return getattr(am.losses, name)(**arguments), getattr(keras.losses, name)(**arguments)


def ours_and_gradient(loss: Any, y_true: Any, y_pred: Any, weight: Any = None) -> tuple[np.ndarray, np.ndarray]:
    y_pred = am.ops.convert_to_tensor(y_pred)
    with am.GradientTape() as tape:
        tape.watch(y_pred)
        value = loss(y_true, y_pred, sample_weight=weight)
    return value.numpy(), tape.gradient(value, y_pred).numpy()


def theirs_and_gradient(loss: Any, y_true: Any, y_pred: Any, weight: Any = None) -> tuple[np.ndarray, np.ndarray]:
    value = loss(y_true, y_pred, sample_weight=weight)
    gradient = jax.grad(lambda y: loss(y_true, y, sample_weight=weight).sum())(jax.numpy.asarray(y_pred))
    return np.asarray(value), np.asarray(gradient)


def assert_same(ours: Any, theirs: Any) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("name", "arguments", "data"), CASES, ids=NAMES)
def test_values_and_gradients_are_those_of_keras(name, arguments, data):
    ours, theirs = both(name, **arguments)
    assert_same(ours_and_gradient(ours, *data), theirs_and_gradient(theirs, *data))


@pytest.mark.parametrize(("name", "arguments", "data"), CASES, ids=NAMES)
def test_a_traced_loss_is_the_eager_one(name, arguments, data):
    loss = getattr(am.losses, name)(**arguments)
    traced = am.function(lambda y_true, y_pred: loss(y_true, y_pred))
    np.testing.assert_allclose(traced(*data).numpy(), loss(*data).numpy(), rtol=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, "samples", "column", "scalar"])
@pytest.mark.parametrize("name", ["MeanSquaredError", "SparseCategoricalCrossentropy", "Hinge"])
def test_reductions_and_weights_are_those_of_keras(name, reduction, weight):
    data = {"MeanSquaredError": REAL, "SparseCategoricalCrossentropy": SPARSE, "Hinge": SIGNS}[name]
    samples = np.array([0.5, 0.0, 2.0, 1.0], "float32")
    weight = {None: None, "samples": samples, "column": samples[:, None], "scalar": 0.5}[weight]
    ours, theirs = both(name, reduction=reduction)
    assert_same(ours_and_gradient(ours, *data, weight), theirs_and_gradient(theirs, *data, weight))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("counted", [[1, 1, 0, 1], [0, 0, 0, 0]])
def test_masks_are_those_of_keras(reduction, weighted, counted):
    mask = np.array(counted, bool)
    weight = np.array([0.5, 1.0, 2.0, 3.0], "float32") if weighted else None
    ours, theirs = both("MeanAbsoluteError", reduction=reduction)
    y_ours, y_theirs = am.ops.convert_to_tensor(REAL[1]), jax.numpy.asarray(REAL[1])
    y_ours._keras_mask = am.ops.convert_to_tensor(mask)
    keras.src.backend.set_keras_mask(y_theirs, jax.numpy.asarray(mask))
    np.testing.assert_allclose(
        ours(REAL[0], y_ours, weight).numpy(), np.asarray(theirs(REAL[0], y_theirs, weight)), rtol=1e-5
    )


def test_weights_of_time_steps_broadcast():
    ours, theirs = both("SparseCategoricalCrossentropy")
    for weight in (np.ones((4, 3), "float32") * 0.5, np.arange(4, dtype="float32")[:, None]):
        assert_same(ours_and_gradient(ours, *STEPS, weight), theirs_and_gradient(theirs, *STEPS, weight))


def test_the_class_axis_of_sparse_targets_may_be_anywhere():
    loss = am.losses.SparseCategoricalCrossentropy(axis=1)
    last = am.losses.SparseCategoricalCrossentropy()
    np.testing.assert_allclose(loss(*CLASSES_FIRST).numpy(), last(CLASSES_FIRST[0], STEPS[1]).numpy(), rtol=1e-6)


def test_ignored_rows_may_hold_nan():
    y_pred = SPARSE[1].copy()
    y_pred[1] = np.nan
    loss = am.losses.SparseCategoricalCrossentropy(ignore_class=3)
    value, gradient = ours_and_gradient(loss, SPARSE[0], y_pred)
    assert np.isfinite(value) and np.isfinite(gradient).all() and (gradient[1] == 0).all()


def test_large_class_numbers_are_not_rounded():
    loss = am.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="bfloat16", reduction="none")
    logits = np.zeros((1, 600), "float32")
    logits[0, 517] = 20.0
    assert float(loss([517], logits)[0]) < 1e-3


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
def test_dtype_decides_the_result(dtype):
    loss = am.losses.MeanSquaredError(dtype=dtype)
    assert loss(*REAL).dtype == dtype and loss.dtype == dtype
    assert am.losses.MeanSquaredError(dtype=am.dtype_policies.DTypePolicy("mixed_float16")).dtype == "float16"


@pytest.mark.parametrize(
    "pair",
    [((4,), (4, 1)), ((4, 1), (4,)), ((4, 3, 1), (4, 3)), ((4, 3), (4, 3, 1)), ((), (4, 3))],
    ids=str,
)
def test_a_missing_last_axis_is_made_up_for(pair):
    data = [np.asarray(RNG.normal(size=shape), "float32") for shape in pair]
    ours, theirs = both("MeanSquaredError")
    np.testing.assert_allclose(ours(*data).numpy(), np.asarray(theirs(*data)), rtol=1e-5)


FUNCTIONS = [
    (name, data)
    for names, data in (
        (("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "huber"), REAL),
        (("mean_squared_logarithmic_error", "poisson", "log_cosh"), POSITIVE),
        (("binary_crossentropy", "binary_focal_crossentropy", "dice", "tversky"), BINARY),
        (("categorical_crossentropy", "categorical_focal_crossentropy", "kl_divergence"), ONE_HOT),
        (("categorical_hinge", "cosine_similarity"), ONE_HOT),
        (("hinge", "squared_hinge"), SIGNS),
        (("sparse_categorical_crossentropy",), SPARSE),
    )
    for name in names
]


@pytest.mark.parametrize(("name", "data"), FUNCTIONS, ids=[name for name, _ in FUNCTIONS])
def test_functions_are_those_of_keras(name, data):
    ours, theirs = getattr(am.losses, name)(*data), getattr(keras.losses, name)(*data)
    np.testing.assert_allclose(ours.numpy(), np.asarray(theirs), rtol=2e-5, atol=2e-6)
    assert am.losses.get(name) is getattr(am.losses, name)
    assert am.losses.deserialize(am.losses.serialize(getattr(am.losses, name))) is getattr(am.losses, name)
    assert am.losses.serialize(getattr(am.losses, name)) == keras.losses.serialize(getattr(keras.losses, name))


@pytest.mark.parametrize(("name", "arguments", "data"), CASES, ids=NAMES)
def test_configs_go_both_ways(name, arguments, data):
    ours, theirs = both(name, **arguments, reduction="sum", name="mine")
    written = am.losses.serialize(ours)
    if name not in ("Huber", "CosineSimilarity"):  # Keras leaves their arguments out, and so cannot read them back
        assert written == keras.losses.serialize(theirs)
    again = am.losses.deserialize(written)
    assert type(again) is type(ours) and again.get_config() == ours.get_config()
    np.testing.assert_allclose(again(*data).numpy(), ours(*data).numpy())
    read = keras.saving.deserialize_keras_object(written)
    np.testing.assert_allclose(np.asarray(read(*data)), ours(*data).numpy(), rtol=2e-5)
    read = am.losses.deserialize(keras.losses.serialize(theirs))
    assert type(read) is type(ours) and read.name == "mine" and read.reduction == "sum"


def test_names_stand_for_losses_as_in_keras():
    for name in ("mse", "MSE", "mae", "mape", "msle", "bce", "kld", "KLD", "BCE"):
        assert am.losses.get(name).__name__ == keras.losses.get(name).__name__
    assert am.losses.mse is am.metrics.MSE is am.losses.mean_squared_error
    for name in ("MeanSquaredError", "Huber", "Dice"):
        assert type(am.losses.get(name)) is getattr(am.losses, name)
    assert am.losses.get(None) is None
    loss = am.losses.Huber()
    assert am.losses.get(loss) is loss and isinstance(am.losses.get(am.losses.Huber), am.losses.Huber)
    assert am.losses.get({"class_name": "Huber", "config": {"delta": 2.0}}).delta == 2.0
    assert am.losses.deserialize("mine", custom_objects={"mine": loss}) is loss
    wrapped = am.losses.LossFunctionWrapper(am.losses.huber, delta=2.0, name="h")
    again = am.losses.LossFunctionWrapper.from_config(wrapped.get_config())
    assert float(again([[0.0]], [[9.0]])) == float(wrapped([[0.0]], [[9.0]])) == 16.0
    assert "huber" in repr(wrapped)


def test_losses_of_users_work_as_in_keras():
    class Ours(am.losses.Loss):
        def call(self, y_true, y_pred):
            return am.ops.mean(am.ops.square(y_pred["a"] - y_true["a"]), axis=-1)

    y = {"a": REAL[0]}, {"a": REAL[1]}
    assert float(Ours()(*y)) == pytest.approx(float(am.losses.MeanSquaredError()(*REAL)))
    assert Ours().name.startswith("ours")


MISTAKES = [
    (lambda: am.losses.get("mean_sqared_error"), ValueError, ["'mean_sqared_error'", "'mean_squared_error'", "Fix"]),
    (
        lambda: am.losses.sparse_categorical_crossentropy([0.7], [[0.5, 0.5]]),
        ValueError,
        ["[sparse_categorical_crossentropy]", "whole numbers", "0.7", "Fix"],
    ),
    (
        lambda: am.metrics.SparseCategoricalAccuracy()([0.7], [[0.5, 0.5]]),
        ValueError,
        ["[sparse_categorical_accuracy]", "whole numbers", "0.7", "Fix"],
    ),
    (lambda: am.losses.get(3), TypeError, ["3", "int", "Fix"]),
    (lambda: am.losses.deserialize("nope"), ValueError, ["'nope'", "Fix"]),
    (lambda: am.losses.MeanSquaredError(reduction="avg"), ValueError, ["'avg'", "'sum_over_batch_size'", "Fix"]),
    (
        lambda: am.losses.MeanSquaredError()(np.zeros((4,)), np.zeros((4, 3))),
        ValueError,
        ["mean_squared_error", "(4,)", "(4, 3)", "sparse_categorical_crossentropy", "Fix"],
    ),
    (
        lambda: am.losses.MeanSquaredError()(np.zeros((4, 3)), np.zeros((4, 1))),
        ValueError,
        ["(4, 3)", "(4, 1)", "last layer", "Fix"],
    ),
    (
        lambda: am.losses.BinaryCrossentropy()(np.zeros((4, 3)), np.zeros((5, 3))),
        ValueError,
        ["binary_crossentropy", "(4, 3)", "(5, 3)", "as many targets", "Fix"],
    ),
    (
        lambda: am.losses.MeanAbsoluteError()(np.zeros((4, 3)), np.zeros((4, 3, 2))),
        ValueError,
        ["(4, 3)", "(4, 3, 2)", "reshape", "Fix"],
    ),
    (
        lambda: am.losses.CategoricalCrossentropy()([0, 1, 2], np.ones((3, 5))),
        ValueError,
        ["one-hot", "(3,)", "(3, 5)", "sparse_categorical_crossentropy", "Fix"],
    ),
    (
        lambda: am.losses.CategoricalFocalCrossentropy()([0, 1, 2], np.ones((3, 5))),
        ValueError,
        ["one-hot", "(3,)", "(3, 5)", "Fix"],
    ),
    (
        lambda: am.losses.SparseCategoricalCrossentropy()(np.eye(5)[:3], np.ones((3, 5))),
        ValueError,
        ["class numbers", "(3, 5)", "use categorical_crossentropy", "Fix"],
    ),
    (
        lambda: am.losses.SparseCategoricalCrossentropy()([0, 1], np.ones((3, 5))),
        ValueError,
        ["(2,)", "(3, 5)", "pass y_true of shape (3,)", "Fix"],
    ),
    (
        lambda: am.losses.MeanSquaredError()(np.zeros((4, 3)), np.zeros((4, 3)), sample_weight=np.ones(3)),
        ValueError,
        ["sample weights", "(3,)", "(4,)", "Fix"],
    ),
    (
        lambda: am.losses.SparseCategoricalCrossentropy()(*STEPS, sample_weight=np.ones(4)),
        ValueError,
        ["(4,)", "(4, 3)", "reshape sample_weight to (4, 1)"],
    ),
    (lambda: am.losses.MeanSquaredError()(["a"], ["b"]), TypeError, ["numbers", "Fix"]),
    (lambda: am.losses.categorical_crossentropy(*ONE_HOT, axis=True), ValueError, ["axis=True", "Fix"]),
    (lambda: am.losses.CategoricalGeneralizedCrossEntropy(q=1.5), ValueError, ["q=1.5", "Fix"]),
    (lambda: am.losses.Loss()([1.0], [1.0]), NotImplementedError, ["call", "Fix"]),
]


@pytest.mark.parametrize(("mistake", "kind", "parts"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_gets_an_error_that_says_how_to_mend_it(mistake, kind, parts):
    with pytest.raises(kind) as error:
        mistake()
    assert all(part in str(error.value) for part in parts), str(error.value)


def test_one_class_gets_a_warning():
    with pytest.warns(SyntaxWarning, match="binary_crossentropy"):
        am.losses.categorical_crossentropy(np.ones((2, 1)), np.ones((2, 1)))
