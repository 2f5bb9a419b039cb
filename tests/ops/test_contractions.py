"""Contractions against NumPy, and the laws that NumPy does not know (dtypes, errors)."""

from __future__ import annotations

import numpy as np
import pytest

import amalthea.ops as ops
from amalthea.core.errors import ArgumentError, ShapeError
from amalthea.core.tape import GradientTape
from amalthea.core.tensor import as_tensor


def rand(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def agree(ours, theirs, rtol=1e-10):
    ours = ours.numpy()
    assert ours.shape == np.shape(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=1e-12)


CONTRACT = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,kj->ki", (2, 3), (4, 3)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("bij,kj->kbi", (2, 2, 3), (4, 3)),
    ("bqhd,bkhd->bhqk", (2, 3, 4, 5), (2, 6, 4, 5)),
    ("bhqk,bkhd->bqhd", (2, 4, 3, 6), (2, 6, 4, 5)),
    ("ijk,lkj->il", (2, 3, 4), (5, 4, 3)),
    ("i,i->", (3,), (3,)),
    ("ij,ji->ij", (2, 3), (3, 2)),
    ("i,j->ji", (2,), (3,)),
    ("ij,j->i", (2, 3), (3,)),
    (",i->i", (), (3,)),
    ("ij,jk->ik", (0, 3), (3, 4)),
    ("ij,jk->ik", (2, 0), (0, 4)),
    ("abc,bd->acd", (3, 4, 5), (4, 2)),
]


@pytest.mark.parametrize(("subscripts", "a", "b"), CONTRACT)
@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_contract(subscripts, a, b, order):
    x, y = rand(*a), rand(*b, seed=1)
    if order == "F":
        x, y = x.copy(order="F"), y.copy(order="F")
    elif order == "strided":
        x, y = np.repeat(x, 2, axis=-1)[..., ::2] if a else x, np.repeat(y, 2, axis=0)[::2]
    agree(ops.contract(as_tensor(x), as_tensor(y), subscripts), np.einsum(subscripts, x, y))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 3), (3, 4)),
        ((3,), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3,)),
        ((2, 1, 2, 3), (3, 3, 2)),
        ((2, 2, 3), (3, 2)),
        ((3, 2), (2, 2, 4)),
        ((1, 2, 3), (5, 3, 2)),
        ((5, 2, 3), (1, 3, 2)),
        ((1, 2, 3), (1, 3, 2)),
        ((3,), (2, 4, 3, 2)),
        ((2, 4, 2, 3), (3,)),
        ((4, 1, 2, 3), (1, 5, 3, 2)),
        ((0, 2, 3), (3, 2)),
    ],
)
def test_matmul(a, b):
    x, y = rand(*a), rand(*b, seed=1)
    agree(ops.matmul(x, y), np.matmul(x, y))
    agree(as_tensor(x) @ as_tensor(y), np.matmul(x, y))


@pytest.mark.parametrize(("a", "b"), [((2, 3), (3, 4)), ((3,), (3,)), ((2, 4, 3), (5, 3, 2)), ((2, 3), ()), ((), ())])
def test_dot(a, b):
    x, y = rand(*a), rand(*b, seed=1)
    agree(ops.dot(x, y), np.dot(x, y))


@pytest.mark.parametrize(("a", "b"), [((2, 3), (4, 3)), ((3,), (3,)), ((2, 4, 3), (5, 2, 3)), ((2, 3), ())])
def test_inner(a, b):
    x, y = rand(*a), rand(*b, seed=1)
    agree(ops.inner(x, y), np.inner(x, y))


def test_vdot_and_outer():
    x, y = rand(2, 3), rand(3, 2, seed=1)
    agree(ops.vdot(x, y), np.vdot(x, y))
    agree(ops.outer(x, y), np.outer(x, y))


