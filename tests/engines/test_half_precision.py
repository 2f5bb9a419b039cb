"""Every primitive in half precision on JAX and torch is that in float32, rounded: no sums are accumulated in it."""

import ml_dtypes
import numpy as np
import pytest

import amalthea as am
from amalthea.core import tree
from amalthea.core.tensor import Tensor, as_tensor
from tests.ops.sampling import sample_calls, with_tensors

EXACT = ("argsort", "searchsorted", "view")  # rounding changes what equals what, and the bits
ENGINES = ("jax", "torch")
TRACED = ("branch", "loop", "scan_loop")  # their bodies have dtypes of their own


def rounded(x):
    array = np.asarray(x)
    return as_tensor(array.astype(ml_dtypes.bfloat16) if array.dtype.kind == "f" else x)


def widened(x):
    tensor = rounded(x)
    return am.ops.cast(tensor, "float32") if tensor.dtype.is_floating else tensor


def tensors(structure):
    return [leaf for leaf in tree.flatten(structure) if isinstance(leaf, Tensor)]


def takes_floats(op, bound):
    given = tree.flatten([bound[name] for name in op.tensors])
    return bound.get("dtype") is None and any(np.asarray(x).dtype.kind == "f" for x in given)


def cases():
    return [
        pytest.param(function, bound, id=name)
        for name, function, bound in sample_calls()
        if function.op.kind == "primitive"
        and function.op.name not in EXACT + TRACED
        and takes_floats(function.op, bound)
    ]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("function", "bound"), cases())
def test_bfloat16(function, bound, engine):
    with am.backend_scope("numpy"):
        want = tensors(function(**with_tensors(function.op, bound, widened)))
    with am.backend_scope(engine):
        got = tensors(function(**with_tensors(function.op, bound, rounded)))
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        if b.dtype.is_floating:
            assert a.dtype == "bfloat16"
            a, b = a.numpy().astype("float32"), b.numpy()
            np.testing.assert_allclose(a, b, rtol=2**-7, atol=2**-8 * np.abs(b[np.isfinite(b)]).max(initial=1e-3))
        else:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("subscripts", ["ab,bc->ac", "abc,acd->abd"])
def test_long_products_are_summed_in_float32(subscripts, engine):
    sizes = {"a": 3, "b": 7, "c": 5, "d": 4} | {"b" if subscripts == "ab,bc->ac" else "c": 4099}
    left, right = subscripts.split("->")[0].split(",")
    rng = np.random.default_rng(0)
    x, y = (rng.uniform(0.5, 1, [sizes[c] for c in term]).astype(ml_dtypes.bfloat16) for term in (left, right))
    want = np.einsum(subscripts, x.astype("float64"), y.astype("float64"))
    with am.backend_scope(engine):
        found = am.ops.einsum(subscripts, x, y)
        total = am.ops.sum(as_tensor(x), axis=1)
    assert found.dtype == total.dtype == "bfloat16"
    np.testing.assert_allclose(found.numpy().astype("float64"), want, rtol=2**-8)
    np.testing.assert_allclose(total.numpy().astype("float64"), x.astype("float64").sum(1), rtol=2**-8)


CONVOLUTIONS = [
    ((2, 9, 7, 3), (3, 3, 3, 4), {}),
    ((2, 9, 7, 3), (3, 2, 3, 5), {"strides": 2, "padding": "same"}),
    ((1, 8, 8, 6), (3, 3, 2, 6), {"padding": "same"}),  # groups
    ((2, 11, 4), (3, 4, 2), {"dilation_rate": 2}),
    ((1, 5, 6, 7, 2), (2, 3, 2, 2, 3), {"strides": (1, 2, 1)}),
    ((0, 5, 5, 2), (3, 3, 2, 4), {}),
    ((37, 17, 13, 8), (3, 3, 8, 16), {}),  # long sums for the kernel
]


def with_gradients(x, kernel, **attrs):
    with am.GradientTape() as tape:
        tape.watch([x, kernel])
        y = am.ops.conv(x, kernel, **attrs)
    return y, *tape.gradient(y, [x, kernel])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(("shape", "kernel", "attrs"), CONVOLUTIONS)
def test_convolutions_and_their_gradients(shape, kernel, attrs, dtype, engine):
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=size).astype(dtype) for size in (shape, kernel))
    with am.backend_scope("numpy"):
        want = with_gradients(as_tensor(x.astype("float32")), as_tensor(w.astype("float32")), **attrs)
    with am.backend_scope(engine):
        for form in (with_gradients, am.function(with_gradients)):
            for a, b in zip(form(as_tensor(x), as_tensor(w), **attrs), want, strict=True):
                assert a.dtype == dtype
                most = np.abs(b.numpy()).max(initial=1e-3)
                np.testing.assert_allclose(a.numpy().astype("float32"), b.numpy(), rtol=2**-7, atol=2**-8 * most)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_convolutions_pass_on_what_is_no_number(value, engine):
    x = np.zeros((1, 6, 6, 2), "float32")
    x[0, 1, 4, 1] = value
    kernel = np.ones((3, 3, 2, 3), "float32")
    with am.backend_scope("numpy"):
        want = am.ops.conv(x, kernel).numpy()
    with am.backend_scope(engine):
        got = am.ops.conv(rounded(x), rounded(kernel)).numpy().astype("float32")
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_network_of_bfloat16_learns_as_one_of_float32(engine):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 8)).astype("float32")
    y = (x[:, 0] > 0).astype("int32")
    losses = {}
    for policy in ("float32", "mixed_bfloat16"):
        with am.backend_scope(engine):
            am.utils.set_random_seed(0)
            dense = [am.layers.Dense(32, "relu", dtype=policy), am.layers.Dense(2, dtype=policy)]
            model = am.Sequential([am.layers.Input((8,)), *dense])
            model.compile("adam", am.losses.SparseCategoricalCrossentropy(from_logits=True))
            losses[policy] = model.fit(x, y, epochs=5, verbose=0).history["loss"]
    np.testing.assert_allclose(losses["mixed_bfloat16"], losses["float32"], rtol=2e-2)
