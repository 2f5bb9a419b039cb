"""Loop kernels: reductions over any axes, their precision, and that they do not depend on the number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import amalthea as am
from amalthea import ops
from amalthea.backends.native import BACKEND
from amalthea.backends.numpy import BACKEND as REFERENCE
from amalthea.compiler import fusion, loop_columns, loop_rows, loop_transposes
from amalthea.compiler import loops as loop_level
from amalthea.compiler.program import Program
from amalthea.core.trace import trace
from tests.compiler.random_graphs import Case, assert_close, cases

RNG = np.random.default_rng(0)
REDUCE = {"sum": ops.sum, "max": ops.max, "min": ops.min, "prod": ops.prod}
DTYPES = ("float32", "float64", "float16", "bfloat16", "int8", "int32", "uint8", "int64")


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def compiled(f: Callable[..., Any], *arrays: np.ndarray) -> tuple[Program, Any]:
    graph = trace(f, *arrays, level="op").expand("primitive", keep=BACKEND.bare_kernels)
    return Program(graph, BACKEND.bare_kernels), REFERENCE.compile(graph)


def loops(program: Program) -> list[str]:
    """The kinds of the generated functions, in order."""
    return [code.name.rsplit("_", 1)[0] for step in program.steps for code, _ in step.codes]


def same(f: Callable[..., Any], *arrays: np.ndarray, tolerance: float = 1e-6) -> Program:
    program, reference = compiled(f, *arrays)
    for a, b in zip(program(arrays), reference(arrays), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a.astype("float64"), b.astype("float64"), rtol=tolerance, atol=tolerance)
    return program


@st.composite
def reductions(draw: st.DrawFn) -> tuple[str, str, tuple[int, ...], tuple[int, ...], bool]:
    sizes = st.sampled_from([1, 2, 3, 5, 7, 8, 9, 16, 17, 33, 67])
    shape = draw(st.lists(sizes, min_size=1, max_size=4).map(tuple))
    axes = draw(st.sets(st.integers(0, len(shape) - 1), min_size=1).map(lambda s: tuple(sorted(s))))
    return draw(st.sampled_from(sorted(REDUCE))), draw(st.sampled_from(DTYPES)), shape, axes, draw(st.booleans())


@settings(max_examples=60, deadline=None)
@given(reductions(), st.randoms(use_true_random=False))
def test_every_reduction_over_any_axes(case: Any, random: Any) -> None:
    name, dtype, shape, axes, keepdims = case
    whole = np.random.default_rng(random.randint(0, 2**30)).integers(-2, 3, shape)
    values = np.where(whole == 0, 1, whole) if name == "prod" else whole
    x = am.ops.convert_to_tensor(np.abs(values) if dtype == "uint8" else values, dtype=dtype).numpy()
    if name == "prod" and "float" in dtype:
        x = np.sign(x)  # exact in every order

    def f(x: Any) -> Any:
        return REDUCE[name](x, axis=axes, keepdims=keepdims)

    same(f, x)


@settings(max_examples=60, deadline=None)
@given(reductions(), st.lists(st.sampled_from([np.nan, np.inf, -np.inf, -0.0]), max_size=3), st.integers(0, 99))
def test_nan_and_infinity_in_any_place(case: Any, special: list[float], seed: int) -> None:
    name, _, shape, axes, _ = case
    x = np.random.default_rng(seed).integers(-1, 2, shape).astype("float32")
    for i, value in enumerate(special):
        x.flat[(seed * 31 + i * 7) % x.size] = value
    with np.errstate(invalid="ignore"):
        same(lambda x: REDUCE[name](x, axis=axes), x)


SHAPES = {
    "columns of many rows": ((70001, 5), 0),
    "wide columns": ((600, 2051), 0),
    "columns of images": ((8, 33, 33, 24), (0, 1, 2)),
    "columns within rows": ((5, 9000, 7), 1),
    "everything": ((300, 1001), (0, 1)),
    "a few long rows": ((3, 100003), 1),
    "many rows": ((3000, 130), 1),
    "two groups of axes": ((4, 50, 6, 80), (1, 3)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_long_reductions_are_as_precise_as_pairwise_sums(name: str) -> None:
    shape, axis = SHAPES[name]
    x = (RNG.normal(size=shape) + 0.5).astype("float32")
    program, _ = compiled(lambda x: ops.sum(x, axis=axis), x)
    got = program([x])[0]
    exact = np.sum(x, axis=axis, dtype="float64")
    magnitude = np.sum(np.abs(x), axis=axis, dtype="float64")
    assert np.max(np.abs(got - exact) / magnitude) < 2.0**-24 * 8


def test_a_sum_of_a_million_rows_loses_no_more_than_numpys_pairwise_sum() -> None:
    x = RNG.uniform(size=(1_000_003, 2)).astype("float32")
    exact = x.sum(axis=0, dtype="float64")
    pairwise = np.array([np.sum(np.ascontiguousarray(column)) for column in x.T])
    limit = max(np.max(np.abs(pairwise - exact) / exact), 2.0**-23)
    for f in (lambda x: ops.sum(x, axis=0), lambda x: ops.sum(ops.transpose(x), axis=1)):
        got = compiled(f, x)[0]([x])[0]
        assert np.max(np.abs(got - exact) / exact) <= 4 * limit


@pytest.mark.parametrize("name", SHAPES)
def test_results_do_not_depend_on_the_number_of_threads(name: str) -> None:
    shape, axis = SHAPES[name]
    x = normal(*shape)

    def f(x: Any) -> Any:
        mean = ops.mean(x, axis=axis, keepdims=True)
        return mean, ops.var(x, axis=axis), ops.max(x, axis=axis), ops.exp(x - mean) * 2

    program, _ = compiled(f, x)
    before = am.config.num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            am.config.set_num_threads(threads)
            results.append(program([x]))
    finally:
        am.config.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_training_step_does_not_depend_on_the_number_of_threads() -> None:
    convolution = [am.layers.Conv2D(16, 3), am.layers.BatchNormalization(), am.layers.ReLU(), am.layers.MaxPooling2D()]
    dense = [am.layers.Flatten(), am.layers.Dense(96, activation="gelu"), am.layers.LayerNormalization()]
    model = am.Sequential([am.Input((20, 20, 3)), *convolution, *dense, am.layers.Dense(10)])
    optimizer = am.optimizers.AdamW(0.01, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)
    loss = am.losses.SparseCategoricalCrossentropy(from_logits=True)

    def step(x: Any, y: Any) -> Any:
        with am.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return value

    x, y = normal(24, 20, 20, 3), np.arange(24, dtype="int32") % 10
    graph = trace(step, x, y, level="op").expand("primitive", keep=BACKEND.bare_kernels)
    program = Program(graph, BACKEND.bare_kernels)
    before = am.config.num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            am.config.set_num_threads(threads)
            results.append(program([x.copy(), y, *(v.numpy().copy() for v in graph.variables)]))
    finally:
        am.config.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", SHAPES)
def test_variance_is_stable_far_from_zero(name: str, dtype: str) -> None:
    shape, axis = SHAPES[name]
    x = am.ops.cast(RNG.normal(size=shape) + 100, dtype).numpy()
    got = compiled(lambda x: ops.var(ops.cast(x, "float32"), axis=axis), x)[0]([x])[0]
    np.testing.assert_allclose(got, np.var(x.astype("float64"), axis=axis), rtol=1e-4)


def test_a_long_sum_is_shared_and_put_together() -> None:
    x = normal(70001, 5)
    assert loops(same(lambda x: ops.sum(x, axis=0), x, tolerance=1e-3)) == ["columns", "parts"]
    assert loops(same(lambda x: ops.mean(x * x), x, tolerance=1e-3)) == ["rows", "parts"]
    assert loops(same(lambda x: ops.sum(x, axis=1), x)) == ["rows"]
    assert loops(same(lambda x: ops.sum(x[:100], axis=0), x)) == ["columns"]


def test_many_sums_of_the_same_columns_are_one_kernel() -> None:
    x = normal(300, 1200)
    assert len(same(lambda x: [ops.sum(x * i, axis=0) for i in range(1, 12)], x, tolerance=1e-3).kernels) == 1


def test_what_follows_a_sum_of_columns_is_in_its_kernel() -> None:
    x = normal(64, 40)

    def f(x: Any, w: Any) -> Any:
        mean = ops.mean(x, axis=0)
        return w - 0.1 * mean, ops.sqrt(mean + 3)

    for rows in (64, 20000):
        assert len(same(f, normal(rows, 40), normal(40)).kernels) == 1
    program, _ = compiled(lambda x: (ops.exp(x), ops.sum(ops.exp(x), axis=0)), x)
    assert len(program.kernels) == 1


def test_the_result_of_a_kernel_that_is_cut_is_read_by_another() -> None:
    x = normal(2, 40000)
    program = same(ops.softmax, x)
    assert loops(program) == ["rows", "parts", "rows", "parts", "each"]
    assert len(same(ops.softmax, normal(64, 300)).kernels) == 1


def test_an_initial_value_counts_once() -> None:
    for shape in ((5, 3), (70001, 2), (2, 40000), (0, 3)):
        x = normal(*shape)
        for axis in (0, 1):
            same(lambda x, axis=axis: (ops.max(x, axis=axis, initial=0.25), ops.min(x, axis=axis, initial=-9.0)), x)


def test_reductions_of_slices_and_transposes() -> None:
    x = normal(40, 30, 20)
    same(lambda x: ops.sum(x[:, 2:20, ::2], axis=0), x, tolerance=1e-5)
    same(lambda x: ops.sum(x[::2, :, 1:7] * 2, axis=(0, 1)), x, tolerance=1e-4)
    same(lambda x: ops.sum(ops.transpose(x, (2, 0, 1)), axis=(0, 1)), x, tolerance=1e-4)
    same(lambda x: ops.mean(ops.flip(x, axis=0), axis=(0, 2)), x, tolerance=1e-5)


def test_the_parts_of_a_kernel_depend_on_its_sizes_only() -> None:
    kernel = fusion.LoopKernel((2,), (1 << 20,), (0,), (1,))
    assert kernel.parts == 16 and kernel.one_stage
    assert fusion.LoopKernel((64,), (1 << 20,), (0,), (1,)).parts == 1


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from([1, 3, 8, 13, 33, 64, 70]), min_size=2, max_size=3).flatmap(
        lambda shape: st.tuples(st.just(tuple(shape)), st.permutations(range(len(shape))))
    ),
    st.sampled_from(["float32", "float16", "int8", "float64"]),
)
def test_transposes_in_any_order_of_the_axes(case: Any, dtype: str) -> None:
    shape, axes = case
    x = RNG.integers(-9, 9, shape).astype(dtype)
    other = RNG.integers(-9, 9, [shape[a] for a in axes]).astype(dtype)
    same(lambda x, y: ops.transpose(x, axes) * 2 + y, x, other)


def test_a_large_transpose_goes_tile_by_tile() -> None:
    x = normal(130, 131)
    assert loops(same(lambda x: ops.exp(ops.transpose(x)) + 1, x)) == ["turned"]
    square = normal(65, 65)
    assert loops(same(lambda x: x + ops.transpose(x) * ops.transpose(x), square)) == ["turned"]
    images = normal(3, 30, 20, 9)
    assert loops(same(lambda x: ops.transpose(x, (0, 3, 1, 2)) + 1, images)) == ["turned"]
    assert loops(same(lambda x: ops.transpose(x, (0, 2, 1, 3)) + 1, images)) == ["each"]
    assert loops(same(lambda x: ops.transpose(ops.flip(x, axis=1)) - 1, x)) == ["turned"]
    many = [normal(70, 71) for _ in range(9)]  # more tiles than there is room for
    assert loops(same(lambda *xs: sum(ops.transpose(x) for x in xs), *many, tolerance=1e-5)) == ["each"]


def test_values_of_a_row_that_later_stages_read_stay_in_a_buffer() -> None:
    x = normal(50, 33)
    program = same(ops.softmax, x)
    assert program.routine.arena_size == 0 and len(program.kernels) == 1
    deep = normal(5, 4, 6, 7)
    assert same(lambda x: ops.softmax(x, axis=(1, 2, 3)), deep).routine.arena_size == 0
    assert (
        same(lambda x: ops.softmax(x), normal(9, 30000), tolerance=1e-5).routine.arena_size > 0
    )  # too long for a buffer


def test_small_updates_are_one_kernel_and_large_ones_some() -> None:
    def update(*arrays: Any) -> Any:
        weights, gradients = arrays[::2], arrays[1::2]
        return [w - 0.1 * g for w, g in zip(weights, gradients, strict=True)]

    assert len(same(update, *[normal(10) for _ in range(40)]).kernels) == 1
    kernels = same(update, *[normal(64, 64) for _ in range(40)]).kernels
    assert len(kernels) == 2 and sum(len(kernel.roots) for kernel in kernels) == 20
    x = normal(64, 64)
    assert len(same(lambda x: [x * i for i in range(2, 40)], x).kernels) == 1  # all read the same array


def test_an_update_that_waits_for_a_number_is_one_pass_over_its_arrays() -> None:
    def step(w: Any, m: Any, g: Any, count: Any) -> Any:
        m = m * 0.9 + g
        rate = 0.1 / ops.sqrt(ops.cast(count + 1, "float32"))
        return w - rate * m, m, count + 1

    program = same(step, normal(50, 60), normal(50, 60), normal(50, 60), np.array(3, "int32"))
    assert [len(kernel.roots) for kernel in program.kernels] == [2, 2]


TINY = (
    (loop_level, {"SMALLEST_PART": 2, "FEWEST_PARTS": 2, "COLUMNS": 3}),
    (loop_columns, {"COLUMNS": 3, "RUN": 2}),
    (loop_rows, {"RUN": 3, "TURNS": 2}),
    (loop_transposes, {"SMALLEST": 1, "STEEP": 2, "ACROSS": 3, "ALONG": 3}),
    (fusion, {"ROW_BUFFERS": 64, "ARRAYS": 3, "PAGE": 8}),
)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts, blocks, runs and tiles of a few elements, so that small tensors are cut in all ways."""
    for module, values in TINY:
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)


