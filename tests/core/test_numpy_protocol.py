"""NumPy's functions on tensors: arrays come out of concrete ones, clear errors out of symbolic ones."""

from __future__ import annotations

import re

import numpy as np
import pytest

import amalthea as am
from amalthea.core.tensor import Tensor

A = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]], "float32")

FUNCTIONS = {
    "argmax": lambda t: np.argmax(t, axis=1),
    "mean": lambda t: np.mean(t),
    "mean of an axis": lambda t: np.mean(t, axis=0, keepdims=True),
    "sum": lambda t: np.sum(t, axis=-1),
    "max": lambda t: np.max(t),
    "min": lambda t: np.min(t, axis=0),
    "prod": lambda t: np.prod(t),
    "std": lambda t: np.std(t, axis=0),
    "var": lambda t: np.var(t, ddof=1),
    "any": lambda t: np.any(t),
    "all": lambda t: np.all(t, axis=1),
    "round": lambda t: np.round(t, 1),
    "cumsum": lambda t: np.cumsum(t, axis=1),
    "argsort": lambda t: np.argsort(t, axis=-1),
    "take": lambda t: np.take(t, [0, 2], axis=1),
    "squeeze": lambda t: np.squeeze(t[:1]),
    "abs": lambda t: np.abs(t),
    "exp": lambda t: np.exp(t),
    "log": lambda t: np.log(t),
    "isnan": lambda t: np.isnan(t),
    "maximum": lambda t: np.maximum(t, 0.3),
    "add called by name": lambda t: np.add(t, 1),
    "add.reduce": lambda t: np.add.reduce(t),
    "multiply.outer": lambda t: np.multiply.outer(t, t),
    "modf": lambda t: np.modf(t)[1],
    "exp where": lambda t: np.exp(t, where=t > 0.2, out=np.zeros((2, 3), "float32")),
    "concatenate": lambda t: np.concatenate([t, np.zeros((1, 3), "float32")]),
    "stack": lambda t: np.stack((t, t)),
    "block": lambda t: np.block([[t, t], [t, t]]),
    "where": lambda t: np.where(t > 0.2, t, 0),
    "dot": lambda t: np.dot(t, np.transpose(t)),
    "einsum": lambda t: np.einsum("ij,kj->ik", t, t),
    "linalg.norm": lambda t: np.linalg.norm(t, axis=1),
    "allclose": lambda t: np.allclose(t, A),
    "array_equal": lambda t: np.array_equal(t, A),
    "unique": lambda t: np.unique(t),
    "shape": lambda t: np.shape(t),
    "size": lambda t: np.size(t),
    "random.choice": lambda t: np.random.default_rng(0).choice(3, 4, p=np.squeeze(t[:1]) / np.sum(t[:1])),
    "a masked assignment": lambda t: _assigned(t),
}


def _assigned(t):
    a = np.zeros((2, 3))
    a[t > 0.2] = 1.0
    a[0, :] += t[1]
    return a


@pytest.mark.parametrize("kind", [am.Tensor, am.Variable])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_compute_on_the_arrays(name, kind):
    if kind is am.Variable and name in ("random.choice", "squeeze"):
        kind = am.Tensor
    got, want = FUNCTIONS[name](kind(A)), FUNCTIONS[name](A)
    assert type(got) is type(want)
    np.testing.assert_array_equal(got, want)
    assert getattr(got, "dtype", None) == getattr(want, "dtype", None)


def test_arrays_and_tensors_give_tensors_in_operators():
    t, a = am.Tensor(A), A.astype("float64")
    for got, want in {
        "add": (a + t, a + A),
        "subtract": (a - t, a - A),
        "divide": (a / t, a / A),
        "power": (a**t, a**A),
        "matmul": (a @ t.T, a @ A.T),
        "less": (a < t + 1, a < A + 1),
        "equal": (a == t, a == A),
        "not equal": (a != t, a != A),
        "number": (np.float64(2) * t, np.float32(2) * A),
        "float32 number": (np.float32(2) - t, np.float32(2) - A),
        "bits": (np.array([True, False, True]) & (t > 0.2), np.array([True, False, True]) & (A > 0.2)),
        "variable": (a + am.Variable(A), a + A),
    }.values():
        assert type(got) is Tensor
        np.testing.assert_allclose(got, want)
        assert got.dtype == str(want.dtype)


