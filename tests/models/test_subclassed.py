"""Subclassed models: building, saving, state trees, pickling."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import amalthea as am
from amalthea.core.errors import ArgumentError

X = np.random.default_rng(3).normal(size=(6, 3)).astype("float32")


@am.saving.register_keras_serializable("models_tests")
class Net(am.Model):
    def __init__(self, units: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.blocks = [am.layers.Dense(4, "relu"), [am.layers.Dense(3)]]
        self.named = {"head": am.layers.Dense(units)}
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x: Any, training: bool = False) -> Any:
        return self.named["head"](self.blocks[1][0](self.blocks[0](x))) * self.scale

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def test_layers_are_found_in_containers() -> None:
    net = Net()
    net(X)
    assert len(net.layers) == 3 and len(net.weights) == 7
    assert net.get_layer(index=0) is net.blocks[0]


def test_build_makes_the_weights_without_data() -> None:
    net = Net()
    net.build((None, 3))
    assert net.built and net.count_params() == 1 + 16 + 15 + 8
    assert net(X).shape == (6, 2)


def test_files_bring_back_weights_and_training(tmp_path: Path) -> None:
    net = Net(units=1)
    net.compile("adam", "mse")
    net.fit(X, X[:, :1], epochs=2, verbose=0)
    net.save(tmp_path / "net.keras")
    loaded = am.saving.load_model(tmp_path / "net.keras")
    assert type(loaded) is Net and loaded.units == 1
    np.testing.assert_array_equal(loaded(X).numpy(), net(X).numpy())
    more = [model.fit(X, X[:, :1], epochs=2, shuffle=False, verbose=0).history["loss"] for model in (net, loaded)]
    np.testing.assert_allclose(more[0], more[1], rtol=1e-6)


def test_dropout_goes_on_where_it_stopped(tmp_path: Path) -> None:
    model = am.Sequential([am.Input((3,)), am.layers.Dense(8), am.layers.Dropout(0.5, seed=1), am.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], epochs=2, shuffle=False, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = am.saving.load_model(tmp_path / "m.keras")
    more = [m.fit(X, X[:, :1], epochs=2, shuffle=False, verbose=0).history["loss"] for m in (model, loaded)]
    assert more[0] == more[1]


def test_an_unknown_class_is_not_imported(tmp_path: Path) -> None:
    class Local(am.Model):
        def call(self, x: Any) -> Any:
            return x

        def get_config(self) -> dict[str, Any]:
            return {}

    model = Local()
    model(X)
    model.save(tmp_path / "m.keras")
    with pytest.raises(TypeError, match=r"no class 'Local'.*custom_objects"):
        am.saving.load_model(tmp_path / "m.keras")
    assert type(am.saving.load_model(tmp_path / "m.keras", custom_objects={"Local": Local})) is Local


def test_saving_before_building_warns(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="has not been built"):
        Net().save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"has not been built.*Fix: call it"):
        Net().save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match="has not been built"):
        Net().load_weights(tmp_path / "m.weights.h5")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_whole_and_apart(copied: Any) -> None:
    model = am.Sequential([am.Input((3,)), am.layers.Dense(2)])
    model.compile("adam", "mse")
    model.fit(X, X[:, :2], verbose=0)
    other = copied(model)
    np.testing.assert_array_equal(other(X).numpy(), model(X).numpy())
    assert int(other.optimizer.iterations) == int(model.optimizer.iterations)
    other.set_weights([w + 1 for w in other.get_weights()])
    assert not np.array_equal(other(X).numpy(), model(X).numpy())


def test_state_trees() -> None:
    model = am.Sequential([am.Input((3,)), am.layers.Dense(2, name="d"), am.layers.BatchNormalization(name="b")])
    model.compile("adam", "mse")
    model.fit(X, X[:, :2], verbose=0)
    tree = model.get_state_tree("numpy_array")
    assert set(tree) == {"trainable_variables", "non_trainable_variables", "optimizer_variables", "metrics_variables"}
    before = model.get_weights()
    model.set_weights([w * 0 for w in before])
    model.set_state_tree(tree)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    with pytest.raises(ArgumentError, match=r"no variable 'nope'"):
        model.set_state_tree({"trainable_variables": {"nope": 1}})
    with pytest.raises(ArgumentError, match="unknown group"):
        model.set_state_tree({"weights": {}})
    with pytest.raises(ArgumentError, match="value_format"):
        model.get_state_tree("lists")


MISTAKES: dict[str, tuple[Any, str]] = {
    "a wrong ending": (
        lambda model, path: model.save(path / "m.txt"),
        r"ends in '\.keras'.*Fix: save to 'model\.keras'",
    ),
    "the old format": (lambda model, path: model.save(path / "m.h5"), "old HDF5.*Fix"),
    "a zipped folder": (lambda model, path: model.save(path / "m", zipped=True), "ends in '.keras'"),
    "an unzipped file": (lambda model, path: model.save(path / "m.keras", zipped=False), "ends in '.keras'"),
    "an unknown argument": (lambda model, path: model.save(path / "m.keras", nope=1), "unknown arguments: .'nope'"),
    "weights with a wrong ending": (lambda model, path: model.save_weights(path / "m.h5"), "must end in .weights.h5"),
    "loading what is not there": (lambda model, path: am.saving.load_model(path / "m.keras"), "no such file"),
    "weights that are not there": (lambda model, path: model.load_weights(path / "m.weights.h5"), "no such file"),
    "a file of another kind": (
        lambda model, path: (path / "m.txt").write_text("x") and am.saving.load_model(path / "m.txt"),
        "does not end in '.keras'",
    ),
    "weights of another kind": (
        lambda model, path: (path / "m.txt").write_text("x") and model.load_weights(path / "m.txt"),
        "weights files end in",
    ),
    "a model from weights": (
        lambda model, path: model.save_weights(path / "m.weights.h5") or am.saving.load_model(path / "m.weights.h5"),
        "holds weights only",
    ),
    "a folder that is no model": (lambda model, path: am.saving.load_model(path), "no file 'config.json'"),
    "a shard too small": (
        lambda model, path: model.save_weights(path / "m.weights.json", max_shard_size=1e-9),
        "larger max_shard_size",
    ),
    "no model at all": (lambda model, path: am.saving.save_model("m", path / "m.keras"), "only models and layers"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_have_clear_messages(name: str, tmp_path: Path) -> None:
    act, message = MISTAKES[name]
    model = am.Sequential([am.Input((3,)), am.layers.Dense(2)])
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        act(model, tmp_path)
    assert "Fix: " in str(error.value)
