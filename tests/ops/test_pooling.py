"""Pooling against Keras on JAX, and to which of several largest values the gradient goes."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
import pytest

import amalthea.ops as ops
from amalthea.core.errors import ArgumentError, ShapeError
from amalthea.core.tape import GradientTape
from amalthea.core.tensor import as_tensor


def rand(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


POOLS = [
    ((2, 9, 3), 2, {}),
    ((2, 9, 3), 3, {"strides": 2, "padding": "same"}),
    ((2, 3, 9), 3, {"strides": 1, "data_format": "channels_first"}),
    ((2, 7, 6, 3), 2, {}),
    ((2, 7, 6, 3), (3, 2), {"strides": (2, 3), "padding": "same"}),
    ((2, 7, 6, 3), 3, {"strides": 1, "padding": "same"}),
    ((2, 3, 7, 6), 2, {"padding": "same", "data_format": "channels_first"}),
    ((1, 5, 6, 4, 2), (2, 3, 2), {}),
    ((1, 5, 6, 4, 2), 3, {"strides": 2, "padding": "same"}),
]


@pytest.mark.parametrize("name", ["max_pool", "average_pool"])
@pytest.mark.parametrize(("shape", "size", "attrs"), POOLS)
def test_pool(name, shape, size, attrs):
    x, theirs = rand(*shape), getattr(keras.ops, name)
    explicit = {"strides": size, **attrs}  # Keras on JAX cannot take strides=None
    weight = rand(*jax.eval_shape(lambda v: theirs(v, size, **explicit), x).shape, seed=9)

    def form_and_value(v):
        value = theirs(v, size, **explicit)
        return (value * weight).sum(), value

    (_, want), want_gradient = jax.jit(jax.value_and_grad(form_and_value, has_aux=True))(x)
    with GradientTape() as tape:
        tensor = as_tensor(x)
        tape.watch(tensor)
        got = getattr(ops, name)(tensor, size, **attrs)
        form = ops.sum(got * as_tensor(weight))
    assert got.shape == want.shape
    assert got.dtype == "float32"
    np.testing.assert_allclose(got.numpy(), np.asarray(want), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(form, tensor).numpy(), np.asarray(want_gradient), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["adaptive_average_pool", "adaptive_max_pool"])
@pytest.mark.parametrize(
    ("shape", "size", "attrs"),
    [
        ((2, 9, 3), 4, {"data_format": "channels_last"}),
        ((2, 7, 6, 3), (3, 2), {"data_format": "channels_last"}),
        ((2, 3, 7, 6), 5, {"data_format": "channels_first"}),
        ((1, 5, 6, 4, 2), (2, 3, 4), {"data_format": "channels_last"}),
    ],
)
def test_adaptive_pool(name, shape, size, attrs):
    x = rand(*shape)
    want = getattr(keras.ops, name)(x, (size,) * (len(shape) - 2) if isinstance(size, int) else size, **attrs)
    np.testing.assert_allclose(getattr(ops, name)(x, size, **attrs).numpy(), np.asarray(want), rtol=1e-5, atol=1e-6)


def test_gradient_goes_to_the_first_maximum():
    x = as_tensor(np.array([[1.0, 1.0, 0.0, 2.0, 2.0, 2.0]])[..., None])
    with GradientTape() as tape:
        tape.watch(x)
        out = ops.sum(ops.max_pool(x, 3))
    assert tape.gradient(out, x).numpy().ravel().tolist() == [1, 0, 0, 1, 0, 0]


def test_second_order_gradient_of_max_pool():
    x = as_tensor(np.array([1.0, 3.0, 2.0, 5.0])[None, :, None])
    with GradientTape() as outer:
        outer.watch(x)
        with GradientTape() as inner:
            inner.watch(x)
            y = ops.sum(ops.max_pool(x, 2) ** 3)
        first = inner.gradient(y, x)
        total = ops.sum(first)
    assert outer.gradient(total, x).numpy().ravel().tolist() == [0, 18, 0, 30]


def test_nan_stays_in_the_window():
    x = np.array([1.0, np.nan, 2.0, 3.0], "float32")[None, :, None]
    out = ops.max_pool(x, 2).numpy().ravel()
    assert np.isnan(out[0])
    assert out[1] == 3


@pytest.mark.parametrize("dtype", ["int32", "uint8", "float16", "bfloat16", "float64"])
def test_max_pool_keeps_the_dtype(dtype):
    x = as_tensor(np.arange(12).reshape(1, 4, 3), dtype)
    out = ops.max_pool(x, 3, strides=2, padding="same")
    assert out.dtype == dtype
    assert np.asarray(out.numpy(), "float64")[0, :, 0].tolist() == [6, 9]


def test_average_pool_of_integers_is_floating():
    out = ops.average_pool(np.array([[[1], [2]]]), 2)
    assert out.dtype == "float32"
    assert out.numpy().item() == 1.5


MISTAKES = [
    (lambda: ops.max_pool(rand(2, 3, 3, 1), 4), ShapeError, r"\[max_pool\].*\(4, 4\) does not fit.*\(2, 3, 3, 1\)"),
    (lambda: ops.average_pool(rand(2, 3, 3, 1), 4), ShapeError, r"\[average_pool\].*does not fit"),
    (lambda: ops.max_pool(rand(2, 3), 2), ShapeError, r"\[max_pool\].*axes between batch and channels"),
    (lambda: ops.max_pool(rand(2, 3, 3, 1), (2, 2, 2)), ArgumentError, r"\[max_pool\].*`pool_size`"),
    (lambda: ops.max_pool(rand(2, 3, 3, 1), 2, padding="causal"), ArgumentError, r"\[max_pool\].*'causal'"),
]


@pytest.mark.parametrize(
    ("call", "error", "message"), MISTAKES, ids=[m[2][:24] + str(i) for i, m in enumerate(MISTAKES)]
)
def test_mistakes_are_explained(call, error, message):
    with pytest.raises(error, match=message):
        call()
