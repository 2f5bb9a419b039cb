"""Contractions against einsum and the NumPy backend's convolutions, at the edge of readable memory."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from amalthea.backends.numpy import convolution as numpy_convolution
from amalthea.compiler.contraction import (
    choices,
    contiguous,
    from_subscripts,
    generate,
    generate_turned,
    with_epilogue,
)
from amalthea.compiler.contraction_convolution import (
    convolution,
    convolution_input_gradient,
    convolution_kernel_gradient,
)
from amalthea.compiler.contraction_nest import Constant, Contraction, Epilogue, Step, Strides, nest_of
from amalthea.compiler.contraction_tiles import SWEEP
from amalthea.compiler.target import Target
from amalthea.core.dtypes import DType, float32
from tests.compiler.contraction_runner import check, computed, guarded, run, values_of

HOST = Target.host()


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMALTHEA_CACHE", "off")


def narrower() -> list[Target]:
    """Targets with fewer registers and shorter vectors that run here."""
    return [t for t in map(Target.named, ("sse4.2", "avx2", "avx512", "neon")) if t.runs_here() and t.name != HOST.name]


MATRICES = [
    ("ij,jk->ik", (1, 1), (1, 1)),
    ("ij,jk->ik", (37, 61), (61, 53)),
    ("ij,jk->ik", (64, 96), (96, 128)),
    ("ij,jk->ik", (5, 3), (3, 200)),
    ("ij,jk->ik", (130, 1), (1, 70)),
    ("ij,jk->ik", (7, 0), (0, 5)),
    ("ij,jk->ik", (0, 4), (4, 5)),
    ("ij,jk->ik", (40, 300), (300, 3)),
    ("ij,jk->ik", (2, 3000), (3000, 40)),
    ("ij,kj->ik", (33, 50), (21, 50)),
    ("ij,kj->ik", (3, 257), (9, 257)),
    ("ij,kj->ik", (100, 35), (70, 35)),
    ("ji,jk->ik", (45, 19), (45, 33)),
    ("ji,kj->ik", (18, 23), (29, 18)),
    ("ij,jk->ki", (20, 31), (31, 40)),
    ("i,i->", (1000,), (1000,)),
    ("i,j->ij", (19,), (21,)),
    ("ij,j->i", (50, 77), (77,)),
    ("ij,i->j", (50, 77), (50,)),
    ("j,jk->k", (77,), (77, 50)),
    ("bij,bjk->bik", (5, 9, 20), (5, 20, 17)),
    ("bij,bkj->bik", (3, 9, 20), (3, 17, 20)),
    ("bqhd,bkhd->bhqk", (2, 9, 3, 16), (2, 11, 3, 16)),
    ("bhqk,bkhd->bqhd", (2, 3, 9, 11), (2, 11, 3, 16)),
    ("bij,jk->bik", (4, 6, 10), (10, 12)),
    ("bi,bi->b", (33, 20), (33, 20)),
    ("bi,bj->bij", (4, 7), (4, 40)),
    ("ic,jc->ijc", (6, 40), (5, 40)),
    ("abc,bcd->ad", (5, 4, 6), (4, 6, 18)),
    ("abc,cbd->da", (5, 4, 6), (6, 4, 18)),
    ("ai,bi->ab", (1, 64), (1, 64)),
    ("nij,nji->n", (3, 6, 7), (3, 7, 6)),
]


@pytest.mark.parametrize(("subscripts", "x", "y"), MATRICES)
def test_matrix_products(subscripts: str, x: tuple[int, ...], y: tuple[int, ...]) -> None:
    check(from_subscripts(subscripts, x, y, float32), HOST)


@pytest.mark.parametrize(("subscripts", "x", "y"), MATRICES[1::3])
def test_reads_nothing_before_the_arrays_and_splits_anywhere(subscripts, x, y) -> None:
    c = from_subscripts(subscripts, x, y, float32)
    check(c, HOST, at_end=False)
    whole, _ = computed(c, HOST)
    cut, _ = computed(c, HOST, splits=(0.1, 0.35, 0.36, 0.5, 0.77, 0.98))
    np.testing.assert_array_equal(cut, whole)


@pytest.mark.parametrize("target", narrower(), ids=lambda t: t.name)
@pytest.mark.parametrize(("subscripts", "x", "y"), MATRICES[1::4])
def test_narrower_targets(subscripts, x, y, target: Target) -> None:
    check(from_subscripts(subscripts, x, y, float32), target)


DTYPES = ["float64", "bfloat16", "float16", "int8", "uint8", "int16", "int32", "uint32", "int64"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("subscripts", "x", "y"), [MATRICES[1], MATRICES[9], MATRICES[12], MATRICES[21], MATRICES[10]])
def test_dtypes(subscripts, x, y, dtype: str) -> None:
    check(from_subscripts(subscripts, x, y, DType(dtype)), HOST)


def test_half_precision_sums_are_stored_as_asked() -> None:
    c = from_subscripts("ij,jk->ik", (20, 30), (30, 40), DType("bfloat16"), result=float32)
    check(c, HOST)
    check(dataclasses.replace(c, dtype=DType("int8"), accumulate=float32, result=float32), HOST)


@pytest.mark.parametrize(
    ("rows", "columns", "depth"), [((4000,), (9,), (70,)), ((30,), (200,), (5000,)), ((300,), (40,), (7, 600))]
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_blocks_of_the_depth_and_of_rows(rows, columns, depth, dtype) -> None:
    x, y = contiguous((*rows, *depth)), contiguous((*depth, *columns))
    out = contiguous((*rows, *columns))
    c = Contraction((), rows, columns, depth, Strides(x), Strides(y), Strides(out), DType(dtype), float32)
    check(c, HOST, splits=(0.3, 0.31, 0.6))


@pytest.mark.parametrize("depth", [(20000,), (10007,), (33, 17, 30), (16, 640)])
def test_a_long_depth_is_shared(depth: tuple[int, ...]) -> None:
    x, y = contiguous((*depth, 24)), contiguous((*depth, 20))
    steps = Strides((x[-1], *x[:-1])), Strides(y), Strides((20, 1))
    c = Contraction((), (24,), (20,), depth, *steps, float32, float32)
    assert len(generate(c, HOST).scratch) == 1
    check(c, HOST, splits=(0.2, 0.5))


@pytest.mark.parametrize(("batch", "sizes"), [((), (300, 256, 400)), ((), (273, 301, 259)), ((3,), (130, 140, 200))])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_an_operand_is_turned_around_beforehand(batch, sizes, dtype) -> None:
    m, k, n = sizes
    b = "b" * len(batch)
    c = from_subscripts(f"{b}km,{b}kn->{b}mn", (*batch, k, m), (*batch, k, n), DType(dtype))
    chosen = next(t for t in choices(c, HOST, limit=200) if t.form == "outer" and not t.swap)
    made = generate_turned(nest_of(c), chosen, HOST, None, always=True)
    assert made is not None and made.kernels[0].name.startswith("turn_")
    check(c, HOST, splits=(0.3, 0.5), generated=made)


def test_every_choice_computes_the_same() -> None:
    c = from_subscripts("ij,jk->ik", (23, 40), (40, 70), float32)
    found = choices(c, HOST, limit=400)
    assert len(found) > 30
    for tiling in found[::5]:
        check(c, HOST, tiling=tiling)
    c = from_subscripts("ij,kj->ik", (23, 40), (70, 40), float32)
    for tiling in choices(c, HOST, limit=400)[::7]:
        check(c, HOST, tiling=tiling)


@pytest.mark.parametrize("seed", range(30))
def test_any_strides(seed: int) -> None:
    """Random roles, sizes, orders of axes, signs and gaps; the operands' axes may overlap."""
    r = np.random.default_rng(seed)

    def sizes(most: int) -> tuple[int, ...]:
        return tuple(int(n) for n in r.integers(1, 8 if r.random() < 0.7 else 30, r.integers(0, most + 1)))

    batch, rows, columns, depth = sizes(1), sizes(2), sizes(2), sizes(2)

    def strides(dims: tuple[int, ...], distinct: bool) -> Strides:
        steps, step, offset = [0] * len(dims), 1, int(r.integers(0, 3))
        for axis in r.permutation(len(dims)):
            sign = -1 if r.random() < 0.25 else 1
            steps[axis] = sign * step if distinct or r.random() < 0.8 else int(r.integers(0, 4))
            offset += max(-steps[axis], 0) * (dims[axis] - 1)
            step *= dims[axis]
            step += int(r.integers(0, 3)) if r.random() < 0.3 else 0
        return Strides(tuple(steps), offset)

    x, y = strides(batch + rows + depth, False), strides(batch + depth + columns, False)
    out = strides(batch + rows + columns, True)
    dtype = DType(r.choice(["float32", "float64", "int32"]))
    check(Contraction(batch, rows, columns, depth, x, y, out, dtype, dtype), HOST, splits=(0.5,))


