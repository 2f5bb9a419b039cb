"""Every primitive as a program against its NumPy kernel: the samples of the registry, and shapes of all kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import amalthea as am
from amalthea import ops
from amalthea.backends.native import BACKEND
from amalthea.backends.numpy import BACKEND as REFERENCE
from amalthea.compiler.coverage import NOTHING, coverage, coverage_table
from amalthea.compiler.program import Program
from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError
from amalthea.core.graph import Graph
from amalthea.core.registry import registry
from amalthea.core.trace import trace
from tests.ops.sampling import sample_calls, with_tensors

INDEX_TYPES = ("int8", "uint8", "int32", "uint32", "int64")
DTYPES = ("bool", "int8", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")
NUMBERS = DTYPES[1:]
ALL = (*DTYPES, "uint16", "uint32", "uint64")
sizes = st.sampled_from([1, 1, 2, 3, 4, 5, 7, 8, 16, 17, 33])
seeds = st.integers(0, 2**32 - 1)


def graph_of(f, *arrays) -> Graph:
    return trace(f, *arrays, level="op").expand("primitive", keep=BACKEND.bare_kernels)


def compiled(f, *arrays) -> tuple[Program, Graph]:
    graph = graph_of(f, *arrays)
    return Program(graph, BACKEND.bare_kernels), graph


def check(f, *arrays, exact: bool = True, tolerance: float = 1e-5) -> None:
    """Compare a program with the reference on 1, 2 and 3 threads; to the bit if `exact`."""
    program, graph = compiled(f, *arrays)
    values = [np.array(a, order="C") for a in arrays] + [v.numpy() for v in graph.variables]
    want = REFERENCE.compile(graph)(values)
    assert not program.fallbacks
    for threads in (1, 2, 3):
        am.config.set_num_threads(threads)
        try:
            got = program(values)
        finally:
            am.config.set_num_threads(None)
        for a, b in zip(got, want, strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            if a.dtype.name == "bfloat16":
                a, b = a.astype("float32"), b.astype("float32")
            if exact:
                np.testing.assert_array_equal(a, b)
            else:
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def drawn(seed: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Small whole numbers, some of them equal, with NaN and signed zeros among floating ones."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 2 if dtype == "bool" else 9, shape).astype(dtypes.to_numpy(dtype))
    if dtypes.is_floating(dtype):
        found = (found - 4) / 2
        found = np.where(rng.random(shape) < 0.1, -0.0, found)
        found = np.where(rng.random(shape) < 0.1, np.nan, found)
    elif not dtype.startswith(("u", "b")):
        found = found - 4
    return np.asarray(found).astype(dtypes.to_numpy(dtype))


PRIMITIVES = [c for c in sample_calls() if c[1].op.name in BACKEND.bare_kernels]


@pytest.mark.parametrize("name, f, bound", PRIMITIVES, ids=[c[0] for c in PRIMITIVES])
def test_samples(name, f, bound):
    """Floating samples are in float64, where all but elementary functions is exact or nearly so."""
    op = f.op
    bound = with_tensors(op, bound, lambda x: np.asarray(x))
    places = [(n, i) for n in op.tensors for i in (range(len(bound[n])) if n in op.variadic else [None])]
    arrays = [bound[n] if i is None else bound[n][i] for n, i in places]

    def call(*given):
        arguments = {n: list(v) if n in op.variadic else v for n, v in bound.items()}
        for (n, i), x in zip(places, given, strict=True):
            if i is None:
                arguments[n] = x
            else:
                arguments[n][i] = x
        return f(**arguments)

    check(call, *arrays, exact=False)


def test_every_primitive_has_code_and_the_documents_say_which():
    assert NOTHING not in coverage()
    page = Path(__file__).parents[2] / "docs" / "how-the-compiler-works.md"
    assert coverage_table() in page.read_text()


@pytest.mark.parametrize("dtype", ALL)
def test_contractions_and_reductions_of_all_dtypes(dtype):
    x, kernel = drawn(1, (2, 5, 5, 3), dtype), drawn(2, (3, 2, 3, 4), dtype)
    x[x != x], kernel[kernel != kernel] = 2, 3
    options = {"strides": (1, 1), "padding": ((1, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    check(lambda x, k: registry["convolution"](x, k, **options), x, kernel, exact=False, tolerance=1e-2)
    check(
        lambda x, k: registry["contract"](x, k, subscripts="abcd,efdg->abcefg"), x, kernel, exact=False, tolerance=1e-2
    )
    for axis in (0, 1, 3, (0, 2), (2, 3)):
        for name, options in (("sum", {}), ("prod", {}), ("max", {"initial": None}), ("min", {"initial": None})):
            reduce = registry[name]
            f = lambda x: reduce(x, axis=axis, keepdims=False, **options)  # noqa: B023, E731
            check(f, x, exact=False, tolerance=1e-2)


@settings(deadline=None, max_examples=15)
@given(sizes, sizes, sizes, st.integers(0, 2), st.sampled_from(INDEX_TYPES), st.sampled_from(DTYPES), seeds)
def test_gather(a, b, n, axis, kind, dtype, seed):
    x = drawn(seed, (a, b, 3), dtype)
    low = 0 if kind.startswith("u") else -x.shape[axis]
    indices = np.random.default_rng(seed).integers(low, x.shape[axis], (n, 2)).astype(kind)
    check(lambda x, i: ops.take(x, i, axis=axis), x, indices)
    check(lambda x, i: ops.take(ops.flip(x, 0), i, axis=axis), x, indices)


@pytest.mark.parametrize("index", [5, -6, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("threads", [1, 3])
def test_indices_out_of_range_are_an_error(index, threads):
    x, i = np.arange(5.0), np.zeros(20000, "int32")
    program, _ = compiled(lambda x, i: ops.take(x * 2, i, axis=0), x, i)
    program([x, i])
    i[12345] = index
    am.config.set_num_threads(threads)
    try:
        with pytest.raises(ArgumentError, match=f"index {index} is out of range for axis 0, which has 5 elements"):
            program([x, i])
    finally:
        am.config.set_num_threads(None)
    i[12345] = -5
    program([x, i])  # nothing is left of the error


@settings(deadline=None, max_examples=15)
@given(st.lists(sizes, min_size=1, max_size=6), sizes, st.integers(0, 1), st.sampled_from(DTYPES), seeds)
def test_concatenate(lengths, other, axis, dtype, seed):
    shapes = [(n, other) if axis == 0 else (other, n) for n in lengths]
    arrays = [drawn(seed + i, shape, dtype) for i, shape in enumerate(shapes)]
    check(lambda *xs: ops.concatenate(xs, axis=axis), *arrays)
    check(lambda *xs: ops.flip(ops.concatenate([ops.flip(x, 0) for x in xs], axis=axis), axis), *arrays)
    check(lambda *xs: (ops.concatenate(xs, axis=axis), ops.concatenate(xs[::-1], axis=axis)), *arrays)


@settings(deadline=None, max_examples=15)
@given(sizes, sizes, *[st.integers(0, 3)] * 4, st.integers(0, 2), st.sampled_from(DTYPES), seeds)
def test_constant_pad(a, b, before, after, left, right, between, dtype, seed):
    x = drawn(seed, (a, b), dtype)
    pad = registry["constant_pad"]
    options = {"low": (before, left), "high": (after, right), "interior": (between, 1), "value": 1}
    check(lambda x: pad(x, **options), x)
    check(lambda x: ops.flip(pad(ops.flip(x, 0), **options), 1), x)


@settings(deadline=None, max_examples=15)
@given(sizes, sizes, st.integers(-9, 9), st.integers(-9, 9), st.sampled_from(["int32", "int64", "int8"]), seeds)
def test_dynamic_slices(a, b, i, j, kind, seed):
    x, starts = drawn(seed, (a + 2, b + 3), "float32"), np.array([i, j], kind)
    updates = drawn(seed + 1, (a, b), "float32")
    check(lambda x, s: ops.slice(x, s, (a, b)), x, starts)
    check(lambda x, u, s: ops.slice_update(x, s, u), x, updates, starts)
    check(lambda x, u, s: ops.flip(ops.slice_update(ops.flip(x, 0), s, ops.flip(u, 1)), 1), x, updates, starts)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(1, 40), min_size=0, max_size=3), st.sampled_from(["float32", "float16", "float64"]), seeds)
def test_random_numbers_are_those_of_the_reference(shape, dtype, seed):
    key = np.random.default_rng(seed).integers(0, 2**32, 2).astype("uint32")
    shape = tuple(shape)
    check(lambda k: ops.random_bits(k, shape), key)
    check(lambda k: ops.random_bits(k, shape, stream=5) & 7, key)
    check(lambda k: ops.transpose(ops.random_bits(k, shape)), key)
    check(lambda k: am.random.uniform(shape, dtype=dtype, seed=seed % 1000) + ops.cast(k[0], dtype) * 0, key)


@settings(deadline=None, max_examples=15)
@given(sizes, st.integers(1, 4), st.integers(1, 3), sizes, st.sampled_from(DTYPES), seeds)
def test_extract_windows(places, size, stride, channels, dtype, seed):
    x = drawn(seed, (2, (places - 1) * stride + size, size + 1, channels), dtype)
    f = registry["extract_windows"]
    check(lambda x: f(x, size=(size, size), strides=(stride, 1)), x)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.sampled_from([1, 2, 3, 4, 5, 6]), min_size=1, max_size=4), st.randoms(), seeds)
def test_reshapes_inside_kernels(shape, random, seed):
    """Splits, joins, and both, with what is read and made in another order."""
    x = drawn(seed, tuple(shape), "float32")
    factors = [p for n in shape for p in {4: [2, 2], 6: [2, 3]}.get(n, [n])]
    random.shuffle(factors)
    after = list(factors)
    while len(after) > 2:
        after[1:3] = [after[1] * after[2]]
    check(lambda x: ops.flip(ops.reshape(ops.flip(x, 0), after), -1), x)
    check(lambda x: ops.max(ops.reshape(ops.transpose(x), after), axis=0), np.nan_to_num(x))


@settings(deadline=None, max_examples=25)
@given(
    sizes, sizes, st.sampled_from([0, 1, 3, 40]), st.integers(1, 2),
    st.sampled_from([None, "add", "mul", "max", "min"]), st.sampled_from(INDEX_TYPES),
    st.sampled_from(DTYPES), st.booleans(), seeds,
)  # fmt: skip
def test_scatter_update(a, b, n, depth, reduction, kind, dtype, zeros, seed):
    shape = (a, b, 3)
    rng = np.random.default_rng(seed)
    low = [0 if kind.startswith("u") else -size for size in shape[:depth]]
    indices = np.stack([rng.integers(lo, hi, n) for lo, hi in zip(low, shape, strict=False)], -1).astype(kind)
    x, updates = drawn(seed, shape, dtype), drawn(seed + 1, (n, *shape[depth:]), dtype)

    def f(x, i, u):
        return ops.scatter_update(ops.zeros(shape, dtype) if zeros else x, i, u, reduction)

    check(f, x, indices, updates, exact=dtype not in ("float16", "bfloat16"), tolerance=1e-2)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradient_of_an_embedding(dtype):
    """One fill and one pass of additions, with the rounding of the reference: repeated rows are summed in float32."""
    table = np.random.default_rng(0).normal(size=(50, 16)).astype(dtypes.to_numpy(dtype))
    indices = np.random.default_rng(1).integers(0, 7, (8, 128)).astype("int32")

    def gradient(table, indices):
        with am.GradientTape() as tape:
            tape.watch(table)
            y = ops.sum(ops.square(ops.cast(ops.take(table, indices, axis=0), "float32")))
        return tape.gradient(y, table)

    check(gradient, table, indices, exact=False, tolerance=1e-5 if dtype == "float32" else 1e-2)
    program, _ = compiled(gradient, table, indices)
    assert sum(code.name.startswith("scatter") for step in program.steps for code, _ in step.codes) == 1
    assert len(program.steps) <= 3  # the check of the indices, what is added, the scatter


@settings(deadline=None, max_examples=25)
@given(sizes, sizes, sizes, st.sampled_from([None, 0, 1, 2]), st.sampled_from(DTYPES), seeds)
def test_argmax_and_argmin(a, b, c, axis, dtype, seed):
    x = drawn(seed, (a, b, c), dtype)
    check(lambda x: (ops.argmax(x, axis=axis), ops.argmin(x, axis=axis, keepdims=True)), x)


@settings(deadline=None, max_examples=25)
@given(
    sizes,
    st.sampled_from([0, 1, 2, 5, 40]),
    st.sampled_from([1, 2, 7, 70]),
    st.integers(0, 2),
    st.sampled_from(NUMBERS),
    seeds,
)
def test_cumulative_sum(a, b, c, axis, dtype, seed):
    check(lambda x: registry["cumulative_sum"](x, axis), drawn(seed, (a, b, c), dtype))


@settings(deadline=None, max_examples=25)
@given(
    sizes,
    st.sampled_from([0, 1, 2, 3, 7, 8, 64, 100]),
    st.sampled_from([1, 3]),
    st.integers(0, 2),
    st.sampled_from(DTYPES),
    seeds,
)
def test_argsort(a, b, c, axis, dtype, seed):
    x = drawn(seed, (a, b, c), dtype)
    check(lambda x: ops.argsort(x, axis=axis), x)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_sort_and_top_k(dtype):
    x = drawn(3, (4, 31), dtype)
    check(lambda x: (ops.sort(x, axis=0), ops.sort(x, axis=1), *ops.top_k(x, 5)), x)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from([0, 1, 2, 3, 8, 9, 100]), sizes, st.booleans(), st.sampled_from(DTYPES), seeds)
def test_searchsorted(n, count, left, dtype, seed):
    x = drawn(seed, (n,), dtype)
    x = x[np.argsort(x.astype("float64"), kind="stable")]
    check(lambda x, v: ops.searchsorted(x, v, "left" if left else "right"), x, drawn(seed + 1, (count, 2), dtype))


@settings(deadline=None, max_examples=25)
@given(
    sizes,
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(0, 3),
    st.sampled_from([1, 3]),
    st.sampled_from(DTYPES),
    seeds,
)
def test_overlap_add(places, size, stride, rest, channels, dtype, seed):
    x = drawn(seed, (2, places, 2, size, 2, channels), dtype)
    full = ((places - 1) * stride + size + rest, 3)
    f = registry["overlap_add"]
    check(lambda x: f(x, input_size=full, size=(size, 2), strides=(stride, 1)), x)
    check(lambda x: f(x, input_size=(full[0], 5), size=(size, 2), strides=(stride, 2)), x)
    check(lambda x: ops.flip(f(ops.flip(x, 0), input_size=(full[0], 4), size=(size, 2), strides=(stride, 2)), -1), x)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(-2, 2),
    st.integers(-2, 2),
    st.sampled_from(DTYPES),
    st.booleans(),
    seeds,
)
def test_max_pooling_of_all_dtypes(size, stride, before, after, dtype, mixed, seed):
    x = drawn(seed, (2, 7, 8, 3), dtype)
    options = {"size": (size, 2), "strides": (stride, 1), "padding": ((before, after), (0, 1))}
    pool, gradient = registry["max_pooling"], registry["max_pooling_gradient"]
    shape = pool(ops.convert_to_tensor(x), **options).shape
    g = drawn(seed + 1, tuple(shape), "float32" if mixed else dtype)
    g[g != g] = 2
    check(lambda x, g: (pool(x, **options), gradient(x, g, **options)), x, g)


@settings(deadline=None, max_examples=15)
@given(*[st.integers(-2, 2)] * 4, st.integers(1, 2), st.integers(1, 2), seeds)
def test_convolutions_that_crop(top, bottom, left, right, stride, dilation, seed):
    rng = np.random.default_rng(seed)
    x, k = rng.integers(-3, 4, (2, 9, 8, 3)).astype("float64"), rng.integers(-3, 4, (3, 2, 3, 4)).astype("float64")
    attributes = {
        "strides": (stride, 1),
        "padding": ((top, bottom), (left, right)),
        "dilation": (dilation, 1),
        "groups": 1,
    }
    convolution = registry["convolution"]

    def f(x, k):
        with am.GradientTape() as tape:
            tape.watch([x, k])
            y = ops.sum(ops.square(convolution(x, k, **attributes)))
        return convolution(x, k, **attributes), *tape.gradient(y, [x, k])

    check(f, x, k)


def test_a_contraction_reads_what_was_widened_even_where_the_wide_value_is_a_result():
    def f(a, b):
        wide = ops.cast(ops.bitwise_and(b, 15), "float32")
        return wide, registry["contract"](a, wide, subscripts="a,pq->aqp")

    check(f, np.array([-2.0, 2.0], "float32"), np.array([[-2]], "int8"))
