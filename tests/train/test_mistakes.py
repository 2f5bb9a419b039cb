"""What people get wrong when they train, and the message that each mistake must give."""

from __future__ import annotations

import warnings

import numpy as np
import pandas
import pytest

import amalthea as am

X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
LABELS = np.arange(20) % 3


def regression(**compiled):
    model = am.Sequential([am.layers.Input((4,)), am.layers.Dense(3, name="last")])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compiled})
    return model


def one_unit(**compiled):
    model = am.Sequential([am.layers.Input((4,)), am.layers.Dense(1)])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compiled})
    return model


def classifier(loss="sparse_categorical_crossentropy", **compiled):
    model = am.Sequential([am.layers.Input((4,)), am.layers.Dense(3, activation="softmax")])
    model.compile("sgd", loss, **compiled)
    return model


def two_outputs(**compiled):
    inputs = am.Input((4,))
    model = am.Model(inputs, [am.layers.Dense(1, name="a")(inputs), am.layers.Dense(1, name="b")(inputs)])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compiled})
    return model


def fit(model, *args, **kwargs):
    return model.fit(*args, **{"verbose": 0, **kwargs})


def with_nan(array):
    array = array.copy()
    array[7] = np.nan
    return array


def generator(batch=(X, Y)):
    yield batch


class Endless(am.utils.PyDataset):
    num_batches = None

    def __getitem__(self, index):
        return X, Y


class Empty(am.utils.PyDataset):
    def __len__(self):
        return 0

    def __getitem__(self, index):
        return X, Y


class WrongResults(am.Sequential):
    def train_step(self, data):
        return am.ops.zeros(())