def test_operators_with_arrays_are_recorded_by_tapes():
    x = am.Tensor([1.0, 2.0])
    slope = am.grad(lambda x: am.ops.sum(np.array([3.0, 4.0], "float32") * x))(x)
    assert slope.tolist() == [3.0, 4.0]


def test_arrays_are_changed_in_place():
    a = np.zeros(3)
    same = a
    a += am.Tensor([1.0, 2.0, 3.0])
    a *= am.Variable([2.0, 2.0, 2.0])
    assert a is same and type(a) is np.ndarray and a.tolist() == [2.0, 4.0, 6.0]


def test_a_tensor_is_no_place_for_results():
    with pytest.raises(am.ArgumentError, match=r"\[np.exp\].*tensors cannot be changed.*Fix: .*array"):
        np.exp(A, out=am.Tensor(A))
    with pytest.raises(am.ArgumentError, match=r"\[np.mean\].*tensors cannot be changed.*Fix: .*array"):
        np.mean(A, out=am.Tensor(0.0))
    with pytest.raises(TypeError, match=r"tensors cannot be changed.*slice_update.*copy\(\)"):
        am.Tensor(A)[0] = 1.0


SYMBOLIC = {
    "np.tanh": (lambda x: np.tanh(x), "use am.ops.tanh"),
    "np.mean": (lambda x: np.mean((x - 1.0) ** 2), "use am.ops.mean"),
    "np.concatenate": (lambda x: np.concatenate([np.zeros((2, 3)), x]), "use am.ops.concatenate"),
    "np.absolute": (lambda x: np.abs(x), "use am.ops.absolute"),
    "np.linalg.norm": (lambda x: np.linalg.norm(x), "use am.ops.norm"),
    "np.add.reduce": (lambda x: np.add.reduce(x), "use am.ops on it"),
    "np.add": (lambda x: _add_to(np.zeros((2, 3)), x), "write a = a .* x"),
    "np.around": (lambda x: np.around(x), "use am.ops.round"),
    "np.histogram": (lambda x: np.histogram(x), "use am.ops.histogram"),
    "np.spacing": (lambda x: np.spacing(x), "use am.ops on it"),
}


def _add_to(a, x):
    a += x
    return a


@pytest.mark.parametrize("name", SYMBOLIC)
def test_symbolic_tensors_name_the_function_the_line_and_the_op(name):
    call, fix = SYMBOLIC[name]
    first = call.__code__.co_firstlineno
    for message in (_message(am.function(call), am.Tensor(A)), _message(call, am.Input((3,)))):
        assert f"{name} needs the value of a symbolic tensor" in message
        assert re.search(f"Fix: .*{fix}", message)
        assert re.search(r"test_numpy_protocol\.py:(\d+)", message)
        if name != "np.add":
            assert f"test_numpy_protocol.py:{first}" in message


def _message(call, x):
    with pytest.raises(am.TraceError) as caught:
        call(x)
    return str(caught.value)


def test_facts_of_symbolic_tensors_are_known():
    x = am.Input((3,))
    assert np.shape(x) == (None, 3) and np.ndim(x) == 2
    assert (np.ones(3, "float32") * x).shape == (None, 3)
    assert (np.float64(2) * x).dtype == "float32"


def test_a_variable_in_a_traced_function_has_no_value():
    v = am.Variable([1.0])
    with pytest.raises(am.TraceError, match=r"np.sum needs the value .* while a function is traced"):
        am.function(lambda: np.sum(v))()


def test_the_error_names_the_layer():
    class Squash(am.layers.Layer):
        def call(self, x):
            return np.tanh(x)

    with pytest.raises(am.TraceError, match=r"layer 'squashed'.*np.tanh.*float32\[\?,3\].*Fix: use am.ops.tanh"):
        am.Sequential([am.Input((3,)), Squash(name="squashed")])


METHODS = {
    "nbytes": lambda x: x.nbytes,
    "itemsize": lambda x: x.itemsize,
    "copy": lambda x: x.copy(),
    "nonzero": lambda x: x.nonzero()[1],
    "tobytes": lambda x: x.tobytes(),
    "item of a place": lambda x: x.item(4),
    "item of a position": lambda x: x.item(1, 2),
    "searchsorted": lambda x: x[0].searchsorted(0.15),
    "cumsum": lambda x: x.cumsum(axis=1),
    "conj": lambda x: x.conj(),
    "ptp": lambda x: np.ptp(x, axis=0),
    "real": lambda x: x.real,
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_arrays(name):
    np.testing.assert_array_equal(METHODS[name](am.Tensor(A)), METHODS[name](A))
