"""A backend may have its own kernel for a composite: used wherever the body would be, and nothing else changes."""

import numpy as np
import pytest

from amalthea import ops
from amalthea.core.backend import active, backend_scope
from amalthea.core.function import function
from amalthea.core.registry import registry
from amalthea.core.tape import GradientTape
from amalthea.core.tensor import as_tensor

X = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")


@pytest.fixture
def calls(monkeypatch):
    with backend_scope(active.backend.name if active.array_type is np.ndarray else "numpy"):  # the kernel is NumPy's
        yield from kernel_calls(monkeypatch)


def kernel_calls(monkeypatch):
    made = []

    def softmax(x, axis=-1):
        made.append(axis)
        e = np.exp(x - x.max(axis, keepdims=True))
        return e / e.sum(axis, keepdims=True)

    for table in (active.kernels, active.backend.bare_kernels):
        monkeypatch.setitem(table, "softmax", softmax)
    yield made


def test_it_is_used_eagerly_and_compiled(calls):
    want = np.exp(X) / np.exp(X).sum(-1, keepdims=True)
    for run in (ops.softmax, function(lambda x: ops.softmax(x))):
        np.testing.assert_allclose(run(as_tensor(X)), want, rtol=1e-6)
    assert calls == [-1, -1]


def test_a_tensor_that_is_given_twice_is_passed_twice(calls, monkeypatch):
    taken = []

    def layer_normalization(x, *rest, **static):
        taken.append([x, *rest])
        return x

    monkeypatch.setitem(active.kernels, "layer_normalization", layer_normalization)
    op = registry["layer_normalization"].op
    op._calls.clear()
    x, y = as_tensor(np.zeros(3, "float32")), as_tensor(np.ones(3, "float32"))
    for args in ((x, x, y), (x, x, x)):
        for _ in range(2):
            ops.layer_normalization(*args)
    seen = [[int(array[0]) for array in arrays] for arrays in taken]
    assert seen == [[0, 0, 1]] * 2 + [[0, 0, 0]] * 2
    assert sorted(places for places, *_ in op._calls.values()) == [[0, 1, 2]]


def slopes():
    def slope(x):
        with GradientTape() as tape:
            tape.watch(x)
            y = ops.sum(ops.softmax(x) ** 2)
        return tape.gradient(y, x)

    return slope(as_tensor(X)), function(slope)(as_tensor(X))


WANT = slopes()[0]


def test_gradients_are_those_of_the_op(calls):
    for got in slopes():
        np.testing.assert_allclose(got, WANT, rtol=1e-5, atol=1e-7)
    assert len(calls) == 2


def test_shapes_are_checked_before_it_is_called(calls):
    with pytest.raises(ValueError, match=r"\[softmax\]"):
        ops.softmax(as_tensor(X), axis=5)
    assert not calls


@pytest.mark.parametrize("n", [0, 1, 5, 40_000])
def test_threefry_is_its_body(n):
    op = registry["threefry2x32"].op
    key, low = as_tensor(np.array([3, 2**32 - 1], np.uint32)), as_tensor(np.arange(n, dtype=np.uint32) * 77777)
    high = as_tensor(np.array([9], np.uint32))
    for got, want in zip(op(key, low, high), op.function(key, low, high), strict=True):
        np.testing.assert_array_equal(got, want)
