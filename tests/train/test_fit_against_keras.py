"""The same model, weights and data through our `fit` and the real Keras': the same loss curves and the same names."""

from __future__ import annotations

import numpy as np
import pytest

import amalthea as am


def regression(api):
    return api.Sequential([api.layers.Input((4,)), api.layers.Dense(5, activation="tanh"), api.layers.Dense(1)])


def classifier(units=3, activation="softmax"):
    def build(api):
        return api.Sequential(
            [
                api.layers.Input((4,)),
                api.layers.Dense(6, activation="tanh"),
                api.layers.Dense(units, activation=activation),
            ]
        )

    return build


def regularized(api):
    l2 = api.regularizers.L2(0.1)
    return api.Sequential([api.layers.Input((4,)), api.layers.Dense(5, kernel_regularizer=l2), api.layers.Dense(1)])


def normalized(api):
    return api.Sequential(
        [api.layers.Input((4,)), api.layers.Dense(5), api.layers.BatchNormalization(), api.layers.Dense(1)]
    )


def two_outputs(api, as_dict=False):
    first, second = api.Input((4,), name="first"), api.Input((3,), name="second")
    joined = api.layers.Concatenate()([first, second])
    hidden = api.layers.Dense(5, activation="tanh", name="hidden")(joined)
    # the names are not in alphabetical order on purpose
    zed, abe = api.layers.Dense(1, name="zed")(hidden), api.layers.Dense(2, name="abe")(hidden)
    inputs = {"first": first, "second": second} if as_dict else [first, second]
    outputs = {"q": zed, "p": abe} if as_dict else [zed, abe]
    return api.Model(inputs, outputs)


def dict_model(api):
    return two_outputs(api, as_dict=True)


def nested(api):
    x = api.Input((4,), name="first")
    zed, abe = api.layers.Dense(1, name="zed")(x), api.layers.Dense(2, name="abe")(x)
    return api.Model(x, {"u": zed, "t": [abe, zed]})


def masked(api):
    return api.Sequential(
        [
            api.layers.Input((6,)),
            api.layers.Embedding(5, 3, mask_zero=True),
            api.layers.LSTM(4, return_sequences=True),
            api.layers.Dense(5, activation="softmax"),
        ]
    )


