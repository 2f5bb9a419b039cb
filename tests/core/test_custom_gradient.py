"""`custom_gradient`: the function is called once, its backward function gets what that call had."""

import numpy as np
import pytest

import amalthea as am
import amalthea.ops as ops
from amalthea.core.custom_gradient import custom_gradient
from amalthea.core.derivatives import grad
from amalthea.core.function import function
from amalthea.core.tape import GradientTape
from amalthea.core.tensor import as_tensor
from amalthea.core.variable import Variable

eager_and_compiled = pytest.mark.parametrize("wrap", [lambda f: f, function], ids=["eager", "compiled"])


@eager_and_compiled
def test_custom_gradient(wrap):
    @custom_gradient
    def clipped(x):
        return x * 1.0, lambda g: ops.clip(g, -1.0, 1.0)

    def slope(x):
        with GradientTape() as tape:
            tape.watch(x)
            y = clipped(x) * 100.0
        return tape.gradient(y, x)

    assert float(wrap(slope)(as_tensor(3.0))) == 1.0


@pytest.mark.parametrize("wrap", [lambda f: f, function], ids=["eager", "traced"])
def test_a_custom_gradient_of_a_function_that_returns_its_argument(wrap):
    @custom_gradient
    def reversed_gradient(x):
        return x, lambda g: -g

    assert grad(wrap(lambda x: reversed_gradient(x) * 100.0))(1.0).item() == -100.0


def test_a_custom_gradient_survives_in_a_compiled_function_that_is_differentiated_from_outside():
    @custom_gradient
    def strange(x):
        return x * 2.0, lambda g: g * 7.0

    compiled = function(lambda x: strange(x) * 1.0)
    x = as_tensor(1.0)
    with GradientTape() as tape:
        tape.watch(x)
        y = compiled(x)
    assert float(y) == 2.0 and float(tape.gradient(y, x)) == 7.0


@eager_and_compiled
def test_the_function_is_called_once_and_its_own_backward_function_is_used(wrap):
    calls = []

    @custom_gradient
    def noted(x):
        calls.append("forward")
        number = len(calls)
        return x * 1.0, lambda g: (calls.append("backward"), g * number)[1]

    def slope(x):
        with GradientTape() as tape:
            tape.watch(x)
            y = noted(x)
        return tape.gradient(y, x)

    assert float(wrap(slope)(as_tensor(3.0))) == 1.0
    assert calls.count("forward") == 1


@eager_and_compiled
def test_random_numbers_of_the_call_are_those_of_its_gradient(wrap):
    @custom_gradient
    def dropped(x, seed):
        mask = am.random.uniform((50,), seed=seed)
        return x * mask, lambda g: g * mask

    seed = am.random.SeedGenerator(1)

    def both(x):
        with GradientTape() as tape:
            tape.watch(x)
            y = dropped(x, seed)
        return y, tape.gradient(y, x)

    step = wrap(both)
    first = None
    for _ in range(3):
        y, g = step(ops.ones(50))
        np.testing.assert_array_equal(y, g)
        assert first is None or not np.array_equal(first, y)
        first = y.numpy()


def test_random_numbers_of_a_compiled_call_are_those_of_a_gradient_taken_from_outside():
    seed = am.random.SeedGenerator(1)

    @custom_gradient
    def dropped(x):
        mask = am.random.uniform((50,), seed=seed)
        return x * mask, lambda g: g * mask

    compiled = function(dropped)
    x = ops.ones(50)
    for _ in range(3):
        with GradientTape() as tape:
            tape.watch(x)
            y = compiled(x)
        np.testing.assert_array_equal(y, tape.gradient(y, x))


@eager_and_compiled
def test_in_the_body_of_a_scan(wrap):
    @custom_gradient
    def strange(x):
        e = ops.exp(x)
        return x * 2.0, lambda g: g * e

    def total(x):
        return ops.scan(lambda carry, x: (carry + strange(x), None), as_tensor(0.0), x)[0]

    x = as_tensor([0.0, 1.0])
    np.testing.assert_allclose(wrap(grad(total))(x), np.exp([0.0, 1.0]), rtol=1e-6)
    np.testing.assert_allclose(grad(wrap(total))(x), np.exp([0.0, 1.0]), rtol=1e-6)


