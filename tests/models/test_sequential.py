"""Sequential models: building at once and later, adding and removing layers, structures, and mistakes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import amalthea as am
from amalthea.core.errors import ArgumentError

X = np.random.default_rng(2).normal(size=(6, 3)).astype("float32")


def names(model: Any) -> list[str]:
    return [layer.name for layer in model.layers]


def dense(k: Any, units: int, name: str, **kwargs: Any) -> Any:
    return k.layers.Dense(units, name=name, **kwargs)


WAYS: dict[str, Any] = {
    "with an Input": lambda k: k.Sequential([k.Input((3,)), dense(k, 4, "a"), dense(k, 2, "b")]),
    "with an InputLayer": lambda k: k.Sequential([k.layers.InputLayer(shape=(3,)), dense(k, 4, "a"), dense(k, 2, "b")]),
    "around a functional model": lambda k: k.Sequential(
        [k.Model(x := k.Input((3,)), dense(k, 4, "inner")(x), name="a"), dense(k, 2, "b")]
    ),
    "around a Sequential model": lambda k: k.Sequential(
        [k.Sequential([k.Input((3,)), dense(k, 4, "inner")], name="a"), dense(k, 2, "b")]
    ),
    "by build": lambda k: _built(k.Sequential([dense(k, 4, "a"), dense(k, 2, "b")])),
    "by a call": lambda k: _called(k.Sequential([dense(k, 4, "a"), dense(k, 2, "b")])),
    "by add": lambda k: _added(k),
}


def _built(model: Any) -> Any:
    model.build((None, 3))
    return model


def _called(model: Any) -> Any:
    model(X)
    return model


def _added(k: Any) -> Any:
    model = k.Sequential()
    for layer in (k.Input((3,)), dense(k, 4, "a"), dense(k, 7, "c")):
        model.add(layer)
    model.pop()
    model.add(dense(k, 2, "b"))
    return model


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_build_gives_what_keras_gives(way: str) -> None:
    ours, theirs = WAYS[way](am), WAYS[way](keras)
    assert names(ours) == names(theirs) == ["a", "b"]
    assert ours.built
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    assert [w.path.split("/")[-2:] for w in ours.weights] == [w.path.split("/")[-2:] for w in theirs.weights]
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(X).numpy(), np.asarray(theirs(X)), rtol=1e-5, atol=1e-6)
    assert ours.output_shape[-1] == 2 and ours.input_shape[-1] == 3
    assert len(ours.graph.nodes) == 2


def test_input_shape_of_the_first_layer() -> None:
    model = am.Sequential([am.layers.Dense(4, input_shape=(3,)), am.layers.Dense(2)])
    assert (model.input_shape, model.output_shape, model.count_params()) == ((None, 3), (None, 2), 26)
    assert am.Sequential([am.layers.Dense(4, input_dim=3)]).layers[0].name.startswith("dense")


def test_it_is_built_by_fit() -> None:
    model = am.Sequential([am.layers.Dense(2)])
    model.compile("sgd", "mse")
    assert not model.built
    model.fit(X, X[:, :2], epochs=1, verbose=0)
    assert model.built and model.output_shape[-1] == 2


def test_a_stack_without_functional_model_passes_structures_on() -> None:
    class Sum(am.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs["a"] + inputs["b"]

    model = am.Sequential([Sum(), am.layers.Dense(2)])
    assert model({"a": X, "b": X}).shape == (6, 2)
    assert model({"b": X, "a": X}).shape == (6, 2)


def test_weights_follow_the_stack_after_adding_and_removing() -> None:
    model = am.Sequential([am.Input((3,)), am.layers.Dense(4), am.layers.Dense(5)])
    top = model.pop()
    assert top not in model.layers and len(model.weights) == 2
    model.add(am.layers.Dense(2))
    assert [w.shape for w in model.weights] == [(3, 4), (4,), (4, 2), (2,)]
    assert model(X).shape == (6, 2)


def test_config_goes_around() -> None:
    model = am.Sequential([am.Input((3,), name="in"), am.layers.Dense(4), am.layers.Dropout(0.5)], name="net")
    copy = am.Sequential.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    assert am.models.model_from_json(model.to_json()).get_config() == model.get_config()
    unbuilt = am.Sequential([am.layers.Dense(4)])
    assert not am.Sequential.from_config(unbuilt.get_config()).built


def test_freezing_is_kept_in_the_config() -> None:
    model = am.Sequential([am.Input((3,)), am.layers.Dense(4)])
    model.trainable = False
    assert am.Sequential.from_config(model.get_config()).trainable_weights == []


MISTAKES: dict[str, tuple[Any, type[Exception], str]] = {
    "no layer": (lambda: am.Sequential([X]), ArgumentError, "only layers can be added"),
    "a class": (lambda: am.Sequential([am.layers.Dense]), ArgumentError, "only layers can be added"),
    "one name twice": (
        lambda: am.Sequential([dense(am, 1, "a"), dense(am, 1, "a")]),
        ArgumentError,
        "a layer named 'a' already",
    ),
    "an input at the end": (
        lambda: am.Sequential([am.layers.Dense(1), am.Input((3,))]),
        ArgumentError,
        "only stand at the start",
    ),
    "two inputs": (
        lambda: am.Sequential([am.Input((3,)), am.Input((3,)), am.layers.Dense(1)]),
        ArgumentError,
        "only stand at the start",
    ),
    "popping nothing": (lambda: am.Sequential().pop(), ArgumentError, "no layer to take off"),
    "building nothing": (lambda: am.Sequential().build((None, 3)), ArgumentError, "no layers"),
    "another shape": (
        lambda: am.Sequential([am.Input((3,)), am.layers.Dense(1)]).build((None, 4)),
        ArgumentError,
        r"\(None, 3\).*Received: input_shape=\(None, 4\)",
    ),
    "a layer of two tensors": (
        lambda: am.Sequential([am.Input((3,)), type("Two", (am.layers.Layer,), {"call": lambda self, a, b: a})()]),
        ArgumentError,
        r"takes one tensor.*Received: Two.call\(a, b\)",
    ),
    "inputs before it is built": (lambda: am.Sequential([am.layers.Dense(1)]).inputs, AttributeError, "not built"),
    "setting layers": (lambda: setattr(am.Sequential(), "layers", []), AttributeError, "`add\\(\\)` and `pop\\(\\)`"),
    "a config without layers": (
        lambda: am.Sequential.from_config({"name": "x"}),
        ArgumentError,
        "needs the keys",
    ),
    "a wrong shape": (
        lambda: am.Sequential([am.Input((3,)), am.layers.Dense(1)], name="net")(np.ones((2, 4))),
        ValueError,
        r"'net'.*\(None, 3\).*\(2, 4\)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_have_clear_messages(name: str) -> None:
    act, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message) as error:
        act()
    assert "Fix: " in str(error.value)
