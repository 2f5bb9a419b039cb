"""Many steps in one call give what single steps give, and callbacks that look at each batch get each."""

import tracemalloc

import numpy as np
import pytest

import amalthea as am
from amalthea import layers as L
from amalthea import ops
from amalthea.core.context import context
from amalthea.data.adapters import get_adapter
from amalthea.train.many_steps import ManySteps

rng = np.random.default_rng(3)
X = rng.normal(size=(53, 6)).astype("float32")
Y = rng.integers(0, 3, (53,)).astype("int32")
EACH = [am.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)]


def classifier(**options):
    am.utils.set_random_seed(5)
    model = am.Sequential(
        [L.Input((6,)), L.Dense(8, activation="relu"), L.Dropout(0.2), L.BatchNormalization(), L.Dense(3)]
    )
    loss = am.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], **options)
    return model


def both_ways(make, *data, **options):
    """The histories and weights of a fit with as many steps a call as fit, and of one with single steps."""
    found = []
    for callbacks in (None, EACH):
        model = make()
        history = model.fit(*data, epochs=3, verbose=0, callbacks=callbacks, **options).history
        found.append((history, [w.numpy() for w in model.weights]))
    return found


FITS = {
    "shuffled": {"batch_size": 8},
    "in order": {"batch_size": 8, "shuffle": False},
    "shuffled in batches": {"batch_size": 8, "shuffle": "batch"},
    "no batch left over": {"batch_size": 1},
    "one full batch": {"batch_size": 40},
    "one short batch": {"batch_size": 100},
    "weights": {"batch_size": 8, "sample_weight": np.linspace(0, 1, 53)},
    "class weights": {"batch_size": 8, "class_weight": {0: 1.0, 1: 2.0, 2: 0.5}},
    "steps that end inside a pass": {"batch_size": 8, "steps_per_epoch": 2},
    "validation": {"batch_size": 8, "validation_split": 0.3},
}


@pytest.mark.parametrize("options", FITS.values(), ids=FITS)
def test_many_steps_are_single_steps(options):
    (many, weights), (single, wanted) = both_ways(classifier, X, Y, **options)
    assert many == single
    for got, want in zip(weights, wanted, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int64", "uint8", "bool"])
def test_data_of_any_dtype_is_cast_as_single_batches_are(dtype):
    x = (rng.normal(size=(53, 6)) * 3).astype(dtype)
    (many, _), (single, _) = both_ways(classifier, x, Y, batch_size=8)
    assert many == single


def test_several_inputs_by_names_in_any_order():
    def make():
        am.utils.set_random_seed(0)
        first, second = L.Input((2,), name="zeta"), L.Input((3,), name="alpha")
        model = am.Model({"zeta": first, "alpha": second}, [L.Dense(1, name="a")(first), L.Dense(2, name="b")(second)])
        model.compile("sgd", "mse")
        return model

    x = {"zeta": X[:, :2].copy(), "alpha": X[:, 2:5].copy()}
    y = [X[:, :1].copy(), X[:, 1:3].copy()]
    (many, _), (single, _) = both_ways(make, x, y, batch_size=4)
    assert many == single
    model = make()
    for got, want in zip(model.predict(x, batch_size=4, verbose=0), model(x), strict=True):
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-5, atol=1e-6)


def test_arrays_that_are_not_contiguous():
    (many, _), (single, _) = both_ways(classifier, np.repeat(X, 2, axis=1)[:, ::2], Y, batch_size=8)
    assert many == single


@pytest.mark.parametrize("samples", [64, 53, 9, 3])
def test_predictions_are_those_of_single_batches(samples):
    model = classifier()
    for _ in range(2):  # the second time with as many batches a call as fit
        got = model.predict(X[:samples], batch_size=4, verbose=0)
        np.testing.assert_allclose(got, model(X[:samples]).numpy(), rtol=1e-6, atol=1e-6)


def test_large_outputs_are_not_stacked(monkeypatch):
    monkeypatch.setattr("amalthea.train.many_steps.STACKED", 3 * 4 * 3 * 4)  # three batches of 4 times 3 float32
    model = classifier()
    got = model.predict(X, batch_size=4, verbose=0)
    np.testing.assert_allclose(got, model(X).numpy(), rtol=1e-6, atol=1e-6)
    rows = get_adapter(X, batch_size=4).rows()
    assert ManySteps(lambda x: model(x)).loop(rows).room == 3


