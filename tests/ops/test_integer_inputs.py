"""Ops of floating result on integers and bools: they compute what they do on the same numbers as floats."""

import keras
import numpy as np
import pytest

import amalthea.ops as ops
from amalthea.core import tree
from amalthea.core.errors import DTypeError
from amalthea.core.op import registry
from amalthea.core.tensor import Tensor
from tests.ops.sampling import sample_calls
from tests.oracle import keras_dtypes

DTYPES = ("int8", "uint8", "int32", "bool")
FUNCTIONS = "arcsin arccos arctan arcsinh arccosh arctanh sinh cosh tan".split()
NUMBERS = {
    "int8": [127, 2, -128, 1, 0, -1],
    "uint8": [0, 1, 2, 255],
    "int32": [50000, 2, -50000, 1, 0, -1],
    "bool": [True, False],
}


def is_float(x):
    return isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind == "f"


def replaced(x, made):
    """x, or the list x, with every floating array replaced."""
    if isinstance(x, (list, tuple)) and any(is_float(item) for item in x):
        return [replaced(item, made) for item in x]
    return made(np.asarray(x)) if is_float(x) else x


def extremes(dtype, seed):
    """Makes arrays of integers of every size (int32: of sizes whose squares do not fit it)."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return lambda x: rng.integers(0, 2, x.shape).astype(bool)
    info = np.iinfo(dtype)
    low, high = (-70000, 70000) if dtype == "int32" else (info.min, info.max)
    return lambda x: rng.integers(low, high, x.shape, endpoint=True).astype(dtype)


def tensors(result):
    return [t for t in tree.flatten(result) if isinstance(t, Tensor)]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NaN and infinity are right for many of these numbers
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("function", "bound"), [pytest.param(f, b, id=name) for name, f, b in sample_calls()])
def test_as_floats(function, bound, dtype):
    if bound.get("dtype"):
        return
    make = extremes(dtype, 0)
    integers = {name: replaced(x, make) for name, x in bound.items()}
    make = extremes(dtype, 0)
    floats = {name: replaced(x, lambda x: make(x).astype("float32")) for name, x in bound.items()}
    try:
        expected = tensors(function(**floats))
        got = tensors(function(**integers))
    except (DTypeError, ValueError):
        return  # ops that do not take such numbers have their own tests
    for a, b in zip(got, expected, strict=True):
        if a.dtype.is_floating:
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(name, dtype):
    x = np.array(NUMBERS[dtype], dtype)
    got = getattr(ops, name)(x)
    assert got.dtype == "float32"
    np.testing.assert_allclose(got, getattr(np, name)(x.astype("float32")), rtol=1e-5)
    np.testing.assert_allclose(got, keras.ops.__dict__[name](x.astype("float32")), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32"])
def test_dtypes_and_values_of_keras(dtype):
    x = np.array([0, 1, 2, 100], dtype)
    for name, args in (
        ("relu6", (x,)),
        ("dot", (x, x)),
        ("tensordot", (x, x, 1)),
        ("inner", (x, x)),
    ):
        got = getattr(ops, name)(*args)
        with keras_dtypes():
            expected = keras.ops.__dict__[name](*args)
        assert got.dtype == str(expected.dtype), name
        np.testing.assert_array_equal(got, expected)


def test_hard_tanh_of_unsigned_integers():
    out = ops.hard_tanh(np.array([0, 1, 200], "uint8"))
    assert out.dtype == "uint8" and out.tolist() == [0, 1, 1]


def test_fmod_of_bools():
    x = np.array([True, False])
    assert ops.fmod(x, np.array([True, True])).tolist() == [0, 0]


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_a_softmax_over_nothing_is_empty(name):
    assert getattr(ops, name)(np.zeros((2, 0), "float32")).shape == (2, 0)


def test_a_histogram_of_infinities():
    x = np.array([1.0, np.inf])
    with pytest.raises(ValueError, match=r"\[histogram\].*not finite.*Fix: pass range="):
        ops.histogram(x)
    assert ops.histogram(x, bins=2, range=(0.0, 2.0))[0].tolist() == [0.0, 1.0]


def test_every_function_is_an_op():
    assert set(FUNCTIONS) <= set(registry)


def test_segments_of_bools():
    data, ids = np.array([True, False, False]), np.array([0, 0, 1])
    assert ops.segment_max(data, ids, 3).tolist() == [True, False, False]
    assert ops.segment_min(data, ids, 3).tolist() == [False, False, True]
