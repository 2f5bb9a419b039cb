"""Graphs: what they print, what they compute, their levels and their grammar."""

import numpy as np
import pytest

import amalthea as am
from amalthea import ops
from amalthea.core.graph import GraphError
from amalthea.core.spec import TensorSpec
from amalthea.core.trace import trace
from amalthea.core.variable import Variable

X = TensorSpec((2, 3), "float32", name="x")


def test_print_reads_like_maths():
    v = Variable(2.0, name="v")

    def f(x):
        v.assign_add(1.0)
        return ops.exp(x) * v

    assert str(trace(f, X)) == (
        "graph f(x: float32[2,3])\n"
        "  state v: float32[]  # v\n"
        "  a: float32[]    = add(v, 1)\n"
        "  b: float32[2,3] = exp(x)\n"
        "  c: float32[2,3] = multiply(b, a)\n"
        "  v := a\n"
        "  return c"
    )


def test_what_is_not_needed_is_not_there():
    def f(x):
        ops.exp(x)
        return x + 1.0

    assert [node.op.name for node in trace(f, X).nodes] == ["add"]


def test_run_computes_and_updates_variables():
    v = Variable(2.0)

    def f(batch):
        v.assign_add(1.0)
        return {"y": batch["x"] * v}

    graph = trace(f, {"x": X}).verify()
    result = graph.run({"x": np.ones((2, 3), "float32")})
    np.testing.assert_array_equal(result["y"], np.full((2, 3), 3.0))
    assert float(v) == 3.0


def test_run_checks_shapes():
    with pytest.raises(ValueError, match=r"traced for an input float32\[2,3\]. Received: shape \(4, 3\)"):
        trace(lambda x: x + 1.0, X).run(np.ones((4, 3), "float32"))


def test_levels_of_an_op():
    graph = trace(ops.softmax, X)
    assert graph.level in ("composite", "primitive")
    low = graph.expand("primitive").verify()
    assert low.level == "primitive"
    x = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    np.testing.assert_allclose(low.run(x), graph.run(x), rtol=1e-6)


def test_levels_of_a_layer_and_a_model():
    am.random.set_random_seed(0)
    model = am.Sequential(
        [am.Input((3,)), am.layers.Dense(4, activation="softmax", name="a"), am.layers.Dense(2, name="b")], name="m"
    )
    x = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    layers = trace(model, X).verify()
    assert [node.op.name for node in layers.nodes] == ["a", "b"]
    parts = layers.expand().verify()
    names = [node.op.name for node in parts.nodes]
    assert "softmax" in names and "a" not in names
    lowest = parts.expand("primitive").verify()
    assert {node.op.kind for node in lowest.nodes} == {"primitive"}
    assert [v.path.split("/")[-1] for v in lowest.variables] == ["kernel", "bias", "kernel", "bias"]
    assert any("layer 'a'" in part for node in lowest.nodes for part in node.path)
    for graph in (layers, parts, lowest):
        np.testing.assert_allclose(graph.run(x), model(x), rtol=1e-5)
    layer = trace(model.layers[0], X)
    assert layer.level == "composite"


def test_unknown_sizes_stay_unknown():
    graph = trace(lambda x: ops.sum(ops.softmax(x), axis=-1), TensorSpec((None, 3), "float32")).verify()
    assert graph.outputs[0].spec == TensorSpec((None,), "float32")
    for n in (1, 5):
        assert graph.run(np.ones((n, 3), "float32")).shape == (n,)
        assert graph.expand("primitive").run(np.ones((n, 3), "float32")).shape == (n,)


def test_verify_finds_what_is_wrong():
    graph = trace(lambda x: ops.exp(x) + 1.0, X)
    graph.nodes[0].outputs[0].spec = TensorSpec((5, 5), "float32")
    with pytest.raises(GraphError, match=r"exp gives .* the graph says"):
        graph.verify()
    graph = trace(lambda x: ops.exp(x) + 1.0, X)
    graph.nodes = graph.nodes[::-1]
    with pytest.raises(GraphError, match="before it is made"):
        graph.verify()


def test_a_graph_applies_to_a_tape_and_to_another_trace():
    graph = trace(lambda x: ops.sum(x * x), X)
    x = am.Tensor(np.ones((2, 3), "float32"))
    with am.GradientTape() as tape:
        tape.watch(x)
        (y,) = graph.apply(x)
    np.testing.assert_array_equal(tape.gradient(y, x), np.full((2, 3), 2.0))
    again = trace(lambda x: graph.apply(x)[0], X)
    assert [n.op.name for n in again.nodes] == [n.op.name for n in graph.nodes]


def test_trace_wants_a_callable():
    with pytest.raises(ValueError, match="only a callable can be traced. Received: 3"):
        trace(3, X)


def test_expand_wants_a_level():
    with pytest.raises(ValueError, match="no such level. Received: 'deep'"):
        trace(lambda x: x + 1.0, X).expand("deep")


def test_a_tape_in_a_trace_sees_inside_layers():
    layer = am.layers.Dense(2)
    layer.build((2, 3))

    def slope(x):
        with am.GradientTape() as tape:
            y = ops.sum(layer(x))
        return tape.gradient(y, layer.trainable_variables)

    graph = trace(slope, X).verify()
    x = np.ones((2, 3), "float32")
    for got, want in zip(graph.run(x), slope(am.Tensor(x)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)
