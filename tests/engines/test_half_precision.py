"""Every primitive in bfloat16 on JAX is the same in float32, rounded: sums are not accumulated in bfloat16."""

import ml_dtypes
import numpy as np
import pytest

import amalthea as am
from amalthea.core import tree
from amalthea.core.tensor import Tensor, as_tensor
from tests.ops.sampling import sample_calls, with_tensors

EXACT = ("argsort", "searchsorted", "view")  # rounding changes what equals what, and the bits
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


@pytest.mark.parametrize(("function", "bound"), cases())
def test_bfloat16(function, bound):
    with am.backend_scope("numpy"):
        want = tensors(function(**with_tensors(function.op, bound, widened)))
    with am.backend_scope("jax"):
        got = tensors(function(**with_tensors(function.op, bound, rounded)))
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        if b.dtype.is_floating:
            assert a.dtype == "bfloat16"
            a, b = a.numpy().astype("float32"), b.numpy()
            np.testing.assert_allclose(a, b, rtol=2**-7, atol=2**-8 * np.abs(b[np.isfinite(b)]).max(initial=1e-3))
        else:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("subscripts", ["ab,bc->ac", "abc,acd->abd"])
def test_long_products_are_summed_in_float32(subscripts):
    sizes = {"a": 3, "b": 7, "c": 5, "d": 4} | {"b" if subscripts == "ab,bc->ac" else "c": 4099}
    left, right = subscripts.split("->")[0].split(",")
    rng = np.random.default_rng(0)
    x, y = (rng.uniform(0.5, 1, [sizes[c] for c in term]).astype(ml_dtypes.bfloat16) for term in (left, right))
    want = np.einsum(subscripts, x.astype("float64"), y.astype("float64"))
    with am.backend_scope("jax"):
        found = am.ops.einsum(subscripts, x, y)
        total = am.ops.sum(as_tensor(x), axis=1)
    assert found.dtype == total.dtype == "bfloat16"
    np.testing.assert_allclose(found.numpy().astype("float64"), want, rtol=2**-8)
    np.testing.assert_allclose(total.numpy().astype("float64"), x.astype("float64").sum(1), rtol=2**-8)


def test_a_network_of_bfloat16_learns_as_one_of_float32():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 8)).astype("float32")
    y = (x[:, 0] > 0).astype("int32")
    losses = {}
    for policy in ("float32", "mixed_bfloat16"):
        with am.backend_scope("jax"):
            am.utils.set_random_seed(0)
            dense = [am.layers.Dense(32, "relu", dtype=policy), am.layers.Dense(2, dtype=policy)]
            model = am.Sequential([am.layers.Input((8,)), *dense])
            model.compile("adam", am.losses.SparseCategoricalCrossentropy(from_logits=True))
            losses[policy] = model.fit(x, y, epochs=5, verbose=0).history["loss"]
    np.testing.assert_allclose(losses["mixed_bfloat16"], losses["float32"], rtol=2e-2)
