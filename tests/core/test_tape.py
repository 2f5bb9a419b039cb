"""The tape: first and higher derivatives, structures, sources of all kinds, and what it refuses."""

import numpy as np
import pytest

import amalthea as am
from amalthea import ops
from amalthea.core.derivatives import grad, value_and_grad, vjp
from amalthea.core.function import function
from amalthea.core.tape import GradientTape
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.core.variable import Variable


def eager_and_compiled(test):
    """Run a test with the identity and with `am.function` around its computation."""
    return pytest.mark.parametrize("wrap", [lambda f: f, function], ids=["eager", "compiled"])(test)


@eager_and_compiled
def test_gradient_of_a_variable(wrap):
    v = Variable(3.0)

    def slope():
        with GradientTape() as tape:
            y = v * v
        return tape.gradient(y, v)

    assert float(wrap(slope)()) == 6.0


@eager_and_compiled
def test_a_watched_tensor_and_an_unwatched_one(wrap):
    def slopes(x, y):
        with GradientTape() as tape:
            tape.watch(x)
            z = x * y
        return tape.gradient(z, [x, y], unconnected_gradients="zero")

    gx, gy = wrap(slopes)(as_tensor(2.0), as_tensor(5.0))
    assert (float(gx), float(gy)) == (5.0, 0.0)


@eager_and_compiled
def test_nested_tapes_give_second_derivatives(wrap):
    def second(x):
        with GradientTape() as outer:
            outer.watch(x)
            with GradientTape() as inner:
                inner.watch(x)
                y = x * x * x
            first = inner.gradient(y, x)
        return outer.gradient(first, x)

    assert float(wrap(second)(as_tensor(2.0))) == 12.0


@eager_and_compiled
def test_a_persistent_tape_inside_its_own_context(wrap):
    def both(x):
        with GradientTape(persistent=True) as tape:
            tape.watch(x)
            y = x * x * x
            first = tape.gradient(y, x)
        return first, tape.gradient(first, x)

    first, second = wrap(both)(as_tensor(2.0))
    assert (float(first), float(second)) == (12.0, 12.0)


def test_structures_of_targets_and_sources():
    a, b = Variable(2.0, name="a"), Variable(3.0, name="b")
    with GradientTape() as tape:
        targets = {"x": a * b, "y": [a * a]}
    grads = tape.gradient(targets, {"a": a, "rest": (b,)})
    assert float(grads["a"]) == 3.0 + 4.0 and float(grads["rest"][0]) == 2.0


def test_an_intermediate_tensor_is_a_source():
    x = as_tensor(2.0)
    with GradientTape() as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    gy, gx = tape.gradient(z, [y, x])
    assert float(gy) == 8.0 and float(gx) == 32.0


def test_output_gradients_weigh_the_target():
    x = as_tensor([1.0, 2.0])
    with GradientTape() as tape:
        tape.watch(x)
        y = x * x
    np.testing.assert_allclose(tape.gradient(y, x, output_gradients=as_tensor([1.0, 10.0])), [2.0, 40.0])


def test_only_trainable_floating_variables_are_watched_by_themselves():
    frozen, counter, v = Variable(1.0, trainable=False), Variable(1, dtype="int32"), Variable(2.0)
    with GradientTape() as tape:
        y = frozen * v + ops.cast(counter, "float32")
    assert [w is v for w in tape.watched_variables()] == [True]
    assert tape.gradient(y, [frozen, v])[0] is None
    with GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(frozen)
        y = frozen * v
    assert [None if g is None else float(g) for g in tape.gradient(y, [frozen, v])] == [2.0, None]


def test_stop_recording_and_reset():
    x = as_tensor(2.0)
    with GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        with tape.stop_recording():
            z = y * y
    assert tape.gradient(z, x) is None
    assert float(tape.gradient(y, x)) == 4.0
    tape.reset()
    assert tape.gradient(y, x) is None


def test_assigning_cuts_the_gradient():
    v = Variable(2.0)

    def slope():
        with GradientTape() as tape:
            v.assign(v * v)
            y = v * 3.0
        return tape.gradient(y, v)

    eager = float(slope())
    v.assign(2.0)
    assert eager == float(function(slope)()) == 3.0


