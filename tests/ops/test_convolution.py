"""Convolutions against Keras on JAX: values, and gradients in the input and the kernel."""

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


def compare(name, arrays, **attrs):
    """Values and gradients (of a random linear form of the result) of `ops.name` and `keras.ops.name`."""
    theirs = getattr(keras.ops, name)
    weight = rand(*jax.eval_shape(lambda xs: theirs(*xs, **attrs), list(arrays)).shape, seed=9)

    def form_and_value(xs):
        value = theirs(*xs, **attrs)
        return (value * weight).sum(), value

    (_, want), want_grads = jax.jit(jax.value_and_grad(form_and_value, has_aux=True))(list(arrays))
    with GradientTape() as tape:
        tensors = [as_tensor(a) for a in arrays]
        for t in tensors:
            tape.watch(t)
        got = getattr(ops, name)(*tensors, **attrs)
        form = ops.sum(got * as_tensor(weight))
    assert got.shape == want.shape
    assert got.dtype == "float32"
    np.testing.assert_allclose(got.numpy(), np.asarray(want), rtol=1e-4, atol=1e-4)
    for ours, their in zip(tape.gradient(form, tensors), want_grads, strict=True):
        np.testing.assert_allclose(ours.numpy(), np.asarray(their), rtol=1e-4, atol=1e-4)


CONV = [
    ((2, 9, 3), (3, 3, 4), {}),
    ((2, 9, 3), (4, 3, 4), {"strides": 2, "padding": "same"}),
    ((2, 9, 4), (3, 2, 6), {"dilation_rate": 2}),
    ((2, 3, 9), (3, 3, 4), {"strides": 3, "data_format": "channels_first"}),
    ((2, 7, 6, 3), (3, 2, 3, 5), {}),
    ((2, 7, 6, 3), (3, 3, 3, 5), {"padding": "same"}),
    ((2, 7, 6, 3), (2, 4, 3, 5), {"strides": (2, 3), "padding": "same"}),
    ((2, 8, 8, 3), (3, 3, 3, 5), {"strides": 2}),
    ((2, 9, 9, 4), (3, 3, 4, 5), {"dilation_rate": (2, 3), "padding": "same"}),
    ((2, 7, 6, 4), (3, 2, 2, 6), {"padding": "same"}),
    ((2, 7, 6, 4), (3, 2, 1, 8), {"strides": 2}),
    ((2, 4, 7, 6), (3, 3, 4, 5), {"padding": "same", "strides": 2, "data_format": "channels_first"}),
    ((2, 7, 6, 3), (1, 1, 3, 5), {"strides": 2}),
    ((1, 5, 6, 4, 2), (2, 3, 2, 2, 3), {}),
    ((1, 5, 6, 4, 2), (3, 2, 2, 2, 3), {"strides": (2, 1, 2), "padding": "same"}),
    ((1, 2, 5, 6, 4), (2, 2, 2, 1, 4), {"data_format": "channels_first"}),
]


@pytest.mark.parametrize(("shape", "kernel", "attrs"), CONV)
def test_conv(shape, kernel, attrs):
    compare("conv", (rand(*shape), rand(*kernel, seed=1)), **attrs)


DEPTHWISE = [
    ((2, 9, 3), (3, 3, 2), {}),
    ((2, 7, 6, 3), (3, 2, 3, 1), {"padding": "same"}),
    ((2, 8, 8, 3), (3, 3, 3, 2), {"strides": 2, "padding": "same"}),
    ((2, 9, 9, 2), (3, 3, 2, 2), {"dilation_rate": 2}),
    ((2, 3, 7, 6), (3, 2, 3, 2), {"data_format": "channels_first"}),
    ((2, 7, 6, 1), (3, 2, 1, 4), {}),
]


@pytest.mark.parametrize(("shape", "kernel", "attrs"), DEPTHWISE)
def test_depthwise_conv(shape, kernel, attrs):
    compare("depthwise_conv", (rand(*shape), rand(*kernel, seed=1)), **attrs)


@pytest.mark.parametrize(
    "attrs", [{}, {"strides": 2, "padding": "same"}, {"dilation_rate": 2}], ids=["plain", "strides", "dilation"]
)
def test_separable_conv(attrs):
    arrays = (rand(2, 8, 7, 3), rand(3, 2, 3, 2, seed=1), rand(1, 1, 6, 4, seed=2))
    compare("separable_conv", arrays, **attrs)


