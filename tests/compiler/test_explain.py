"""`am.explain` shows every stage of a compilation."""

import re

import numpy as np
import pytest

import amalthea as am
from amalthea import ops
from amalthea.compiler.generators import GENERATORS

X = np.linspace(-1, 1, 96, dtype="float32").reshape(12, 8)


@pytest.fixture(autouse=True)
def native():
    with am.backend_scope("native"):
        yield


def training_step():
    model = am.Sequential([am.Input((8,)), am.layers.Dense(16, activation="relu"), am.layers.Dense(3)])
    optimizer = am.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)

    def step(x):
        with am.GradientTape() as tape:
            loss = ops.mean(ops.square(model(x)))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    return step


def test_all_stages_of_a_training_step():
    told = am.explain(training_step(), X)
    text = str(told)
    assert text.startswith("graph step(x0: float32[12,8]")
    for name, before, after in told.passes:
        assert f"-- after {name}: {len(before.nodes)} nodes become {len(after.nodes)}" in text
    assert f"-- graph after all passes\n{told.optimized}\n" in text
    assert len(told.optimized.nodes) < len(told.graph.nodes)
    kernels = re.findall(r"^ *[\d.]+ us  \w+: (\d+) flops, (\d+) bytes, (.+)$", text, re.MULTILINE)
    assert len(kernels) == len(told.program.steps)
    assert any("x" in note and int(flops) >= 2 * 12 * 8 * 16 for flops, _, note in kernels)  # the tile of a contraction
    assert f"-- memory\n{told.memory}" in text and "bytes between steps" in told.memory
    assert "(in place)" in told.memory
    assert text.endswith("-- falls back to NumPy: nothing") and told.fallbacks == []


def test_what_falls_back_is_named(monkeypatch):
    monkeypatch.setenv("AMALTHEA_CACHE", "off")
    monkeypatch.delitem(GENERATORS, "argmax")
    told = am.explain(lambda x: ops.argmax(ops.exp(x), axis=1), X)
    assert told.fallbacks == ["argmax"]
    assert str(told).endswith("-- falls back to NumPy: argmax")


def test_the_memory_plan_tells_where_values_live():
    told = am.explain(lambda x: ops.matmul(ops.softmax(x), ops.transpose(x)), X)
    assert re.search(r"at \d+\.\.\d+, read until step \d+", told.memory)
    assert "into output 0" in told.memory


def test_models_and_compiled_functions_can_be_explained():
    model = am.Sequential([am.Input((8,)), am.layers.Dense(4, activation="relu")])
    for callable_ in (model, model.layers[0], am.function(lambda x: model(x))):
        assert "maximum" in str(am.explain(callable_, X))


def test_state_is_not_changed():
    variable = am.Variable(np.ones(8, "float32"))

    def count(x):
        variable.assign_add(x[0])
        return x * variable

    am.explain(count, X)
    np.testing.assert_array_equal(variable, np.ones(8))


@pytest.mark.parametrize("thing", [3, X, ops.convert_to_tensor(X), "softmax", None])
def test_what_cannot_be_called_is_refused(thing):
    with pytest.raises(ValueError, match=r"\[explain\].*only a function, a layer or a model.*Fix: am.explain\(f, x\)"):
        am.explain(thing, X)


def test_another_backend_is_refused():
    with am.backend_scope("numpy"), pytest.raises(NotImplementedError, match=r"\[explain\].*backend 'numpy'"):
        am.explain(ops.softmax, X)
