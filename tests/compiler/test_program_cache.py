"""Programs come back from the cache as they were, and only for the same graph, target and settings."""

import numpy as np
import pytest

import amalthea as am
from amalthea import ops
from amalthea.backends.native import BACKEND
from amalthea.backends.numpy import BACKEND as REFERENCE
from amalthea.compiler import engine
from amalthea.compiler.generators import GENERATORS
from amalthea.compiler.program import Program
from amalthea.compiler.program_cache import Entry
from amalthea.compiler.target import Target
from amalthea.core.errors import ArgumentError
from amalthea.core.spec import TensorSpec


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("AMALTHEA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def traced(function, *specs):
    return am.trace(function, *specs, level="op").expand("primitive", keep=BACKEND.bare_kernels)


def arrays_for(graph, seed=0):
    rng = np.random.default_rng(seed)
    arrays = []
    for value in graph.all_inputs:
        numbers = rng.normal(size=value.spec.sizes) if value.spec.dtype.is_floating else np.zeros(value.spec.sizes)
        arrays.append(np.array(numbers, value.spec.dtype.as_numpy_dtype))
    return arrays


def compiled(graph):
    """A program, and whether it came from the cache on disk (not from what this process has loaded)."""
    engine._loaded.clear()
    program = Program(graph, BACKEND.bare_kernels)
    return program, "routine" not in vars(program)


X = TensorSpec((6, 5), "float32")
TABLE = np.arange(30, dtype="float32").reshape(6, 5)


def loops(x):
    return ops.scan(lambda c, r: (c * 0.5 + r, ops.cond(ops.sum(c) > 0, lambda: c, lambda: r * TABLE[0])), x[0], x)


GRAPHS = {
    "pointwise": lambda x: ops.exp(x) * 2.0,
    "a_constant_of_the_graph": lambda x: x + TABLE,
    "a_folded_constant": lambda x: x + ops.transpose(ops.exp(ops.reshape(TABLE / 30, (5, 6)))),
    "a_constant_comes_out": lambda x: (x * 2.0, ops.convert_to_tensor(TABLE)),
    "matmul": lambda x: ops.matmul(x, ops.transpose(x)),
    "loops": loops,
    "nothing_to_compute": lambda x: (),
    "input_comes_back": lambda x: (x, x),
    "dtypes": lambda x: ops.cast(ops.cast(x, "bfloat16") + 1, "int8"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_program_comes_back(name):
    graph = traced(GRAPHS[name], X)
    first, was_kept = compiled(graph)
    again, is_kept = compiled(traced(GRAPHS[name], X))  # another graph, the same computation
    assert not was_kept and is_kept
    arrays = arrays_for(graph)
    for one, two, want in zip(first(arrays), again(arrays), REFERENCE.compile(graph)(arrays), strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_allclose(one.astype("float64"), want.astype("float64"), rtol=1e-5, atol=1e-5)
    assert again.describe() == first.describe()


def test_what_falls_back_comes_back(monkeypatch):
    monkeypatch.delitem(GENERATORS, "max_pooling")
    graph = traced(lambda x: ops.max_pool(x * 2.0, (2, 3), 1, "same") + 1.0, TensorSpec((2, 6, 6, 3), "float32"))
    arrays = arrays_for(graph)
    (first, _), (again, kept) = compiled(graph), compiled(graph)
    assert kept and first.fallbacks == again.fallbacks == ["max_pooling"]
    np.testing.assert_array_equal(first(arrays)[0], again(arrays)[0])


def test_updates_in_place_come_back():
    state = am.Variable(np.ones((50, 40), "float32"))
    graph = traced(lambda x: (state.assign(state * 0.5 + x), None)[1], TensorSpec((50, 40), "float32"))
    (first, _), (again, kept) = compiled(graph), compiled(graph)
    assert kept and first.in_place == again.in_place == {0: 1}
    arrays = arrays_for(graph)
    want = first(arrays)[0]
    assert again(arrays, {1})[0] is arrays[1]
    np.testing.assert_array_equal(arrays[1], want)


def test_checks_of_indices_come_back():
    graph = traced(lambda x, i: ops.take(x, i, axis=1), X, TensorSpec((3,), "int32"))
    (first, _), (again, kept) = compiled(graph), compiled(graph)
    arrays = [arrays_for(graph)[0], np.array([0, 7, 1], "int32")]
    messages = []
    for program in (first, again):
        with pytest.raises(ArgumentError, match="7 is out of range") as error:
            program(arrays)
        messages.append(str(error.value))
    assert kept and messages[0] == messages[1]


def test_other_constants_attributes_and_settings_are_other_programs():
    def key(function, *specs):
        return Entry(traced(function, *specs), Target.host()).key

    base = key(lambda x: x + TABLE, X)
    assert base == key(lambda x: x + TABLE, X)
    others = {
        key(lambda x: x + (TABLE + 1e-3), X),
        key(lambda x: TABLE + x, X),
        key(lambda x: x + TABLE, TensorSpec((1, 5), "float32")),
        key(lambda x: x + TABLE, TensorSpec((6, 5), "float64")),
        key(lambda x: (x + TABLE, x), X),
        key(lambda x: ops.sum(x, axis=0), X),
        key(lambda x: ops.sum(x, axis=1), X),
        key(lambda x: ops.scan(lambda c, r: (c + r, c), x[0], x), X),
        key(lambda x: ops.scan(lambda c, r: (c - r, c), x[0], x), X),
        Entry(traced(lambda x: x + TABLE, X), Target.named("avx2")).key,
    }
    am.config.set_fast_math(True)
    try:
        others.add(key(lambda x: x + TABLE, X))
    finally:
        am.config.set_fast_math(False)
    assert None not in others and base not in others and len(others) == 11


@pytest.mark.parametrize("harm", ["cut", "changed", "code_is_gone", "everything_is_gone"])
def test_a_damaged_entry_is_made_again(place, harm):
    graph = traced(loops, X)
    first, _ = compiled(graph)
    kept = place / f"{Entry(graph, Target.host()).key}.o"
    assert kept.exists()
    if harm == "cut":
        kept.write_bytes(kept.read_bytes()[:-7])
    elif harm == "changed":
        content = bytearray(kept.read_bytes())
        content[-20] ^= 1
        kept.write_bytes(content)
    elif harm == "code_is_gone":
        (place / f"{first.loaded.key}.o").unlink()
    else:
        for path in place.iterdir():
            path.unlink()
    again, came_back = compiled(graph)
    assert not came_back and compiled(graph)[1]
    arrays = arrays_for(graph)
    for one, two in zip(first(arrays), again(arrays), strict=True):
        np.testing.assert_array_equal(one, two)


def test_without_a_cache_nothing_is_kept(place, monkeypatch):
    monkeypatch.setenv("AMALTHEA_CACHE", "off")
    graph = traced(loops, X)
    assert not compiled(graph)[1] and not compiled(graph)[1] and not place.exists()


def test_a_loop_that_falls_back_is_not_kept_and_right(monkeypatch):
    monkeypatch.delitem(GENERATORS, "max_pooling")

    def pooled(x):
        return ops.scan(lambda c, r: (ops.max_pool(c, 2, 1, "same") + r, None), x[0], x)[0]

    graph = traced(pooled, TensorSpec((3, 1, 4, 4, 2), "float32"))
    arrays = arrays_for(graph)
    for _ in range(2):
        program, kept = compiled(graph)
        assert not kept and program.fallbacks == ["scan_loop"]
        np.testing.assert_allclose(program(arrays)[0], REFERENCE.compile(graph)(arrays)[0], rtol=1e-5)