def test_a_step_of_the_users_own_is_traced_once_and_may_return_anything():
    traced = []

    class Model(am.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(1)

        def call(self, x):
            return self.dense(x)

        def train_step(self, data):
            x, y = data
            traced.append(context.trace is not None)
            with am.GradientTape() as tape:
                loss = ops.mean((self(x) - y) ** 2)
            self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
            return {"loss": loss, "learning": 1}

    model = Model()
    model.compile("sgd")
    history = model.fit(X, X[:, :1].copy(), batch_size=53 // 4, epochs=4, verbose=0).history
    assert history["learning"] == [1] * 4 and np.isfinite(history["loss"]).all()
    assert traced == [True, True]  # for the full batches and for the last one


def test_freezing_a_layer_between_two_fits():
    model = classifier()
    model.fit(X, Y, batch_size=8, verbose=0)
    before = model.layers[0].kernel.numpy()
    model.layers[0].trainable = False
    model.fit(X, Y, batch_size=8, verbose=0)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), before)


def test_callbacks_that_look_at_each_batch_get_each():
    seen = []
    note = am.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: seen.append(("begin", batch)),
        on_train_batch_end=lambda batch, logs: seen.append(("end", batch)),
    )
    classifier().fit(X, Y, batch_size=10, verbose=0, callbacks=[note])
    assert seen == [(moment, batch) for batch in range(6) for moment in ("begin", "end")]


def test_others_wait_for_an_execution_that_takes_a_tenth_of_a_second(monkeypatch):
    calls = []
    once = ManySteps.__call__
    monkeypatch.setattr(ManySteps, "__call__", lambda self, rows: (calls.append(len(rows)), once(self, rows))[1])
    model = classifier()
    checkpoint = am.callbacks.ModelCheckpoint("never.keras", save_freq="epoch", save_best_only=True, monitor="none")
    checkpoint.on_epoch_end = lambda epoch, logs=None: None
    model.fit(np.repeat(X, 20, axis=0), np.repeat(Y, 20), batch_size=1, verbose=0, callbacks=[checkpoint])
    assert sum(calls) == 53 * 20 and len(calls) < 53 * 20 / 4


def test_steps_per_execution_counts_as_said():
    seen = []
    note = am.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    classifier(steps_per_execution=3).fit(X, Y, batch_size=10, verbose=0, callbacks=[note])
    assert seen == [2, 5]


def test_the_data_is_not_copied():
    model = am.Sequential([L.Input((1000,)), L.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.zeros((10_000, 1000), "float32"), np.zeros((10_000, 1), "float32")
    model.fit(x[:64], y[:64], verbose=0)
    tracemalloc.start()
    model.fit(x, y, epochs=2, verbose=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 4


def test_the_same_arrays_in_a_list_and_by_names():
    def make():
        am.utils.set_random_seed(0)
        z, a = L.Input((3,), name="z"), L.Input((3,), name="a")
        model = am.Model([z, a], L.Dense(1, name="d")(z * 2.0 + L.Dense(3, name="e")(a)))
        model.compile("sgd", "mse")
        return model

    z, a = X[:, :3].copy(), X[:, 3:].copy()
    y = z.sum(1, keepdims=True)
    model = make()
    first = model.evaluate([z, a], y, batch_size=8, verbose=0)
    np.testing.assert_allclose(model.evaluate({"z": z, "a": a}, y, batch_size=8, verbose=0), first, rtol=1e-6)
    by_list, by_name = (m.predict(x, batch_size=8, verbose=0) for m, x in ((model, [z, a]), (model, {"a": a, "z": z})))
    np.testing.assert_array_equal(by_list, by_name)


def test_weights_in_the_place_of_targets_are_another_loop():
    model = am.Sequential([L.Input((6,)), L.Dense(1)])
    model.compile("sgd", "mse")
    weights = np.linspace(0, 1, 53).astype("float32")
    plain = model.evaluate(X, weights, batch_size=8, verbose=0)
    model.evaluate(X, X[:, 0].copy(), sample_weight=weights, batch_size=8, verbose=0)
    assert model.evaluate(X, weights, batch_size=8, verbose=0) == plain


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i4"])
def test_arrays_of_the_other_byte_order(dtype):
    x = (X * 3).astype(dtype)
    (many, _), (single, _) = both_ways(classifier, x, Y.astype(">i4"), batch_size=8)
    with_native = both_ways(classifier, x.astype(x.dtype.newbyteorder("=")), Y, batch_size=8)[0][0]
    assert many == single == with_native


def test_a_fit_uses_the_settings_of_now_and_not_those_of_the_fit_before():
    model = am.Sequential([L.Input((6,)), L.Dense(2)])
    model.compile("sgd", lambda y, made: ops.mean(made) * 0.0 + am.config.epsilon())
    before = am.config.epsilon()
    try:
        for epsilon in (1e-3, 1e-2, 1e-3):
            am.config.set_epsilon(epsilon)
            history = model.fit(X, X[:, :2].copy(), batch_size=8, verbose=0).history
            np.testing.assert_allclose(history["loss"], [epsilon], rtol=1e-5)
    finally:
        am.config.set_epsilon(before)