# -- convolutions ----------------------------------------------------------------------------------------------------

CONVOLUTIONS = [  # input, kernel, strides, padding, dilation, groups
    ((2, 9, 3), (3, 3, 5), (1,), ((1, 1),), (1,), 1),
    ((2, 17, 4), (4, 4, 8), (3,), ((1, 2),), (2,), 1),
    ((2, 8, 9, 3), (3, 3, 3, 16), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((1, 14, 14, 32), (3, 3, 32, 48), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((3, 7, 7, 16), (1, 1, 16, 40), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 15, 13, 6), (3, 5, 6, 10), (2, 3), ((1, 1), (2, 2)), (1, 1), 1),
    ((2, 8, 8, 16), (1, 1, 16, 24), (2, 2), ((0, 0), (0, 0)), (1, 1), 1),
    ((1, 12, 12, 5), (3, 2, 5, 7), (2, 1), ((2, 0), (1, 3)), (2, 3), 1),
    ((1, 9, 9, 4), (2, 2, 4, 4), (1, 1), ((0, -1), (2, 0)), (1, 1), 1),
    ((2, 8, 8, 12), (3, 3, 4, 18), (1, 1), ((1, 1), (1, 1)), (1, 1), 3),
    ((2, 9, 9, 20), (3, 3, 1, 20), (1, 1), ((1, 1), (1, 1)), (1, 1), 20),
    ((2, 9, 9, 20), (3, 3, 1, 20), (2, 2), ((0, 1), (0, 1)), (1, 1), 20),
    ((1, 6, 6, 6), (3, 3, 1, 12), (1, 1), ((1, 1), (1, 1)), (1, 1), 6),
    ((1, 4, 5, 6, 3), (2, 3, 2, 3, 4), (1, 2, 1), ((0, 1), (1, 1), (0, 0)), (1, 1, 2), 1),
]


@pytest.mark.parametrize(("x", "kernel", "strides", "padding", "dilation", "groups"), CONVOLUTIONS)
def test_convolutions(x, kernel, strides, padding, dilation, groups) -> None:
    given = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    r = np.random.default_rng(0)
    image, weights = r.normal(size=x).astype(np.float32), r.normal(size=kernel).astype(np.float32)
    right = numpy_convolution.convolution(image, weights, **given)
    gradient = r.normal(size=right.shape).astype(np.float32)
    wide = numpy_convolution.padded(image, padding)
    plain = {"strides": strides, "dilation": dilation, "groups": groups}

    c = convolution(wide.shape, kernel, float32, **plain)
    _compare([c], wide, weights, right)
    c = convolution_kernel_gradient(wide.shape, gradient.shape, kernel[:-2], float32, **plain)
    right = numpy_convolution.conv_kernel_gradient(image, gradient, kernel_size=kernel[:-2], **given)
    _compare([c], wide, gradient, right)
    found = convolution_input_gradient(gradient.shape, kernel, x[1:-1], float32, padding=padding, **plain)
    right = numpy_convolution.conv_input_gradient(gradient, weights, input_size=x[1:-1], **given)
    _compare(found.contractions, numpy_convolution.padded(gradient, found.padding), weights, right)


def _compare(contractions, x: np.ndarray, y: np.ndarray, right: np.ndarray) -> None:
    for at_end in (True, False):
        out = guarded(np.full(right.shape, np.nan, np.float32), at_end)
        arrays = {"x": guarded(x, at_end), "y": guarded(y, at_end), "out0": out}
        for c in contractions:
            run(generate(c, HOST), HOST, arrays, (0.4,))
        np.testing.assert_allclose(out, right, rtol=1e-4, atol=1e-4)


# -- epilogues -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subscripts", "x", "y"),
    [
        ("ij,jk->ik", (20, 30), (30, 45)),
        ("ij,kj->ik", (3, 64), (5, 64)),  # the dot form
        ("ij,jk->ik", (300, 5000), (5000, 20)),  # blocks of the depth
        ("ij,jk->ik", (8, 60000), (60000, 8)),  # partial sums
        ("ij,jk->ik", (1, 50), (50, 1)),
    ],
)
def test_epilogues(subscripts, x, y) -> None:
    """A bias, an activation, an addition, and two outputs of different layout and dtype."""
    c = from_subscripts(subscripts, x, y, float32)
    (m,), (n,) = c.rows, c.columns
    half = DType("bfloat16")
    epilogue = Epilogue(
        operands=((float32, Strides((0, 1))), (float32, Strides((n, 1)))),
        steps=(
            Step("add", (0, 1), float32),
            Step("maximum", (3, Constant(0, float32)), float32),
            Step("add", (4, 2), float32),
        ),
        results=((5, float32, Strides((n, 1))), (3, half, Strides((1, m)))),
    )
    a, b, bias, other = (values_of(s, "float32", i) for i, s in enumerate((x[0] * x[1], y[0] * y[1], n, m * n)))
    first, second = guarded(np.zeros((m, n), np.float32), True), guarded(np.zeros((n, m), half.as_numpy_dtype), True)
    made = generate(with_epilogue(c, epilogue), HOST)
    arrays = {"x": a, "y": b, "operand0": bias, "operand1": other, "out0": first, "out1": second}
    run(made, HOST, {k: v if k.startswith("out") else guarded(v, True) for k, v in arrays.items()}, (0.3, 0.6))
    sums = np.einsum(subscripts, a.reshape(x).astype(float), b.reshape(y).astype(float)) + bias
    scale = np.sqrt(x[1])
    np.testing.assert_allclose(second.astype(float).T, sums, rtol=1e-2, atol=1e-2 * scale)
    np.testing.assert_allclose(first, np.maximum(sums, 0) + other.reshape(m, n), rtol=1e-5, atol=1e-5 * scale)


def test_equal_contractions_have_equal_names() -> None:
    one, two = (from_subscripts("ij,jk->ik", (8, 9), (9, n), float32) for n in (10, 11))
    names = [generate(c, HOST).kernels[0].name for c in (one, one, two)]
    assert names[0] == names[1] != names[2]


def test_a_matrix_that_few_rows_meet_is_read_row_by_row() -> None:
    """A product of one row with a large matrix is bound by memory: blocks of a few of its rows are swept."""
    c = from_subscripts("ij,jk->ik", (1, 1000), (1000, 1100), float32)
    target = Target.named("avx2")
    assert choices(c, target)[0].outside and choices(c, target)[0].depth <= SWEEP
    check(c, HOST, splits=(0.3,))
    check(from_subscripts("ij,jk->ik", (3, 1001), (1001, 1031), float32), HOST, splits=(0.5,))