@eager_and_compiled
def test_second_derivatives_go_through_what_the_backward_function_closes_over(wrap):
    @custom_gradient
    def log1pexp(x):
        e = ops.exp(x)
        return ops.log(1 + e), lambda g: g * (1 - 1 / (1 + e))

    s = 1 / (1 + np.exp(-0.5))
    for twice in (wrap(grad(grad(log1pexp))), grad(wrap(grad(log1pexp))), grad(grad(wrap(log1pexp)))):
        np.testing.assert_allclose(twice(as_tensor(0.5)), s * (1 - s), rtol=1e-5)


def scaled_by(w):
    @custom_gradient
    def scaled(x):
        def backward(g, variables):
            assert variables == [w]
            return g * 10.0, [g * 3.0]

        return x * w, backward

    return scaled


@eager_and_compiled
@pytest.mark.parametrize("compiled_inside", [False, True])
def test_gradients_of_variables(wrap, compiled_inside):
    w = Variable(2.0)
    scaled = scaled_by(w)
    scaled = function(scaled) if compiled_inside else scaled
    x = as_tensor(5.0)

    def both(x):
        with GradientTape() as tape:
            tape.watch(x)
            y = scaled(x) + w
        return [y, *tape.gradient(y, [x, w])]

    assert [float(t) for t in wrap(both)(x)] == [12.0, 10.0, 4.0]


def test_gradients_of_variables_alone():
    w = Variable(2.0)
    with GradientTape() as tape:
        y = scaled_by(w)(as_tensor(5.0))
    assert float(tape.gradient(y, w)) == 3.0


def forgetful(w):
    @custom_gradient
    def scaled(x):
        return x * w, lambda g: g * 100.0

    return scaled


@eager_and_compiled
def test_a_variable_that_the_backward_function_does_not_take(wrap):
    w = Variable(2.0, name="weight")
    scaled = forgetful(w)

    def slope(x):
        with GradientTape() as tape:
            y = scaled(x)
        return tape.gradient(y, w)

    with pytest.raises(TypeError, match=r"\[scaled\].*'weight'.*Fix: .*variables"):
        wrap(slope)(as_tensor(1.0))
    assert float(wrap(scaled)(as_tensor(3.0))) == 6.0  # no gradient is asked for
    assert float(grad(scaled)(as_tensor(3.0))) == 100.0  # the variable is not watched


def test_a_variable_that_the_backward_function_does_not_take_in_a_compiled_function():
    w = Variable(2.0, name="weight")
    compiled = function(forgetful(w))
    with GradientTape(), pytest.raises(TypeError, match=r"'weight'.*Fix: .*variables"):
        compiled(as_tensor(1.0))


def test_a_wrong_number_of_gradients_of_variables():
    w = Variable(2.0)

    @custom_gradient
    def scaled(x):
        return x * w, lambda g, variables: (g, [])

    with GradientTape() as tape:
        y = scaled(as_tensor(1.0))
    with pytest.raises(ValueError, match="each of the 1 variables.*Received: 0"):
        tape.gradient(y, w)


def test_a_symbolic_call_keeps_the_rule():
    @custom_gradient
    def strange(x):
        return x * 2.0, lambda g: g * 7.0

    inputs = am.layers.Input((3,))
    model = am.Model(inputs, strange(inputs))
    x = ops.ones((2, 3))
    with GradientTape() as tape:
        tape.watch(x)
        y = model(x)
    np.testing.assert_array_equal(y, 2 * np.ones((2, 3)))
    np.testing.assert_array_equal(tape.gradient(y, x), 7 * np.ones((2, 3)))


@eager_and_compiled
def test_several_results(wrap):
    @custom_gradient
    def two(x, y):
        return (x * y, x + y), lambda g1, g2: (g1 * 2.0 + g2, None)

    def slopes(x, y):
        with GradientTape() as tape:
            tape.watch([x, y])
            a, b = two(x, y)
            loss = a * 3.0 + b
        return tape.gradient(loss, [x, y], unconnected_gradients="zero")

    assert [float(g) for g in wrap(slopes)(as_tensor(1.0), as_tensor(2.0))] == [7.0, 0.0]
