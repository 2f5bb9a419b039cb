"""Arrays of JAX in and out without a copy."""

import jax
import numpy as np
import pytest

import amalthea as am


@pytest.fixture(autouse=True)
def on_jax():
    with am.backend_scope("jax"):
        yield


@pytest.fixture
def array():
    return jax.numpy.arange(1000, dtype="float32") + 1


def address(array):
    return array.unsafe_buffer_pointer()


def test_an_array_is_taken_as_it_is(array):
    assert address(am.ops.convert_to_tensor(array)._array) == address(array)
    assert address(am.Variable(array).value._array) == address(array)


def test_a_tensor_is_seen_by_numpy_and_dlpack_where_it_lies(array):
    tensor = am.ops.convert_to_tensor(array) + 1
    at = address(tensor._array)
    assert np.asarray(tensor).ctypes.data == at and tensor.numpy().ctypes.data == at
    assert address(jax.dlpack.from_dlpack(tensor)) == at
    assert np.from_dlpack(tensor).ctypes.data == at


def test_ops_and_functions_copy_nothing_on_the_way_in(array, monkeypatch):
    @am.function
    def double(x):
        return x * 2.0

    want = np.asarray(array) * 2
    double(array)  # traces
    am.ops.multiply(array, 2.0)  # and keeps the tensor of 2.0
    monkeypatch.setattr(np, "array", refused)
    monkeypatch.setattr(np, "asarray", refused)
    found = [am.ops.multiply(array, 2.0), double(array)]
    monkeypatch.undo()
    for tensor in found:
        np.testing.assert_array_equal(tensor, want)


def refused(*args, **kwargs):
    raise AssertionError("copied through NumPy")


def test_a_variable_made_of_a_users_array_leaves_it_alone():
    mine = jax.numpy.zeros((100, 100), "float32")
    variable = am.Variable(mine)

    @am.function
    def step():
        variable.assign_add(1.0)

    for _ in range(3):
        step()
    np.testing.assert_array_equal(mine, np.zeros((100, 100)))
    np.testing.assert_array_equal(variable, np.full((100, 100), 3.0))


def test_zero_by_zero_is_nan_whatever_it_was_made_of():
    def normalised(x):
        x = am.ops.cast(x, "float32")
        return x / am.ops.sum(x, axis=-1, keepdims=True)

    for dtype in ("bool", "int8", "int32", "float32"):
        x = am.ops.convert_to_tensor(np.array([[1, 0], [0, 0]], dtype))
        for function in (normalised, am.function(normalised)):
            np.testing.assert_array_equal(function(x), [[1, 0], [np.nan, np.nan]])


def test_fit_takes_arrays_of_jax():
    x = jax.numpy.ones((64, 4))
    model = am.Sequential([am.layers.Input((4,)), am.layers.Dense(1)])
    model.compile("sgd", "mse")
    losses = model.fit(x, x[:, :1], epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "bool"])
def test_large_arrays_of_numpy_are_copied_once_and_never_shared(dtype, monkeypatch):
    rows = np.arange(3 << 20).reshape(3, -1)[:, ::2] % 7  # not contiguous
    given = rows.astype(am.core.dtypes.to_numpy(dtype))
    with monkeypatch.context() as patch:
        patch.setattr(jax.numpy, "asarray", refused)
        tensor = am.core.backend.active.backend.to_array(given)
        wide = am.core.backend.active.backend.to_array(rows, np.dtype("float32"))
    want = given.copy()
    given[...] = 1
    np.testing.assert_array_equal(np.asarray(tensor), want)
    np.testing.assert_array_equal(np.asarray(wide), rows.astype("float32"))
    assert tensor.dtype == want.dtype and address(tensor) % 64 == 0


def test_a_large_array_of_the_other_byte_order_is_converted():
    given = np.arange(1 << 18, dtype=">f8")
    np.testing.assert_array_equal(am.core.backend.active.backend.to_array(given, np.dtype("float64")), given)


def test_state_made_of_a_large_array_is_updated_by_programs():
    given = np.random.default_rng(0).normal(size=(1 << 19,)).astype("float32")
    variable = am.Variable(given)
    double = am.function(lambda: variable.assign(variable * 2))
    for _ in range(3):
        double()
    np.testing.assert_array_equal(variable.numpy(), given * 8)
