"""Every differentiable op: its gradient, and the gradient of its gradient, against central differences in float64."""

import numpy as np
import pytest

from amalthea.core import dtypes, tree
from amalthea.core.derivatives import grad
from amalthea.core.op import nondifferentiable
from amalthea.core.tensor import as_tensor
from tests.ops.sampling import float_inputs, sample_calls

STEP = 1e-5
NO_REVERSE = ("loop",)  # a traced loop without a bound refuses a gradient, which the tests of control flow check


def cases():
    return [
        pytest.param(function, bound, id=name)
        for name, function, bound in sample_calls()
        if function.op.gradient is not nondifferentiable
        and function.op.name not in NO_REVERSE
        and float_inputs(function.op, bound)[0]
    ]


def inputs_of(function, bound):
    """(the float64 inputs, a function of them alone that gives one number)."""
    inputs, fill = float_inputs(function.op, bound)

    def scalar(*values):
        outputs = tree.flatten(function(**fill(values)))
        return weighted([t for t in outputs if hasattr(t, "dtype") and dtypes.is_floating(t.dtype)])

    return inputs, scalar


def weighted(tensors):
    """A sum with fixed, irregular weights, so that no part of a gradient can cancel out."""
    total = as_tensor(0.0, "float64")
    for n, t in enumerate(tensors):
        size = int(np.prod(t.shape))
        weights = 0.5 + np.modf(np.arange(1, size + 1) * 0.7548776662 + n * 0.3)[0]
        total = total + (t.astype("float64") * weights.reshape(t.shape)).sum()
    return total


def differences(function, inputs):
    """Central differences of a function that gives one number."""
    found = []
    for k, x in enumerate(inputs):
        slope = np.zeros_like(x)
        for index in np.ndindex(x.shape):
            ends = []
            for sign in (1, -1):
                moved = [np.array(v) for v in inputs]
                moved[k][index] += sign * STEP
                ends.append(function(*moved).item())
            slope[index] = (ends[0] - ends[1]) / (2 * STEP)
        found.append(slope)
    return found


def gradients(function, inputs):
    tensors = [as_tensor(x) for x in inputs]
    found = grad(function, argnums=tuple(range(len(inputs))))(*tensors)
    return [np.zeros_like(x) if g is None else g.numpy() for g, x in zip(found, inputs, strict=True)]


def check(function, inputs, tolerance):
    expected = differences(function, inputs)
    for got, wanted, x in zip(gradients(function, inputs), expected, inputs, strict=True):
        assert got.shape == x.shape and got.dtype == x.dtype
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("function", "bound"), cases())
def test_gradient(function, bound):
    inputs, scalar = inputs_of(function, bound)
    check(scalar, inputs, 2e-6)


@pytest.mark.parametrize(("function", "bound"), cases())
def test_second_order(function, bound):
    inputs, scalar = inputs_of(function, bound)
    slopes = grad(scalar, argnums=tuple(range(len(inputs))))

    def slope(*values):
        parts = [g for g in slopes(*[as_tensor(v) for v in values]) if g is not None]
        return weighted(parts)

    check(slope, inputs, 2e-5)
