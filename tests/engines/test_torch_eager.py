"""Ops called one by one on torch: what its own functions compute at once, on the values that differ between engines."""

import numpy as np
import pytest

import amalthea as am

DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64"),
)
SPECIAL = [np.nan, np.inf, -np.inf, -0.0, 0.0, -1.5, 1.5]


def on_both(call, *arrays, dtype):
    """The results on the reference and on torch, and what torch's became."""
    found = []
    for backend in ("numpy", "torch"):
        with am.backend_scope(backend):
            found.append(call(*[am.ops.cast(am.ops.convert_to_tensor(x), dtype) for x in arrays]))
    assert found[0].dtype == found[1].dtype and found[0].shape == found[1].shape
    return [tensor.numpy().astype("float64") for tensor in found]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (7,), (2, 3)])
def test_relu_of_every_dtype(dtype, shape):
    x = np.random.default_rng(0).integers(0 if dtype.startswith("u") else -3, 4, shape)
    want, got = on_both(am.ops.relu, x, dtype=dtype)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_relu_and_its_gradient_where_numbers_end(dtype):
    def gradient(x):
        with am.GradientTape() as tape:
            tape.watch(x)
            y = am.ops.relu(x)
        return tape.gradient(y, x)

    for call in (am.ops.relu, am.function(am.ops.relu)):
        want, got = on_both(call, np.array(SPECIAL), dtype=dtype)
        np.testing.assert_array_equal(got, want)
    for call in (gradient, am.function(gradient)):
        want, got = on_both(call, np.array(SPECIAL[1:]), dtype=dtype)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "inner", "columns"), [(2, 3, 5), (1, 1, 1), (0, 3, 2), (2, 0, 3), (2, 3, 0)])
def test_products_of_matrices_of_every_dtype(dtype, rows, inner, columns):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 3, (rows, inner)), rng.integers(0, 3, (inner, columns))
    want, got = on_both(am.ops.matmul, x, y, dtype=dtype)
    np.testing.assert_array_equal(got, want)


def test_products_of_matrices_pass_on_what_is_no_number():
    x = np.array([[np.nan, 1.0], [np.inf, 1.0], [1.0, 1.0]])
    want, got = on_both(am.ops.matmul, x, np.eye(2), dtype="float32")
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("call", "shape"),
    [
        (lambda x: am.ops.transpose(x), ()),
        (lambda x: am.ops.transpose(x, (2, 0, 1)), (2, 0, 3)),
        (lambda x: am.ops.transpose(x, (1, 0)), (5, 7)),
        (lambda x: am.ops.reshape(x, ()), (1, 1)),
        (lambda x: am.ops.reshape(x, (0, 4)), (2, 0)),
        (lambda x: am.ops.reshape(am.ops.transpose(x), (-1,)), (5, 7)),
        (lambda x: am.ops.broadcast_to(x, (2, 0)), (1, 0)),
        (lambda x: am.ops.broadcast_to(x, ()), ()),
        (lambda x: am.ops.broadcast_to(x, (3, 2, 5)), (2, 1)),
    ],
)
def test_elements_that_only_move(call, shape):
    x = np.random.default_rng(0).normal(size=shape)
    for form in (call, am.function(call)):
        want, got = on_both(form, x, dtype="float32")
        np.testing.assert_array_equal(got, want)


def test_a_composite_with_a_kernel_is_recorded_by_tapes_as_ever():
    x = np.array([[-1.0, 0.5, 2.0]])

    def gradient(x):
        with am.GradientTape() as outer:
            outer.watch(x)
            with am.GradientTape() as tape:
                tape.watch(x)
                y = am.ops.sum(am.ops.softmax(am.ops.relu(x)) ** 2)
            first = tape.gradient(y, x)
            total = am.ops.sum(first**2)
        return outer.gradient(total, x)

    want, got = on_both(gradient, x, dtype="float64")
    np.testing.assert_allclose(got, want, rtol=1e-10)
