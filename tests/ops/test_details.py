"""What the generic suites cannot see: ties, repeated indices, special values, and the messages of mistakes."""

import math

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import scipy.special

import amalthea.ops as ops
from amalthea.core import tree
from amalthea.core.derivatives import grad
from amalthea.core.function import function
from amalthea.core.tensor import KerasTensor, as_tensor
from amalthea.core.variable import Variable
from tests.oracle import keras_dtypes

X = np.array([[1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, -1.0]], "float32")
Y = np.array([[1.0, 2.0, 3.0, 1.0], [2.0, 3.0, 2.0, -1.0]], "float32")
W = np.arange(1, 9, dtype="float32").reshape(2, 4)

TIES = {
    "max over an axis": (lambda n, x: (n.max(x, axis=1) * W[:, 0]).sum(), [X]),
    "min over all": (lambda n, x: n.min(x), [X]),
    "max of everything": (lambda n, x: n.max(x) * 3.0, [X]),
    "maximum": (lambda n, x, y: (n.maximum(x, y) * W).sum(), [X, Y]),
    "minimum": (lambda n, x, y: (n.minimum(x, y) * W).sum(), [X, Y]),
    "sort": (lambda n, x: (n.sort(x, axis=1) * W).sum(), [X]),
    "clip": (lambda n, x: (n.clip(x, 0.5, 2.5) * W).sum(), [X]),
    "prod with a zero": (lambda n, x: (n.prod(x, axis=1) * W[:, 0]).sum(), [X]),
    "prod with two zeros": (lambda n, x: n.prod(x * x[:, 3:]) * 1.0, [X]),
    "cumprod with zeros": (lambda n, x: (n.cumprod(x, axis=1) * W).sum(), [X[:, ::-1].copy()]),
    "power at 0": (lambda n, x: (n.power(x, 2.0) * W).sum(), [X]),
    "repeated indices": (lambda n, x: (n.take(x, np.array([0, 2, 2, -1]), axis=1) * W).sum(), [X]),
    "logsumexp-like": (lambda n, x: n.log(n.exp(x - n.max(x)).sum()), [X]),
    "negative step": (lambda n, x: (x[:, ::-2] * W[:, :2]).sum(), [X]),
    "index arrays": (lambda n, x: (x[np.array([0, 1, 1]), np.array([2, 2, 2])] * W[0, :3]).sum(), [X]),
    "where": (lambda n, x: n.where(x > 1, x * x, -x).sum(), [X]),
}


@pytest.mark.parametrize("name", TIES)
def test_gradients_at_ties_are_those_of_jax(name):
    function, inputs = TIES[name]
    places = tuple(range(len(inputs)))
    ours = grad(lambda *a: function(ops, *a), argnums=places)(*[as_tensor(x) for x in inputs])
    theirs = jax.grad(lambda *a: function(jnp, *a), argnums=places)(*[jnp.asarray(x) for x in inputs])
    for got, wanted in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got.numpy(), np.asarray(wanted), rtol=1e-5, atol=1e-6)


def test_gradients_where_jax_is_no_model():
    assert grad(lambda x: ops.abs(x))(0.0).item() == 0  # JAX says 1, TensorFlow and PyTorch 0
    assert grad(lambda x: x**0.0)(0.0).item() == 0  # JAX says NaN
    assert grad(lambda y: ops.power(0.0, y))(2.0).item() == 0
    assert math.isnan(grad(lambda y: ops.power(-1.0, y))(2.0).item())


@pytest.mark.parametrize("reduction", ["max", "min"])
def test_scatter_extremes_share_gradients_at_ties(reduction):
    x, u = as_tensor([5.0, 1.0]), as_tensor([5.0, 5.0, 1.0])
    gx, gu = grad(
        lambda x, u: (ops.scatter_update(x, [[0], [0], [1]], u, reduction) * [6.0, 4.0]).sum(), argnums=(0, 1)
    )(x, u)
    assert gx.tolist() == [2.0, 2.0] and gu.tolist() == [2.0, 2.0, 2.0]


