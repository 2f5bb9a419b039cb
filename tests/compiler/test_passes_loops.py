"""The passes on loops: what they take out of bodies, and that loops and their gradients stay the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import amalthea as am
from amalthea.compiler.passes.loop_reuse import reuse_between_loops
from amalthea.compiler.passes.loop_sums import sum_after_loops
from amalthea.compiler.passes.loops import simplify_loops
from amalthea.compiler.passes.pipeline import optimize
from amalthea.core.spec import TensorSpec
from tests.compiler.random_graphs import assert_close, assert_same_bits, run

ops = am.ops
T, N, M = 5, 2, 3
X, W, H = TensorSpec((T, N, M), "float64"), TensorSpec((M, M), "float64"), TensorSpec((N, M), "float64")


def arrays_for(graph):
    rng = np.random.default_rng(0)
    return [rng.normal(size=v.spec.shape).astype(v.spec.dtype.as_numpy_dtype) for v in graph.inputs]


def loops_of(graph):
    return [node for node in graph.nodes if node.op.name == "scan_loop"]


def names(graph):
    return [node.op.name for node in graph.nodes]


def traced(function, *specs):
    return am.trace(function, *specs, level="primitive")


def same(function, *specs, change=simplify_loops, exact=True):
    """The graph after the change, checked to give the same."""
    graph = traced(function, *specs)
    made = change(graph)
    made.verify()
    arrays = arrays_for(graph)
    (assert_same_bits if exact else assert_close)(run(made, arrays), run(graph, arrays))
    return made


def test_constants_move_into_the_body() -> None:
    made = same(lambda x: ops.scan(lambda c, x: (c * np.full((M,), 2.0) + x, None), x[0], x)[0], X)
    (node,) = loops_of(made)
    assert len(node.inputs) == 2


def test_sequences_of_one_number_move_into_the_body() -> None:
    def f(x):
        zeros = ops.broadcast_to(ops.convert_to_tensor(np.float64(0.5)), (T, N, M))
        return ops.scan(lambda c, xz: (c * xz[1] + xz[0], None), x[0], (x, zeros))[0]

    (node,) = loops_of(same(f, X))
    assert node.attrs["sequences"] == 1 and len(node.inputs) == 2


def test_repeated_sequences_become_constants() -> None:
    def f(x, h):
        return ops.scan(lambda c, xh: (c * xh[1] + xh[0], None), h, (x, ops.broadcast_to(h, (T, N, M))))[0]

    (node,) = loops_of(same(f, X, H))
    assert node.attrs["sequences"] == 1 and len(node.inputs) == 3


def test_what_stands_still_is_computed_once() -> None:
    made = same(lambda x, w: ops.scan(lambda c, x: (c @ ops.tanh(ops.transpose(w)) + x, None), x[0], x)[0], X, W)
    assert names(made)[-3:] == ["transpose", "tanh", "scan_loop"]
    assert "tanh" not in names(loops_of(made)[0].attrs["body"])


def test_what_is_not_used_is_not_carried_read_or_stacked() -> None:
    def f(x, h, w):
        def step(state, now):
            a, b, c = state
            return (a + now[0], b * 2.0 + c, c + now[1]), (a * 2.0, ops.tanh(w))

        (a, _, _), (ys, _) = ops.scan(step, (h, h, h), (x, x))
        return a, ys

    (node,) = loops_of(same(f, X, H, W))
    assert (node.attrs["carries"], node.attrs["sequences"], len(node.inputs), len(node.outputs)) == (1, 1, 2, 2)


def test_a_carry_that_another_one_needs_stays() -> None:
    made = same(lambda x, h: ops.scan(lambda s, x: ((s[0] + s[1], s[1] * x), None), (h, h), x)[0][0], X, H)
    assert loops_of(made)[0].attrs["carries"] == 2


def test_a_loop_with_nothing_to_do_is_left_as_it_is() -> None:
    graph = traced(lambda x, h: ops.scan(lambda c, x: (c * x, c), h, x), X, H)
    assert simplify_loops(graph) is graph and sum_after_loops(graph) is graph and reuse_between_loops(graph) is graph


@pytest.mark.parametrize("length", [0, 1])
def test_loops_of_no_step_and_of_one(length) -> None:
    spec = TensorSpec((length, N, M), "float64")

    def f(x, h, w):
        total = ops.zeros((M, M), "float64")
        return ops.scan(lambda s, x: ((s[0] @ w, s[1] + ops.transpose(x) @ x), s[0]), (h, total), x)

    same(f, spec, H, W, change=lambda graph: optimize(graph, verify=True), exact=False)


def gradient_of(function):
    """The function's value and its gradients, for specs."""

    def both(*inputs):
        with am.GradientTape() as tape:
            for x in inputs:
                tape.watch(x)
            loss = function(*inputs)
        return [loss, *(g for g in tape.gradient(loss, list(inputs)) if g is not None)]

    return both


