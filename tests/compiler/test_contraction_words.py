"""Contractions by instructions that multiply words (AMX, VNNI, pmaddwd, bfloat16 dot products) against einsum."""

from __future__ import annotations

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amalthea.backends.numpy import convolution as numpy_convolution
from amalthea.compiler.contraction import Generated, choices, from_subscripts, generate, generate_blocks
from amalthea.compiler.contraction_blocks import blocks_of
from amalthea.compiler.contraction_blocks_kernel import write_kernels
from amalthea.compiler.contraction_convolution import (
    convolution,
    convolution_input_gradient,
    convolution_kernel_gradient,
)
from amalthea.compiler.contraction_kernel import write_kernel
from amalthea.compiler.contraction_nest import Constant, Contraction, Epilogue, Step, Strides, nest_of
from amalthea.compiler.contraction_units import units
from amalthea.compiler.engine import assembly, object_code
from amalthea.compiler.target import Target
from amalthea.core.dtypes import DType, bfloat16, float32, int8, int32, uint8
from tests.compiler.contraction_runner import check, computed, guarded, run, values_of
from tests.compiler.test_contraction import CONVOLUTIONS, HOST, MATRICES, narrower

TARGETS = [HOST, *narrower()]


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMALTHEA_CACHE", "off")


def available(row: DType, column: DType, targets: list[Target] | None = None) -> list:
    """Each instruction that some target has for these dtypes."""
    total = float32 if row == "bfloat16" else int32
    return [
        pytest.param(target, unit.intrinsic, id=f"{target.name}-{unit.intrinsic.removeprefix('llvm.')}")
        for target in targets or TARGETS
        for unit in units(row, column, total, target)
    ]


def forced(c: Contraction, target: Target, intrinsic: str) -> Generated | None:
    """The kernels with one instruction; None where an operand has no direction in which it could be read."""
    return generate_blocks(nest_of(c), choices(c, target)[0], target, None, always=intrinsic)


def product(subscripts: str, x: tuple[int, ...], y: tuple[int, ...], dtype: DType) -> Contraction:
    if dtype == "bfloat16":
        return from_subscripts(subscripts, x, y, dtype)
    return from_subscripts(subscripts, x, y, dtype, accumulate=int32, result=int32)


LARGER = [
    ("ij,jk->ik", (200, 300), (300, 90)),
    ("ji,kj->ik", (70, 520), (90, 70)),
    ("ij,jk->ik", (129, 9000), (9000, 65)),  # several pieces of the depth
    ("ji,jk->ik", (9000, 33), (9000, 40)),
    ("bji,bjk->bki", (3, 77, 40), (3, 77, 50)),
    ("abij,bjk->abik", (2, 3, 20, 35), (3, 35, 33)),  # the panels of the columns serve two batches
]


@pytest.mark.parametrize(("target", "intrinsic"), available(bfloat16, bfloat16))
def test_bfloat16(target: Target, intrinsic: str) -> None:
    _all_products(bfloat16, target, intrinsic)


@pytest.mark.parametrize(("target", "intrinsic"), available(int8, int8))
def test_int8(target: Target, intrinsic: str) -> None:
    _all_products(int8, target, intrinsic)


@pytest.mark.parametrize(("target", "intrinsic"), available(uint8, uint8))
def test_uint8(target: Target, intrinsic: str) -> None:
    _all_products(uint8, target, intrinsic)


def _all_products(dtype: DType, target: Target, intrinsic: str) -> None:
    """Every second product that the instruction can make, cut where threads could cut it."""
    made = 0
    for subscripts, x, y in [*MATRICES[1::2], *LARGER]:
        c = product(subscripts, x, y, dtype)
        found = forced(c, target, intrinsic)
        if found is not None:
            check(c, target, generated=found, splits=(0.3, 0.7), at_end=made % 2 == 0)
            made += 1
    assert made > 12


