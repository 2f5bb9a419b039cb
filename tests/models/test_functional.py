"""Functional models: structures of inputs and outputs, shared layers, nesting, ops, masks, training, and mistakes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import amalthea as am
from amalthea.core.errors import ArgumentError, ShapeError

RANDOM = np.random.default_rng(1)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype("float32")


def branches(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((3,), name="b")
    hidden = k.layers.Dense(5, "relu", name="hidden")(a)
    joined = k.layers.Concatenate(name="joined")([hidden, b])
    return k.Model([a, b], [k.layers.Dense(2, name="left")(joined), k.layers.Dense(1, name="right")(hidden)])


def shared_layers(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    shared = k.layers.Dense(3, name="shared")
    twice = shared(k.layers.Dense(4, name="first")(shared_input := a))
    return k.Model([shared_input, b], k.layers.Subtract(name="difference")([twice, shared(b)]))


def unused_input(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((2,), name="b")
    return k.Model([a, b], k.layers.Dense(2, name="only")(a))


def skip_connections(k: Any) -> Any:
    x = first = k.Input((4,), name="x")
    for i in range(3):
        x = k.layers.Add(name=f"add_{i}")([x, k.layers.Dense(4, "tanh", name=f"dense_{i}")(x)])
    return k.Model(first, [x, k.layers.Dense(1, name="aside")(first)])


def nested_models(k: Any) -> Any:
    a = k.Input((4,), name="a")
    inner = k.Model(a, k.layers.Dense(3, name="inside")(a), name="inner")
    stack = k.Sequential([k.Input((3,)), k.layers.Dense(4, name="stacked")], name="stack")
    x = k.Input((4,), name="x")
    return k.Model(x, inner(stack(inner(x))), name="outer")


GRAPHS = {
    "branches": (branches, [(6, 4), (6, 3)]),
    "shared layers": (shared_layers, [(6, 4), (6, 4)]),
    "unused input": (unused_input, [(6, 4), (6, 2)]),
    "skip connections": (skip_connections, [(6, 4)]),
    "nested models": (nested_models, [(6, 4)]),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_same_layers_in_the_same_order_and_same_outputs_as_keras(name: str) -> None:
    make, shapes = GRAPHS[name]
    ours, theirs = make(am), make(keras)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [weight.shape for weight in ours.weights] == [tuple(weight.shape) for weight in theirs.weights]
    assert (ours.input_shape, ours.output_shape) == (theirs.input_shape, theirs.output_shape)
    assert ours.output_names == theirs.output_names
    theirs.set_weights(ours.get_weights())
    x = [floats(*shape) for shape in shapes]
    inputs = x if len(x) > 1 else x[0]
    for one, other in zip(keras.tree.flatten(ours(inputs)), keras.tree.flatten(theirs(inputs)), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_model_is_a_graph_of_layers(name: str) -> None:
    make, shapes = GRAPHS[name]
    model = make(am)
    x = [floats(*shape) for shape in shapes]
    model.graph.verify()
    direct = keras.tree.flatten(model(x if len(x) > 1 else x[0]))
    for one, other in zip(direct, keras.tree.flatten(model.graph.run(*x)), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6)
    opened = model.graph.expand("op")
    assert all(node.op.kind != "layer" for node in opened.nodes)
    for one, other in zip(direct, keras.tree.flatten(opened.run(*x)), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)


@pytest.fixture
def pair() -> am.Model:
    a, b = am.Input((4,), name="a"), am.Input((3,), name="b")
    return am.Model({"a": a, "b": b}, {"sum": am.ops.sum(a, axis=1) + am.ops.sum(b, axis=1), "a": a * 2}, name="pair")


def test_structures_of_inputs_and_outputs(pair: am.Model) -> None:
    a, b = floats(5, 4), floats(5, 3)
    wanted = a.sum(1) + b.sum(1)
    for inputs in ({"a": a, "b": b}, {"b": b, "a": a}, [a, b], (a, b), {"a": a, "b": b, "more": b}):
        out = pair(inputs)
        assert set(out) == {"sum", "a"}
        np.testing.assert_allclose(out["sum"].numpy(), wanted, rtol=1e-5)
        np.testing.assert_allclose(out["a"].numpy(), a * 2)


def test_a_dict_for_a_model_with_a_list_of_inputs() -> None:
    a, b = am.Input((2,), name="a"), am.Input((2,), name="b")
    model = am.Model([b, a], b - a)
    x = {"a": np.ones((1, 2)), "b": np.full((1, 2), 3.0)}
    assert model(x).numpy().tolist() == [[2.0, 2.0]]


def test_parts_of_a_model_are_models_that_share_its_layers() -> None:
    x = am.Input((4,))
    middle = am.layers.Dense(3, name="first")(x)
    out = am.layers.Dense(2, name="second")(middle)
    whole, head, tail = am.Model(x, out), am.Model(x, middle), am.Model(middle, out)
    data = floats(5, 4)
    np.testing.assert_allclose(tail(head(data)).numpy(), whole(data).numpy(), rtol=1e-6)
    assert tail.get_layer("second") is whole.get_layer("second")
    by_name = am.Model(whole.inputs, whole.get_layer("first").output)
    np.testing.assert_allclose(by_name(data).numpy(), head(data).numpy())
    assert [type(layer).__name__ for layer in tail.layers] == ["InputLayer", "Dense"]
    am.models.model_from_json(tail.to_json())


def test_sizes_may_differ_from_the_inputs_own_where_they_are_unknown() -> None:
    x = am.Input((None, 3))
    model = am.Model(x, am.layers.Dense(2)(x))
    assert model.output_shape == (None, None, 2)
    assert model.compute_output_shape((7, 5, 3)) == (7, 5, 2)
    assert model(am.Input((4, 3))).shape == (None, 4, 2)
    assert model(floats(2, 6, 3)).shape == (2, 6, 2)


def test_inputs_are_cast_and_their_rank_is_adjusted() -> None:
    numbers = am.Input((), dtype="int32", name="numbers")
    column = am.Input((1,), name="column")
    model = am.Model([numbers, column], [numbers * 1, column * 1])
    first, second = model([np.ones((3, 1)), np.ones(3, "float64")])
    assert (first.shape, str(first.dtype)) == ((3,), "int32")
    assert (second.shape, str(second.dtype)) == ((3, 1), "float32")


def test_training_reaches_every_layer_and_overrides_what_was_recorded() -> None:
    class Which(am.layers.Layer):
        def call(self, x: Any, training: bool | None = None) -> Any:
            return x * 0 + (1.0 if training else 0.0)

    x = am.Input((1,))
    inner = am.Model(x, Which()(x))
    model = am.Model(x, [Which()(x), inner(x), am.Sequential([Which()])(x), Which()(x, training=True)])
    data = np.ones((1, 1), "float32")
    flags = lambda **kwargs: [float(out) for out in model(data, **kwargs)]  # noqa: E731
    assert flags() == [0, 0, 0, 1]
    assert flags(training=True) == [1, 1, 1, 1]
    assert flags(training=False) == [0, 0, 0, 0]
    assert [float(out) for out in model.call(data, training=True)] == [1, 1, 1, 1]


def test_masks_travel_through_the_graph() -> None:
    ids = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])

    def make(k: Any) -> Any:
        x = k.Input((4,), dtype="int32")
        embedded = k.layers.Embedding(5, 3, mask_zero=True)(x)
        return k.Model(x, k.layers.GlobalAveragePooling1D()(embedded))

    ours, theirs = make(am), make(keras)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(ids).numpy(), np.asarray(theirs(ids)), rtol=1e-5)
    inner = am.Model(x := am.Input((4, 3)), am.layers.Activation("linear")(x))
    outer = am.Model(i := am.Input((4,), dtype="int32"), am.layers.GlobalAveragePooling1D()(inner(ours.layers[1](i))))
    np.testing.assert_allclose(outer(ids).numpy(), ours(ids).numpy(), rtol=1e-6)
    x = am.Input((4, 3))
    pooled = am.Model(x, am.layers.GlobalAveragePooling1D()(x))
    data, mask = floats(1, 4, 3), np.array([[True, True, False, False]])
    np.testing.assert_allclose(pooled(data, mask=mask).numpy(), data[:, :2].mean(1), rtol=1e-5)


def test_optional_inputs_may_be_none() -> None:
    class Maybe(am.layers.Layer):
        def call(self, x: Any, y: Any = None) -> Any:
            return x if y is None else x + y

    a, b = am.Input((2,), name="a"), am.Input((2,), name="b", optional=True)
    model = am.Model([a, b], Maybe()(a, b))
    one = np.ones((1, 2), "float32")
    assert model([one, one]).numpy().tolist() == [[2, 2]]
    assert model([one, None]).numpy().tolist() == [[1, 1]]
    with pytest.raises(ArgumentError, match="'a' is not optional"):
        model([None, one])


def test_a_class_that_passes_inputs_and_outputs_to_its_parent_is_functional() -> None:
    class Net(am.Model):
        def __init__(self, units: int, **kwargs: Any) -> None:
            x = am.Input((3,))
            super().__init__(inputs=x, outputs=am.layers.Dense(units)(x), **kwargs)
            self.units = units

        def get_config(self) -> dict[str, Any]:
            return {"units": self.units, "name": self.name}

    net = Net(2, name="net")
    assert net(floats(4, 3)).shape == (4, 2)
    assert isinstance(net, am.models.Functional) and type(net) is Net
    assert Net.from_config(net.get_config()).output_shape == (None, 2)


def test_thousands_of_layers_do_not_exhaust_the_stack() -> None:
    x = out = am.Input((1,))
    for _ in range(2000):
        out = out + 1.0
    assert float(am.Model(x, out)(np.zeros((1, 1), "float32"))) == 2000.0


def make_disconnected() -> am.Model:
    a, b = am.Input((2,), name="a"), am.Input((2,), name="b")
    return am.Model(a, a + b)


def model_of(*shape: int) -> am.Model:
    x = am.Input(shape, name="x")
    return am.Model(x, am.layers.Dense(2)(x), name="m")


MISTAKES: dict[str, tuple[Any, type[Exception], str]] = {
    "an input is missing": (make_disconnected, ArgumentError, "depends on the input 'b'.*Fix: pass 'b' as an input"),
    "a layer instead of a tensor": (
        lambda: am.Model(am.Input((2,)), am.layers.Dense(2)),
        ArgumentError,
        "`outputs` must be symbolic tensors.*Dense",
    ),
    "an array instead of a tensor": (
        lambda: am.Model(np.ones(2), am.Input((2,))),
        ArgumentError,
        "`inputs` must be symbolic",
    ),
    "no outputs": (lambda: am.Model(am.Input((2,)), []), ArgumentError, "`outputs` must be symbolic"),
    "two layers of one name": (
        lambda: am.Model(x := am.Input((2,)), am.layers.Dense(2, name="d")(am.layers.Dense(2, name="d")(x))),
        ArgumentError,
        "two layers are named 'd'",
    ),
    "a list of layers": (lambda: am.Model([am.layers.Dense(2)]), ArgumentError, r"Sequential\(\[...\]\)"),
    "no shape": (lambda: am.Input(), ArgumentError, "an input needs a shape"),
    "a number as shape": (lambda: am.Input(3), ArgumentError, r"write \(3,\) with a comma"),
    "a negative size": (lambda: am.Input((-1,)), ArgumentError, "non-negative"),
    "two shapes": (lambda: am.Input((2,), batch_shape=(3, 2)), ArgumentError, "`batch_shape` is the whole shape"),
    "sparse data": (lambda: am.Input((2,), sparse=True), ArgumentError, "sparse and ragged"),
    "a wrong shape": (
        lambda: model_of(4)(np.ones((5, 3))),
        ShapeError,
        r"model 'm'.*'x'.*\(None, 4\).*Received: shape \(5, 3\)",
    ),
    "no batch axis": (lambda: model_of(4, 3)(np.ones((4, 3))), ShapeError, r"add the batch axis: x\[None\]"),
    "too many inputs": (lambda: model_of(4)([np.ones((1, 4))] * 2), ArgumentError, r"2 inputs.*pass 1: \['x'\]"),
    "a wrong key": (lambda: model_of(4)({"y": np.ones((1, 4))}), ArgumentError, r"keys \['y'\].*keys \['x'\]"),
    "an unknown layer name": (lambda: model_of(4).get_layer("nope"), ArgumentError, "no layer of this name.*nope"),
    "an index past the end": (lambda: model_of(4).get_layer(index=9), ArgumentError, "the model has 2 layers"),
    "neither name nor index": (lambda: model_of(4).get_layer(), ArgumentError, "either the name or the index"),
    "setting layers": (lambda: setattr(model_of(4), "layers", []), AttributeError, "reserved"),
    "no call": (lambda: type("Net", (am.Model,), {})()(np.ones((1, 2))), NotImplementedError, "no `call`"),
    "a config of another kind": (
        lambda: am.Model.from_config({"units": 3}),
        Exception,
        "units",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_have_clear_messages(name: str) -> None:
    act, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message) as error:
        act()
    assert name == "a config of another kind" or "Fix: " in str(error.value)


def test_keys_that_are_not_the_names_warn() -> None:
    x = am.Input((2,), name="x")
    with pytest.warns(UserWarning, match="key 'y' is named 'x'.*name='y'"):
        am.Model({"y": x}, x * 1)
