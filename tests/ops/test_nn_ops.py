"""Activations, normalisation, attention, losses, encodings and resizing against Keras on JAX: values and gradients."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
import pytest

import amalthea.ops as ops
from amalthea.core.errors import ArgumentError, DTypeError, ShapeError
from amalthea.core.infer import abstract_call
from amalthea.core.spec import TensorSpec
from amalthea.core.tape import GradientTape
from amalthea.core.tensor import as_tensor
from tests.oracle import keras_dtypes


def rand(*shape, seed=0, low=None, high=1.0):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=shape) * 2 if low is None else generator.uniform(low, high, shape)
    return values.astype("float32")


def resolve(root, name):
    for part in name.split("."):
        root = getattr(root, part)
    return root


def compare(name, arrays, attrs, differentiate=None, rtol=1e-5, atol=1e-5):
    """Values and gradients (of a random linear form) of the same op here and in Keras; lists of floats are varied."""
    ours, theirs = resolve(ops, name), resolve(keras.ops, name)
    varied = [i for i, a in enumerate(arrays) if a.dtype == np.float32] if differentiate is None else differentiate

    def spread(call, floats):
        full = list(arrays)
        for i, value in zip(varied, floats, strict=True):
            full[i] = value
        out = call(*full, **attrs)
        return out if isinstance(out, tuple) else (out,)

    floats = [arrays[i] for i in varied]
    with keras_dtypes():
        shapes = jax.eval_shape(lambda xs: spread(theirs, xs), floats)
    weights = [rand(*s.shape, seed=7 + i) for i, s in enumerate(shapes)]

    def form_and_value(xs):
        out = spread(theirs, xs)
        return sum((o * w).sum() for o, w in zip(out, weights, strict=True)), out

    with keras_dtypes():
        (_, want), want_grads = jax.jit(jax.value_and_grad(form_and_value, has_aux=True))(floats)
    with GradientTape() as tape:
        tensors = [as_tensor(a) for a in floats]
        for t in tensors:
            tape.watch(t)
        got = spread(ours, tensors)
        form = sum(ops.sum(o * as_tensor(w)) for o, w in zip(got, weights, strict=True))
    for g, w in zip(got, want, strict=True):
        assert g.shape == w.shape
        assert g.dtype == str(w.dtype)
        np.testing.assert_allclose(g.numpy(), np.asarray(w), rtol=rtol, atol=atol)
    for g, w in zip(tape.gradient(form, tensors), want_grads, strict=True):
        np.testing.assert_allclose(g.numpy(), np.asarray(w), rtol=1e-4, atol=2e-5)


X = rand(3, 4)
ACTIVATIONS = [
    *((name, {}) for name in ["relu", "relu6", "leaky_relu", "elu", "selu", "celu", "softplus", "softsign"]),
    *((name, {}) for name in ["log_sigmoid", "silu", "swish", "gelu", "hard_sigmoid", "hard_silu", "hard_swish"]),
    *((name, {}) for name in ["hard_tanh", "tanh_shrink", "hard_shrink", "soft_shrink", "sparse_plus"]),
    *((name, {}) for name in ["sparse_sigmoid", "squareplus", "glu", "softmax", "log_softmax"]),
    ("leaky_relu", {"negative_slope": 0.05}),
    ("elu", {"alpha": 0.5}),
    ("celu", {"alpha": 2.0}),
    ("gelu", {"approximate": False}),
    ("hard_shrink", {"threshold": 1.5}),
    ("soft_shrink", {"threshold": 1.5}),
    ("threshold", {"threshold": 0.5, "default_value": -3.0}),
    ("squareplus", {"b": 1}),
    ("softmax", {"axis": 0}),
    ("softmax", {"axis": (0, 1)}),
    ("log_softmax", {"axis": 0}),
]


@pytest.mark.parametrize(("name", "attrs"), ACTIVATIONS)
def test_activation(name, attrs):
    compare(name, [X], attrs)


@pytest.mark.parametrize("axis", [0, -1])
def test_sparsemax_is_the_nearest_point_of_the_simplex(axis):
    # not against Keras 3.15, whose results do not add up to 1 where more than one class is left
    x = np.moveaxis(rand(4, 5) / 2, axis, -1)
    p = np.moveaxis(ops.sparsemax(np.moveaxis(x, -1, axis), axis=axis).numpy(), axis, -1)
    np.testing.assert_allclose(p.sum(axis=-1), 1, rtol=1e-5)
    for row, values in zip(p, x, strict=True):
        left = row > 0
        shift = values[left] - row[left]  # the same for all classes that are left, and no less than those that are not
        np.testing.assert_allclose(shift, shift[0], atol=1e-5)
        assert (values[~left] <= shift[0] + 1e-5).all()


@pytest.mark.parametrize("name", sorted({name for name, _ in ACTIVATIONS} - {"threshold"}))
def test_activation_of_extreme_values(name):
    x = as_tensor(np.array([[-1e4, -100.0, -30.0, 0.0], [30.0, 88.0, 100.0, 1e4]], "float32"))
    with GradientTape() as tape:
        tape.watch(x)
        out = getattr(ops, name)(x)
        total = ops.sum(out)
    assert np.isfinite(out.numpy()).all()
    assert np.isfinite(tape.gradient(total, x).numpy()).all()


@pytest.mark.parametrize(
    "name", ["softmax", "gelu", "silu", "elu", "softplus", "log_sigmoid", "leaky_relu", "softsign"]
)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int32"])
def test_activation_dtypes(name, dtype):
    wanted = "float32" if dtype == "int32" else dtype
    assert getattr(ops, name)(as_tensor([[1, 2]], dtype)).dtype == wanted


def test_relu_keeps_integers_and_is_flat_at_zero():
    assert ops.relu(np.array([-1, 2], "int32")).dtype == "int32"
    x = as_tensor([0.0, -0.0, 1.0])
    with GradientTape() as tape:
        tape.watch(x)
        y = ops.sum(ops.relu(x))
    assert tape.gradient(y, x).numpy().tolist() == [0, 0, 1]


NORMALIZATIONS = [
    ("moments", [rand(3, 4, 5)], {"axes": (0, 1)}),
    ("moments", [rand(3, 4, 5)], {"axes": -1, "keepdims": True}),
    ("batch_normalization", [rand(3, 4), rand(4), rand(4, low=0.5)], {"axis": -1}),
    (
        "batch_normalization",
        [rand(3, 4, 2), rand(4), rand(4, low=0.5)],
        {"axis": 1, "offset": rand(4, seed=1), "scale": rand(4, seed=2), "epsilon": 0.1},
    ),
    ("layer_normalization", [rand(3, 4)], {}),
    ("layer_normalization", [rand(3, 4), rand(4, seed=1), rand(4, seed=2)], {"epsilon": 0.01}),
    ("layer_normalization", [rand(3, 4, 5), rand(4, 5, seed=1), rand(4, 5, seed=2)], {"axis": (1, 2)}),
    ("layer_normalization", [rand(3, 4, 5), rand(4, seed=1), rand(4, seed=2)], {"axis": 1}),
    ("rms_normalization", [rand(3, 4)], {}),
    ("rms_normalization", [rand(3, 4), rand(4, seed=1)], {"epsilon": 0.01}),
    ("rms_normalization", [rand(3, 4, 5), rand(4, 5, seed=1)], {"axis": (1, 2)}),
    ("normalize", [rand(3, 4)], {}),
    ("normalize", [rand(3, 4)], {"axis": 0, "order": 3}),
]


@pytest.mark.parametrize(("name", "arrays", "attrs"), NORMALIZATIONS)
def test_normalization(name, arrays, attrs):
    compare(name, arrays, attrs)


def test_layer_normalization_in_half_precision_is_computed_in_float32():
    x = as_tensor(np.array([[2000.0, 2002.0]]), "float16")
    out = ops.layer_normalization(x, epsilon=0.0)
    assert out.dtype == "float16"
    assert out.numpy().tolist() == [[-1, 1]]


def test_rms_scaling_warns():
    with pytest.warns(DeprecationWarning, match="rms_normalization"):
        ops.layer_normalization(X, rms_scaling=True)


@pytest.mark.parametrize(("shape", "axis", "groups"), [((2, 5, 6), -1, 3), ((2, 6, 4, 3), 1, 2), ((2, 6), -1, 6)])
def test_group_normalization(shape, axis, groups):
    x, gamma, beta = rand(*shape), rand(6, seed=1), rand(6, seed=2)
    layer = keras.layers.GroupNormalization(groups=groups, axis=axis, epsilon=0.01)
    layer.build(shape)
    layer.set_weights([gamma, beta])
    ours = ops.group_normalization(x, groups, axis=axis, gamma=gamma, beta=beta, epsilon=0.01)
    np.testing.assert_allclose(ours.numpy(), np.asarray(layer(x)), rtol=1e-4, atol=1e-5)


Q, K, V = rand(2, 3, 4, 5), rand(2, 6, 4, 5, seed=1), rand(2, 6, 4, 5, seed=2)
MASK = np.random.default_rng(3).uniform(size=(2, 1, 3, 6)) > 0.3
ATTENTION = [
    ([Q, K, V], {}),
    ([Q, K, V], {"scale": 0.3, "is_causal": True}),
    ([Q, K, V], {"mask": MASK}),
    ([Q, K, V], {"mask": MASK[:1], "is_causal": True, "bias": rand(1, 4, 3, 6, seed=4)}),
    ([Q, K[:, :, :2], V[:, :, :2]], {}),
    ([Q, K[:, :, :1], V[:, :, :1]], {"is_causal": True}),
]


@pytest.mark.parametrize(("arrays", "attrs"), ATTENTION, ids=["plain", "causal", "mask", "all", "groups", "one head"])
def test_dot_product_attention(arrays, attrs):
    compare("dot_product_attention", arrays, attrs, atol=2e-5)


def test_attention_where_nothing_may_be_seen_is_finite():
    out = ops.dot_product_attention(Q, K, V, mask=np.zeros((2, 1, 3, 6), bool))
    np.testing.assert_allclose(out.numpy()[:, 0], V.mean(axis=1), rtol=1e-5, atol=1e-5)


def simplex(*shape):
    x = rand(*shape, low=0.1)
    return x / x.sum(axis=-1, keepdims=True)


CLASSES = np.array([1, 0, 3], "int32")
LOSSES = [
    ("categorical_crossentropy", [simplex(3, 4), simplex(3, 4)[::-1].copy()], {}),
    ("categorical_crossentropy", [simplex(3, 4), rand(3, 4)], {"from_logits": True}),
    ("categorical_crossentropy", [simplex(3, 4, 2), rand(3, 4, 2)], {"from_logits": True, "axis": 1}),
    ("sparse_categorical_crossentropy", [CLASSES, simplex(3, 4)], {}),
    ("sparse_categorical_crossentropy", [CLASSES, rand(3, 4)], {"from_logits": True}),
    ("sparse_categorical_crossentropy", [CLASSES[:, None], rand(3, 4)], {"from_logits": True}),
    ("sparse_categorical_crossentropy", [np.array([[1, -1], [4, 0]]), rand(2, 2, 4)], {"from_logits": True}),
    ("binary_crossentropy", [rand(3, 4, low=0.0), rand(3, 4, low=0.05, high=0.95)], {}),
    ("binary_crossentropy", [rand(3, 4, low=0.0), rand(3, 4) * 10], {"from_logits": True}),
]


@pytest.mark.parametrize(("name", "arrays", "attrs"), LOSSES)
def test_loss(name, arrays, attrs):
    compare(name, arrays, attrs, differentiate=[1])


def test_losses_at_the_edges_are_finite():
    hard = np.array([[1.0, 0.0]], "float32")
    assert np.isfinite(ops.categorical_crossentropy(hard, hard[:, ::-1].copy()).numpy()).all()
    assert np.isfinite(ops.binary_crossentropy(hard, hard[:, ::-1].copy()).numpy()).all()
    logits = np.array([[-1e4, 1e4]], "float32")
    assert ops.categorical_crossentropy(hard, logits, from_logits=True).numpy().tolist() == [20000]
    assert ops.binary_crossentropy(hard, logits, from_logits=True).numpy().tolist() == [[10000, 10000]]


@pytest.mark.parametrize("dtype", [None, "int32", "bool", "float16"])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_hot(dtype, axis):
    x = np.array([[0, 2, -1], [3, 1, 5]])
    want = keras.ops.one_hot(x, 4, axis=axis, dtype=dtype)
    got = ops.one_hot(x, 4, axis=axis, dtype=dtype)
    assert got.dtype == ("float32" if dtype is None else dtype)
    assert np.array_equal(got.numpy(), np.asarray(want))


@pytest.mark.parametrize("x", [np.array([0, 2]), np.array([[0, 2, -1], [3, 1, 5]])])
def test_multi_hot(x):
    want = keras.ops.multi_hot(x, 4)
    assert np.array_equal(ops.multi_hot(x, 4).numpy(), np.asarray(want))


RESIZE = [
    ((2, 4, 6, 3), (8, 9), {}),
    ((2, 4, 6, 3), (2, 3), {}),
    ((2, 4, 6, 3), (3, 4), {"antialias": True}),
    ((4, 6, 3), (7, 5), {"interpolation": "nearest"}),
    ((2, 3, 4, 6), (6, 4), {"interpolation": "bicubic", "data_format": "channels_first"}),
    ((2, 4, 6, 3), (9, 4), {"interpolation": "lanczos3"}),
    ((2, 4, 6, 3), (3, 9), {"interpolation": "lanczos5", "antialias": True}),
    ((2, 4, 9, 3), (5, 5), {"crop_to_aspect_ratio": True}),
    ((2, 4, 9, 3), (5, 5), {"pad_to_aspect_ratio": True, "fill_value": 2.0}),
    ((9, 4, 3), (5, 5), {"pad_to_aspect_ratio": True}),
]


@pytest.mark.parametrize(("shape", "size", "attrs"), RESIZE)
def test_resize(shape, size, attrs):
    compare("image.resize", [rand(*shape)], {"size": size, **attrs}, rtol=1e-4, atol=1e-4)


def test_resize_keeps_integers():
    out = ops.image.resize(np.array([[[0], [255]]], "uint8"), (1, 4))
    assert out.dtype == "uint8"
    assert out.numpy().ravel().tolist() == [0, 64, 191, 255]


F = "float32"
UNKNOWN = [
    (ops.conv, [(None, None, None, 3), (3, 3, 3, 8)], {"padding": "same", "strides": 2}, (None, None, None, 8)),
    (ops.conv, [(None, 28, 28, 1), (3, 3, 1, 8)], {}, (None, 26, 26, 8)),
    (ops.conv_transpose, [(None, None, 7, 3), (3, 3, 8, 3)], {"padding": "same", "strides": 2}, (None, None, 14, 8)),
    (ops.depthwise_conv, [(None, None, 7, 3), (3, 3, 3, 2)], {}, (None, None, 5, 6)),
    (ops.max_pool, [(None, None, 7, 3)], {"pool_size": 2}, (None, None, 3, 3)),
    (
        ops.average_pool,
        [(None, None, None, 3)],
        {"pool_size": 3, "strides": 1, "padding": "same"},
        (None, None, None, 3),
    ),
    (ops.adaptive_average_pool, [(None, 9, None, 3)], {"output_size": 2}, (None, 2, 2, 3)),
    (ops.matmul, [(None, None, 3), (3, 4)], {}, (None, None, 4)),
    (ops.matmul, [(None, 2, 4), (8, 4, None)], {}, (8, 2, None)),
    (ops.tensordot, [(None, 4, 5), (5, 6)], {"axes": 1}, (None, 4, 6)),
    (ops.dot_product_attention, [(None, None, 4, 8)] * 3, {"is_causal": True}, (None, None, 4, 8)),
    (ops.softmax, [(None, None)], {}, (None, None)),
    (ops.layer_normalization, [(None, None, 8), (8,)], {}, (None, None, 8)),
    (ops.group_normalization, [(None, None, 8)], {"groups": 4}, (None, None, 8)),
    (ops.categorical_crossentropy, [(32, 10), (None, 10)], {}, (32,)),
    (ops.sparse_categorical_crossentropy, [(None, 1), (None, 10)], {}, (None,)),
    (ops.image.resize, [(None, None, None, 3)], {"size": (8, 9)}, (None, 8, 9, 3)),
]


@pytest.mark.parametrize(("op", "shapes", "attrs", "want"), UNKNOWN, ids=[f"{c[0].__name__} {c[1]}" for c in UNKNOWN])
def test_sizes_may_be_unknown(op, shapes, attrs, want):
    assert abstract_call(op, *(TensorSpec(shape, F) for shape in shapes), **attrs) == TensorSpec(want, F)


def test_an_einsum_of_unknown_sizes():
    spec = abstract_call(
        ops.einsum, "aecd,abcd->acbe", TensorSpec((None, 5, 3, 4), F), TensorSpec((None, None, 3, 4), F)
    )
    assert spec == TensorSpec((None, 3, None, 5), F)


MISTAKES = [
    (lambda: ops.softmax(2.0), ShapeError, r"\[softmax\].*scalar"),
    (lambda: ops.softmax(X, axis=2), ShapeError, r"\[softmax\].*no axis 2"),
    (lambda: ops.glu(rand(2, 3)), ShapeError, r"\[glu\].*odd size 3"),
    (lambda: ops.layer_normalization(X, center=1), ArgumentError, r"\[layer_normalization\].*center"),
    (lambda: ops.batch_normalization(X, X, rand(4), axis=-1), ShapeError, r"\[batch_normalization\].*`mean`"),
    (lambda: ops.group_normalization(X, 3), ShapeError, r"\[group_normalization\].*4 channels.*3 groups"),
    (lambda: ops.dot_product_attention(X, X, X), ShapeError, r"\[dot_product_attention\].*four axes"),
    (lambda: ops.dot_product_attention(Q, K[:, :, :3], V[:, :, :3]), ShapeError, r"4 heads of queries.*3 of keys"),
    (lambda: ops.categorical_crossentropy(X, X[:, :3]), ShapeError, r"\[categorical_.*\(3, 4\).*sparse_categorical"),
    (lambda: ops.sparse_categorical_crossentropy(X, X), ShapeError, r"\[sparse_categorical_.*one-hot"),
    (lambda: ops.binary_crossentropy(X, X[:, 0]), ShapeError, r"\[binary_crossentropy\].*\(3, 4\).*\(3,\)"),
    (lambda: ops.one_hot(X, 4), DTypeError, r"\[one_hot\].*whole numbers.*float32"),
    (lambda: ops.one_hot([1], 4, sparse=True), ArgumentError, r"\[one_hot\].*sparse"),
    (lambda: ops.multi_hot([1]), ArgumentError, r"\[multi_hot\].*num_classes"),
    (lambda: ops.image.resize(X, (2, 2)), ShapeError, r"\[resize\].*three axes"),
    (lambda: ops.image.resize(rand(2, 3, 1), (2, 2), "cubic"), ArgumentError, r"\[resize\].*interpolation=cubic"),
]


@pytest.mark.parametrize(
    ("call", "error", "message"), MISTAKES, ids=[m[2][:24] + str(i) for i, m in enumerate(MISTAKES)]
)
def test_mistakes_are_explained(call, error, message):
    with pytest.raises(error, match=message):
        call()
