"""Layout choice: transpositions disappear where orders of axes allow it, and never more is moved than before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import amalthea as am
from amalthea import layers, ops
from amalthea.backends.native import BACKEND as NATIVE
from amalthea.backends.numpy import BACKEND as NUMPY
from amalthea.compiler.passes.layouts import choose_layouts
from amalthea.compiler.passes.pipeline import optimize
from amalthea.compiler.program import Program
from amalthea.core.graph import Graph
from tests.compiler.random_graphs import Case, assert_close, cases, run


def traced(function: Any, *shapes: tuple[int, ...]) -> Graph:
    return am.trace(function, *[am.TensorSpec(shape, "float64") for shape in shapes]).expand("primitive")


def transposes(graph: Graph) -> list[str]:
    return [repr(node) for node in graph.nodes if node.op.name == "transpose"]


def moved(graph: Graph) -> int:
    """Bytes that the transpositions of a graph move."""
    return sum(v.spec.size * v.spec.dtype.itemsize for n in graph.nodes if n.op.name == "transpose" for v in n.outputs)


def check(graph: Graph, after: Graph) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=value.spec.sizes) for value in graph.all_inputs]
    for got, want in zip(run(after.verify(), arrays), run(graph, arrays), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-11)


def swapped(x: Any) -> Any:
    return ops.transpose(x, (0, 2, 1))


@pytest.mark.parametrize(
    ("function", "shapes", "left"),
    [
        pytest.param(lambda x: swapped(ops.tanh(swapped(x))), [(2, 3, 4)], 0, id="through one op"),
        pytest.param(lambda x, b: swapped(swapped(x) * b), [(2, 3, 4), (3,)], 0, id="with a vector"),
        pytest.param(lambda x, b: swapped(swapped(x) * b), [(2, 3, 4), (4, 3)], 1, id="with a small matrix"),
        pytest.param(lambda x, y: swapped(swapped(x) + swapped(y)), [(2, 3, 4)] * 2, 0, id="two operands"),
        pytest.param(lambda x: ops.sum(ops.exp(swapped(x)), axis=1), [(2, 3, 4)], 0, id="before a sum"),
        pytest.param(lambda x: ops.max(swapped(x), axis=(0, 1), keepdims=True), [(2, 3, 4)], 0, id="kept axes"),
        pytest.param(
            lambda x, y: ops.matmul(ops.maximum(swapped(x), 0.0), y), [(2, 3, 4), (2, 3, 5)], 0, id="before a product"
        ),
        pytest.param(
            lambda x, y: swapped(ops.maximum(ops.matmul(x, y), 0.0)), [(2, 3, 4), (2, 4, 5)], 0, id="after a product"
        ),
        pytest.param(
            lambda x: ops.sum(ops.exp(swapped(x)) + ops.flip(swapped(x), axis=1), axis=2), [(2, 3, 4)], 1,
            id="an op that wants the order of the graph",
        ),
        pytest.param(lambda x: ops.exp(swapped(x)), [(2, 3, 4)], 1, id="a result must have its order"),
        pytest.param(lambda x: ops.exp(x + ops.transpose(x)), [(4, 4)], 1, id="a value and its own transposition"),
    ],
)  # fmt: skip
def test_transpositions_that_are_left(function: Any, shapes: list[tuple[int, ...]], left: int) -> None:
    graph = traced(function, *shapes)
    after = choose_layouts(graph)
    assert len(transposes(after)) == left, after
    check(graph, after)


def test_what_cannot_be_bettered_is_returned_as_it_is() -> None:
    for function in (lambda x: ops.exp(x), lambda x: ops.exp(swapped(x)), lambda x: ops.flip(swapped(x), axis=1)):
        graph = traced(function, (2, 3, 4))
        assert choose_layouts(graph) is graph


@settings(max_examples=100, deadline=None)
@given(case=cases(kind="smooth", control=True))
def test_never_more_is_moved_and_results_stay(case: Case) -> None:
    after = choose_layouts(case.graph).verify()
    assert moved(after) <= moved(case.graph)
    assert_close(case.run(after), case.run())


def training_step(model: am.Model) -> Any:
    loss_of = am.losses.SparseCategoricalCrossentropy(from_logits=True)

    def step(x: Any, y: Any) -> Any:
        with am.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        return [loss, *tape.gradient(loss, model.trainable_variables)]

    return step


def compiled_as_numpy_does(step: Any, x: np.ndarray, y: np.ndarray) -> Program:
    """The step compiled, after a comparison with the numpy backend."""
    graph = am.function(step).get_graph(x, y).expand("primitive")
    program = Program(graph, NATIVE.bare_kernels)
    arrays = [x, y, *(v._tensor._array for v in graph.variables)]
    for got, want in zip(program(arrays), NUMPY.compile(graph)(arrays), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)
    return program


def attention(x: Any, q: Any, k: Any, v: Any, o: Any) -> Any:
    """Four heads split off and put together again by reshapes and transpositions."""

    def heads(w: Any) -> Any:
        return ops.transpose(ops.reshape(ops.matmul(x, w), (2, 6, 4, 5)), (0, 2, 1, 3))

    scores = ops.softmax(ops.matmul(heads(q), ops.transpose(heads(k), (0, 1, 3, 2))) / 5**0.5)
    together = ops.reshape(ops.transpose(ops.matmul(scores, heads(v)), (0, 2, 1, 3)), (2, 6, 20))
    return ops.matmul(together, o)


def test_heads_of_attention_are_split_and_merged_without_a_transposition() -> None:
    def step(x: Any, *weights: Any) -> Any:
        with am.GradientTape() as tape:
            tape.watch(list(weights))
            loss = ops.sum(attention(x, *weights) ** 2)
        return [loss, *tape.gradient(loss, list(weights))]

    graph = traced(step, (2, 6, 20), *[(20, 20)] * 4)
    assert len(transposes(graph)) >= 10
    assert transposes(optimize(graph)) == []
    check(graph, optimize(graph))


def test_of_a_channels_first_network_only_the_images_are_transposed() -> None:
    inputs = am.Input((3, 12, 12))
    x: Any = inputs
    for filters in (8, 16):
        x = layers.Conv2D(filters, 3, padding="same", data_format="channels_first", use_bias=False)(x)
        x = layers.BatchNormalization(axis=1)(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D(data_format="channels_first")(x)
    x = layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    model = am.Model(inputs, layers.Dense(10)(x))
    rng = np.random.default_rng(0)
    x_data = rng.normal(size=(4, 3, 12, 12)).astype("float32")
    program = compiled_as_numpy_does(training_step(model), x_data, rng.integers(0, 10, 4).astype("int32"))
    left = [node for node in program.graph.nodes if node.op.name == "transpose"]
    assert [node.inputs[0].spec.shape for node in left] == [(4, 3, 12, 12)]