@pytest.mark.parametrize(("target", "intrinsic"), available(int8, int8))
@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    sizes=st.tuples(*[st.integers(1, 70)] * 3), turned=st.tuples(st.booleans(), st.booleans()), seed=st.integers(0, 9)
)
def test_integers_are_exact_at_their_ends(target, intrinsic, sizes, turned, seed) -> None:
    """Products of -128 and 127 do not saturate, for any depth and layout."""
    m, k, n = sizes
    left, right = ("ji" if turned[0] else "ij"), ("kj" if turned[1] else "jk")
    shapes = {"ij": (m, k), "ji": (k, m), "jk": (k, n), "kj": (n, k)}
    c = product(f"{left},{right}->ik", shapes[left], shapes[right], int8)
    found = forced(c, target, intrinsic)
    if found is None:
        assert 1 in sizes  # an axis of one element is none
        return
    r = np.random.default_rng(seed)
    x, y = (r.choice(np.array([-128, -127, 127, 0], np.int8), shapes[s]) for s in (left, right))
    out = guarded(np.zeros((m, n), np.int32), True)
    run(found, target, {"x": guarded(x, True), "y": guarded(y, True), "out0": out})
    np.testing.assert_array_equal(out, np.einsum(f"{left},{right}->ik", x.astype(np.int32), y.astype(np.int32)))


@pytest.mark.parametrize(("target", "intrinsic"), available(bfloat16, bfloat16))
@settings(max_examples=8, deadline=None, derandomize=True)
@given(data=st.data())
def test_bfloat16_of_any_layout(target, intrinsic, data) -> None:
    """Any order of axes, odd depths and batches; sums of two depth axes; float32 or bfloat16 results."""
    sizes = {c: data.draw(st.integers(2, 40)) for c in "ijkl"}
    terms = [data.draw(st.permutations(letters)) for letters in ("bijl", "bjkl", "bik")]
    left, right, out = ("".join(term) for term in terms)
    shapes = [tuple(sizes[c] if c != "b" else 2 for c in term) for term in (left, right)]
    result = data.draw(st.sampled_from([bfloat16, float32]))
    c = from_subscripts(f"{left},{right}->{out}", *shapes, bfloat16, result=result)
    found = forced(c, target, intrinsic)
    if found is not None:
        check(c, target, generated=found, splits=(data.draw(st.floats(0, 1)),))


def test_bfloat16_sums_are_rounded_once() -> None:
    """4096 ones and a half each: partial sums in bfloat16 would stop at 512."""
    for target, intrinsic in (p.values for p in available(bfloat16, bfloat16)):
        c = product("ij,jk->ik", (32, 4099), (4099, 32), bfloat16)
        x, y = np.full((32, 4099), 1.5, ml_dtypes.bfloat16), np.ones((4099, 32), ml_dtypes.bfloat16)
        out = guarded(np.zeros((32, 32), ml_dtypes.bfloat16), True)
        run(forced(c, target, intrinsic), target, {"x": guarded(x, True), "y": guarded(y, True), "out0": out})
        np.testing.assert_array_equal(out.astype(float), float(np.float64(1.5 * 4099).astype(ml_dtypes.bfloat16)))


@pytest.mark.parametrize(("target", "intrinsic"), available(bfloat16, bfloat16))
def test_nan_and_infinity_stay_in_their_row_and_column(target, intrinsic) -> None:
    c = product("ij,jk->ik", (40, 45), (45, 37), bfloat16)
    x, y = (values_of(a * b, "bfloat16", a).reshape(a, b) for a, b in ((40, 45), (45, 37)))
    x[3, 44], x[39, 0], y[7, 36] = np.nan, np.inf, -np.inf
    out = guarded(np.zeros((40, 37), ml_dtypes.bfloat16), True)
    run(forced(c, target, intrinsic), target, {"x": guarded(x, True), "y": guarded(y, True), "out0": out})
    with np.errstate(invalid="ignore"):
        right = x.astype(float) @ y.astype(float)
    np.testing.assert_array_equal(np.isnan(out.astype(float)), np.isnan(right))
    np.testing.assert_array_equal(np.isinf(out.astype(float)), np.isinf(right))


