"""Every op on torch reads tensors whose elements lie apart, or are one element many times over, as their values say."""

import numpy as np
import pytest
import torch

import amalthea as am
from amalthea.core import tree
from amalthea.core.function import function as compiled
from amalthea.core.tensor import Tensor, wrap
from tests.engines.test_kernels import assert_same, numbers
from tests.ops.sampling import sample_calls, with_tensors


def apart(array):
    """The same values with a gap behind each."""
    room = torch.zeros((*array.shape, 2), dtype=array.dtype)
    room[..., 0] = array
    return room[..., 0]


def one(array):
    """The first value everywhere, once in memory."""
    return array.reshape(-1)[:1].reshape((1,) * array.ndim).expand(array.shape)


def changed(bound, form, small):
    """The arguments with all floating tensors in that form, or only those smaller than the largest."""
    sizes = [x._array.numel() for x in tree.flatten(bound) if isinstance(x, Tensor)]

    def leaf(x):
        if not isinstance(x, Tensor) or not x._array.is_floating_point() or not x._array.numel():
            return x
        return wrap(form(x._array)) if not small or x._array.numel() < max(sizes) else x

    return tree.map_structure(leaf, bound)


@pytest.mark.parametrize(("form", "small"), [(apart, False), (one, False), (one, True)])
@pytest.mark.parametrize(
    ("function", "bound"),
    [pytest.param(f, bound, id=name) for name, f, bound in sample_calls()],
)
def test_samples(function, bound, form, small):
    with am.backend_scope("torch"):
        given = changed(with_tensors(function.op, bound), form, small)
        plain = tree.map_structure(lambda x: x.numpy() if isinstance(x, Tensor) else x, given)
        found = numbers(function(**given))
        again = numbers(compiled(lambda: function(**given))())
    with am.backend_scope("numpy"):
        want = numbers(
            function(**tree.map_structure(lambda x: am.Tensor(x) if isinstance(x, np.ndarray) else x, plain))
        )
    assert_same(found, want)
    assert_same(again, want)


def test_a_fresh_scale_of_batch_normalization_trains():
    """Its ones are one number in memory at first, which torch's own kernel reads past."""
    found = []
    for backend in ("torch", "numpy"):
        with am.backend_scope(backend):
            am.utils.set_random_seed(5)
            layers = [am.Input((6,)), am.layers.Dense(8), am.layers.BatchNormalization(), am.layers.Dense(3)]
            model = am.Sequential(layers)
            model.compile(am.optimizers.SGD(0.5), "mse")
            x = np.random.default_rng(3).normal(size=(8, 6)).astype("float32")
            model.train_on_batch(x, x[:, :3])
            found.append([w.numpy() for w in model.weights])
    for got, want in zip(*found, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
