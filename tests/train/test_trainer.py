"""What `fit`, `evaluate` and `predict` promise beyond the numbers: compilation, custom steps, interrupts, data."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

import amalthea as am


@pytest.fixture(autouse=True)
def ctrl_c_as_usual():
    """Ctrl-C raises KeyboardInterrupt, whatever runs these tests has set."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def model_with_weights(build=None, seed=0):
    model = build() if build else am.Sequential([am.layers.Input((4,)), am.layers.Dense(3), am.layers.Dense(1)])
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape).astype("float32") * 0.5 for w in model.get_weights()])
    return model


class WithOwnStep(am.Model):
    """A step as users write it: forward, tape, update, metrics."""

    def __init__(self):
        super().__init__()
        self.first, self.second = am.layers.Dense(3), am.layers.Dense(1)
        self.tracker = am.metrics.Mean(name="my_loss")
        self.traced = 0

    def call(self, x):
        return self.second(self.first(x))

    def train_step(self, data):
        self.traced += 1
        x, y = data
        with am.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = am.ops.mean(am.ops.square(y - y_pred))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.tracker.update_state(loss)
        return {"my_loss": self.tracker.result()}

    @property
    def metrics(self):
        return [self.tracker]


def test_a_step_of_ones_own_is_compiled_and_trains_alike(data):
    x, y = data["x"][:48], data["y"][:48]
    ours = model_with_weights()
    ours.compile("sgd", "mse")
    expected = ours.fit(x, y, epochs=3, batch_size=8, shuffle=False, verbose=0).history["loss"]

    own = WithOwnStep()
    own.build((None, 4))
    own.set_weights(model_with_weights().get_weights() + own.get_weights()[4:])
    own.compile("sgd")
    history = own.fit(x, y, epochs=3, batch_size=8, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["my_loss"], expected, rtol=1e-5)
    assert own.traced == 1, "eighteen steps of one shape are traced once"

    eager = WithOwnStep()
    eager.build((None, 4))
    eager.set_weights(model_with_weights().get_weights() + eager.get_weights()[4:])
    eager.compile("sgd", run_eagerly=True)
    history = eager.fit(x, y, epochs=3, batch_size=8, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["my_loss"], expected, rtol=1e-5)
    assert eager.traced == 18


def test_a_step_of_ones_own_may_find_the_model_unbuilt(data):
    own = WithOwnStep()
    own.compile(am.optimizers.SGD(0.05))
    history = own.fit(data["x"], data["y"], epochs=10, verbose=0).history["my_loss"]
    assert history[-1] < 0.5 * history[0]


class Adversaries(am.Model):
    """Two models and two optimizers, no `call`: as generative adversarial networks are written."""

    def __init__(self):
        super().__init__()
        self.one = am.Sequential([am.layers.Input((4,)), am.layers.Dense(2)])
        self.other = am.Sequential([am.layers.Input((2,)), am.layers.Dense(1)])

    def compile(self, one, other):
        super().compile()
        self.one_optimizer, self.other_optimizer = one, other

    def train_step(self, x):
        with am.GradientTape() as tape:
            loss = am.ops.mean(self.other(self.one(x)) ** 2)
        gradients = tape.gradient(loss, self.one.trainable_variables)
        self.one_optimizer.apply(gradients, self.one.trainable_variables)
        with am.GradientTape() as tape:
            other_loss = -am.ops.mean(am.ops.tanh(self.other(self.one(x))))
        gradients = tape.gradient(other_loss, self.other.trainable_variables)
        self.other_optimizer.apply(gradients, self.other.trainable_variables)
        return {"one": loss, "other": other_loss}


def test_several_optimizers_and_no_call(data):
    model = Adversaries()
    model.compile(am.optimizers.Adam(), am.optimizers.SGD())
    before = model.one.get_weights() + model.other.get_weights()
    history = model.fit(data["x"], epochs=2, verbose=0, batch_size=25)
    assert list(history.history) == ["one", "other"]
    for a, b in zip(before, model.one.get_weights() + model.other.get_weights(), strict=True):
        assert not np.allclose(a, b)