def wrong_results():
    model = WrongResults([am.layers.Input((4,)), am.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


# mistake: (what is done, the exception, words that the message must have)
MISTAKES = {
    "empty data set": (
        lambda: fit(one_unit(), X[:0], Y[:0]),
        ValueError,
        ["[fit]", "the data set is empty", "(0, 4)", "Fix:"],
    ),
    "empty data set for evaluate": (lambda: one_unit().evaluate(X[:0], Y[:0]), ValueError, ["[evaluate]", "is empty"]),
    "empty data set for predict": (lambda: one_unit().predict(X[:0]), ValueError, ["[predict]", "is empty"]),
    "empty generator": (lambda: fit(one_unit(), iter([])), ValueError, ["the data set is empty", "yields no batch"]),
    "empty PyDataset": (lambda: fit(one_unit(), Empty()), ValueError, ["the data set is empty", "Empty of length 0"]),
    "x and y of different lengths": (
        lambda: fit(one_unit(), X, Y[:19]),
        ValueError,
        ["different numbers of samples", "x: 20", "y: 19", "Fix:"],
    ),
    "sample_weight of another length": (
        lambda: fit(one_unit(), X, Y, sample_weight=np.ones(3)),
        ValueError,
        ["different numbers of samples", "sample_weight: 3"],
    ),
    "y and output of different shapes": (
        lambda: fit(regression(), X, X),
        ValueError,
        ["mean_squared_error", "(20, 4)", "(20, 3)", "Fix:"],
    ),
    "y that would be broadcast": (
        lambda: fit(regression(), X, Y[:, 0]),
        ValueError,
        ["mean_squared_error cannot compare the targets", "y (20,)", "output (20, 3)"],
    ),
    "one-hot y for the sparse loss": (
        lambda: fit(classifier(), X, np.eye(3, dtype="float32")[LABELS]),
        ValueError,
        ["sparse_categorical_crossentropy", 'use loss="categorical_crossentropy"'],
    ),
    "indices for the one-hot loss": (
        lambda: fit(classifier("categorical_crossentropy"), X, LABELS),
        ValueError,
        ["categorical_crossentropy", 'use loss="sparse_categorical_crossentropy"'],
    ),
    "NaN in y": (
        lambda: fit(one_unit(), X, with_nan(Y)),
        ValueError,
        ["[fit]", "hold NaN", "1 of 20 samples", "first at index 7", "Fix:"],
    ),
    "NaN in validation y": (
        lambda: fit(one_unit(), X, Y, validation_data=(X, with_nan(Y))),
        ValueError,
        ["validation_data", "hold NaN"],
    ),
    "NaN in y from a generator": (
        lambda: fit(one_unit(), generator((X, with_nan(Y)))),
        ValueError,
        ["hold NaN"],
    ),
    "class index too high": (
        lambda: fit(classifier(), X, LABELS + 1),
        ValueError,
        ["name classes that the model does not have", "it has 3", "first bad one is 3", "Fix:", "4 units"],
    ),
    "negative class index": (
        lambda: fit(classifier(), X, LABELS - 1),
        ValueError,
        ["numbered 0 to 2", "from -1 to 1", "number the classes from 0"],
    ),
    "class index too high in a later batch of a generator": (
        lambda: fit(classifier(), iter([(X, LABELS), (X, LABELS + 5)])),
        ValueError,
        ["name classes that the model does not have"],
    ),
    "class index too high in evaluate": (
        lambda: classifier().evaluate(X, LABELS + 1, verbose=0),
        ValueError,
        ["[evaluate]", "name classes"],
    ),
    "unknown loss name": (
        lambda: regression(loss="mean_square_error"),
        ValueError,
        ["mean_square_error", "mean_squared_error"],
    ),
    "unknown metric name": (lambda: regression(metrics=["acuracy"]), ValueError, ["acuracy", "accuracy"]),
    "unknown optimizer name": (lambda: regression(optimizer="adamm"), ValueError, ["adamm", "adam"]),
    "metrics that are no list": (
        lambda: regression(metrics="mae"),
        ValueError,
        ["[compile]", "`metrics` must be a list", "metrics=['mae']"],
    ),
    "a number as loss": (lambda: regression(loss=3), ValueError, ["[compile]", "`loss` must hold names", "3"]),
    "fit before compile": (
        lambda: am.Sequential([am.layers.Input((4,)), am.layers.Dense(1)]).fit(X, Y),
        ValueError,
        ["[fit]", "must be compiled", "model.compile("],
    ),
    "evaluate before compile": (
        lambda: am.Sequential([am.layers.Input((4,)), am.layers.Dense(1)]).evaluate(X, Y),
        ValueError,
        ["[evaluate]", "must be compiled"],
    ),
    "missing y": (
        lambda: fit(one_unit(), X),
        ValueError,
        ["the loss needs targets", "y=None", "loss='mse'", "Fix: pass y"],
    ),
    "no loss at all": (
        lambda: fit(one_unit(loss=None), X, Y),
        ValueError,
        ["there is no loss to minimise", 'compile(loss="mse")'],
    ),
    "no data": (lambda: fit(one_unit()), ValueError, ["no data was given", "x=None"]),
    "a list of numbers as x": (
        lambda: fit(one_unit(), [[1.0, 2.0, 3.0, 4.0]], Y),
        ValueError,
        ["`x` must hold arrays", "inside a list", "np.array(x)"],
    ),
    "a list of numbers as y": (
        lambda: fit(one_unit(), X, [1.0] * 20),
        ValueError,
        ["`y` must hold arrays", "np.array(y)"],
    ),
    "words as x": (
        lambda: fit(one_unit(), np.array(["a", "b"]), Y),
        ValueError,
        ["`x` does not hold numbers", "dtype <U1"],
    ),
    "a frame with words": (
        lambda: fit(one_unit(), pandas.DataFrame({"a": [1.0], "colour": ["red"]}), Y[:1]),
        ValueError,
        ["`x` is a pandas frame", "['colour']"],
    ),
    "a scalar as y": (lambda: fit(one_unit(), X, np.float32(1)), ValueError, ["first axis that counts the samples"]),
    "data of an unknown kind": (lambda: fit(one_unit(), 3), ValueError, ["cannot be read", "x of type int"]),
    "generator and y": (
        lambda: fit(one_unit(), generator(), Y),
        ValueError,
        ["a generator", "`y` cannot be given besides"],
    ),
    "generator for several epochs": (
        lambda: fit(one_unit(), generator(), epochs=3),
        ValueError,
        ["once only", "3 epochs", "steps_per_epoch"],
    ),
    "generator to validate on in several epochs": (
        lambda: fit(one_unit(), X, Y, epochs=3, validation_data=generator()),
        ValueError,
        ["validation_data", "once only", "validation_steps"],
    ),
    "endless data without steps": (
        lambda: fit(one_unit(), Endless()),
        ValueError,
        ["never ends", "steps_per_epoch"],
    ),
    "generator that yields too much": (
        lambda: fit(one_unit(), generator((X, Y, Y, Y))),
        ValueError,
        ["must yield", "a tuple of 4 entries"],
    ),
    "validation_split with a generator": (
        lambda: fit(one_unit(), generator(), validation_split=0.2),
        ValueError,
        ["`validation_split` can only cut arrays", "generator", "validation_data"],
    ),
    "validation_split of 2": (
        lambda: fit(one_unit(), X, Y, validation_split=2),
        ValueError,
        ["between 0 and 1", "validation_split=2"],
    ),
    "validation_split that leaves nothing": (
        lambda: fit(one_unit(), X[:1], Y[:1], validation_split=0.5),
        ValueError,
        ["too few samples", "1 samples"],
    ),
    "class names as class_weight keys": (
        lambda: fit(classifier(), X, LABELS, class_weight={"cat": 1.0}),
        ValueError,
        ["keys of `class_weight` must be class indices", "'cat'"],
    ),
    "a list as class_weight": (
        lambda: fit(classifier(), X, LABELS, class_weight=[1.0, 2.0]),
        ValueError,
        ["`class_weight` must be a dict", "[1.0, 2.0]"],
    ),
    "class_weight for a class that is not there": (
        lambda: fit(classifier("categorical_crossentropy"), X, np.eye(3)[LABELS], class_weight={7: 1.0}),
        ValueError,
        ["names class 7", "y has 3 classes"],
    ),
    "class_weight and sample_weight": (
        lambda: fit(classifier(), X, LABELS, class_weight={0: 1.0}, sample_weight=np.ones(20)),
        ValueError,
        ["cannot be given together"],
    ),
    "class_weight for several outputs": (
        lambda: fit(two_outputs(), X, [Y, Y], class_weight={0: 1.0}),
        ValueError,
        ["`class_weight` works for models with one output"],
    ),
    "batch_size of 0": (
        lambda: fit(one_unit(), X, Y, batch_size=0),
        ValueError,
        ["[fit]", "`batch_size` must be a whole number of at least 1", "batch_size=0"],
    ),
    "batch_size of 1.5": (lambda: one_unit().predict(X, batch_size=1.5), ValueError, ["[predict]", "batch_size=1.5"]),
    "negative epochs": (lambda: fit(one_unit(), X, Y, epochs=-1), ValueError, ["`epochs`", "epochs=-1"]),
    "steps_per_execution of 0": (
        lambda: regression(steps_per_execution=0),
        ValueError,
        ["`steps_per_execution`", '"auto"'],
    ),
    "validation_freq of 0": (
        lambda: fit(one_unit(), X, Y, validation_freq=0, validation_data=(X, Y)),
        ValueError,
        ["`validation_freq`", "validation_freq=0"],
    ),
    "too many losses": (
        lambda: fit(two_outputs(loss=["mse", "mae", "mse"]), X, [Y, Y]),
        ValueError,
        ["`loss` does not match the outputs", "['mse', 'mae', 'mse']", "2 outputs"],
    ),
    "several losses for one output": (
        lambda: fit(one_unit(loss=["mse", "mae"]), X, Y),
        ValueError,
        ["`loss` does not match the outputs", "to add up several losses"],
    ),
    "a loss for an output that is not there": (
        lambda: fit(two_outputs(loss={"a": "mse", "c": "mse"}), X, [Y, Y]),
        ValueError,
        ["`loss` does not match the outputs", "['a', 'b']", "['c'] are none"],
    ),
    "too few metrics": (
        lambda: fit(two_outputs(metrics=["mae"]), X, [Y, Y]),
        ValueError,
        ["`metrics` does not match the outputs", "2 outputs"],
    ),
    "targets for an output that is not there": (
        lambda: fit(two_outputs(), X, {"a": Y, "c": Y}),
        ValueError,
        ["`y` does not have the structure of the model's outputs", "['a', 'b']"],
    ),
    "too few targets": (
        lambda: fit(two_outputs(), X, Y),
        ValueError,
        ["`y` does not have the structure of the model's outputs", "one array for each output"],
    ),
    "a callback class": (
        lambda: fit(one_unit(), X, Y, callbacks=[am.callbacks.History]),
        TypeError,
        ["must be instances, not classes", "History(...)"],
    ),
    "a function as callback": (
        lambda: fit(one_unit(), X, Y, callbacks=[print]),
        TypeError,
        ["must be Callback instances", "LambdaCallback"],
    ),
    "a step that returns no dict": (
        lambda: fit(wrong_results(), X, Y),
        ValueError,
        ["train_step must return a dict"],
    ),
    "NaN loss": (
        lambda: fit(one_unit(), with_nan(X), Y, callbacks=[am.callbacks.TerminateOnNaN(raise_error=True)]),
        RuntimeError,
        ["no longer a finite number", "batch 0", "Fix:"],
    ),
    "a checkpoint path without an ending": (
        lambda: am.callbacks.ModelCheckpoint("model"),
        ValueError,
        ["must end in .keras", "'model'"],
    ),
    "a checkpoint path with unknown names": (
        lambda: fit(one_unit(), X, Y, callbacks=[am.callbacks.ModelCheckpoint("{val_loss}.keras")]),
        KeyError,
        ["cannot be filled in", "val_loss"],
    ),
    "class numbers with fractions": (
        lambda: fit(classifier(), X, LABELS + 0.7),
        ValueError,
        ["[fit]", "must be class numbers", "the first is 0.7", "categorical_crossentropy"],
    ),
    "a layer that does not fit memory": (
        lambda: am.Sequential([am.Input((10**5,)), am.layers.Dense(10**8, name="big")]),
        MemoryError,
        ["layer 'big'", "big/kernel'", "(100000, 100000000)", "37,252.9 GiB"],
    ),
    "a metric whose direction is unknown": (
        lambda: fit(one_unit(), X, Y, callbacks=[am.callbacks.EarlyStopping("something")]),
        ValueError,
        ["EarlyStopping", "'something'", "mode='max'"],
    ),
    "a factor of 2 on a plateau": (lambda: am.callbacks.ReduceLROnPlateau(factor=2.0), ValueError, ["below 1", "2.0"]),
    "a schedule that returns a word": (
        lambda: fit(one_unit(), X, Y, callbacks=[am.callbacks.LearningRateScheduler(lambda epoch, lr: "high")]),
        ValueError,
        ["`schedule` must return a float", "'high'"],
    ),
    "an unknown callback method": (
        lambda: am.callbacks.LambdaCallback(on_epoch_finish=print),
        TypeError,
        ["no callback method 'on_epoch_finish'"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_the_message_says_what_to_do(name):
    do, kind, words = MISTAKES[name]
    with pytest.raises(kind) as error, np.errstate(all="ignore"):
        do()
    for word in words:
        assert word in str(error.value), f"{word!r} is missing in: {error.value}"
    assert "Fix:" in str(error.value)


def test_labels_without_weight_may_be_anything():
    labels = np.where(np.arange(20) < 3, -1, LABELS)
    history = fit(classifier(), X, labels, sample_weight=(labels >= 0).astype("float32"))
    assert np.isfinite(history.history["loss"]).all()
    with pytest.raises(ValueError, match="the first bad one is -1"):
        fit(classifier(), X, labels)


def test_the_model_is_usable_after_each_mistake():
    model = classifier()
    for do in (
        lambda: fit(model, X, LABELS + 1),
        lambda: fit(model, X, LABELS[:3]),
        lambda: fit(model, X),
        lambda: fit(model, generator(), Y),
    ):
        with pytest.raises(ValueError):
            do()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit(model, X, LABELS).epoch == [0]
