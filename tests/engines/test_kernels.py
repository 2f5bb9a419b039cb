"""Every op's sample calls on every engine give what the reference gives, op by op and as a compiled program."""

import numpy as np
import pytest

import amalthea as am
from amalthea.core import tree
from amalthea.core.backend import active
from amalthea.core.function import function as compiled
from amalthea.core.tensor import Tensor
from tests.ops.sampling import sample_calls, with_tensors

ENGINES = ("jax", "torch", "tensorflow")


def numbers(structure):
    return [leaf.numpy() if isinstance(leaf, Tensor) else leaf for leaf in tree.flatten(structure)]


def assert_same(got, want):
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        if isinstance(b, np.ndarray):
            assert a.dtype == b.dtype and a.shape == b.shape
            small = b.dtype.itemsize <= 2 and b.dtype.kind not in "iub"
            tolerance = 2e-2 if small else 2e-6 if b.dtype == np.float32 else 1e-10
            np.testing.assert_allclose(a.astype("float64"), b.astype("float64"), rtol=tolerance, atol=tolerance)
        else:
            assert a == b


def cases():
    return [pytest.param(f, bound, id=name) for name, f, bound in sample_calls()]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("function", "bound"), cases())
def test_samples(function, bound, engine):
    with am.backend_scope("numpy"):
        want = numbers(function(**with_tensors(function.op, bound)))
    with am.backend_scope(engine):
        found = function(**with_tensors(function.op, bound))
        assert all(isinstance(t._array, active.array_type) for t in tree.flatten(found) if isinstance(t, Tensor))
        assert_same(numbers(found), want)
        if function.op.kind == "primitive":  # what bodies are made of
            again = compiled(lambda: function(**with_tensors(function.op, bound)))
            assert_same(numbers(again()), want)