@eager_and_compiled
def test_jacobians(wrap):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(3, 4)).astype("float32")

    def jacobian(x):
        with GradientTape() as tape:
            tape.watch(x)
            y = ops.matmul(as_tensor(matrix), ops.reshape(x, (4, 1)))
        return tape.jacobian(y, x)

    np.testing.assert_allclose(wrap(jacobian)(as_tensor(np.ones(4, "float32"))), matrix[:, None, :], rtol=1e-6)

    def batch(x):
        with GradientTape() as tape:
            tape.watch(x)
            y = x * x
        return tape.batch_jacobian(y, x)

    x = rng.normal(size=(5, 3)).astype("float32")
    want = np.stack([np.diag(2 * row) for row in x])
    np.testing.assert_allclose(wrap(batch)(as_tensor(x)), want, rtol=1e-6)


def test_a_second_gradient_of_a_tape_that_is_not_persistent():
    v = Variable(1.0)
    with GradientTape() as tape:
        y = v * v
    tape.gradient(y, v)
    with pytest.raises(ValueError, match=r"gives gradients once.*Fix: .*persistent=True"):
        tape.gradient(y, v)


@pytest.mark.parametrize(
    "mistake, message",
    [
        (lambda t, v: t.watch(as_tensor(1)), r"only floating tensors have gradients. Received: dtype int32"),
        (lambda t, v: t.watch(3.0), r"only tensors and variables can be watched. Received: float"),
        (lambda t, v: t.gradient(3.0, v), r"the target of a gradient is a tensor. Received: float"),
        (lambda t, v: t.gradient(v * 1.0, 3.0), r"a source of a gradient is a tensor or a variable. Received: float"),
        (lambda t, v: t.gradient(v * 1.0, v, unconnected_gradients="maybe"), r"'none' or 'zero'"),
        (lambda t, v: t.gradient(v * 1.0, v, output_gradients=[1.0, 2.0]), r"gradient \(2,\), target \(\)"),
        (lambda t, v: t.gradient(ops.cast(v, "int32"), v), r"only a floating target"),
    ],
)
def test_mistakes(mistake, message):
    v = Variable(2.0)
    with GradientTape() as tape, pytest.raises((ValueError, TypeError), match=message):
        mistake(tape, v)


def test_grad_value_and_grad_vjp():
    assert float(grad(lambda x, y: x * y, argnums=1)(2.0, 3.0)) == 2.0
    value, (gx, gy) = value_and_grad(lambda x, y: x * y * y, argnums=(0, 1))(2.0, 3.0)
    assert (float(value), float(gx), float(gy)) == (18.0, 9.0, 12.0)
    x = as_tensor(2.0)
    gx, gy = grad(lambda x, y: x * y * y, argnums=(0, 1))(x, x)
    assert (float(gx), float(gy)) == (4.0, 8.0)
    assert float(grad(grad(lambda x: x * x * x))(2.0)) == 12.0
    assert float(function(grad(grad(lambda x: x * x * x)))(as_tensor(2.0))) == 12.0
    value, aux = value_and_grad(lambda x: (x * x, "aux"), has_aux=True)(2.0)[0]
    assert float(value) == 4.0 and aux == "aux"
    y, pull = vjp(lambda x: x * x, as_tensor([1.0, 2.0]))
    np.testing.assert_allclose(pull(as_tensor([1.0, 1.0]))[0], [2.0, 4.0])
    with pytest.raises(ValueError, match="must return a scalar"):
        grad(lambda x: x)(as_tensor([1.0, 2.0]))


def test_a_tape_differentiates_through_a_compiled_function():
    v = Variable([1.0, 2.0])
    x = as_tensor([3.0, 4.0])

    @function
    def loss(x):
        return {"loss": ops.sum(ops.exp(v * 0.1) * x), "other": ops.cast(x, "int32")}

    with GradientTape() as tape:
        tape.watch(x)
        result = loss(x)
    gv, gx = tape.gradient(result["loss"], [v, x])
    np.testing.assert_allclose(gv, 0.1 * np.exp([0.1, 0.2]) * [3, 4], rtol=1e-6)
    np.testing.assert_allclose(gx, np.exp([0.1, 0.2]), rtol=1e-6)


