"""Pointwise work on the results of contractions: what joins them, and that it computes what the reference does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import amalthea as am
from amalthea import ops
from amalthea.backends.native import BACKEND
from amalthea.backends.numpy import BACKEND as REFERENCE
from amalthea.compiler.fusion import NodeStep
from amalthea.compiler.program import Program
from amalthea.compiler.threads import set_num_threads
from amalthea.core.trace import trace


def values(seed, *shape, dtype="float32"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def compiled(f, *arrays):
    graph = trace(f, *arrays, level="op").expand("primitive", keep=BACKEND.bare_kernels)
    inputs = [np.array(a, order="C") for a in arrays] + [v.numpy() for v in graph.variables]
    return graph, Program(graph, BACKEND.bare_kernels), inputs


def check(f, *arrays, tolerance=2e-5):
    graph, program, inputs = compiled(f, *arrays)
    for got, want in zip(program(inputs), REFERENCE.compile(graph)(inputs), strict=True):
        assert got.dtype == want.dtype and got.shape == want.shape
        wide = want.astype("float64")
        scale = max(1.0, np.abs(wide[np.isfinite(wide)]).max(initial=0))
        np.testing.assert_allclose(got.astype("float64"), wide, rtol=tolerance, atol=tolerance * scale)
    return program


X, W, BIAS = values(0, 20, 30), values(1, 30, 17), values(2, 17)


# -- what joins --------------------------------------------------------------------------------------------------------


def joined(program):
    return [len(step.roots) for step in program.kernels if isinstance(step, NodeStep)]


def test_a_dense_layer_is_one_kernel():
    program = check(lambda x, w, b: ops.relu(ops.matmul(x, w) + b), X, W, BIAS)
    assert len(program.steps) == 1 and not program.kernels[0].stored


def test_a_residual_and_a_normalisation_read_the_sum_once():
    """The addition joins the product, although the normalisation reads it three times."""
    program = check(lambda x, w, y: ops.layer_normalization(ops.matmul(x, w) + y), X, W, values(5, 20, 17))
    assert joined(program) == [1] and len(program.steps) == 2


def test_what_others_need_is_stored_too():
    program = check(lambda x, w, b: (ops.matmul(x, w), ops.gelu(ops.matmul(x, w) + b)), X, W, BIAS)
    assert len(program.steps) == 1 and program.kernels[0].stored and len(program.steps[0].writes) == 2


def test_the_gradient_of_an_activation_joins_the_product_that_gives_it():
    def gradients(x, v, w):
        with am.GradientTape() as tape:
            tape.watch([x, v, w])
            y = ops.sum(ops.relu(ops.matmul(ops.relu(ops.matmul(x, v)), w)))
        return tape.gradient(y, [x, v, w])

    program = check(gradients, X, W, values(6, 17, 11))
    assert not any(
        r.value.node.op.name == "where" for k in program.kernels if not isinstance(k, NodeStep) for r in k.roots
    )


def test_a_sum_does_not_join_but_what_comes_before_does():
    program = check(lambda x, w: ops.sum(ops.exp(ops.matmul(x, w)), axis=0), X * 0.1, W)
    assert joined(program) == [1] and len(program.steps) == 2


def test_what_is_made_later_than_the_product_is_not_waited_for():
    def f(x, w, v):
        first = ops.matmul(x, w)
        return ops.relu(first) + ops.matmul(ops.exp(x) * 0.1, v)

    check(f, X, W, values(7, 30, 17))


def test_a_value_that_depends_on_the_product_elsewhere_is_no_operand():
    check(lambda x, w: (lambda y: y / ops.sum(ops.exp(y * 0.1), axis=1, keepdims=True))(ops.matmul(x, w)), X, W)
    check(lambda x, w: (lambda y: y + ops.flip(y, axis=1) + ops.transpose(y))(ops.matmul(x, w)), X, values(8, 30, 20))


def test_the_update_of_a_large_parameter_stays_one_pass():
    def update(w, m, v, x, g):
        d = ops.matmul(ops.transpose(x), g)
        m, v = m * 0.9 + d * 0.1, v * 0.99 + d * d * 0.01
        return w - m / (ops.sqrt(v) + 1e-3), m, v

    shape = (300, 400)
    arrays = [values(i, *shape) for i in range(2)] + [np.abs(values(2, *shape))]
    program = check(update, *arrays, values(3, 8, 300), values(4, 8, 400))
    assert joined(program) == [0] and len(program.steps) == 2


# -- values ------------------------------------------------------------------------------------------------------------


def test_infinities_and_nan_go_through():
    x = X.copy()
    x[3, 4], x[5, 6], x[7] = np.inf, np.nan, -np.inf
    for f in (ops.relu, ops.sigmoid, ops.tanh, lambda y: ops.where(y > 0, y, 0.0), lambda y: ops.maximum(y, 1.0)):
        check(lambda x, w, b, f=f: f(ops.matmul(x, w) + b), x, W, BIAS)


def test_the_sign_of_a_zero_constant_is_kept():
    """Two contractions that differ in it only are two kernels."""
    for zero in (0.0, -0.0, 0.0):
        _, program, arrays = compiled(lambda x, w, z=zero: z / ops.abs(ops.matmul(x, w)), X, W)
        assert np.all(np.signbit(program(arrays)[0]) == np.signbit(zero))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_dtypes(dtype):
    """The sum is rounded to the dtype of the product before anything is done to it."""

    def f(x, w, b):
        x, w, b = (ops.cast(a, dtype) for a in (x, w, b))
        y = ops.relu(ops.matmul(x, w) + b)
        return ops.cast(y * y, "float32"), ops.cast(y > 1, "int32")

    check(f, X, W, BIAS, tolerance={"float16": 4e-3, "bfloat16": 3e-2, "float64": 1e-6}[dtype])


def test_a_depth_in_blocks_ends_with_the_epilogue():
    """Blocks that add to the output, blocks with partial sums of another dtype, and parts that are added at the end."""
    x, w = values(0, 300, 5000), values(1, 5000, 70)
    check(lambda x, w, y: ops.relu(ops.matmul(x, w) + y), x, w, values(2, 300, 70), tolerance=1e-4)
    half = lambda x, w: ops.cast(ops.tanh(ops.matmul(x, w)), "float16")  # noqa: E731
    check(half, x * 0.01, w, tolerance=1e-3)
    check(lambda x, w: ops.relu(ops.matmul(x, w)) * 2, values(0, 8, 60000), values(1, 60000, 8), tolerance=1e-4)


def test_threads_give_the_same():
    def f(x, w, b):
        return ops.gelu(ops.matmul(x, w) + b), ops.tanh(ops.matmul(x, w))

    _, program, arrays = compiled(f, values(0, 130, 300), values(1, 300, 190), values(2, 190))
    results = []
    for threads in (1, 2, 3):
        set_num_threads(threads)
        results.append(program(arrays))
    set_num_threads(None)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


# -- random chains ---------------------------------------------------------------------------------------------------

UNARY = ("relu", "tanh", "sigmoid", "abs", "negative", "exp_small", "floor", "square")
BINARY = ("add", "subtract", "multiply", "maximum", "where", "divide")
KINDS = {
    "matmul": (ops.matmul, (7, 5), (5, 19)),
    "row": (ops.matmul, (1, 33), (33, 40)),
    "batched": (ops.matmul, (3, 6, 5), (3, 5, 17)),
    "shared": (ops.matmul, (2, 3, 6, 5), (5, 4)),
    "transposed": (lambda x, y: ops.einsum("bij,bkj->bik", x, y), (2, 3, 21), (2, 5, 21)),
    "turned": (lambda x, y: ops.einsum("ji,jk->ki", x, y), (9, 18), (9, 7)),
    "heads": (lambda x, y: ops.einsum("btd,dhs->bths", x, y), (2, 5, 8), (8, 3, 4)),
    "convolution": (lambda x, k: ops.conv(x, k, padding="same"), (2, 7, 6, 3), (3, 3, 3, 5)),
    "strided": (lambda x, k: ops.conv(x, k, strides=2), (2, 9, 8, 3), (3, 3, 3, 5)),
    "depthwise": (lambda x, k: ops.depthwise_conv(x, k, padding="same"), (2, 5, 6, 4), (3, 3, 4, 2)),
    "transpose": (lambda x, k: ops.conv_transpose(x, k, strides=2), (2, 4, 5, 3), (3, 3, 6, 3)),
    "one": (ops.matmul, (1, 1), (1, 1)),
    "empty": (ops.matmul, (0, 4), (4, 3)),
    "no depth": (ops.matmul, (5, 0), (0, 4)),
}


@st.composite
def chains(draw):
    kind = draw(st.sampled_from(sorted(KINDS)))
    length = draw(st.integers(1, 7))
    links = []
    for _ in range(length):
        if draw(st.booleans()):
            links.append((draw(st.sampled_from(UNARY)), None, draw(st.integers(0, 3))))
        else:
            operand = draw(st.sampled_from(["full", "last", "first", "scalar", "earlier", "one"]))
            links.append((draw(st.sampled_from(BINARY)), operand, draw(st.integers(0, 3))))
    returned = draw(st.lists(st.integers(0, length), min_size=1, max_size=3))
    return kind, links, returned


def apply(name, y, other=None):
    if name == "exp_small":
        return ops.exp(ops.minimum(y, 1.0))
    if name == "where":
        return ops.where(y > other, y, other * 0.5)
    if name == "divide":
        return y / (ops.abs(other) + 1.0)
    return getattr(ops, name)(y) if other is None else getattr(ops, name)(y, other)


@settings(max_examples=120, deadline=None)
@given(chains())
def test_random_chains(case):
    kind, links, returned = case
    product, x_shape, y_shape = KINDS[kind]
    x, y = values(0, *x_shape), values(1, *y_shape)
    shape = product(x, y).shape
    shapes = {"full": shape, "last": shape[-1:], "first": (shape[0], *(1 for _ in shape[1:])), "scalar": ()}
    shapes["one"] = tuple(1 for _ in shape)
    others = [values(2 + i, *shapes.get(operand, ())) for i, (_, operand, _) in enumerate(links)]

    def f(x, y, *others):
        made = [product(x, y)]
        for (name, operand, back), other in zip(links, others, strict=True):
            source = made[max(len(made) - 1 - back, 0)] if operand is None else made[-1]
            if operand == "earlier":
                other = made[max(len(made) - 2 - back, 0)]
            made.append(apply(name, source) if operand is None else apply(name, source, other))
        return [made[i] for i in returned]

    check(f, x, y, *others, tolerance=1e-4)
