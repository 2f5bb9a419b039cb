"""Branches and loops: eager and traced agree, gradients too, and variables assigned inside are state."""

import functools

import numpy as np
import pytest

from amalthea import ops
from amalthea.core.function import function
from amalthea.core.spec import TensorSpec
from amalthea.core.tape import GradientTape
from amalthea.core.tensor import as_tensor
from amalthea.core.trace import trace
from amalthea.core.variable import Variable

RNG = np.random.default_rng(0)
W = RNG.normal(size=(3, 3)).astype("float32") * 0.5
XS = RNG.normal(size=(5, 2, 3)).astype("float32")


def rnn(x):
    w = as_tensor(W)

    def step(h, x):
        h = ops.tanh(ops.matmul(h, w) + x)
        return h, h * 2.0

    return ops.scan(step, ops.zeros((2, 3)), x)


def bounded(x):
    def more(i, h):
        return ops.sum(h) < 100.0

    return ops.while_loop(more, lambda i, h: (i + 1, h * 1.5), (0, ops.exp(x)), maximum_iterations=6)[1]


CASES = {
    "cond": lambda x: ops.cond(ops.sum(x) > 0.0, lambda: x * 2.0, lambda: x * x),
    "cond_false": lambda x: ops.cond(ops.sum(x) > 1e6, lambda: x * 2.0, lambda: x * x),
    "switch": lambda x: ops.switch(ops.cast(2, "int32"), [lambda x: x, lambda x: x * 2.0, lambda x: ops.exp(x)], x),
    "scan": lambda x: rnn(x)[0],
    "scan_outputs": lambda x: rnn(x)[1],
    "scan_reverse": lambda x: ops.scan(lambda c, s: (c * 0.5 + s, c), ops.zeros((2, 3)), x, reverse=True)[1],
    "fori_loop": lambda x: ops.fori_loop(0, 4, lambda i, h: ops.tanh(h) * 2.0, x),
    "map": lambda x: ops.map(lambda s: ops.sum(s * s, axis=-1), x),
    "vectorized_map": lambda x: ops.vectorized_map(lambda s: ops.exp(s), x),
    "bounded_while": bounded,
    "nested": lambda x: ops.map(lambda s: ops.cond(ops.sum(s) > 0.0, lambda: s, lambda: -s * s), x),
    "associative_scan": lambda x: ops.associative_scan(lambda a, b: a * b, x, axis=0),
}