def recurrence(x, h, w, reverse=False):
    def step(c, now):
        c = ops.tanh(now + c @ w)
        return c, c * ops.sigmoid(now)

    last, ys = ops.scan(step, h, x, reverse=reverse)
    return ops.sum(last * last) + ops.sum(ys * ys)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_backward_loop_takes_what_the_forward_loop_computed(reverse) -> None:
    f = gradient_of(lambda x, h, w: recurrence(x, h, w, reverse))
    made = same(f, X, H, W, change=lambda graph: optimize(graph, verify=True), exact=False)
    forward, backward = loops_of(made)
    assert names(forward.attrs["body"]).count("contract") == 1
    # The gradient of the carry is left; that of the weights is one contraction after the loop.
    assert names(backward.attrs["body"]).count("contract") == 1
    assert not {"tanh", "sigmoid"} & set(names(backward.attrs["body"]))
    after = [node for node in made.nodes[made.nodes.index(backward) :] if node.op.name == "contract"]
    assert len(after) == 1 and len(after[0].attrs["subscripts"].split(",")[0]) == 3


def test_reuse_alone_is_exact() -> None:
    same(gradient_of(recurrence), X, H, W, change=reuse_between_loops)


def test_sums_of_sums_leave_the_loop_with_what_they_start_from() -> None:
    def f(x, h):
        start = ops.sum(h, axis=0)
        return ops.scan(lambda c, x: (c + ops.sum(x * x, axis=0), ops.tanh(x)), start, x)

    made = same(f, X, H, change=sum_after_loops, exact=False)
    assert loops_of(made)[0].attrs["carries"] == 0 and names(made)[-2:] == ["sum", "add"]


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(lambda c, x: (c + ops.sum(x * x, axis=0), c), id="each sum is stacked"),
        pytest.param(lambda c, x: (c + ops.sum(x * c, axis=0), None), id="the sum goes into what is added"),
        pytest.param(lambda c, x: (c + x[0], None), id="no sum"),
    ],
)
def test_sums_that_stay(step) -> None:
    graph = traced(lambda x, h: ops.scan(step, h[0], x), X, H)
    assert sum_after_loops(graph) is graph


def test_loops_in_loops() -> None:
    def f(x, h, w):
        def outer(c, now):
            inner, ys = ops.scan(lambda d, row: (ops.tanh(d + row) @ ops.exp(w * 0.1), d), c[0], now)
            return c + inner, ops.sum(ys)

        last, ys = ops.scan(outer, h, x)
        return ops.sum(last) + ops.sum(ys)

    made = same(gradient_of(f), X, H, W, change=lambda graph: optimize(graph, verify=True), exact=False)
    assert len(loops_of(made)) == 2


def test_branches_are_rewritten_inside() -> None:
    def f(x, h):
        return ops.cond(ops.sum(h) > 0.0, lambda: (h * 1.0 + x[0]) / 2.0, lambda: ops.negative(-h))

    made = same(f, X, H, change=optimize)
    (node,) = [node for node in made.nodes if node.op.name == "branch"]
    assert [names(graph) for graph in node.attrs["graphs"]] == [
        [],
        ["strided_slice", "reshape", "add", "multiply"],
    ]


def test_while_loops_are_rewritten_inside() -> None:
    def f(h):
        return ops.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, (x + x) * 1.0), (0, h))[1]

    made = same(f, H, change=optimize)
    (node,) = [node for node in made.nodes if node.op.name == "loop"]
    assert names(node.attrs["body"]) == ["add", "multiply"]


LAYERS = {"lstm": am.layers.LSTM, "gru": am.layers.GRU, "rnn": am.layers.SimpleRNN}


@pytest.mark.parametrize(("layer", "sequences"), list(itertools.product(LAYERS, [False, True])))
def test_recurrent_layers_and_their_gradients(layer, sequences) -> None:
    made_layer = LAYERS[layer](4, return_sequences=sequences, dtype="float64")
    made_layer.build((N, T, M))

    def f(x):
        with am.GradientTape() as tape:
            tape.watch(x)
            loss = ops.sum(ops.square(made_layer(x)))
        return [loss, *tape.gradient(loss, [x, *made_layer.trainable_variables])]

    graph = am.function(f).get_graph(TensorSpec((N, T, M), "float64")).expand("primitive")
    made = optimize(graph, verify=True)
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=v.spec.shape) for v in graph.all_inputs]
    assert_close(run(made, arrays), run(graph, arrays), 1e-11)
    # One contraction a gate group forward, one backward for the carry; those of the weights stand after the loops.
    inside = [names(node.attrs["body"]).count("contract") for node in loops_of(made)]
    assert inside == [1, 1]
    if layer == "lstm":
        assert "concatenate" in names(loops_of(made)[1].attrs["body"])
