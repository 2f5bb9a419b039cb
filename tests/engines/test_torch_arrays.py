"""Tensors of PyTorch in with one copy, as their owner may change them, and out without any."""

import numpy as np
import pytest
import torch

import amalthea as am


@pytest.fixture(autouse=True)
def on_torch():
    with am.backend_scope("torch"):
        yield


@pytest.fixture
def theirs():
    return torch.arange(1000, dtype=torch.float32) + 1


def copies_in(call):
    """How many copies torch makes in a call."""
    with torch.profiler.profile() as profile:
        call()
    return [event.name for event in profile.events()].count("aten::copy_")


def refused(*args, **kwargs):
    raise AssertionError("copied through NumPy")


def test_a_result_is_seen_by_torch_numpy_and_dlpack_where_it_lies(theirs):
    tensor = am.ops.convert_to_tensor(theirs) + 1
    at = tensor._array.data_ptr()
    assert tensor.numpy().ctypes.data == at and np.asarray(tensor).ctypes.data == at
    assert torch.from_dlpack(tensor).data_ptr() == at
    assert torch.utils.dlpack.from_dlpack(tensor).data_ptr() == at
    assert np.from_dlpack(tensor).ctypes.data == at


def test_the_results_of_functions_and_layers_are_too(theirs):
    layer = am.layers.Dense(3, activation="relu")
    x = am.ops.convert_to_tensor(theirs.reshape(100, 10))
    for tensor in (am.function(lambda x: x * 2.0)(x), layer(x), am.function(layer)(x), layer.kernel.value):
        assert torch.from_dlpack(tensor).data_ptr() == tensor._array.data_ptr() == tensor.numpy().ctypes.data
        assert not torch.from_dlpack(tensor).requires_grad


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int8", "int64", "uint8", "bool"])
def test_every_dtype_goes_out_where_it_lies(theirs, dtype):
    tensor = am.ops.cast(am.ops.convert_to_tensor(theirs), dtype)
    found = torch.from_dlpack(tensor)
    assert found.dtype == getattr(torch, dtype) and found.data_ptr() == tensor._array.data_ptr()
    assert tensor.numpy().ctypes.data == tensor._array.data_ptr()


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1, 7)])
def test_tensors_of_every_shape_go_in_and_out(shape):
    mine = torch.full(shape, torch.nan)
    found = torch.from_dlpack(am.ops.convert_to_tensor(mine))
    assert found.shape == mine.shape and found.dtype == mine.dtype and bool(found.isnan().all())


def test_views_go_out_as_views(theirs):
    x = am.ops.convert_to_tensor(theirs.reshape(100, 10))
    turned = am.ops.transpose(x)
    assert torch.from_dlpack(turned).data_ptr() == x._array.data_ptr() == turned.numpy().ctypes.data
    np.testing.assert_array_equal(torch.from_dlpack(turned), x.numpy().T)


def test_a_tensor_goes_in_with_one_copy_and_not_through_numpy(theirs, monkeypatch):
    twice = am.function(lambda x: x * 2.0)
    want = theirs.numpy() * 2
    twice(theirs)  # traces
    am.ops.multiply(theirs, 2.0)  # and keeps the tensor of 2.0
    tensor = am.ops.convert_to_tensor(theirs)
    monkeypatch.setattr(np, "array", refused)
    monkeypatch.setattr(np, "asarray", refused)
    copies = [copies_in(lambda f=f: f(theirs)) for f in (twice, lambda x: am.ops.multiply(x, 2.0))]
    inside = [copies_in(lambda f=f: f(tensor)) for f in (twice, lambda x: am.ops.multiply(x, 2.0))]
    found = [twice(theirs), am.ops.multiply(theirs, 2.0)]
    monkeypatch.undo()
    assert copies == [1, 1] and inside == [0, 0]
    for tensor in found:
        np.testing.assert_array_equal(tensor, want)


def test_a_parameter_that_torch_trains_is_left_alone(theirs):
    parameter = torch.nn.Parameter(theirs.clone())
    variable = am.Variable(parameter)
    variable.assign_add(am.ops.ones((1000,)))
    am.function(lambda: variable.assign(variable * 2.0))()
    np.testing.assert_array_equal(parameter.detach(), theirs)
    np.testing.assert_array_equal(variable, (theirs.numpy() + 1) * 2)
    assert not torch.from_dlpack(am.ops.multiply(parameter, 1.0)).requires_grad


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_fit_takes_tensors_of_torch_as_it_takes_arrays(engine):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 4)).astype("float32"), rng.normal(size=(64, 1)).astype("float32")

    def losses(*data):
        am.utils.set_random_seed(0)
        model = am.Sequential([am.layers.Input((4,)), am.layers.Dense(1)])
        model.compile("sgd", "mse")
        found = model.fit(*data, epochs=3, verbose=0).history["loss"]
        return [*found, model.evaluate(*data, verbose=0), *model.predict(data[0], verbose=0).ravel()]

    with am.backend_scope(engine):
        np.testing.assert_array_equal(losses(torch.tensor(x), torch.tensor(y)), losses(x, y))