@pytest.mark.parametrize(
    ("a", "b", "axes"),
    [
        ((2, 3, 4), (3, 4, 2), 2),
        ((2, 3), (3, 4), 1),
        ((2,), (3,), 0),
        ((2, 3, 4), (4, 2, 3), ((0, 2), (1, 0))),
        ((2, 3), (4, 3), (1, 1)),
        ((2, 3), (4, 3), [[-1], [-1]]),
    ],
)
def test_tensordot(a, b, axes):
    x, y = rand(*a), rand(*b, seed=1)
    agree(ops.tensordot(x, y, axes=axes), np.tensordot(x, y, axes=axes))


EINSUM = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ba", (2, 3)),
    ("ij->", (2, 3)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij->ji", (3, 3, 2)),
    ("iii->i", (3, 3, 3)),
    ("ij,ij->", (2, 3), (2, 3)),
    ("i,j->ij", (2,), (3,)),
    ("i,j,k->kij", (2,), (3,), (4,)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    ("ij,jk,kl,lm->im", (2, 3), (3, 4), (4, 5), (5, 2)),
    ("...ij,...jk->...ik", (2, 3, 4), (4, 5)),
    ("...ij,...jk", (5, 1, 3, 4), (2, 4, 5)),
    ("ij...,jk->ik...", (2, 3, 4), (3, 5)),
    ("...->...", (2, 3)),
    ("...i->...", (2, 3)),
    ("b...,b...->...", (2, 3, 4), (2, 4)),
    ("ij,kl->il", (2, 3), (4, 5)),
    (" b i j , b j -> b i ", (2, 3, 4), (2, 4)),
    ("abc,cd,def->abef", (2, 3, 4), (4, 5), (5, 2, 3)),
    ("ab,ab->ab", (1, 3), (2, 3)),
    ("ii,ij->j", (3, 3), (3, 2)),
    ("a,a,a->", (3,), (3,), (3,)),
    ("BTNH,BSNH->BNTS", (2, 3, 2, 4), (2, 5, 2, 4)),
]


@pytest.mark.parametrize("case", EINSUM, ids=lambda case: case[0])
def test_einsum(case):
    subscripts, *shapes = case
    operands = [rand(*shape, seed=i) for i, shape in enumerate(shapes)]
    agree(ops.einsum(subscripts, *operands), np.einsum(subscripts, *operands))


def test_int8_products_are_summed_in_int32():
    x = np.full((2, 3), 100, np.int8)
    for product in (ops.matmul(x, x.T), ops.einsum("ij,kj->ik", x, x)):
        assert product.dtype == "int32"
        assert product.numpy().tolist() == [[30000] * 2] * 2


def test_dtypes_are_promoted():
    assert ops.matmul(np.ones((2, 2), "int32"), np.ones((2, 2), "float32")).dtype == "float32"
    assert ops.matmul(np.ones((2, 2), "float16"), np.ones((2, 2), "float16")).dtype == "float16"
    assert ops.matmul(as_tensor([[1.0]], "bfloat16"), as_tensor([[2.0]], "bfloat16")).dtype == "bfloat16"
    assert ops.matmul(np.ones((2, 2), "uint8"), np.ones((2, 2), "uint8")).dtype == "uint8"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_sums_in_float32(dtype):
    ones = ops.ones((1, 4096), dtype)
    assert float(ops.matmul(ones, ops.ones((4096, 1), dtype)).numpy().item()) == 4096


@pytest.mark.parametrize(
    ("ord", "axis"),
    [
        (None, None),
        (None, 1),
        (None, (0, 1)),
        (2, 1),
        (1, 0),
        (0, 1),
        (3, 1),
        (0.5, 0),
        (np.inf, 1),
        (-np.inf, 0),
        ("fro", (0, 1)),
        ("fro", None),
        (1, (0, 1)),
        (-1, (0, 1)),
        (np.inf, (0, 1)),
        (-np.inf, (1, 0)),
        (1, (-1, 0)),
    ],
)
@pytest.mark.parametrize("keepdims", [False, True])
def test_norm(ord, axis, keepdims):
    x = rand(3, 4)
    agree(ops.norm(x, ord=ord, axis=axis, keepdims=keepdims), np.linalg.norm(x, ord=ord, axis=axis, keepdims=keepdims))


def test_norm_of_a_three_dimensional_tensor():
    x = rand(2, 3, 4)
    agree(ops.norm(x), np.sqrt((x**2).sum()))
    agree(ops.norm(x, ord=1, axis=(1, 2)), np.linalg.norm(x, ord=1, axis=(1, 2)))


def test_normalize():
    x = rand(3, 4)
    agree(ops.normalize(x), x / np.linalg.norm(x, axis=-1, keepdims=True))
    agree(ops.normalize(x, axis=0, order=1), x / np.abs(x).sum(axis=0))
    with GradientTape() as tape:
        zero = as_tensor(np.zeros(3))
        tape.watch(zero)
        out = ops.sum(ops.normalize(zero))
    assert np.isfinite(tape.gradient(out, zero).numpy()).all()


MISTAKES = [
    (
        lambda: ops.matmul(np.ones((2, 3)), np.ones((4, 5))),
        ShapeError,
        r"\[matmul\].*size 3.*size 4.*\(2, 3\).*\(4, 5\)",
    ),
    (
        lambda: ops.matmul(np.ones((2, 2, 3)), np.ones((3, 3, 5))),
        ShapeError,
        r"\[matmul\].*batch axes of sizes 2 and 3",
    ),
    (lambda: ops.matmul(2.0, np.ones((4, 5))), ShapeError, r"\[matmul\].*scalar.*Fix: use x1 \* x2"),
    (lambda: ops.dot(np.ones(3), np.ones(4)), ShapeError, r"\[dot\].*size 3.*4"),
    (lambda: ops.inner(np.ones(3), np.ones(4)), ShapeError, r"\[inner\].*size 3.*4"),
    (lambda: ops.vdot(np.ones(3), np.ones(4)), ShapeError, r"\[vdot\].*3 elements.*4"),
    (lambda: ops.tensordot(np.ones(3), np.ones(3), axes=2), ShapeError, r"\[tensordot\].*axes=2"),
    (lambda: ops.tensordot(np.ones((2, 3)), np.ones(3), axes=((2,), (0,))), ShapeError, r"\[tensordot\].*no axis 2"),
    (lambda: ops.einsum("ij,jk->ik", np.ones((2, 3)), np.ones((4, 5))), ShapeError, r"\[einsum\].*'j' is 3 here and 4"),
    (lambda: ops.einsum("ij->i", np.ones(3)), ShapeError, r"\[einsum\].*'ij' does not fit 1 axes"),
    (lambda: ops.einsum("ij,jk", np.ones((2, 3))), ArgumentError, r"\[einsum\].*2 terms and 1 operands"),
    (lambda: ops.einsum("i?->i", np.ones((2, 3))), ArgumentError, r"\[einsum\].*only letters"),
    (lambda: ops.einsum("i->j", np.ones(3)), ArgumentError, r"\[einsum\].*output"),
    (lambda: ops.einsum("ii->i", np.ones((2, 3))), ShapeError, r"\[einsum\].*(2 here and 3|sizes 2 and 3)"),
    (lambda: ops.contract(np.ones(3), np.ones(3), "i,j->i"), ArgumentError, r"\[contract\].*one operand only"),
    (lambda: ops.contract(np.ones((3, 3)), np.ones(3), "ii,i->i"), ArgumentError, r"\[contract\].*repeated"),
    (lambda: ops.contract(np.ones(3), np.ones(4), "i,i->"), ShapeError, r"\[contract\].*3 here and 4"),
    (lambda: ops.norm(np.ones((2, 2)), ord="nuc"), ArgumentError, r"\[norm\].*no such norm"),
    (lambda: ops.normalize(np.ones(2), order=0), ArgumentError, r"\[normalize\].*at least 1"),
]


@pytest.mark.parametrize(
    ("call", "error", "message"), MISTAKES, ids=[m[2][:24] + str(i) for i, m in enumerate(MISTAKES)]
)
def test_mistakes_are_explained(call, error, message):
    with pytest.raises(error, match=message):
        call()
