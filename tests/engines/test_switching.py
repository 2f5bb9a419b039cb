"""The backend changes while a program runs: what it holds and what it compiled follow."""

import itertools
import threading

import numpy as np
import pytest

import amalthea as am
from amalthea import layers as L
from amalthea import ops
from amalthea.core.backend import active

BACKENDS = ("numpy", "native", "jax", "torch", "tensorflow")
PAIRS = list(itertools.permutations(BACKENDS, 2))
rng = np.random.default_rng(0)
X = rng.normal(size=(512, 20)).astype("float32")
Y = (X[:, :3].sum(1) > 0).astype("int32")


def network(optimizer="adam"):
    am.utils.set_random_seed(1)
    model = am.Sequential(
        [L.Input((20,)), L.Dense(32, activation="relu"), L.Dropout(0.2), L.BatchNormalization(), L.Dense(2)]
    )
    model.compile(optimizer, am.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def curve(model, epochs=1):
    return model.fit(X, Y, epochs=epochs, verbose=0).history["loss"]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop", "adagrad", "adamw", "nadam", "ftrl", "lion"])
def test_a_model_trains_on_along_the_same_curve(optimizer):
    with am.backend_scope("numpy"):
        want = curve(network(optimizer), len(BACKENDS))
    model, found = network(optimizer), []
    for name in (*BACKENDS[1:], BACKENDS[0]):
        with am.backend_scope(name):
            found += curve(model)
    np.testing.assert_allclose(found, want, rtol=1e-4)


@pytest.mark.parametrize("name", BACKENDS[1:])
def test_each_backend_has_the_same_curve(name):
    with am.backend_scope("numpy"):
        want = curve(network(), 2)
    with am.backend_scope(name):
        np.testing.assert_allclose(curve(network(), 2), want, rtol=1e-4)


class Switch(am.callbacks.Callback):
    """Makes another backend active at one of the events of `fit`."""

    def __init__(self, event):
        super().__init__()
        names = itertools.cycle(("torch", "jax", "tensorflow", "numpy", "native"))
        setattr(self, event, lambda *args, **kwargs: am.config.set_backend(next(names)))


@pytest.mark.parametrize("event", ["on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end"])
@pytest.mark.parametrize("eagerly", [False, True], ids=["compiled", "eagerly"])
def test_a_callback_switches_in_the_middle_of_fit(event, eagerly):
    def history(*callbacks):
        model = network()
        model.run_eagerly = eagerly
        options = dict(batch_size=64, epochs=3, validation_split=0.25, verbose=0, callbacks=list(callbacks))
        return model.fit(X[:256], Y[:256], **options).history

    with am.backend_scope("numpy"):
        want = history()
    with am.backend_scope("native"):
        found = history(Switch(event))
    for name, values in want.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("kind", ["Mean", "BinaryAccuracy", "AUC", "Precision"])
def test_a_metric_counts_on(kind):
    ours, reference = getattr(am.metrics, kind)(), getattr(am.metrics, kind)()
    for name in BACKENDS:
        batch = rng.integers(0, 2, 20).astype("float32"), rng.uniform(size=20).astype("float32")
        batch = batch[1:] if kind == "Mean" else batch
        with am.backend_scope(name):
            ours.update_state(*batch)
        with am.backend_scope("numpy"):
            reference.update_state(*batch)
    for name in BACKENDS:
        with am.backend_scope(name):
            assert float(ours.result()) == pytest.approx(float(reference.result()), rel=1e-5)


def test_a_model_saved_on_one_goes_on_learning_on_the_next(tmp_path):
    with am.backend_scope("numpy"):
        want = curve(network(), len(BACKENDS))
    model, found = network(), []
    for name in BACKENDS:
        with am.backend_scope(name):
            found += curve(model)
            model.save(tmp_path / f"{name}.keras")
            model = am.models.load_model(tmp_path / f"{name}.keras")
    np.testing.assert_allclose(found, want, rtol=1e-4)


def test_a_function_keeps_its_program_for_each_backend():
    traced = []
    with am.backend_scope("torch"):
        constant = ops.arange(3, dtype="float32")  # made on one, part of the programs of all
    variable = am.Variable(np.float32(0))

    @am.function
    def f(x):
        traced.append(active.backend.name)
        return x + constant + variable.assign_add(1.0)

    for turn in range(2):
        for place, name in enumerate(BACKENDS):
            with am.backend_scope(name):
                found = f(np.zeros(3, "float32"))
                assert isinstance(found._array, active.array_type)
                np.testing.assert_array_equal(found.numpy(), np.arange(3) + 1 + place + turn * len(BACKENDS))
    assert traced == list(BACKENDS)


def test_switching_is_not_taken_for_tracing_again_and_again():
    f = am.function(lambda x: x * 2)
    for _ in range(2):  # a warning would be an error
        for name in BACKENDS:
            with am.backend_scope(name):
                assert f(np.ones(3, "float32")).shape == (3,) and f(np.ones(4, "float32")).shape == (4,)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_tensor_of_one_backend_is_taken_by_ops_of_another(first, second):
    with am.backend_scope(first):
        x = ops.ones((2, 3))
    with am.backend_scope(second):
        assert (x + 1).numpy().sum() == 12 and ops.softmax(x).numpy().sum() == pytest.approx(2)
        with am.GradientTape() as tape:
            tape.watch(x)
            y = ops.sum(x * 2.0)
        np.testing.assert_array_equal(tape.gradient(y, x).numpy(), np.full((2, 3), 2.0))


@pytest.mark.parametrize(("first", "second"), PAIRS)
@pytest.mark.parametrize("compiled", [False, True], ids=["eagerly", "compiled"])
def test_inside_a_tape(first, second, compiled):
    v, w = am.Variable(np.arange(3, dtype="float32")), am.Variable(np.ones((3, 2), "float32"))

    def head(v):
        return ops.exp(v) * 2

    def loss(head, inner):
        y = head(v)
        with inner:
            z = ops.sum(ops.matmul(ops.reshape(y * y, (1, 3)), w)) + ops.mean(ops.softmax(y) ** 2)
        return z * 3

    with am.backend_scope("numpy"), am.GradientTape() as tape:
        plain = loss(head, am.backend_scope("numpy"))
        want = tape.gradient(plain, [v, w])
    with am.backend_scope(first):
        with am.GradientTape(persistent=True) as tape:
            total = loss(am.function(head) if compiled else head, am.backend_scope(second))
        for name in (first, second):
            with am.backend_scope(name):
                for found, value in zip(tape.gradient(total, [v, w]), want, strict=True):
                    np.testing.assert_allclose((found + 0).numpy(), value.numpy(), rtol=1e-5)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_inside_a_function(first, second):
    variable = am.Variable(np.float32(1))

    @am.function
    def f(x):
        y = x * 2
        with am.backend_scope(second):
            z = y + 1
            variable.assign_add(1.0)
        return z * variable

    with am.backend_scope(first):
        assert [f(np.float32(3)).item() for _ in range(2)] == [14, 21]
        assert am.config.backend() == first


def test_scopes_are_nested_and_end_with_an_error_too():
    with am.backend_scope("numpy"):
        with am.backend_scope("torch"):
            with am.backend_scope("jax"):
                am.config.set_backend("tensorflow")
            assert am.config.backend() == "torch"
        with pytest.raises(KeyError), am.backend_scope("torch"):
            raise KeyError
        with pytest.raises(ValueError, match="no such backend.*Fix: did you mean 'torch'"), am.backend_scope("toch"):
            pass
        assert am.config.backend() == "numpy"


def in_thread(work):
    """What `work` returns or raises in another thread."""
    found = []

    def run():
        try:
            found.append(work())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    return found[0]


def test_threads_share_the_backend_and_cannot_disagree():
    def name_in(name):
        with am.backend_scope(name):
            return active.backend.name, type(ops.ones(2)._array).__name__

    with am.backend_scope("torch"):
        assert in_thread(am.config.backend) == "torch"
        assert in_thread(lambda: name_in("torch")) == ("torch", "Tensor")
        refused = in_thread(lambda: name_in("numpy"))
        assert isinstance(refused, ValueError)
        assert "[backend_scope]: another thread is in a scope of another backend" in str(refused)
        assert "Received: 'numpy' beside 'torch'. Fix: let one wait" in str(refused)
        assert am.config.backend() == "torch"
    assert in_thread(lambda: name_in("numpy")) == ("numpy", "ndarray")


def test_the_last_of_several_threads_restores_the_backend():
    before, entered, left = am.config.backend(), threading.Event(), threading.Event()

    def work():
        with am.backend_scope("torch"):
            entered.set()
            left.wait(60)
            return am.config.backend()

    scope = am.backend_scope("torch")
    scope.__enter__()
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    entered.wait(60)
    scope.__exit__(None, None, None)
    left.set()
    thread.join(60)
    assert found == ["torch"] and am.config.backend() == before