TRANSPOSE = [
    ((2, 5, 3), (3, 4, 3), {}),
    ((2, 5, 3), (3, 4, 3), {"strides": 2, "padding": "same"}),
    ((2, 4, 3, 2), (3, 2, 4, 2), {}),
    ((2, 4, 3, 2), (2, 2, 4, 2), {"strides": 3}),
    ((2, 4, 3, 2), (3, 3, 4, 2), {"strides": (2, 1), "padding": "same"}),
    ((2, 4, 3, 2), (4, 2, 4, 2), {"strides": 2, "padding": "same"}),
    ((2, 4, 3, 2), (1, 1, 4, 2), {"strides": 3, "padding": "same"}),
    ((2, 4, 3, 2), (3, 3, 4, 2), {"strides": 2, "padding": "valid", "output_padding": 1}),
    ((2, 4, 3, 2), (3, 3, 4, 2), {"strides": 2, "padding": "same", "output_padding": (1, 0)}),
    ((2, 4, 3, 2), (5, 4, 4, 2), {"strides": 3, "padding": "same", "output_padding": 2}),
    ((2, 4, 3, 2), (3, 2, 4, 2), {"dilation_rate": 2}),
    ((2, 4, 3, 2), (3, 2, 4, 2), {"dilation_rate": 2, "padding": "same"}),
    ((2, 2, 4, 3), (3, 3, 4, 2), {"strides": 2, "padding": "same", "data_format": "channels_first"}),
    ((1, 2, 3, 2, 2), (2, 3, 2, 3, 2), {"strides": 2, "padding": "same"}),
]


@pytest.mark.parametrize(("shape", "kernel", "attrs"), TRANSPOSE)
def test_conv_transpose(shape, kernel, attrs):
    compare("conv_transpose", (rand(*shape), rand(*kernel, seed=1)), **attrs)


def test_patches_in_parts_of_the_batch_agree_with_one_copy(monkeypatch):
    from amalthea.backends.numpy import convolution

    x, kernel = as_tensor(rand(5, 6, 6, 2)), as_tensor(rand(3, 3, 2, 3, seed=1))
    whole = ops.conv(x, kernel).numpy()
    monkeypatch.setattr(convolution, "PATCH_ELEMENTS", 1)
    np.testing.assert_allclose(ops.conv(x, kernel).numpy(), whole, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype):
    x, kernel = ops.ones((1, 4100, 1), dtype), ops.ones((4096, 1, 1), dtype)
    out = ops.conv(x, kernel)
    assert out.dtype == dtype
    assert float(out.numpy().ravel()[0]) == 4096


def test_empty_batch():
    assert ops.conv(np.zeros((0, 5, 5, 2), "float32"), rand(3, 3, 2, 4)).shape == (0, 3, 3, 4)


MISTAKES = [
    (lambda: ops.conv(rand(2, 8, 8, 3), rand(3, 3, 1, 8)[..., :7]), ShapeError, "3 channels and the kernel expects 1"),
    (lambda: ops.conv(rand(2, 8, 8, 3), rand(3, 3, 2, 8)), ShapeError, r"\[conv\].*\(2, 8, 8, 3\).*\(3, 3, 2, 8\)"),
    (lambda: ops.conv(rand(2, 8, 3), rand(3, 3, 3, 8)), ShapeError, r"\[conv\].*same rank"),
    (lambda: ops.conv(rand(2, 2, 8, 3), rand(3, 3, 3, 8)), ShapeError, r"\[conv\].*does not fit"),
    (lambda: ops.conv(rand(2, 8, 8, 3), rand(3, 3, 3, 8), padding="full"), ArgumentError, r"\[conv\].*'full'"),
    (lambda: ops.conv(rand(2, 8, 8, 3), rand(3, 3, 3, 8), strides=0), ArgumentError, r"\[conv\].*`strides`"),
    (lambda: ops.conv(rand(2, 8, 8, 3), rand(3, 3, 3, 8), strides=(1, 2, 3)), ArgumentError, r"\[conv\].*2 of them"),
    (lambda: ops.conv(rand(2, 8, 8, 3), rand(3, 3, 3, 8), data_format="nhwc"), ArgumentError, "'nhwc'"),
    (lambda: ops.depthwise_conv(rand(2, 8, 8, 3), rand(3, 3, 4, 2)), ShapeError, r"\[depthwise_conv\].*3 .*expects 4"),
    (lambda: ops.conv_transpose(rand(2, 8, 8, 3), rand(3, 3, 3, 8)), ShapeError, r"\[conv_transpose\].*3 .*has 8"),
]


@pytest.mark.parametrize(
    ("call", "error", "message"), MISTAKES, ids=[m[2][:24] + str(i) for i, m in enumerate(MISTAKES)]
)
def test_mistakes_are_explained(call, error, message):
    with pytest.raises(error, match=message):
        call()
