"""One program on five backends: the same random numbers, the same curve, also when the backend changes on the way."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import amalthea as am
from amalthea import layers as L

BACKENDS = ("numpy", "native", "jax", "torch", "tensorflow")
rng = np.random.default_rng(0)
X = rng.normal(size=(512, 20)).astype("float32")
Y = (X[:, :3].sum(1) > 0).astype("int32")


def network():
    am.utils.set_random_seed(1)
    model = am.Sequential(
        [L.Input((20,)), L.Dense(32, activation="relu"), L.Dropout(0.2), L.BatchNormalization(), L.Dense(2)]
    )
    model.compile("adam", am.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def curve(model, epochs=1):
    return model.fit(X, Y, epochs=epochs, verbose=0).history["loss"]


def test_a_model_trains_on_along_the_same_curve_when_the_backend_changes():
    with am.backend_scope("numpy"):
        want = curve(network(), len(BACKENDS))
    model, found = network(), []
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


@pytest.mark.parametrize("name", BACKENDS[1:])
def test_random_numbers_are_the_same_bits(name):
    def drawn():
        bits = am.ops.random_bits(am.ops.convert_to_tensor([3, 4], "uint32"), (1001,))
        exact = [
            bits,
            am.random.uniform((1001,), seed=1),
            am.random.randint((1001,), 0, 1000, seed=2),
            am.random.shuffle(am.ops.arange(1001), seed=3),
            am.random.dropout(am.ops.ones((1001,)), 0.3, seed=4),
            am.random.permutation(am.ops.arange(97), seed=5) if hasattr(am.random, "permutation") else bits,
        ]
        return [t.numpy() for t in exact], am.random.normal((1001,), seed=6).numpy()

    with am.backend_scope("numpy"):
        exact, normal = drawn()
    with am.backend_scope(name):
        same, close = drawn()
    for a, b in zip(same, exact, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(close, normal, rtol=1e-6, atol=1e-6)


def test_the_example_has_one_curve_on_all_backends(monkeypatch):
    path = Path(__file__).resolve().parents[2] / "examples" / "one_loop_every_backend.py"
    spec = importlib.util.spec_from_file_location("one_loop_every_backend", path)
    example = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, example)
    spec.loader.exec_module(example)
    monkeypatch.setattr(example, "STEPS", 60)
    curves = []
    for name in BACKENDS:
        with am.backend_scope(name):
            curves.append(example.curve())
    for found in curves[1:]:
        np.testing.assert_allclose(found, curves[0], rtol=1e-4)


def test_a_tensor_of_one_backend_is_taken_by_ops_of_another():
    for first in BACKENDS:
        for second in BACKENDS:
            with am.backend_scope(first):
                x = am.ops.ones((2, 3))
            with am.backend_scope(second):
                assert (x + 1).numpy().sum() == 12 and am.ops.softmax(x).numpy().sum() == pytest.approx(2)
                with am.GradientTape() as tape:
                    tape.watch(x)
                    y = am.ops.sum(x * 2.0)
                np.testing.assert_array_equal(tape.gradient(y, x).numpy(), np.full((2, 3), 2.0))