@pytest.mark.parametrize("name", CASES)
def test_traced_is_eager(name):
    f = CASES[name]
    np.testing.assert_allclose(function(f)(XS), f(as_tensor(XS)), rtol=1e-5, atol=1e-6)
    graph = trace(f, TensorSpec(XS.shape, "float32")).verify()
    np.testing.assert_allclose(graph.run(XS), f(as_tensor(XS)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(graph.expand("primitive").verify().run(XS), f(as_tensor(XS)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_traced_gradients_are_eager_ones_and_finite_differences(name):
    f = CASES[name]

    def slope(x):
        with GradientTape() as tape:
            tape.watch(x)
            y = ops.sum(ops.sin(f(x)))
        return tape.gradient(y, x)

    eager = slope(as_tensor(XS))
    np.testing.assert_allclose(function(slope)(XS), eager, rtol=1e-4, atol=1e-5)
    direction = RNG.normal(size=XS.shape).astype("float32")
    h = 1e-3
    up, down = (float(ops.sum(ops.sin(f(as_tensor(XS + s * h * direction))))) for s in (1, -1))
    np.testing.assert_allclose((up - down) / (2 * h), np.sum(eager.numpy() * direction), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("name", ["cond", "scan", "fori_loop", "map"])
def test_second_derivatives_in_a_trace(name):
    f = CASES[name]

    def second(x):
        with GradientTape() as outer:
            outer.watch(x)
            with GradientTape() as inner:
                inner.watch(x)
                y = ops.sum(f(x) * f(x))
            g = ops.sum(ops.square(inner.gradient(y, x)))
        return outer.gradient(g, x)

    np.testing.assert_allclose(function(second)(XS), second(as_tensor(XS)), rtol=1e-3, atol=1e-4)


def test_gradients_reach_variables_used_inside_a_loop():
    w = Variable(W)

    def slope(x):
        with GradientTape() as tape:
            h, _ = ops.scan(lambda h, x: (ops.tanh(ops.matmul(h, w) + x), None), ops.zeros((2, 3)), x)
            y = ops.sum(h * h)
        return tape.gradient(y, w)

    np.testing.assert_allclose(function(slope)(XS), slope(as_tensor(XS)), rtol=1e-4, atol=1e-6)
    assert float(ops.sum(ops.abs(slope(as_tensor(XS))))) > 0


def test_a_loop_without_a_bound_runs_in_a_trace():
    def f(x):
        return ops.while_loop(lambda i, h: ops.sum(h) < 50.0, lambda i, h: (i + 1, h * 2.0), [0, x])

    i, h = function(f)(np.float32(3))
    assert (int(i), float(h)) == (5, 96.0)
    assert isinstance(f(as_tensor(3.0)), list)

    def slope(x):
        with GradientTape() as tape:
            tape.watch(x)
            y = f(x)[1]
        return tape.gradient(y, x)

    assert float(slope(as_tensor(3.0))) == 32.0
    with pytest.raises(ValueError, match=r"no reverse gradient.*Fix: pass maximum_iterations"):
        function(slope)(np.float32(3))


def test_variables_assigned_inside_are_state():
    count = Variable(0, dtype="int32")

    def f(x):
        def step(c, s):
            count.assign_add(1)
            return c + s * ops.cast(count, "float32"), None

        def yes():
            count.assign_add(100)
            return x[0]

        return ops.scan(step, 0.0, x)[0] + ops.cond(x[0] > 0.0, yes, lambda: x[1])

    x = np.array([1.0, 2.0, 3.0], "float32")
    eager = float(f(as_tensor(x)))
    after = int(count)
    count.assign(0)
    assert float(function(f)(x)) == eager == 15.0 and int(count) == after == 103

    def loop(x):
        def body(i):
            count.assign_add(2)
            return i + 1

        return ops.while_loop(lambda i: i < 3, body, ops.cast(x, "int32"))

    count.assign(0)
    assert int(function(loop)(np.float32(0))) == 3 and int(count) == 6


def test_no_steps():
    total, ys = ops.scan(lambda c, x: (c + x, c * 2.0), 1.0, ops.zeros((0,)))
    assert float(total) == 1.0 and ys.shape == (0,)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: ops.cond(x > 0, lambda: x, lambda: x), r"\[cond\].*predicate must be a scalar.*shape \(5, 2, 3\)"),
        (lambda x: ops.cond(ops.sum(x) > 0, lambda: x, lambda: x[0]), r"\[cond\].*same shapes and dtypes"),
        (lambda x: ops.cond(ops.sum(x) > 0, lambda: x, lambda: (x, x)), r"\[cond\].*different structures"),
        (lambda x: ops.cond(True, x, x), r"\[cond\].*true_fn must be a function"),
        (lambda x: ops.scan(lambda c, s: (c[0], s), x, x), r"\[scan\].*before and after a step"),
        (lambda x: ops.scan(lambda c, s: c, x[0], x), r"\[scan\].*must return \(carry, y\)"),
        (lambda x: ops.scan(lambda c, s: (c, s), x[0]), r"\[scan\].*number of steps is not known"),
        (lambda x: ops.scan(lambda c, s: (c, s), x[0], (x, x[:2])), r"\[scan\].*same number of steps"),
        (
            lambda x: ops.cond(True, lambda h: x, lambda: x),
            r"\[cond\].*true_fn is called with 0 arguments.*true_fn\(h\)",
        ),
        (lambda x: ops.while_loop(lambda i, h: i < 3, lambda i: i, (0, x)), r"\[while_loop\].*body is called with 2"),
        (
            lambda x: ops.while_loop(lambda i: i < 3, lambda i, h: (i, h), (0, x)),
            r"\[while_loop\].*cond is called with 2",
        ),
        (lambda x: ops.while_loop(3, lambda i, h: (i, h), (0, x)), r"\[while_loop\].*cond must be a function"),
        (
            lambda x: ops.fori_loop(0, 3, lambda h: h, x),
            r"\[fori_loop\].*2 arguments: \(i, val\).*body_fun=lambda i, val:",
        ),
        (lambda x: ops.scan(lambda c: (c, c), x[0], x), r"\[scan\].*f is called with 2 arguments: \(carry, x\)"),
        (lambda x: ops.map(lambda: x, x), r"\[map\].*f is called with 1 argument:"),
        (lambda x: ops.associative_scan(lambda a: a, x), r"\[associative_scan\].*2 arguments"),
        (lambda x: ops.switch(1, [lambda: x, lambda h: h]), r"\[switch\].*branches\[1\] is called with 0"),
        (lambda x: ops.switch(1.5, [lambda: x]), r"\[switch\].*integer scalar"),
        (lambda x: ops.while_loop(lambda h: True, lambda h: (h[0],), (x,)), r"\[while_loop\].*before and after"),
    ],
)
def test_mistakes(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        function(call)(XS)


def test_functions_of_any_kind_are_loop_bodies():
    """What says nothing of its arguments, or takes any number, is called as it is."""
    assert ops.fori_loop(0, 3, max, 1).item() == 2
    assert ops.map(functools.partial(ops.add, 1), XS).shape == XS.shape
    assert ops.while_loop(lambda *v: v[0] < 3, lambda *v: (v[0] + 1,), (0,))[0].item() == 3