@pytest.mark.parametrize(("target", "intrinsic"), available(bfloat16, bfloat16))
@pytest.mark.parametrize(("x", "kernel", "strides", "padding", "dilation", "groups"), CONVOLUTIONS[1::2])
def test_convolutions(target, intrinsic, x, kernel, strides, padding, dilation, groups) -> None:
    options = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    plain = {"strides": strides, "dilation": dilation, "groups": groups}
    r = np.random.default_rng(0)
    image, weights = (r.normal(size=s).astype(ml_dtypes.bfloat16).astype(np.float32) for s in (x, kernel))
    right = numpy_convolution.convolution(image, weights, **options)
    gradient = r.normal(size=right.shape).astype(ml_dtypes.bfloat16).astype(np.float32)
    wide = numpy_convolution.padded(image, padding)

    def compare(contractions, a: np.ndarray, b: np.ndarray, right: np.ndarray) -> None:
        out = guarded(np.full(right.shape, np.nan, ml_dtypes.bfloat16), True)
        halves = [guarded(v.astype(ml_dtypes.bfloat16), True) for v in (a, b)]
        for c in contractions:
            run(
                forced(c, target, intrinsic) or generate(c, target),
                target,
                {"x": halves[0], "y": halves[1], "out0": out},
            )
        np.testing.assert_allclose(out.astype(np.float32), right, rtol=8e-3, atol=1e-4)

    compare([convolution(wide.shape, kernel, bfloat16, **plain)], wide, weights, right)
    c = convolution_kernel_gradient(wide.shape, gradient.shape, kernel[:-2], bfloat16, **plain)
    right = numpy_convolution.conv_kernel_gradient(image, gradient, kernel_size=kernel[:-2], **options)
    compare([c], wide, gradient, right)
    found = convolution_input_gradient(gradient.shape, kernel, x[1:-1], bfloat16, padding=padding, **plain)
    right = numpy_convolution.conv_input_gradient(gradient, weights, input_size=x[1:-1], **options)
    compare(found.contractions, numpy_convolution.padded(gradient, found.padding), weights, right)


@pytest.mark.parametrize("places", [(2, 3, 16), (3, 4, 14), (2, 2, 7), (2, 3, 9), (40, 1, 5)])
@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_words_along_each_axis_of_the_depth(target: Target, places: tuple[int, ...]) -> None:
    """The gradient of a convolution in its kernel: rounds of a short axis together in a step, and along the others."""
    n, h, w = places
    options = {"strides": (1, 1), "dilation": (1, 1)}
    c = convolution_kernel_gradient((n, h + 2, w + 2, 16), (n, h, w, 40), (3, 3), int8, **options)
    together = set()
    for b in blocks_of(nest_of(c), target):
        kernels, names = write_kernels(b, target, None)
        check(c, target, generated=Generated(kernels, names, (b.scratch,)), splits=(0.4,))
        together.add(b.depth.together)
    assert together & {2, 4, 8} or n * h % 2 or not units(int8, int8, int32, target)