@pytest.mark.parametrize("steps_per_execution", [1, 3, 100, "auto"])
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_how_steps_are_run_does_not_change_the_result(steps_per_execution, run_eagerly, data):
    def train(**compiled):
        model = model_with_weights()
        model.compile("adam", "mse", metrics=["mae"], **compiled)
        options = {"epochs": 3, "batch_size": 8, "shuffle": False, "verbose": 0, "validation_split": 0.2}
        return model.fit(data["x"], data["y"], **options).history

    expected = train()
    got = train(steps_per_execution=steps_per_execution, run_eagerly=run_eagerly)
    assert list(got) == list(expected)
    for key, values in expected.items():
        np.testing.assert_allclose(got[key], values, rtol=1e-5)


def test_a_partial_last_batch_is_traced_once_more_and_never_again(data):
    traced = []

    class Counting(am.layers.Layer):
        def call(self, x):
            traced.append(tuple(x.shape))
            return x * 1.0

    model = am.Sequential([am.layers.Input((4,)), Counting(), am.layers.Dense(1)])
    model.compile("sgd", "mse")
    traced.clear()
    model.fit(data["x"], data["y"], batch_size=16, epochs=5, verbose=0)
    assert sorted(traced) == [(2, 4), (16, 4)]
    model.fit(data["x"], data["y"], batch_size=16, epochs=2, verbose=0)
    assert len(traced) == 2


def test_freezing_a_layer_takes_effect(data):
    model = model_with_weights()
    model.compile("sgd", "mse")
    model.fit(data["x"], data["y"], verbose=0)
    frozen = model.layers[0]
    frozen.trainable = False
    model.compile("sgd", "mse")
    before, after = frozen.get_weights(), model.layers[1].get_weights()
    model.fit(data["x"], data["y"], verbose=0)
    np.testing.assert_array_equal(before[0], frozen.get_weights()[0])
    assert not np.allclose(after[0], model.layers[1].get_weights()[0])


