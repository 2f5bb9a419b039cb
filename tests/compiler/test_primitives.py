"""Every primitive as a program against its NumPy kernel: the samples of the registry, and shapes of all kinds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import amalthea as am
from amalthea import ops
from amalthea.backends.native import BACKEND
from amalthea.backends.numpy import BACKEND as REFERENCE
from amalthea.compiler.program import Program
from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError
from amalthea.core.graph import Graph
from amalthea.core.registry import registry
from amalthea.core.trace import trace
from tests.ops.sampling import sample_calls, with_tensors

INDEX_TYPES = ("int8", "uint8", "int32", "uint32", "int64")
DTYPES = ("bool", "int8", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")
sizes = st.sampled_from([1, 1, 2, 3, 4, 5, 7, 8, 16, 17, 33])
seeds = st.integers(0, 2**32 - 1)


def graph_of(f, *arrays) -> Graph:
    return trace(f, *arrays, level="op").expand("primitive", keep=BACKEND.bare_kernels)


def compiled(f, *arrays) -> tuple[Program, Graph]:
    graph = graph_of(f, *arrays)
    return Program(graph, BACKEND.bare_kernels), graph


FALLBACKS = {"scan_loop", "loop", "branch"} | {
    "argmax", "argmin", "argsort", "cumulative_sum", "overlap_add", "scatter_update", "searchsorted", "convolution",
    "conv_input_gradient", "conv_kernel_gradient",
}  # fmt: skip


def check(f, *arrays, exact: bool = True, tolerance: float = 1e-5) -> None:
    """Compare a program with the reference on 1, 2 and 3 threads; to the bit if `exact`."""
    program, graph = compiled(f, *arrays)
    values = [np.array(a, order="C") for a in arrays] + [v.numpy() for v in graph.variables]
    want = REFERENCE.compile(graph)(values)
    assert {step.node.op.name for step in program.steps if step.node is not None} <= FALLBACKS
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


CONTROL = ("scan_loop", "loop", "branch")
PRIMITIVES = [c for c in sample_calls() if c[1].op.name in BACKEND.bare_kernels and c[1].op.name not in CONTROL]


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
