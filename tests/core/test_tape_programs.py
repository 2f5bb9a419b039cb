"""Backward passes of eager tapes: compiled when a structure comes again, with the gradients of op by op."""

import numpy as np
import pytest

from amalthea import ops
from amalthea.core import tape_programs
from amalthea.core.custom_gradient import custom_gradient
from amalthea.core.tape import GradientTape
from amalthea.core.tensor import as_tensor
from amalthea.core.variable import Variable

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(tape_programs, "_programs", {})
    monkeypatch.setattr(tape_programs, "_seen", {})


def network(x, w, b):
    h = ops.relu(ops.matmul(x, w) + b)
    parts = ops.split(ops.softmax(h), 2, axis=-1)
    return ops.sum(parts[0] * ops.sin(h[:, :2])) + ops.sum(ops.max(h, axis=1) ** 2) / 3.0


def slopes(x, w, b, persistent=False, sources=None):
    with GradientTape(persistent=persistent) as tape:
        tape.watch(x)
        y = network(x, w, b)
    return tape.gradient(y, sources or [x, w, b])


def test_gradients_are_those_of_op_by_op():
    w, b = Variable(RNG.normal(size=(3, 4))), Variable(RNG.normal(size=4))
    for _ in range(6):
        x = as_tensor(RNG.normal(size=(5, 3)))
        w.assign(RNG.normal(size=(3, 4)))
        for got, want in zip(slopes(x, w, b), slopes(x, w, b, persistent=True), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12)
    assert len(tape_programs._programs) == 1


def test_other_shapes_sources_and_wiring_are_other_programs():
    w, b = Variable(RNG.normal(size=(3, 4))), Variable(RNG.normal(size=4))
    for _ in range(4):
        for rows in (2, 7):
            x = as_tensor(RNG.normal(size=(rows, 3)))
            np.testing.assert_allclose(slopes(x, w, b)[0], slopes(x, w, b, True)[0], rtol=1e-12)
            np.testing.assert_allclose(slopes(x, w, b, sources=[b])[0], slopes(x, w, b, True)[2], rtol=1e-12)
    assert len(tape_programs._programs) == 4
    u, v = as_tensor([2.0, 3.0]), as_tensor([5.0, 7.0])
    for _ in range(4):
        for first, second in ((u, v), (u, u)):
            with GradientTape() as tape:
                tape.watch(u)
                y = first * second
            want = second.numpy() * (2 if second is u else 1)
            np.testing.assert_allclose(tape.gradient(y, u), want)


def test_freezing_a_variable_is_another_program():
    w, b = Variable(RNG.normal(size=(3, 4))), Variable(RNG.normal(size=4))
    x = as_tensor(RNG.normal(size=(5, 3)))
    for trainable in (True, False, True):
        w.trainable = trainable
        for _ in range(4):
            assert (slopes(x, w, b)[1] is None) == (not trainable)


def test_output_gradients_and_unconnected_sources():
    x, z = as_tensor([1.0, 2.0]), as_tensor([3.0])
    for i in range(5):
        with GradientTape() as tape:
            tape.watch([x, z])
            y = x * x
        seed = np.array([1.0, i], "float32")
        gx, gz = tape.gradient(y, [x, z], output_gradients=as_tensor(seed), unconnected_gradients="zero")
        np.testing.assert_allclose(gx, 2 * x.numpy() * seed)
        assert gz.numpy().tolist() == [0.0]


def test_custom_gradients_and_nested_tapes_stay_op_by_op():
    @custom_gradient
    def scaled(x, factor):
        return x * 1.0, lambda g: (g * factor, None)

    x = as_tensor(2.0)
    for factor in (1.0, 5.0, 7.0, 9.0, 11.0):
        with GradientTape() as tape:
            tape.watch(x)
            y = scaled(x, as_tensor(factor))
        assert float(tape.gradient(y, x)) == factor
        with GradientTape() as outer:
            outer.watch(x)
            with GradientTape() as inner:
                inner.watch(x)
                y = x * x * x
            first = inner.gradient(y, x)
        assert float(outer.gradient(first, x)) == 12.0


def test_the_number_of_programs_is_bounded(monkeypatch):
    monkeypatch.setattr(tape_programs, "KEPT", 4)
    for n in range(1, 12):
        x = as_tensor(np.ones(n, "float32"))
        for _ in range(4):
            with GradientTape() as tape:
                tape.watch(x)
                y = ops.sum(x * x)
            np.testing.assert_allclose(tape.gradient(y, x), 2 * np.ones(n))
    assert len(tape_programs._programs) <= 4 and len(tape_programs._seen) <= 6


def test_a_backward_pass_that_comes_often_is_compiled_and_stays_what_it_was(monkeypatch):
    monkeypatch.setattr(tape_programs, "OFTEN", 3)
    x = as_tensor(np.linspace(-1, 1, 6).reshape(2, 3))
    w = Variable(np.linspace(0.5, 2, 3))
    found = []
    for _ in range(8):
        with GradientTape() as tape:
            loss = ops.sum(ops.tanh(x * w) ** 2)
        found.append(tape.gradient(loss, w).numpy())
    for gradient in found[1:]:
        np.testing.assert_allclose(gradient, found[0], rtol=1e-12)