def test_an_unbuilt_model_is_built_by_fit_and_by_predict(data):
    model = am.Sequential([am.layers.Dense(3), am.layers.Dense(1)])
    assert model.predict(data["x"], verbose=0).shape == (50, 1)
    model = am.Sequential([am.layers.Dense(3), am.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert model.fit(data["x"], data["y"], verbose=0).epoch == [0]


def test_losses_that_layers_add_are_minimised_without_targets(data):
    class Shrink(am.layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(4,), initializer="ones")

        def call(self, x):
            self.add_loss(am.ops.mean(am.ops.square(x * self.w)))
            return x * self.w

    model = am.Sequential([am.layers.Input((4,)), Shrink()])
    model.compile("sgd")
    history = model.fit(data["x"], epochs=4, verbose=0).history["loss"]
    assert history == sorted(history, reverse=True) and history[-1] < history[0]


def test_the_same_seed_gives_the_same_training(data):
    def train():
        am.utils.set_random_seed(3)
        model = am.Sequential([am.layers.Input((4,)), am.layers.Dense(3), am.layers.Dropout(0.5), am.layers.Dense(1)])
        model.compile("adam", "mse")
        return model.fit(data["x"], data["y"], epochs=3, batch_size=8, verbose=0).history["loss"]

    assert train() == train()


def test_a_used_up_generator_ends_training_with_a_warning(data):
    model = model_with_weights()
    model.compile("sgd", "mse")
    batches = [(data["x"][:8], data["y"][:8])] * 5
    with pytest.warns(UserWarning, match="the data ran out after"):
        history = model.fit(iter(batches), steps_per_epoch=2, epochs=4, verbose=0)
    assert history.epoch == [0, 1, 2]


def test_generators_of_unknown_length_train_one_epoch(data):
    model = model_with_weights()
    model.compile("sgd", "mse")
    history = model.fit(((data["x"][i : i + 5], data["y"][i : i + 5]) for i in range(0, 50, 5)), verbose=0)
    assert history.epoch == [0]
    result = model.evaluate(((data["x"][i : i + 5], data["y"][i : i + 5]) for i in range(0, 50, 5)), verbose=0)
    assert result == pytest.approx(model.evaluate(data["x"], data["y"], verbose=0), rel=1e-5)
    outputs = model.predict(((data["x"][i : i + 5],) for i in range(0, 50, 5)), verbose=0)
    np.testing.assert_allclose(outputs, model.predict(data["x"], verbose=0), rtol=1e-5)


def test_ctrl_c_ends_between_steps_and_the_model_stays_usable(data):
    model = model_with_weights()
    model.compile("adam", "mse")
    at_end = []

    class Press(am.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                threading.Timer(0.0, os.kill, (os.getpid(), signal.SIGINT)).start()
                time.sleep(0.2)

        def on_train_end(self, logs=None):
            at_end.append(1)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        model.fit(data["x"], data["y"], batch_size=5, epochs=100, verbose=2, callbacks=[Press()])
    assert signal.getsignal(signal.SIGINT) is handler
    assert not at_end
    assert int(model.optimizer.iterations.numpy()) == 3
    assert np.isfinite(model.predict(data["x"], verbose=0)).all()
    history = model.fit(data["x"], data["y"], epochs=2, verbose=0)
    assert history.epoch == [0, 1]


def test_ctrl_c_during_a_step_waits_for_its_end(data):
    class Pressing(WithOwnStep):
        def train_step(self, batch):
            signal.raise_signal(signal.SIGINT)
            return super().train_step(batch)

    model = Pressing()
    model.compile("sgd", run_eagerly=True)
    with pytest.raises(KeyboardInterrupt):
        model.fit(data["x"], data["y"], verbose=0)
    assert int(model.optimizer.iterations.numpy()) == 1


def test_stop_training_inside_an_epoch(data):
    model = model_with_weights()
    model.compile("sgd", "mse")
    seen = []

    class Stop(am.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)
            self.model.stop_training = batch == 1

    history = model.fit(data["x"], data["y"], batch_size=5, epochs=3, verbose=0, callbacks=[Stop()])
    assert seen == [0, 1] and history.epoch == [0]


def test_functions_and_objects_as_losses_and_metrics(data):
    def gap(y_true, y_pred):
        return am.ops.mean(am.ops.abs(y_true - y_pred), axis=-1)

    model = model_with_weights()
    model.compile("sgd", gap, metrics=[gap, am.losses.MeanSquaredError(), am.metrics.MeanAbsoluteError(name="mine")])
    history = model.fit(data["x"], data["y"], verbose=0).history
    assert list(history) == ["gap", "loss", "mean_squared_error", "mine"]
    np.testing.assert_allclose(history["gap"], history["loss"], rtol=1e-5)
    np.testing.assert_allclose(history["mine"], history["loss"], rtol=1e-5)


def test_an_older_compute_loss_without_training(data):
    class Old(am.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return am.ops.mean(am.ops.square(y - y_pred)) + 100.0

    model = Old([am.layers.Input((4,)), am.layers.Dense(1)])
    model.compile("sgd")
    assert model.fit(data["x"], data["y"], verbose=0).history["loss"][0] > 100.0


def test_a_step_may_return_plain_numbers(data):
    class Plain(WithOwnStep):
        def train_step(self, batch):
            super().train_step(batch)
            return {"fixed": 1.5}

    model = Plain()
    model.compile("sgd")
    assert model.fit(data["x"], data["y"], verbose=0).history == {"fixed": [1.5]}


def test_initial_metrics_are_empty_and_names_are_those_of_keras(keras):
    ours, theirs = am.Sequential([am.layers.Input((4,)), am.layers.Dense(1)]), None
    theirs = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    for model in (ours, theirs):
        model.compile("sgd", "mse", metrics=["mae"])
    assert ours.metrics_names == theirs.metrics_names == ["loss", "compile_metrics"]
