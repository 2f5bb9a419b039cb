"""Whole training steps before and after the passes: the same results from fewer nodes."""

from __future__ import annotations

import numpy as np
import pytest

import amalthea as am
from amalthea.compiler.passes.pipeline import optimize
from amalthea.core.backend import active
from tests.compiler.random_graphs import assert_close, run

L = am.layers


def mlp():
    model = am.Sequential([L.Input((20,)), L.Dense(16, activation="relu"), L.Dense(4)])
    return model, am.optimizers.Adam(1e-3), _crossentropy(), (8, 20), (8,), 90


def cnn():
    model = am.Sequential(
        [
            L.Input((8, 8, 3)),
            L.Conv2D(4, 3, padding="same", use_bias=False),
            L.BatchNormalization(),
            L.Activation("relu"),
            L.MaxPooling2D(2),
            L.Flatten(),
            L.Dropout(0.5),
            L.Dense(4),
        ]
    )
    return model, am.optimizers.SGD(1e-2, momentum=0.9), _crossentropy(), (2, 8, 8, 3), (2,), 112


def transformer():
    x = L.Input((5, 8))
    h = L.LayerNormalization()(x)
    h = L.Add()([L.MultiHeadAttention(2, 4)(h, h, use_causal_mask=True), x])
    wide = L.Dense(16, activation="gelu")(L.LayerNormalization()(h))
    y = L.Dense(7)(L.Add()([h, L.Dense(8)(wide)]))
    return am.Model(x, y), am.optimizers.AdamW(1e-2), _crossentropy(), (2, 5, 8), (2, 5), 425


def lstm():
    model = am.Sequential([L.Input((6, 3)), L.LSTM(4), L.Dense(2)])
    return model, am.optimizers.SGD(1e-2), am.losses.MeanSquaredError(), (2, 6, 3), (2, 2), 34


def _crossentropy():
    return am.losses.SparseCategoricalCrossentropy(from_logits=True)


def step_graph(model, optimizer, loss, x, y):
    """The graph of one training step, down to primitives and the composites that NumPy has kernels for."""

    def step(x, y):
        with am.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return value

    return am.function(step).get_graph(x, y).expand("primitive", keep=active.kernels)


def values_of(graph):
    """Arrays for everything that goes in; positive, so that square roots of the optimizers' state are real."""
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, 2, v.spec.shape).astype(v.spec.dtype.as_numpy_dtype)
        if not v.spec.dtype.is_floating
        else rng.uniform(0.1, 1.0, v.spec.shape).astype(v.spec.dtype.as_numpy_dtype)
        for v in graph.all_inputs
    ]


@pytest.mark.parametrize("make", [mlp, cnn, transformer, lstm])
def test_a_training_step_stays_the_same_with_fewer_nodes(make) -> None:
    *parts, x_shape, y_shape, most = make()
    y = np.zeros(y_shape, "float32" if make is lstm else "int32")
    graph = step_graph(*parts, np.zeros(x_shape, "float32"), y)
    made = optimize(graph, verify=True)
    print(f"{make.__name__}: {len(graph.nodes)} nodes before, {len(made.nodes)} after")
    assert len(made.nodes) <= most < len(graph.nodes)
    assert made.all_inputs == graph.all_inputs and made.variables == graph.variables
    arrays = values_of(graph)
    assert_close(run(made, arrays), run(graph, arrays), 2e-5)


def test_paths_and_order_stay() -> None:
    *parts, x_shape, y_shape, _ = mlp()
    graph = step_graph(*parts, np.zeros(x_shape, "float32"), np.zeros(y_shape, "int32"))
    made = optimize(graph)
    paths = {node.path for node in graph.nodes}
    assert {node.path for node in made.nodes} <= paths
    layers = [node.path[-1] for node in made.nodes if node.op.name == "contract" and node.path]
    assert layers == [node.path[-1] for node in graph.nodes if node.op.name == "contract" and node.path]


def test_mixed_precision_casts_stand_once() -> None:
    model = am.Sequential([L.Input((6,)), L.Dense(4, activation="relu"), L.Dense(2)])
    model.layers[0].dtype_policy = model.layers[1].dtype_policy = am.dtype_policies.DTypePolicy("mixed_bfloat16")
    parts = model, am.optimizers.SGD(0.1), am.losses.MeanSquaredError()
    graph = step_graph(*parts, np.zeros((3, 6), "float32"), np.zeros((3, 2), "float32"))
    made = optimize(graph, verify=True)
    casts = [(node.inputs[0], node.attrs["dtype"]) for node in made.nodes if node.op.name == "cast"]
    assert len(casts) == len(set(casts))
    arrays = values_of(graph)
    for a, b in zip(run(made, arrays), run(graph, arrays), strict=True):
        np.testing.assert_allclose(a.astype("float32"), b.astype("float32"), rtol=0.02)