def test_second_derivatives_through_a_compiled_function():
    cube = function(lambda x: x * x * x)
    x = as_tensor(2.0)
    with GradientTape() as outer:
        outer.watch(x)
        with GradientTape() as inner:
            inner.watch(x)
            y = cube(x)
        first = inner.gradient(y, x)
    assert float(outer.gradient(first, x)) == 12.0


def test_autocast_gradients_come_back_in_the_variables_dtype():
    from amalthea.core.context import autocast_scope

    v = Variable([1.0, 2.0])
    with GradientTape() as tape:
        with autocast_scope("bfloat16"):
            y = v * 2.0
        assert y.dtype == "bfloat16"
    g = tape.gradient(y, v)
    assert isinstance(g, Tensor) and g.dtype == "float32"


def test_top_level_names():
    for name in (
        "GradientTape",
        "grad",
        "value_and_grad",
        "vjp",
        "custom_gradient",
        "stop_gradient",
        "function",
        "trace",
    ):
        assert callable(getattr(am, name))


@eager_and_compiled
def test_jacobians_of_nothing(wrap):
    other = Variable(1.0)

    def jacobians(x):
        with GradientTape() as tape:
            tape.watch(x)
            y = ops.reshape(x, (2, 3))[:, :0] * 2.0
        return tape.jacobian(y, {"x": x, "other": other}, unconnected_gradients="zero")

    found = wrap(jacobians)(as_tensor(np.ones(6, "float32")))
    assert found["x"].shape == (2, 0, 6) and found["x"].dtype == "float32"
    assert found["other"].shape == (2, 0)


def test_a_jacobian_of_nothing_with_respect_to_what_it_does_not_depend_on():
    x, z = as_tensor([1.0]), as_tensor([1.0])
    with GradientTape() as tape:
        tape.watch([x, z])
        y = x[:0] * 1.0
    assert tape.jacobian(y, z) is None


def test_output_gradients_as_numbers():
    x = as_tensor([1.0, 2.0])
    for target, seeds in (
        (lambda x: x * x, [1.0, 10.0]),
        (lambda x: x * x, (1.0, 10.0)),
        (lambda x: x * x, [as_tensor([1.0, 10.0])]),
        (lambda x: [x * x], [[1.0, 10.0]]),
        (lambda x: [x[0] * x[0], x[1] * x[1]], [1.0, 10.0]),
        (lambda x: {"a": x * x}, {"a": np.array([1.0, 10.0])}),
    ):
        with GradientTape() as tape:
            tape.watch(x)
            y = target(x)
        np.testing.assert_allclose(tape.gradient(y, x, output_gradients=seeds), [2.0, 40.0])
    with GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
    np.testing.assert_allclose(tape.gradient(y, x, output_gradients=[1.0, 1.0]), [2.0, 4.0])
    with pytest.raises(ValueError, match="shape of its target"):
        tape.gradient(y, x, output_gradients=[1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="structure of target"):
        tape.gradient([y, y], x, output_gradients=[1.0, 1.0, 1.0])


def test_an_integer_target_among_floating_ones():
    x = as_tensor([1.0, 2.0])
    with GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        n = ops.cast(y, "int32")
    np.testing.assert_allclose(tape.gradient([n, y], x), [2.0, 4.0])
    with pytest.raises(ValueError, match="only a floating target has gradients.*Fix:"):
        tape.gradient(n, x)


def test_a_loop_without_a_bound_names_while_loop():
    def slope(x):
        with GradientTape() as tape:
            tape.watch(x)
            y = ops.while_loop(lambda y: y < 10.0, lambda y: (y * 2.0,), (x,))[0]
        return tape.gradient(y, x)

    with pytest.raises(ValueError, match=r"^\[gradient of while_loop\]"):
        function(slope)(as_tensor(1.0))