# name: (model, what to fit, compile arguments, fit arguments)
CASES = {
    "regression, sgd": (regression, "x", "y", {"optimizer": "sgd", "loss": "mse"}, {}),
    "adam and metrics": (
        regression,
        "x",
        "y",
        {"optimizer": "adam", "loss": "mse", "metrics": ["mae", "mse"]},
        {"batch_size": 8},
    ),
    "sparse classes": (
        classifier(),
        "x",
        "labels",
        {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
        {"batch_size": 16},
    ),
    "crossentropy by shapes": (
        classifier(),
        "x",
        "labels",
        {"optimizer": "sgd", "loss": "crossentropy", "metrics": ["acc"]},
        {},
    ),
    "binary": (
        classifier(1, "sigmoid"),
        "x",
        "binary",
        {"optimizer": "rmsprop", "loss": "binary_crossentropy", "metrics": ["accuracy"]},
        {},
    ),
    "one-hot classes": (
        classifier(),
        "x",
        "one_hot",
        {"optimizer": "sgd", "loss": "categorical_crossentropy", "metrics": ["accuracy"]},
        {},
    ),
    "sample weights": (
        regression,
        "x",
        "y",
        {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"], "weighted_metrics": ["mae", "mse"]},
        {"sample_weight": "weights"},
    ),
    "class weights": (
        classifier(),
        "x",
        "labels",
        {
            "optimizer": "sgd",
            "loss": "sparse_categorical_crossentropy",
            "weighted_metrics": ["accuracy"],
        },
        {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}},
    ),
    "class weights, one-hot": (
        classifier(),
        "x",
        "one_hot",
        {"optimizer": "sgd", "loss": "categorical_crossentropy"},
        {"class_weight": {0: 1.0, 1: 3.0}},
    ),
    "validation data": (
        regression,
        "x",
        "y",
        {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"]},
        {"validation_data": ("x", "y"), "validation_batch_size": 7},
    ),
    "validation split": (
        regression,
        "x",
        "y",
        {"optimizer": "sgd", "loss": "mse"},
        {"validation_split": 0.3, "validation_freq": 2},
    ),
    "weighted validation": (
        regression,
        "x",
        "y",
        {"optimizer": "sgd", "loss": "mse", "weighted_metrics": ["mae"]},
        {"validation_data": ("x", "y", "weights"), "validation_steps": 2},
    ),
    "regularizer": (regularized, "x", "y", {"optimizer": "sgd", "loss": "mse", "metrics": ["mse"]}, {}),
    "batch normalization": (normalized, "x", "y", {"optimizer": "sgd", "loss": "mse"}, {"validation_split": 0.2}),
    "steps per epoch": (regression, "x", "y", {"optimizer": "sgd", "loss": "mse"}, {"steps_per_epoch": 5}),
    "steps and batch size": (
        regression,
        "x",
        "y",
        {"optimizer": "sgd", "loss": "mse"},
        {"steps_per_epoch": 2, "batch_size": 5},
    ),
    "initial epoch": (regression, "x", "y", {"optimizer": "sgd", "loss": "mse"}, {"initial_epoch": 2}),
    "steps per execution": (
        regression,
        "x",
        "y",
        {"optimizer": "sgd", "loss": "mse", "steps_per_execution": 3},
        {"batch_size": 8},
    ),
    "two outputs, one loss": (
        two_outputs,
        ["x", "x2"],
        ["y", "y2"],
        {"optimizer": "sgd", "loss": "mse", "metrics": ["mae", "mse"]},
        {},
    ),
    "two outputs, lists": (
        two_outputs,
        ["x", "x2"],
        ["y", "y2"],
        {
            "optimizer": "sgd",
            "loss": ["mse", "mae"],
            "loss_weights": [1.0, 0.3],
            "metrics": [["mae"], ["mse", "mae"]],
        },
        {"validation_split": 0.2},
    ),
    "two outputs, dicts by name": (
        two_outputs,
        ["x", "x2"],
        {"zed": "y", "abe": "y2"},
        {
            "optimizer": "sgd",
            "loss": {"abe": "mse", "zed": "mae"},
            "loss_weights": {"abe": 0.5, "zed": 2.0},
            "metrics": {"zed": ["mae", "mse"]},
            "weighted_metrics": {"zed": ["mae"]},
        },
        {},
    ),
    "two outputs, one without a loss": (
        two_outputs,
        ["x", "x2"],
        ["y", "y2"],
        {"optimizer": "sgd", "loss": ["mse", None]},
        {},
    ),
    "dicts in and out": (
        dict_model,
        {"first": "x", "second": "x2"},
        {"q": "y", "p": "y2"},
        {"optimizer": "adam", "loss": {"q": "mse", "p": "mae"}, "metrics": {"q": ["mae", "mse"], "p": "mae"}},
        {"sample_weight": "weights", "validation_split": 0.2},
    ),
    "nested outputs": (
        nested,
        "x",
        {"u": "y", "t": ["y2", "y"]},
        {"optimizer": "sgd", "loss": {"u": "mse", "t": ["mae", "mse"]}, "metrics": {"u": ["mae"], "t": ["mse", "mae"]}},
        {},
    ),
    "masked sequences": (
        masked,
        "tokens",
        "tokens",
        # no metrics: inside Keras' compiled step on JAX they do not see the mask
        {"optimizer": "adam", "loss": "sparse_categorical_crossentropy"},
        {},
    ),
    "two outputs, weights for each": (
        two_outputs,
        ["x", "x2"],
        ["y", "y2"],
        {"optimizer": "sgd", "loss": "mse", "weighted_metrics": [["mae"], ["mae"]]},
        {"sample_weight": ["weights", "weights2"]},
    ),
}


def filled(structure, data):
    """The structure with arrays in place of their names."""
    if isinstance(structure, str):
        return data.get(structure, structure)
    if isinstance(structure, dict):
        return {key: filled(value, data) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        return type(structure)(filled(item, data) for item in structure)
    return structure


@pytest.mark.filterwarnings("ignore:.*variables without a gradient")  # the output without a loss
@pytest.mark.parametrize("name", CASES)
def test_the_history_is_that_of_keras(name, pair, data):
    build, x, y, compiled, fitted = CASES[name]
    data["one_hot"] = np.eye(3, dtype="float32")[data["labels"]]
    data["weights2"] = data["weights"][::-1].copy()
    ours, theirs = pair(build)
    ours.compile(**compiled)
    theirs.compile(**compiled)
    arguments = {"epochs": 4, "shuffle": False, "verbose": 0, **filled(fitted, data)}
    x, y = filled(x, data), filled(y, data)
    our_history = ours.fit(x, y, **arguments)
    their_history = theirs.fit(x, y, **arguments)
    assert list(our_history.history) == list(their_history.history)
    assert our_history.epoch == their_history.epoch
    for key, values in their_history.history.items():
        np.testing.assert_allclose(our_history.history[key], values, rtol=1e-4, atol=1e-6, err_msg=key)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)

    weights = arguments.get("sample_weight")
    assert ours.metrics_names == theirs.metrics_names
    a = ours.evaluate(x, y, sample_weight=weights, batch_size=25, verbose=0)
    b = theirs.evaluate(x, y, sample_weight=weights, batch_size=25, verbose=0)
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    a = ours.evaluate(x, y, sample_weight=weights, batch_size=25, verbose=0, return_dict=True)
    b = theirs.evaluate(x, y, sample_weight=weights, batch_size=25, verbose=0, return_dict=True)
    assert a == pytest.approx(b, rel=1e-4, abs=1e-6) and list(a) == list(b)

    a, b = ours.predict(x, batch_size=25, verbose=0), theirs.predict(x, batch_size=25, verbose=0)
    assert am.core.tree.form(a) == am.core.tree.form(b)
    for one, other in zip(am.core.tree.flatten(a), am.core.tree.flatten(b), strict=True):
        assert isinstance(one, np.ndarray) and one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_single_batches_are_those_of_keras(pair, data):
    ours, theirs = pair(classifier())
    x, y = data["x"], data["labels"]
    for model in (ours, theirs):
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for step in range(10):
        part = slice(step * 5, step * 5 + 5)
        options = {"class_weight": {0: 2.0}} if step % 2 else {}
        a, b = (m.train_on_batch(x[part], y[part], **options) for m in (ours, theirs))
        np.testing.assert_allclose(a, b, rtol=1e-4)
    a, b = (m.test_on_batch(x, y, return_dict=True) for m in (ours, theirs))
    assert a == pytest.approx(b, rel=1e-4)
    np.testing.assert_allclose(ours.predict_on_batch(x), theirs.predict_on_batch(x), rtol=1e-4, atol=1e-6)


def test_a_generator_with_steps_trains_as_in_keras(pair, data):
    def batches():
        while True:
            for start in range(0, 50, 10):
                yield data["x"][start : start + 10], data["y"][start : start + 10]

    ours, theirs = pair(regression)
    histories = []
    for model in (ours, theirs):
        model.compile("sgd", "mse", metrics=["mae"])
        options = {"steps_per_epoch": 3, "epochs": 4, "verbose": 0, "shuffle": False}
        histories.append(model.fit(batches(), validation_data=batches(), validation_steps=2, **options).history)
    ours, theirs = histories
    # Keras looks at two batches of a generator before training and gives them again; so do we with one
    assert list(ours) == list(theirs)
    for key in ("loss", "mae"):
        np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-4)


def test_compile_configs_are_exchanged_with_keras(keras, pair):
    ours, theirs = pair(regression)
    arguments = {"optimizer": "adam", "loss": "mse", "metrics": ["mae"], "steps_per_execution": 2}
    ours.compile(**arguments)
    theirs.compile(**arguments)
    a, b = ours.get_compile_config(), theirs.get_compile_config()
    assert set(a) == set(b)
    assert {k: v for k, v in a.items() if k != "optimizer"} == {k: v for k, v in b.items() if k != "optimizer"}
    assert a["optimizer"]["class_name"] == b["optimizer"]["class_name"]
    other = regression(am)
    other.compile_from_config(b)
    assert other.optimizer.built and other.steps_per_execution == 2 and other.loss == "mse"
    other = regression(keras)
    other.compile_from_config(a)
    assert other.optimizer.built
