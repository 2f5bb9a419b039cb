"""Eager calls on large arrays, which the native backend compiles, compute what the reference does."""

import numpy as np
import pytest

import amalthea as am
from amalthea import ops
from amalthea.backends.native import BACKEND
from amalthea.core import eager_programs
from amalthea.core.backend import active

RNG = np.random.default_rng(0)


def normal(*shape, dtype="float32"):
    return RNG.normal(size=shape).astype(dtype)


IMAGES, KERNEL = normal(4, 17, 16, 8), normal(3, 3, 8, 12)
CALLS = {
    "conv": (lambda x, k: ops.conv(x, k, padding="same"), IMAGES, KERNEL),
    "strided conv": (lambda x, k: ops.conv(x, k, 2, padding="valid"), IMAGES, KERNEL),
    "depthwise conv": (lambda x, k: ops.depthwise_conv(x, k, padding="same"), IMAGES, normal(3, 3, 8, 2)),
    "max pool": (lambda x: ops.max_pool(x, 3, 2), normal(8, 33, 32, 16)),
    "integer matmul": (ops.matmul, RNG.integers(-9, 9, (65, 70)), RNG.integers(-9, 9, (70, 66))),
    "bfloat16 matmul": (
        lambda x, y: ops.cast(ops.matmul(ops.cast(x, "bfloat16"), ops.cast(y, "bfloat16")), "float32"),
        RNG.integers(-4, 4, (256, 130)).astype("float32"),
        RNG.integers(-4, 4, (130, 256)).astype("float32"),
    ),
    "erf": (ops.erf, normal(70, 701)),
    "where": (lambda x: ops.where(x > 0, x, 2 * x), normal(70, 7001)),
    "softmax": (lambda x: ops.softmax(x, axis=-1), normal(129, 1001)),
    "softmax of columns": (lambda x: ops.softmax(x, axis=0), normal(129, 1001)),
    "gelu": (lambda x: ops.gelu(x, approximate=False), normal(129, 1001)),
    "attention": (ops.dot_product_attention, normal(3, 65, 4, 32), normal(3, 65, 4, 32), normal(3, 65, 4, 32)),
    "layer normalization": (ops.layer_normalization, normal(257, 301)),
    "random bits": (lambda x: am.random.randint((300, 401), 0, 1000, seed=3) + 0 * ops.cast(x, "int32"), normal(1)),
    "where, a number": (lambda x: ops.where(x > 0, x, 2.0), normal(70, 7001)),
    "where, more axes": (lambda x, y: ops.where(x > 0, x, y), normal(120_000), normal(1, 1, 1)),
    "where, a row": (lambda x, y: ops.where(x > 0, x, y), normal(60_000, 2), normal(2)),
    "where, a column and a row": (lambda x, y: ops.where(x > 0, x, y), normal(400, 1), normal(1, 400)),
    "floor_divide by a number": (lambda x: ops.floor_divide(x, 0.3), normal(300, 1001)),
    "erf, a block and one": (ops.erf, normal(16385)),
    "not contiguous, by blocks": (lambda x: ops.erf(ops.transpose(x)), normal(301, 129)),
    "two results": (lambda x: ops.moments(x, axes=0), normal(257, 801)),
    "not contiguous": (lambda x: ops.softmax(ops.transpose(x)), normal(1001, 129)),
}


def on(backend, call, *arrays):
    with am.backend_scope(backend):
        return am.tree.map_structure(np.asarray, call(*map(ops.convert_to_tensor, arrays)))


@pytest.mark.parametrize("name", CALLS)
def test_large_calls(name):
    call, *arrays = CALLS[name]
    want, got = on("numpy", call, *arrays), on("native", call, *arrays)
    am.tree.assert_same_structure(want, got)
    for a, b in zip(am.tree.flatten(got), am.tree.flatten(want), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


def gradients(x):
    with am.GradientTape() as tape:
        tape.watch(x)
        y = ops.sum(ops.softmax(x * 2, axis=-1) ** 2) + ops.sum(ops.gelu(x))
    return tape.gradient(y, x)


def test_under_a_tape():
    x = normal(129, 1001)
    for _ in range(3):  # the third time the backward pass is a program
        np.testing.assert_allclose(on("native", gradients, x), on("numpy", gradients, x), rtol=1e-4, atol=1e-5)


@pytest.fixture
def compiled(monkeypatch):
    """The graphs that are compiled for eager calls."""
    made = []
    compile_eager = type(BACKEND).compile_eager

    def counted(self, graph):
        program = compile_eager(self, graph)
        if program is not None:
            made.append(graph)
        return program

    monkeypatch.setattr(type(BACKEND), "compile_eager", counted)
    eager_programs._programs.clear()
    eager_programs._plain.clear()
    with am.backend_scope("native"):
        yield made
    eager_programs._programs.clear()


def test_large_composites_are_one_program_made_once(compiled):
    for _ in range(2):
        ops.softmax(ops.convert_to_tensor(normal(128, 1003)))
    assert len(compiled) == 1
    ops.softmax(ops.convert_to_tensor(normal(128, 1003)), axis=0)
    assert len(compiled) == 2


def test_small_calls_views_and_single_passes_are_not_compiled(compiled):
    large = ops.convert_to_tensor(normal(300, 1003))
    ops.softmax(large[:10, :20])
    ops.swapaxes(large, 0, 1)
    ops.square(large)
    large + large
    ops.matmul(large, ops.transpose(large))
    assert compiled == []


def test_what_asks_for_values_runs_op_by_op(compiled):
    large = ops.convert_to_tensor((normal(300, 203) > 0).astype("float32"))
    np.testing.assert_array_equal(ops.nonzero(large)[0], np.nonzero(np.asarray(large))[0])


def test_variables_are_read(compiled):
    variable = am.Variable(normal(128, 1003))
    first = np.asarray(ops.softmax(variable))
    variable.assign(variable * 2.0)
    second = np.asarray(ops.softmax(variable))
    assert len(compiled) == 1 and not np.allclose(first, second)


def test_settings_that_a_body_reads_are_followed(compiled):
    wrong, right = np.zeros((3000, 10), "float32"), np.zeros((3000, 10), "float32")
    wrong[:, 0], right[:, 1] = 1, 1
    loss = lambda: np.asarray(ops.categorical_crossentropy(*map(ops.convert_to_tensor, (right, wrong))))[0]  # noqa: E731
    before = loss()
    am.config.set_epsilon(1e-3)
    try:
        np.testing.assert_allclose(loss(), -np.log(1e-3), rtol=1e-5)
    finally:
        am.config.set_epsilon(1e-7)
    assert loss() == before and len(compiled) == 2


def test_the_reference_offers_nothing_to_compile():
    with am.backend_scope("numpy"):
        graph = am.trace(ops.exp, am.TensorSpec((100_000,), "float32"), level="primitive")
        assert active.backend.compile_eager(graph) is None
