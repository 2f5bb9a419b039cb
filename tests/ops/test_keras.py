"""Ops that Keras has too: the same signature, and the same results on the sample calls."""

import inspect

import keras
import numpy as np
import pytest

import amalthea.ops as ops
from amalthea.core import tree
from amalthea.core.op import registry
from amalthea.core.tensor import Tensor
from tests.oracle import keras_dtypes

PUBLIC = sorted(n for n in vars(ops) if not n.startswith("_") and hasattr(keras.ops, n) and callable(getattr(ops, n)))


def parameters(function):
    return [(p.name, p.default, p.kind) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", PUBLIC)
def test_signature(name):
    ours, theirs = parameters(getattr(ops, name)), parameters(getattr(keras.ops, name))
    assert ours[: len(theirs)] == theirs
    assert all(default is not inspect.Parameter.empty for _, default, _ in ours[len(theirs) :])


# What Keras itself does not compute as defined: `sparsemax` adds up cumulative sums (its rows do not sum to 1);
# the values of `empty` mean nothing.
INCOMPARABLE = ("sparsemax", "empty", "empty_like")


def cases():
    for name in PUBLIC:
        function = getattr(ops, name)
        if not hasattr(function, "op") or name in INCOMPARABLE:
            continue
        for i, (args, kwargs) in enumerate(function.op.samples()):
            yield pytest.param(name, args, kwargs, id=f"{name}-{i}")


def narrow(x):
    """float64 as float32: what JAX computes in by default."""
    if isinstance(x, (list, tuple)) and any(isinstance(item, np.ndarray) for item in x):
        return [narrow(item) for item in x]
    if isinstance(x, str) and x == "float64":
        return "float32"
    if isinstance(x, (np.ndarray, np.generic)):
        return np.asarray(x, "float32") if x.dtype == np.float64 else np.asarray(x)
    return x


def as_array(x):
    """A list as Keras should get it where it wants an array."""
    return keras.ops.convert_to_tensor(x) if isinstance(x, (list, tuple, np.ndarray)) else x


@pytest.mark.parametrize(("name", "args", "kwargs"), list(cases()))
def test_value_and_dtype(name, args, kwargs):
    op = getattr(ops, name).op
    bound = {key: narrow(value) for key, value in op.bind(tuple(args), dict(kwargs)).items()}
    got = [t for t in tree.flatten(getattr(ops, name)(**bound)) if isinstance(t, Tensor)]
    theirs = dict(bound)
    with keras_dtypes():
        for key in op.tensors:
            if key in op.variadic:
                theirs[key] = [as_array(x) for x in bound[key]]
            else:
                theirs[key] = as_array(bound[key])
    if "pool_size" in theirs and theirs["strides"] is None:
        theirs["strides"] = theirs["pool_size"]  # Keras' default strides fail on JAX for a tuple pool_size
    with keras_dtypes():
        expected = keras.ops.__dict__[name](**theirs)
    expected = [np.asarray(t) for t in tree.flatten(expected) if hasattr(t, "dtype")]
    assert len(got) == len(expected)
    for mine, yours in zip(got, expected, strict=True):
        assert mine.shape == yours.shape
        assert mine.dtype == str(yours.dtype)
        a, b = mine.numpy(), yours
        if a.dtype.kind in "biu":
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a.astype("float64"), b.astype("float64"), rtol=2e-5, atol=2e-6)


def test_registry_is_covered():
    shared = [n for n in registry if hasattr(keras.ops, n)]
    assert set(shared) <= set(PUBLIC)
