"""`summary` and `clone_model`, beside those of Keras."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

import amalthea as am
from amalthea.core.errors import ArgumentError


def chain(k: Any) -> Any:
    return k.Sequential(
        [k.Input((4,)), k.layers.Dense(3, name="one"), k.layers.BatchNormalization(name="two")], name="chain"
    )


def forked(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    shared = k.layers.Dense(3, name="shared")
    return k.Model([a, b], k.layers.Add(name="joined")([shared(a), shared(b)]), name="forked")


def nested(k: Any) -> Any:
    x = k.Input((4,), name="x")
    frozen = k.layers.Dense(4, name="frozen", trainable=False)
    return k.Model(x, chain(k)(frozen(x)), name="nested")


MODELS = {"chain": chain, "forked": forked, "nested": nested}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"expand_nested": True},
    {"show_trainable": True},
    {"layer_range": ["a|one|f", ".*"]},
]


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")


def summary(model: Any, **options: Any) -> str:
    lines: list[str] = []
    model.summary(line_length=100, print_fn=lambda text, **_: lines.append(text), **options)
    return "\n".join(line.rstrip() for line in "".join(lines).splitlines())


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_summaries_read_as_those_of_keras(name: str, options: dict[str, Any]) -> None:
    assert summary(MODELS[name](am), **options) == summary(MODELS[name](keras), **options)


def test_an_unbuilt_model_and_an_optimizer_are_shown() -> None:
    model = am.Sequential([am.layers.Dense(2, name="later")], name="net")
    assert re.search(r"later \(Dense\).*\?.*0 \(unbuilt\)", summary(model))
    model.compile("adam", "mse")
    model.fit(np.ones((2, 3)), np.ones((2, 2)), verbose=0)
    assert "Optimizer params: 18 (72.00 B)" in summary(model)


def test_it_prints_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    chain(am).summary()
    assert 'Model: "chain"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer_range": ["one"]}, "pair of layer names"),
        ({"layer_range": ["nope", "two"]}, "does not have"),
        ({"positions": [0.01, 0.02, 1.0]}, "too narrow"),
    ],
)
def test_mistakes_of_summary(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        summary(chain(am), **options)


@pytest.mark.parametrize("name", MODELS)
def test_clones_have_the_same_architecture_and_new_weights(name: str) -> None:
    model = MODELS[name](am)
    clone = am.models.clone_model(model)
    assert clone.get_config() == model.get_config()
    assert not {id(w) for w in clone.weights} & {id(w) for w in model.weights}
    clone.set_weights(model.get_weights())
    x = [np.ones((2, 4), "float32")] * len(model.inputs)
    inputs = x if len(x) > 1 else x[0]
    np.testing.assert_array_equal(clone(inputs).numpy(), model(inputs).numpy())


def test_clone_and_call_functions() -> None:
    def halved(layer: Any) -> Any:
        config = layer.get_config()
        if config.get("units") == 3:
            config["units"] = 2
        return type(layer).from_config(config)

    assert am.models.clone_model(chain(am), clone_function=halved).output_shape == (None, 2)
    model = nested(am)
    kept = am.models.clone_model(model, clone_function=lambda layer: layer)
    assert kept.get_layer("frozen") is model.get_layer("frozen")
    deep = am.models.clone_model(model, clone_function=halved, recursive=True)
    assert deep.output_shape == (None, 2)
    calls = []

    def called(layer: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(layer.name)
        return layer(*args, **kwargs)

    am.models.clone_model(forked(am), call_function=called)
    assert sorted(calls) == ["joined", "shared", "shared"]
    wider = am.models.clone_model(chain(am), input_tensors=am.Input((7,)))
    assert wider.input_shape == (None, 7)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: am.models.clone_model(chain(am), call_function=print), "`call_function` has nothing to do"),
        (lambda: am.models.clone_model(chain(am), input_tensors=[1, 2]), "one symbolic tensor"),
        (lambda: am.models.clone_model(forked(am), input_tensors=[am.Input((4,))]), "2 inputs"),
        (lambda: am.models.clone_model(chain(am), nope=1), "unknown arguments"),
    ],
)
def test_mistakes_of_cloning(act: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        act()
