"""Attention in tiles computes what its body does, forward and backward, without the matrix of all scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import amalthea as am
from amalthea import ops
from amalthea.backends.native import BACKEND
from amalthea.backends.numpy import BACKEND as REFERENCE
from amalthea.compiler.engine import assembly
from amalthea.compiler.generators import generate_node
from amalthea.compiler.program import Program
from amalthea.compiler.target import Target
from amalthea.compiler.threads import set_num_threads
from amalthea.core.trace import trace


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def arrays_of(batch, queries, keys, heads, size, width):
    q, k = normal(0, batch, queries, heads, size), normal(1, batch, keys, heads, size)
    return [q, k, normal(2, batch, keys, heads, width), normal(3, batch, queries, heads, width)]


def gradients(dtype="float32", **options):
    """The result and the gradients of query, key and value (and of a bias)."""

    def f(q, k, v, g, extra=None):
        q, k, v, g = (ops.cast(x, dtype) for x in (q, k, v, g))
        given = {} if extra is None else {"mask" if extra.dtype == "bool" else "bias": extra}
        sources = [q, k, v, *([given["bias"]] if "bias" in given else [])]
        with am.GradientTape() as tape:
            tape.watch(sources)
            y = ops.dot_product_attention(q, k, v, **given, **options)
            total = ops.sum(ops.cast(y * g, "float32"))
        return [
            ops.cast(x, "float64" if dtype == "float64" else "float32") for x in (y, *tape.gradient(total, sources))
        ]

    return f


def graphs(f, *arrays):
    graph = trace(f, *arrays, level="op")
    return graph.expand("primitive", keep=BACKEND.composites), graph.expand("primitive")


def check(f, *arrays, tolerance=2e-5, target=None):
    kept, opened = graphs(f, *arrays)
    assert {"attention", "attention_gradient"} <= {node.op.name for node in kept.nodes}
    program = Program(kept, BACKEND.bare_kernels, target)
    assert not program.fallbacks
    got, want = program(arrays), REFERENCE.compile(opened)(arrays)
    for a, b in zip(got, want, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, np.abs(b).max(initial=0)))
    return program


SHAPES = [  # batch, queries, keys, heads, size, width
    (2, 32, 64, 2, 16, 16),
    (1, 128, 128, 2, 64, 64),
    (1, 70, 130, 3, 20, 36),
    (3, 77, 90, 1, 17, 5),
    (1, 16, 1, 2, 1, 1),
    (2, 131, 67, 2, 8, 80),
    (0, 20, 20, 2, 8, 8),
]


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape, is_causal):
    if shape[0]:
        check(gradients(is_causal=is_causal), *arrays_of(*shape))
    else:  # nothing to compute: the body is as good
        kept, _ = graphs(gradients(is_causal=is_causal), *arrays_of(*shape))
        assert Program(kept, BACKEND.bare_kernels)(arrays_of(*shape))[0].shape == (0, 20, 2, 8)


MASKS = [(2, 1, 40, 50), (1, 1, 40, 50), (2, 1, 1, 50), (1, 3, 40, 1), (40, 50), (1, 1, 1, 1)]


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("shape", MASKS)
def test_masks_and_biases(shape, is_causal):
    arrays = arrays_of(2, 40, 50, 3, 12, 12)
    check(gradients(is_causal=is_causal), *arrays, np.random.default_rng(5).random(shape) > 0.3)
    check(gradients(is_causal=is_causal), *arrays, normal(6, *shape))


def test_queries_that_see_nothing_get_the_mean_and_give_no_gradient():
    mask = np.ones((2, 1, 40, 50), bool)
    mask[0, 0, 3:30] = False
    check(gradients(), *arrays_of(2, 40, 50, 3, 12, 12), mask)
    check(gradients(is_causal=True), *arrays_of(2, 40, 50, 3, 12, 12), mask)


def test_bias_of_minus_infinity_hides_whole_blocks_of_keys():
    bias = np.zeros((1, 1, 1, 200), "float32")
    bias[..., :130] = -np.inf
    f = lambda q, k, v, bias: ops.dot_product_attention(q, k, v, bias=bias)  # noqa: E731
    q, k, v, _ = arrays_of(1, 20, 200, 2, 8, 8)
    kept, opened = graphs(f, q, k, v, bias)
    got = Program(kept, BACKEND.bare_kernels)([q, k, v, bias])[0]
    np.testing.assert_allclose(got, REFERENCE.compile(opened)([q, k, v, bias])[0], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_stays_in_its_rows(bad):
    q, k, v, _ = arrays_of(1, 40, 50, 2, 8, 8)
    q[0, 7, 1, 3] = v[0, 9, 0, 2] = bad
    f = lambda q, k, v: ops.dot_product_attention(q, k, v)  # noqa: E731
    kept, opened = graphs(f, q, k, v)
    got, want = Program(kept, BACKEND.bare_kernels)([q, k, v])[0], REFERENCE.compile(opened)([q, k, v])[0]
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)


def test_large_logits_do_not_overflow():
    q, k, v, g = arrays_of(1, 64, 200, 2, 16, 16)
    check(gradients(), q * 40, k * 40, v, g, tolerance=2e-3)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("bfloat16", 3e-2), ("float16", 4e-3)])
def test_dtypes(dtype, tolerance):
    check(gradients(dtype, is_causal=True), *arrays_of(2, 70, 90, 2, 24, 20), tolerance=tolerance)


def test_groups_of_heads_share_keys_and_values():
    q, _, _, g = arrays_of(2, 40, 50, 6, 12, 12)
    _, k, v, _ = arrays_of(2, 40, 50, 2, 12, 12)
    check(gradients(is_causal=True), q, k, v, g)


@pytest.mark.parametrize("name", [name for name in Target.names() if Target.named(name).runs_here()])
def test_targets(name):
    check(gradients(is_causal=True), *arrays_of(1, 45, 70, 2, 20, 12), target=Target.named(name))


@pytest.mark.parametrize("name", ["neon"])
def test_other_machines(name):
    """It is compiled, for a machine that this one is not."""
    kept, _ = graphs(gradients(is_causal=True), *arrays_of(1, 45, 70, 2, 20, 12))
    for node in kept.nodes:
        if node.op.name in BACKEND.composites:
            codes = [code for code, _ in generate_node(node, Target.named(name)).codes]
            assert "fmla" in assembly(
                [c.text for c in codes], set().union(*(c.declarations for c in codes)), Target.named(name)
            )


def test_threads_give_the_same():
    arrays = arrays_of(2, 70, 90, 3, 16, 16)
    kept, _ = graphs(gradients(), *arrays)
    program, results = Program(kept, BACKEND.bare_kernels), []
    for threads in (1, 2, 3):
        set_num_threads(threads)
        results.append(program(arrays))
    set_num_threads(None)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_no_matrix_of_scores_in_memory():
    """At 4096 queries and keys that would be 128 MiB for the two heads; all memory between the steps is far less."""
    arrays = arrays_of(1, 4096, 4096, 2, 16, 16)
    kept, _ = graphs(gradients(is_causal=True), *arrays)
    program = Program(kept, BACKEND.bare_kernels)
    assert program.routine.arena_size < 4 << 20
    program(arrays)


def test_the_gradient_by_differences():
    """In float64, through a compiled function, so that the kernels are what is differentiated."""
    q, k, v, g = (x.astype("float64") for x in arrays_of(1, 18, 20, 2, 4, 3))
    kept, _ = graphs(gradients("float64", is_causal=True), q, k, v, g)
    program = Program(kept, BACKEND.bare_kernels)
    found = program([q, k, v, g])[1:]
    for i in range(3):
        for place in [(0, 0, 0, 0), (0, 5, 1, 2), (0, 17, 0, 1)]:
            sums = []
            for step in (1e-5, -1e-5):
                moved = [a.copy() for a in (q, k, v)]
                moved[i][place] += step
                sums.append((program([*moved, g])[0] * g).sum())
            np.testing.assert_allclose(found[i][place], (sums[0] - sums[1]) / 2e-5, rtol=1e-5, atol=1e-8)


def test_second_gradients_go_through_the_body():
    x = am.convert_to_tensor(normal(0, 1, 16, 1, 3).astype("float64"))

    def slope(x):
        with am.GradientTape() as inner:
            inner.watch(x)
            y = ops.sum(ops.square(ops.dot_product_attention(x, x, x)))
        return inner.gradient(y, x)

    with am.GradientTape() as outer:
        outer.watch(x)
        total = ops.sum(slope(x) * np.cos(np.arange(48)).reshape(1, 16, 1, 3))
    found = outer.gradient(total, x).numpy()
    weights = np.cos(np.arange(48)).reshape(1, 16, 1, 3)
    for place in [(0, 0, 0, 0), (0, 9, 0, 2)]:
        step = np.zeros((1, 16, 1, 3))
        step[place] = 1e-5
        change = slope(x + step).numpy() - slope(x - step).numpy()
        np.testing.assert_allclose(found[place], (change * weights).sum() / 2e-5, rtol=1e-4, atol=1e-7)


def test_a_layer_trains_through_the_kernels():
    layer = am.layers.MultiHeadAttention(2, 8)
    x = am.convert_to_tensor(normal(0, 2, 24, 16))
    layer(x, x)

    def step(x):
        with am.GradientTape() as tape:
            y = ops.sum(ops.square(layer(x, x, use_causal_mask=True)))
        return [y, *tape.gradient(y, layer.trainable_variables)]

    with am.backend_scope("native"):
        got = [a.numpy() for a in am.function(step)(x)]
    with am.backend_scope("numpy"):
        want = [a.numpy() for a in am.function(step)(x)]
    largest = max(np.abs(b).max() for b in want[1:])  # the gradient of the keys' bias is zero but for rounding
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * largest)


@settings(max_examples=10, deadline=None)
@given(
    st.tuples(*(st.integers(1, n) for n in (2, 100, 140, 3, 40, 40))),
    st.booleans(),
    st.sampled_from([None, "mask", "bias"]),
)
def test_random_shapes(shape, is_causal, extra):
    batch, queries, keys, heads, *_ = shape
    shape = (batch, queries + 15, *shape[2:])
    given_ = []
    if extra is not None:
        extra_shape = (batch, 1, queries + 15, keys)
        given_ = [normal(9, *extra_shape) > 0 if extra == "mask" else normal(9, *extra_shape)]
    check(gradients(is_causal=is_causal), *arrays_of(*shape), *given_, tolerance=5e-5)
