"""Files go both ways between this package and the real Keras: same outputs, same next steps of training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import amalthea as am

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
Arrays = Any
RANDOM = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype("float32")


def perceptron(k: Any) -> Any:
    model = k.Sequential([k.Input((5,)), k.layers.Dense(8, "relu"), k.layers.Dense(3, "softmax")], name="mlp")
    model.compile(k.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def convolutional(k: Any) -> Any:
    model = k.Sequential(
        [
            k.Input((8, 8, 1)),
            k.layers.Conv2D(4, 3, padding="same", kernel_regularizer=k.regularizers.L2(0.01)),
            k.layers.BatchNormalization(),
            k.layers.ReLU(),
            k.layers.MaxPooling2D(),
            k.layers.Flatten(),
            k.layers.Dropout(0.0),
            k.layers.Dense(2),
        ]
    )
    model.compile(k.optimizers.SGD(0.001, momentum=0.9, nesterov=True), k.losses.MeanSquaredError(), metrics=["mae"])
    return model


def several_inputs_and_outputs(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    shared = k.layers.Dense(6, "tanh", name="shared")
    x, y = shared(a), shared(b)
    joined = k.layers.Concatenate()([x, y])
    first = k.layers.Dense(2, name="first")(joined)
    second = k.layers.Dense(1, name="second")(k.layers.Add()([x, y]))
    model = k.Model({"a": a, "b": b}, {"first": first, "second": second}, name="forked")
    model.compile(
        k.optimizers.RMSprop(0.01),
        {"first": "mse", "second": k.losses.Huber()},
        loss_weights={"first": 1.0, "second": 0.5},
        metrics={"first": ["mae"]},
    )
    return model


def nested(k: Any) -> Any:
    inner_input = k.Input((4,))
    inner = k.Model(inner_input, k.layers.Dense(3, "relu")(inner_input), name="inner")
    stack = k.Sequential([k.layers.Dense(4), k.layers.LayerNormalization()], name="stack")
    x = k.Input((4,), name="x")
    y = inner(stack(x))
    z = inner(stack(stack(x)))
    model = k.Model(x, k.layers.Dense(1)(k.layers.Average()([y, z])))
    model.compile(k.optimizers.AdamW(0.01, weight_decay=0.01), "mse")
    return model


def recurrent(k: Any) -> Any:
    model = k.Sequential(
        [
            k.Input((6, 3)),
            k.layers.Bidirectional(k.layers.GRU(4, return_sequences=True)),
            k.layers.TimeDistributed(k.layers.Dense(3)),
            k.layers.SimpleRNN(2),
        ]
    )
    model.compile(k.optimizers.Adagrad(0.1), "mse")
    return model


def embedded(k: Any) -> Any:
    model = k.Sequential(
        [
            k.Input((6,), dtype="int32"),
            k.layers.Embedding(10, 4, mask_zero=True),
            k.layers.LSTM(5),
            k.layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile(k.optimizers.Lion(0.001), k.losses.BinaryCrossentropy(), metrics=[k.metrics.BinaryAccuracy()])
    return model


def attention(k: Any) -> Any:
    x = k.Input((5, 4))
    y = k.layers.MultiHeadAttention(2, 3)(x, x)
    y = k.layers.LayerNormalization()(x + y)
    y = k.layers.GlobalAveragePooling1D()(y)
    model = k.Model(x, k.layers.Dense(1)(y))
    schedule = k.optimizers.schedules.ExponentialDecay(0.05, 2, 0.5)
    model.compile(k.optimizers.SGD(schedule, clipnorm=1.0), "mse")
    return model


def with_ops(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    x = k.layers.Dense(4)(a) * 2.0 + b
    y = k.ops.relu(k.ops.concatenate([x[:, 1:], b[:, :2]], axis=-1)) - 1
    z = k.ops.mean(k.ops.square(x), axis=-1, keepdims=True)
    w = k.ops.reshape(k.ops.matmul(k.ops.expand_dims(k.ops.softmax(x), 1), k.ops.expand_dims(b, 2)), (-1, 1))
    v = k.ops.where(b > 0, x, k.ops.clip(x, -1.0, 1.0)) / (1 + k.ops.exp(-b))
    model = k.Model({"a": a, "b": b}, k.ops.stack([k.ops.sum(y, axis=-1, keepdims=True), z, w, v[:, :1]], axis=1))
    model.compile("sgd", "mse")
    return model


def uncompiled(k: Any) -> Any:
    return k.Sequential([k.Input((5,)), k.layers.Dense(2, kernel_initializer="he_normal"), k.layers.Activation("elu")])


TWO = {"a": floats(8, 4), "b": floats(8, 4)}
MODELS: dict[str, tuple[Callable[[Any], Any], Arrays, Arrays]] = {
    "perceptron": (perceptron, floats(8, 5), RANDOM.integers(0, 3, (8,))),
    "convolutional": (convolutional, floats(8, 8, 8, 1), floats(8, 2)),
    "several inputs": (several_inputs_and_outputs, TWO, {"first": floats(8, 2), "second": floats(8, 1)}),
    "nested": (nested, floats(8, 4), floats(8, 1)),
    "recurrent": (recurrent, floats(8, 6, 3), floats(8, 2)),
    "embedded": (embedded, RANDOM.integers(0, 10, (8, 6)), RANDOM.integers(0, 2, (8, 1))),
    "attention": (attention, floats(8, 5, 4), floats(8, 1)),
    "ops": (with_ops, TWO, floats(8, 4, 1)),
    "uncompiled": (uncompiled, floats(8, 5), None),
}


def train(model: Any, x: Arrays, y: Arrays, epochs: int = 2) -> list[float]:
    if y is None:
        return []
    return model.fit(x, y, batch_size=4, epochs=epochs, shuffle=False, verbose=0).history["loss"]


def same(a: Any, b: Any, tolerance: float = 1e-5) -> None:
    flat_a, flat_b = keras.tree.flatten(a), keras.tree.flatten(b)
    for one, other in zip(flat_a, flat_b, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-4, atol=tolerance)


def values(model: Any) -> list[np.ndarray]:
    variables = list(model.weights)
    if getattr(model, "optimizer", None) is not None:
        variables += [v for v in model.optimizer.variables if "learning_rate" not in v.path]
    return [np.asarray(variable.value) for variable in variables]


def essential(config: Any) -> Any:
    """A config without what only tells how a layer was called and built: absent masks, and shapes."""
    if isinstance(config, dict):
        kept = {key: value for key, value in config.items() if (key, value) != ("mask", None) and key != "build_config"}
        return {key: essential(value) for key, value in kept.items()}
    if isinstance(config, (list, tuple)):
        return [essential(item) for item in config]
    return round(config, 6) if isinstance(config, float) else config


PAIRS = {"ours to Keras": (am, keras), "Keras to ours": (keras, am)}


def outputs(model: Any, x: Arrays) -> Any:
    return keras.tree.map_structure(np.asarray, model.predict(x, batch_size=8, verbose=0))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_goes_there_and_back(name: str, tmp_path: Path) -> None:
    """Train here, load and train there, load and train here again; and weights alone likewise."""
    make, x, y = MODELS[name]
    ours = make(am)
    train(ours, x, y)
    ours.save(tmp_path / "ours.keras")
    theirs = keras.saving.load_model(tmp_path / "ours.keras")
    same(outputs(ours, x), outputs(theirs, x))
    same(train(ours, x, y), train(theirs, x, y))
    same(values(ours), values(theirs), 1e-4)

    theirs.save(tmp_path / "theirs.keras")
    back = am.saving.load_model(tmp_path / "theirs.keras")
    same(outputs(theirs, x), outputs(back, x))
    same(train(theirs, x, y), train(back, x, y))
    same(values(theirs), values(back), 1e-4)
    if name != "ops":  # where names of ops are numbered differently
        assert essential(back.get_config()) == essential(ours.get_config())
        assert [layer.name for layer in theirs.layers] == [layer.name for layer in back.layers]

    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours.load_weights(tmp_path / "theirs.weights.h5")
    same(outputs(theirs, x), outputs(ours, x))
    train(ours, x, y)
    ours.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    same(outputs(ours, x), outputs(theirs, x))
    same(train(ours, x, y), train(theirs, x, y))


@pytest.mark.parametrize("name", MODELS)
def test_models_that_keras_made_load_here(name: str, tmp_path: Path) -> None:
    make, x, y = MODELS[name]
    theirs = make(keras)
    if name in ("perceptron", "several inputs"):
        train(theirs, x, y)
    theirs.save(tmp_path / "theirs.keras")
    ours = am.saving.load_model(tmp_path / "theirs.keras")
    same(outputs(ours, x), outputs(theirs, x))
    assert [layer.name for layer in theirs.layers] == [layer.name for layer in ours.layers] or name == "ops"
    if name in ("perceptron", "several inputs"):
        same(train(theirs, x, y), train(ours, x, y))
        same(values(theirs), values(ours), 1e-4)


def test_sharded_weights_go_both_ways(tmp_path: Path) -> None:
    make, x, y = MODELS["perceptron"]
    ours, theirs = make(am), make(keras)
    train(ours, x, y)
    train(theirs, x, y)
    size = 200 / 1024**3
    ours.save_weights(tmp_path / "ours.weights.json", max_shard_size=size)
    assert len(list(tmp_path.glob("ours_*.weights.h5"))) > 2
    theirs.load_weights(tmp_path / "ours.weights.json")
    same(ours.predict(x, verbose=0), theirs.predict(x, verbose=0))
    train(theirs, x, y)
    theirs.save_weights(tmp_path / "theirs.weights.json", max_shard_size=size)
    ours.load_weights(tmp_path / "theirs.weights.json")
    same(ours.predict(x, verbose=0), theirs.predict(x, verbose=0))


@pytest.mark.parametrize("way", PAIRS)
def test_unzipped_models_go_both_ways(way: str, tmp_path: Path) -> None:
    make, x, y = MODELS["nested"]
    writer, reader = PAIRS[way]
    model = make(writer)
    train(model, x, y)
    model.save(tmp_path / "folder", zipped=False)
    same(model.predict(x, verbose=0), reader.saving.load_model(tmp_path / "folder").predict(x, verbose=0))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("way", PAIRS)
def test_dtypes_are_kept(way: str, dtype: str, tmp_path: Path) -> None:
    writer, reader = PAIRS[way]
    model = writer.Sequential([writer.Input((3,)), writer.layers.Dense(2, dtype=dtype)])
    model.save(tmp_path / "model.keras")
    loaded = reader.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].dtype_policy.name == dtype
    for one, other in zip(values(model), values(loaded), strict=True):
        np.testing.assert_array_equal(one.astype("float32"), other.astype("float32"))


def subclassed(k: Any) -> Any:
    class Net(k.Model):
        def __init__(self) -> None:
            super().__init__()
            self.zebra = k.layers.Dense(4)
            self.blocks = [k.layers.Dense(3), [k.layers.Dense(5), k.layers.LayerNormalization()]]
            self.heads = {"b": k.layers.Dense(2), "a": k.layers.Dense(6)}
            self._hidden = k.layers.Dense(2, name="hidden")
            self.scale = self.add_weight(shape=(2,), name="scale")
            self.again = self.zebra

        def call(self, x: Any, training: bool = False) -> Any:
            for layer in (self.again, self.blocks[0], *self.blocks[1], self.heads["a"], self.heads["b"], self._hidden):
                x = layer(x)
            return x * self.scale

    net = Net()
    net.compile(k.optimizers.SGD(0.01, momentum=0.9), "mse")
    return net


@pytest.mark.parametrize("way", PAIRS)
def test_weights_of_subclassed_models_go_both_ways(way: str, tmp_path: Path) -> None:
    writer, reader = PAIRS[way]
    x, y = floats(8, 4), floats(8, 2)
    model, other = subclassed(writer), subclassed(reader)
    train(model, x, y, epochs=1)
    train(other, x, y, epochs=1)
    model.save_weights(tmp_path / "net.weights.h5")
    other.load_weights(tmp_path / "net.weights.h5")
    same(outputs(model, x), outputs(other, x))
    same(train(model, x, y), train(other, x, y))