def test_an_overwritten_update_has_no_gradient():
    g = grad(lambda u: (ops.scatter_update(ops.zeros(3), [[1], [1], [2]], u) * [1.0, 2.0, 3.0]).sum())
    assert g(as_tensor([1.0, 1.0, 1.0])).tolist() == [0.0, 2.0, 3.0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_functions(dtype):
    x = np.concatenate([np.linspace(-6, 6, 601), [0.0, 1e-10, -1e-10, 27.0, np.inf, -np.inf]]).astype(dtype)
    tolerance = 4e-16 if dtype == "float64" else 2e-7
    np.testing.assert_allclose(ops.erf(x).numpy(), scipy.special.erf(x), rtol=tolerance)
    np.testing.assert_allclose(ops.erfc(x).numpy(), scipy.special.erfc(x), rtol=max(2e-14, tolerance), atol=1e-300)
    p = np.concatenate([np.linspace(-0.999, 0.999, 401), [1e-12, 1 - 1e-7, -1.0, 1.0]]).astype(dtype)
    np.testing.assert_allclose(
        ops.erfinv(p).numpy(), scipy.special.erfinv(p), rtol=1e-14 if dtype == "float64" else 2e-7
    )
    np.testing.assert_allclose(
        ops.sigmoid(x * 10).numpy(), scipy.special.expit(x * 10), rtol=4e-16 if dtype == "float64" else 4e-7
    )
    assert np.isnan(ops.erf([math.nan]).numpy()[0]) and np.isnan(ops.erfinv([1.5, math.nan]).numpy()).all()


@pytest.mark.parametrize(
    "name", ["sinh", "cosh", "arcsinh", "arccosh", "arctanh", "arcsin", "arccos", "arctan", "cbrt"]
)
def test_composed_functions_keep_their_precision(name):
    x = np.concatenate([np.logspace(-8, 0, 50), -np.logspace(-8, 0, 50)]) * 0.999
    if name == "arccosh":
        x = 1 + np.logspace(-8, 18, 100)
    elif name in ("sinh", "cosh", "arcsinh", "arctan", "cbrt"):
        x = np.concatenate([x, [5.0, -20.0, 300.0, 700.0]])
    np.testing.assert_allclose(getattr(ops, name)(x).numpy(), getattr(np, name)(x), rtol=2e-15)


def test_large_arguments_do_not_overflow():
    assert ops.sinh(np.float32([89.0])).numpy()[0] < np.inf
    assert ops.arcsinh(np.float32([1e30])).numpy()[0] == pytest.approx(69.77, abs=0.01)
    assert ops.hypot(np.float32([1e30]), np.float32([1e30])).numpy()[0] == pytest.approx(2**0.5 * 1e30)
    assert ops.logsumexp(np.float32([1e30, 1e30])).numpy() == np.float32(1e30)
    assert ops.logsumexp([-math.inf, -math.inf]).item() == -math.inf


@pytest.mark.parametrize("values", [[], [True], [False], [True, False]])
def test_any_and_all_of_few_bools(values):
    for x, axis in ((np.array(values, bool), None), (np.array(values, bool), ()), (np.array(all(values)), None)):
        for ours, theirs in ((ops.any, np.any), (ops.all, np.all)):
            np.testing.assert_array_equal(ours(x, axis=axis).numpy(), theirs(x, axis=axis))


def test_equality_is_elementwise_and_hashing_by_identity():
    x, v = as_tensor([1.0, 2.0]), Variable([1.0, 2.0])
    assert (x == x).tolist() == [True, True] and (x != [1.0, 5.0]).tolist() == [False, True]
    assert (x == None) is False and (x != None) is True  # noqa: E711
    assert {x: 1, v: 2}[v] == 2
    assert (v > 1).tolist() == [False, True] and (v @ v).item() == 5.0
    assert (2 - v).tolist() == [1.0, 0.0] and (np.float32(2) * x).tolist() == [2.0, 4.0]
    assert (np.ones(2, "float32") + x).tolist() == [2.0, 3.0]
    assert (x**2).tolist() == [1.0, 4.0] and (2**x).tolist() == [2.0, 4.0] and (-x).tolist() == [-1.0, -2.0]
    assert (as_tensor([5]) // 2).tolist() == [2] and (7 % as_tensor([4])).tolist() == [3]
    assert x.T.shape == (2,) and x.reshape(2, 1).T.shape == (1, 2) and x.clip(0, 1.5).tolist() == [1.0, 1.5]


def test_numpy_scalars_of_python_kind_are_weak():
    x = as_tensor(np.ones(2, "float32"))
    assert (x * np.sqrt(2.0)).dtype == "float32"
    assert ops.maximum(x, np.float64(0.5)).dtype == "float32"


def test_an_axis_of_unknown_size_is_unstacked_if_its_size_is_said():
    assert [x.shape for x in ops.unstack(KerasTensor((None, 3)), num=2)] == [(3,), (3,)]
    assert [x.shape for x in ops.unstack(KerasTensor((None, 2)), axis=1)] == [(None,), (None,)]


def test_scatter_and_gather_of_one_hot_round_trip():
    x = np.random.default_rng(0).normal(size=(50, 7)).astype("float32")
    ids = np.random.default_rng(1).integers(0, 6, (50, 1))
    expected = np.zeros((6, 7), "float32")
    np.add.at(expected, ids[:, 0], x)
    np.testing.assert_allclose(ops.scatter(ids, x, (6, 7)).numpy(), expected, rtol=1e-5, atol=1e-5)


MISTAKES = {
    "add of shapes": (lambda: ops.add(np.ones((2, 3)), np.ones(4)), r"\[add\].*\(2, 3\) and \(4,\) do not broadcast"),
    "the names of both": (lambda: ops.add(np.ones((2, 3)), np.ones(4)), r"x1 of shape \(2, 3\), x2 of shape \(4,\)"),
    "where": (lambda: ops.where(np.ones(3) > 0, np.ones(2), 0.0), r"\[where\].*condition of shape \(3,\)"),
    "where of one": (lambda: ops.where(np.ones(3) > 0, np.ones(2)), r"\[where\].*either both"),
    "no such axis": (lambda: ops.sum(np.ones((2, 3)), axis=2), r"\[sum\].*no axis 2.*axis=2.*from -2 to 1"),
    "axis twice": (lambda: ops.sum(np.ones((2, 3)), axis=(0, -2)), r"\[sum\].*names an axis twice"),
    "axis of a composite": (lambda: ops.mean(np.ones((2, 3)), axis=5), r"\[mean\].*no axis 5"),
    "reshape": (lambda: ops.reshape(np.ones((2, 3)), (4, -1)), r"\[reshape\].*6 elements do not fill"),
    "two free sizes": (lambda: ops.reshape(np.ones((2, 3)), (-1, -1)), r"\[reshape\].*at most one"),
    "transpose": (lambda: ops.transpose(np.ones((2, 3)), (0, 0)), r"\[transpose\].*each axis once"),
    "concatenate": (
        lambda: ops.concatenate([np.ones((2, 3)), np.ones((2, 4))]),
        r"\[concatenate\].*\(2, 3\), \(2, 4\)",
    ),
    "concatenate ranks": (lambda: ops.concatenate([np.ones(3), np.ones((2, 4))]), r"\[concatenate\].*must agree"),
    "stack": (lambda: ops.stack([np.ones(2), np.ones(3)]), r"\[stack\].*one shape"),
    "nothing to stack": (lambda: ops.stack([]), r"\[stack\].*nothing to stack"),
    "broadcast_to": (lambda: ops.broadcast_to(np.ones(3), (2,)), r"\[broadcast_to\]"),
    "broadcast_to smaller": (
        lambda: ops.broadcast_to(np.ones((2, 3)), (3,)),
        r"\[broadcast_to\].*does not broadcast to",
    ),
    "squeeze": (lambda: ops.squeeze(np.ones((2, 3)), 1), r"\[squeeze\].*size 3, not 1"),
    "split": (lambda: ops.split(np.ones(5), 2), r"\[split\].*equal parts"),
    "pad mode": (lambda: ops.pad(np.ones(5), 1, "mirror"), r"\[pad\].*no such mode"),
    "pad width": (lambda: ops.pad(np.ones((2, 5)), ((1, 1), (1, 1), (1, 1))), r"\[pad\].*give 2 pairs"),
    "no elements": (lambda: ops.max(np.ones((0, 3)), axis=0), r"\[max\].*no elements.*initial"),
    "argmax of none": (lambda: ops.argmax(np.ones((0, 3)), axis=0), r"\[argmax\].*no elements"),
    "bits of floats": (lambda: ops.bitwise_and(np.ones(3), 1), r"\[bitwise_and\].*integer or bool.*float64"),
    "minus of bools": (lambda: as_tensor([True]) - as_tensor([True]), r"\[subtract\].*bool.*ops.cast"),
    "index out of range": (lambda: ops.take(np.ones(3), [5]), r"\[take\].*index 5 is out of range for axis 0"),
    "int out of range": (lambda: as_tensor(np.ones((2, 3)))[0, 3], r"\[get_item\].*index 3 is out of range for axis 1"),
    "too many indices": (lambda: as_tensor(np.ones(3))[0, 0], r"\[get_item\].*2 indices for a tensor of 1 dimensions"),
    "float index": (lambda: as_tensor(np.ones(3))[np.ones(2)], r"\[get_item\].*integer or a bool mask"),
    "float indices": (
        lambda: ops.take_along_axis(np.ones((2, 3)), np.ones((2, 1)), 1),
        r"\[take_along_axis\].*indices",
    ),
    "scatter shapes": (
        lambda: ops.scatter_update(np.ones(3), [[0]], np.ones(2)),
        r"\[scatter_update\].*the shape \(1,\)",
    ),
    "scatter range": (lambda: ops.scatter([[7]], [1.0], (3,)), r"\[scatter.*index 7 is out of range"),
    "scatter reduction": (
        lambda: ops.scatter_update(np.ones(3), [[0]], [1.0], "sum"),
        r"\[scatter_update\].*no such red",
    ),
    "slice too large": (lambda: ops.slice(np.ones(3), [0], (4,)), r"slice\].*the block must fit"),
    "searchsorted": (lambda: ops.searchsorted(np.ones((2, 2)), 1.0), r"\[searchsorted\].*must be a vector"),
    "top_k": (lambda: ops.top_k(np.ones(3), 4), r"\[top_k\].*3 elements.*k=4"),
    "sparse": (lambda: ops.convert_to_tensor([1.0], sparse=True), r"\[convert_to_tensor\].*sparse"),
    "text": (lambda: ops.add("a", 1), r"not numbers"),
    "bad shape": (lambda: ops.zeros((2, "a")), r"\[zeros\].*tuple of ints"),
    "bad axis": (lambda: ops.sum(np.ones(3), axis="a"), r"\[sum\].*axis must be an int"),
    "negative size": (lambda: ops.ones((-3, 2)), r"\[ones\].*negative size.*shape=\(-3, 2\).*reshape"),
    "negative zeros": (lambda: ops.zeros(-1), r"\[zeros\].*negative size"),
    "negative full": (lambda: ops.full((2, -1), 1.0), r"\[full\].*negative size"),
    "negative repeat": (lambda: ops.repeat([1, 2], -1), r"\[repeat\].*repeats must be a whole number.*repeats=-1"),
    "negative tile": (lambda: ops.tile([1, 2], (2, -1)), r"\[tile\].*repeats must be a whole number"),
    "repeat by halves": (lambda: ops.repeat([1, 2], 1.5), r"\[repeat\].*repeats=1.5"),
    "eye of nothing": (lambda: ops.eye(None), r"\[eye\].*N must be a whole number.*N=None"),
    "negative eye": (lambda: ops.eye(-1), r"\[eye\].*N=-1"),
    "negative columns": (lambda: ops.eye(2, -1), r"\[eye\].*M=-1"),
    "identity": (lambda: ops.identity(-1), r"\[identity\].*n=-1"),
    "tri": (lambda: ops.tri(-2), r"\[tri\].*N=-2"),
    "arange of nothing": (lambda: ops.arange(None), r"\[arange\].*no bound"),
    "linspace": (lambda: ops.linspace(0, 1, -2), r"\[linspace\].*num=-2"),
    "one_hot": (lambda: ops.one_hot([1], -1), r"\[one_hot\].*num_classes=-1"),
    "one_hot of nothing": (lambda: ops.one_hot([1], None), r"\[one_hot\].*num_classes=None"),
    "take between": (lambda: ops.take([1, 2, 3], [[0.0, 1.5]]), r"\[take\].*whole numbers.*1.5 at \[0, 1\]"),
    "label between": (
        lambda: ops.sparse_categorical_crossentropy([0.7], [[0.5, 0.5]]),
        r"\[sparse_categorical_crossentropy\].*whole numbers.*0.7",
    ),
    "unstack": (
        lambda: ops.unstack(KerasTensor((None, 3))),
        r"\[unstack\].*axis 0 is not known yet.*\(None, 3\).*pass num",
    ),
    "negative power": (lambda: ops.power([2], [-1]), r"negative integer powers"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_say_what_failed(name):
    call, message = MISTAKES[name]
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}") as caught:
        call()
    if name not in ("negative power",):
        assert "Fix:" in str(caught.value)


WINDOWS = ("bartlett", "blackman", "hamming", "hanning")
COUNTING = {
    "bincount": lambda n: n.bincount(np.array([1, 1, 3, 0])),
    "bincount of rows": lambda n: n.bincount(np.array([[1, 1, 3], [0, 2, 2]]), minlength=5),
    "bincount weighted": lambda n: n.bincount(np.array([1, 1, 3]), weights=np.float32([0.5, 1, 2])),
    "histogram": lambda n: n.histogram(np.float32([0, 1, 1, 2, 5]), bins=4),
    "histogram in a range": lambda n: n.histogram(np.float32([0, 1, 1, 2, 5]), bins=3, range=(0, 3)),
    "unique": lambda n: n.unique(np.array([3, 1, 3, 2])),
    "unique and more": lambda n: n.unique(
        np.array([3, 1, 3]), return_index=True, return_inverse=True, return_counts=True
    ),
    "unique rows": lambda n: n.unique(np.array([[3, 1], [3, 1], [0, 1]]), axis=0),
    "unique to a size": lambda n: n.unique(np.array([3, 1, 3]), size=4, fill_value=7),
    "unique cut": lambda n: n.unique(np.array([3, 1, 2]), size=2),
    "nonzero": lambda n: n.nonzero(np.array([[0, 2], [1, 0]])),
    "meshgrid": lambda n: n.meshgrid(np.array([1, 2]), np.array([3, 4, 5])),
    "meshgrid ij": lambda n: n.meshgrid(np.array([1, 2]), np.array([3, 4, 5]), indexing="ij"),
    "linspace": lambda n: n.linspace(0, 3, 7, retstep=True),
    "arange": lambda n: n.arange(5, 0, -2),
    "arange of floats": lambda n: n.arange(0.0, 1.0, 0.3),
    "slice": lambda n: n.slice(np.arange(12).reshape(3, 4), (1, 2), (2, -1)),
    "slice_update": lambda n: n.slice_update(np.zeros((3, 4), "float32"), (1, 2), np.ones((2, 2), "float32")),
    "full_like": lambda n: n.full_like(np.ones(2, "float32"), 3),
    "argsort of all": lambda n: n.argsort(np.float32([[3, 1], [2, 0]]), axis=None),
    **{f"{w} of {n}": (lambda m, w=w, n=n: getattr(m, w)(n)) for w in WINDOWS for n in (1, 2, 7)},
    "prod of a dtype": lambda n: n.prod(np.float32([[3, 1], [2, 5]]), axis=1, dtype="int32"),
}


@pytest.mark.parametrize("name", COUNTING)
def test_functions_of_known_values_agree_with_keras(name):
    call = COUNTING[name]
    ours = [np.asarray(t) for t in tree.flatten(call(ops))]
    with keras_dtypes():
        theirs = [np.asarray(t) for t in tree.flatten(call(keras.ops))]
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape and a.dtype == (b.dtype if "int" not in str(b.dtype) else a.dtype)
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


UNKNOWN = {
    "first of each row": (lambda x: x[:, 0], (None, 3)),
    "steps and new axes": (lambda x: x[:, None, ::-1, 1:], (None, 1, 4, 2)),
    "all but one row": (lambda x: x[1:], (None, 4, 3)),
    "rows by number": (lambda x: ops.take(x, [0, 2, 2], axis=1), (None, 3, 3)),
    "rows by index array": (lambda x: x[:, np.array([0, 1])], (None, 2, 3)),
    "one row": (lambda x: x[0], (4, 3)),
    "mean over all rows": (lambda x: ops.mean(x, axis=0), (4, 3)),
    "mean over the rest": (lambda x: ops.mean(x, axis=(1, 2)), (None,)),
    "reshape": (lambda x: ops.reshape(x, (-1, 12)), (None, 12)),
    "flatten all": (lambda x: ops.ravel(x), (None,)),
    "concatenate": (lambda x: ops.concatenate([x, x * 2], axis=-1), (None, 4, 6)),
    "concatenate rows": (lambda x: ops.concatenate([x, x], axis=0), (None, 4, 3)),
    "stack": (lambda x: ops.stack([x, x], axis=1), (None, 2, 4, 3)),
    "split": (lambda x: ops.split(x, 2, axis=1)[1], (None, 2, 3)),
    "unstack": (lambda x: ops.unstack(x, axis=2)[0], (None, 4)),
    "transpose": (lambda x: ops.transpose(x, (2, 0, 1)), (3, None, 4)),
    "pad": (lambda x: ops.pad(x, ((0, 0), (1, 1), (0, 0))), (None, 6, 3)),
    "reflect": (lambda x: ops.pad(x, ((0, 0), (1, 1), (0, 0)), mode="reflect"), (None, 6, 3)),
    "tile and repeat": (lambda x: ops.repeat(ops.tile(x, (1, 2, 1)), 2, axis=2), (None, 8, 6)),
    "where": (lambda x: ops.where(x > 0, x, 0.0), (None, 4, 3)),
    "against a batch of one": (lambda x: x + np.ones((1, 4, 1), "float32"), (None, 4, 3)),
    "against a known batch": (lambda x: x + np.ones((5, 4, 3), "float32"), (5, 4, 3)),
    "sort": (lambda x: ops.sort(x, axis=1), (None, 4, 3)),
    "top_k": (lambda x: ops.top_k(x, 2)[1], (None, 4, 2)),
    "argmax": (lambda x: ops.argmax(x, axis=-1), (None, 4)),
    "cumsum": (lambda x: ops.cumsum(x, axis=1), (None, 4, 3)),
    "expand and squeeze": (lambda x: ops.squeeze(ops.expand_dims(x, 1), 1), (None, 4, 3)),
    "like": (lambda x: ops.zeros_like(x) + ops.full_like(x, 2), (None, 4, 3)),
    "roll": (lambda x: ops.roll(x, 1, axis=1), (None, 4, 3)),
    "flip": (lambda x: ops.flip(x, axis=(0, 1)), (None, 4, 3)),
    "logsumexp": (lambda x: ops.logsumexp(x, axis=-1, keepdims=True), (None, 4, 1)),
    "norm of rows": (lambda x: ops.sqrt(ops.sum(x**2, axis=-1)), (None, 4)),
    "prod": (lambda x: ops.prod(x, axis=2), (None, 4)),
    "argsort": (lambda x: ops.argsort(x), (None, 4, 3)),
    "slice": (lambda x: ops.slice(x, (0, 1, 0), (1, 2, 3)), (1, 2, 3)),
    "take_along_axis": (lambda x: ops.take_along_axis(x, ops.argsort(x, axis=1), axis=1), (None, 4, 3)),
    "median": (lambda x: ops.median(x, axis=1), (None, 3)),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_batch_size_stays_unknown(name):
    function, shape = UNKNOWN[name]
    assert tuple(function(KerasTensor((None, 4, 3))).shape) == shape


@pytest.mark.parametrize("wrap", [lambda f: f, function], ids=["eager", "compiled"])
def test_concatenating_without_an_axis_flattens(wrap):
    xs = [np.ones((2, 2), "float32"), np.zeros(3, "float32"), np.float32(5.0)]
    out = wrap(lambda *xs: ops.concatenate(list(xs), axis=None))(*xs)
    np.testing.assert_array_equal(out, np.concatenate(xs, axis=None))
    assert ops.concatenate([KerasTensor((2, 3)), KerasTensor((4,))], axis=None).shape == (10,)