@pytest.mark.parametrize(("target", "intrinsic"), available(bfloat16, bfloat16))
def test_epilogues(target, intrinsic) -> None:
    """A bias, an activation and two outputs of different layout and dtype, in blocks with and without pieces."""
    from amalthea.compiler import elementwise

    for m, k, n in ((70, 90, 45), (40, 5000, 33)):
        c = product("ij,jk->ik", (m, k), (k, n), bfloat16)
        steps = (Step("add", (0, 1), float32), Step("maximum", (2, Constant(0, float32)), float32))
        results = ((3, float32, Strides((n, 1))), (2, bfloat16, Strides((1, m))))
        epilogue = Epilogue(((float32, Strides((0, 1))),), steps, results)
        c = Contraction(c.batch, c.rows, c.columns, c.depth, c.x, c.y, c.out, c.dtype, c.accumulate, epilogue)
        made = generate_blocks(nest_of(c), choices(c, target)[0], target, elementwise.emit, always=intrinsic)
        x, y, bias = values_of(m * k, "bfloat16", 1), values_of(k * n, "bfloat16", 2), values_of(n, "float32", 3)
        first, second = np.zeros((m, n), np.float32), np.zeros((n, m), ml_dtypes.bfloat16)
        arrays = {"x": x, "y": y, "operand0": bias, "out0": first, "out1": second}
        arrays = {name: guarded(value, True) for name, value in arrays.items()}
        run(made, target, arrays, (0.4,))
        sums = x.reshape(m, k).astype(float) @ y.reshape(k, n).astype(float) + bias
        np.testing.assert_allclose(arrays["out0"], np.maximum(sums, 0), rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(arrays["out1"].astype(float).T, sums, rtol=8e-3, atol=1e-3)


def test_narrow_results_of_one_lane() -> None:
    """LLVM stored four bytes where the last vector of a row of bytes had one lane."""
    c = from_subscripts("ij,jk->ik", (20, 40), (40, 33), uint8)
    for target in TARGETS:
        got, right = computed(c, target)
        np.testing.assert_array_equal(got, right.astype(np.uint8))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_half_precision_without_instructions_for_it(target: Target, dtype: str) -> None:
    for subscripts, x, y in (("ij,jk->ik", (20, 33), (33, 21)), ("ij,kj->ik", (3, 65), (5, 65))):
        c = from_subscripts(subscripts, x, y, DType(dtype))
        check(c, target)
        check(replace(c, dtype=int8, accumulate=float32), target)  # integers in, half precision out


@pytest.mark.parametrize("name", ["x86-64", "sse4.2", "avx2", "avx512", "neon"])
def test_no_functions_of_a_runtime_library_are_called(name: str) -> None:
    target = Target.named(name)
    for read, stored in ((bfloat16, bfloat16), (int8, bfloat16), (float32, bfloat16), (bfloat16, float32)):
        c = replace(product("ij,jk->ik", (20, 33), (33, 21), bfloat16), dtype=read, result=stored)
        kernel = write_kernel(nest_of(c), choices(c, target)[0], target)
        assert "bf2" not in assembly([kernel.text], kernel.declarations, target)


@pytest.mark.parametrize("name", ["sse4.2", "avx2", "avx512", "sapphirerapids", "neon", "neon-dot"])
def test_every_target_compiles(name: str) -> None:
    """Objects for instructions that this machine need not have."""
    target = Target.named(name)
    for dtype, total in ((bfloat16, float32), (int8, int32), (uint8, int32)):
        for unit in units(dtype, dtype, total, target):
            for subscripts, x, y in (("ij,jk->ik", (100, 90), (90, 70)), ("ji,kj->ik", (90, 96), (70, 90))):
                made = forced(product(subscripts, x, y, dtype), target, unit.intrinsic)
                for kernel in made.kernels:
                    assert object_code([kernel.text], kernel.declarations, target)[0][:4] == b"\x7fELF"
    if name == "neon-dot":
        found = {
            unit.intrinsic.split(".")[3]
            for d, t in ((bfloat16, float32), (int8, int32))
            for unit in units(d, d, t, target)
        }
        assert found == {"bfdot", "sdot"}


def test_the_model_prefers_them_where_there_is_work() -> None:
    large = product("ij,jk->ik", (256, 512), (512, 512), int8)
    for name in ("avx2", "avx512", "sapphirerapids", "neon-dot"):
        target = Target.named(name)
        assert generate(large, target).kernels[-1].name.startswith("blocks_")
    assert generate(product("ij,jk->ik", (1, 64), (64, 8), int8), HOST).kernels[-1].name.startswith("contract_")