SHARED = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SHARED
@given(reductions(), st.integers(0, 99))
def test_reductions_cut_into_tiny_pieces(tiny: None, case: Any, seed: int) -> None:
    name, _, shape, axes, keepdims = case
    x = np.random.default_rng(seed).choice([-1.0, 1.0] if name == "prod" else [-2.0, 0.0, 1.0, 3.0], shape)
    same(lambda x: (ops.exp(x) + 1, REDUCE[name](x * 2 - x, axis=axes, keepdims=keepdims)), x)


@pytest.mark.parametrize("kind", ["ring", "smooth"])
@SHARED
@given(data=st.data())
def test_random_graphs_cut_into_tiny_pieces(tiny: None, kind: str, data: st.DataObject) -> None:
    case: Case = data.draw(cases(kind))
    got = Program(case.graph, BACKEND.bare_kernels)(case.arrays)
    assert_close(got, case.run(), 0.0 if kind == "ring" else 1e-9)


@settings(SHARED, max_examples=30)
@given(st.permutations(range(3)), st.lists(st.integers(1, 9), min_size=3, max_size=3))
def test_transposes_cut_into_tiny_pieces(tiny: None, axes: list[int], shape: list[int]) -> None:
    x = normal(*shape)
    same(lambda x: ops.transpose(x, axes) * 2 + np.float32(1), x)
