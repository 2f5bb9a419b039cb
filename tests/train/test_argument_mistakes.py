"""Arguments of `compile`, `fit`, `evaluate` and `predict` that are wrong, and what each message must say."""

from __future__ import annotations

import numpy as np
import pytest

import amalthea as am

L = am.layers
X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
NAN = np.full(8, np.nan, "float32")


def model(**compiled):
    made = am.Sequential([L.Input((3,)), L.Dense(1, name="third")], name="three")
    made.compile(**{"optimizer": "sgd", "loss": "mse", **compiled})
    return made


def subclassed():
    class Net(am.Model):
        def __init__(self):
            super().__init__(name="net")
            self.dense = L.Dense(1)

        def call(self, x):
            return self.dense(x)

    made = Net()
    made.compile("sgd", "mse")
    return made


def wide():
    made = am.Sequential([L.Input((3,)), L.Dense(2, name="two")], name="wide")
    made.compile("sgd", "mse")
    return made


def fit(made, *args, **kwargs):
    return made.fit(*args, **{"verbose": 0, **kwargs})


def words():
    yield np.array(["a", "b"])


def without_targets():
    yield X


MISTAKES = {
    "fit: unknown": (lambda: model().fit(X, Y, epoch=3), ["[fit]", "`epoch`", "epoch=3", "did you mean `epochs`"]),
    "fit: two unknown": (
        lambda: model().fit(X, Y, epoch=3, batchsize=2),
        ["[fit]", "`epoch`, `batchsize`", "`epochs` for `epoch`", "`batch_size`", "for `batchsize`"],
    ),
    "evaluate: unknown": (
        lambda: model().evaluate(X, Y, sampleweight=3),
        ["[evaluate]", "`sampleweight`", "did you mean `sample_weight`", "It takes x, y"],
    ),
    "predict: unknown": (lambda: model().predict(X, batchsize=3), ["[predict]", "did you mean `batch_size`"]),
    "predict: nothing": (lambda: model().predict(), ["[predict]", "`x` is missing", "predict(x=...)"]),
    "compile: unknown": (lambda: model(optimiser="sgd"), ["[compile]", "optimiser='sgd'", "did you mean `optimizer`"]),
    "predict: twice": (lambda: model().predict(X, x=X), ["[predict]", "`x` is given twice"]),
    "predict: too many": (lambda: model().predict(X, 1, 0, 1, None, 7), ["[predict]", "it takes 5", "by name"]),
    "fit: verbose": (lambda: model().fit(X, Y, verbose="loud"), ["[fit]", "`verbose`", "'loud'", "0 is silent"]),
    "evaluate: verbose": (lambda: model().evaluate(X, Y, verbose=[]), ["[evaluate]", "`verbose`", "[]"]),
    "predict: verbose": (lambda: model().predict(X, verbose=7), ["[predict]", "`verbose`"]),
    "no validation targets": (
        lambda: fit(model(), X, Y, validation_data=(X,)),
        ["[fit(validation_data=...)]", "model 'three'", "needs targets", "validation_data=(x, y)"],
    ),
    "validation data is x": (
        lambda: fit(model(), X, Y, validation_data=X),
        ["[fit(validation_data=...)]", "needs targets"],
    ),
    "validation generator without targets": (
        lambda: fit(model(), X, Y, validation_data=without_targets()),
        ["[fit(validation_data=...)]", "needs targets"],
    ),
    "evaluate without targets": (
        lambda: model().evaluate(X, verbose=0),
        ["[evaluate]", "model 'three'", "needs targets", "predict(x)"],
    ),
    "generator without targets": (lambda: fit(model(), without_targets()), ["[fit]", "needs targets"]),
    "predict text": (lambda: model().predict("hello", verbose=0), ["[predict]", "'hello'", "Fix:"]),
    "predict generator of text": (lambda: model().predict(words(), verbose=0), ["[predict]", "hold numbers"]),
    "loss returns nothing": (
        lambda: fit(model(loss=lambda y_true, y_pred: None), X, Y),
        ["model 'three'", "the loss returned nothing", "`return`"],
    ),
    "validation_batch_size": (
        lambda: fit(model(), X, Y, validation_data=(X, Y), validation_batch_size=0),
        ["[fit]", "`validation_batch_size`", "=0"],
    ),
    "validation_steps": (
        lambda: fit(model(), X, Y, validation_data=(X, Y), validation_steps=0),
        ["[fit]", "`validation_steps`"],
    ),
    "NaN weights": (
        lambda: fit(model(), X, Y, sample_weight=NAN),
        ["[fit]", "`sample_weight`", "nan at index 0, 8 of 8", "weight 0"],
    ),
    "NaN weights in evaluate": (
        lambda: model().evaluate(X, Y, sample_weight=NAN, verbose=0),
        ["[evaluate]", "`sample_weight`"],
    ),
    "NaN weights in validation": (
        lambda: fit(model(), X, Y, validation_data=(X, Y, NAN)),
        ["[fit(validation_data=...)]", "`sample_weight`"],
    ),
    "wrong shape names model and layer": (
        lambda: fit(model(), X, np.zeros((8, 2))),
        ["model 'three'", "output 'third'", "(8, 1)", "2 units instead of 1"],
    ),
    "one unit too many": (
        lambda: fit(wide(), X, Y[:, 0]),
        ["model 'wide'", "output 'two'", "targets shape (8, 2)", "1 unit instead of 2"],
    ),
    "subclassed model": (lambda: fit(subclassed(), X, np.zeros((8, 2))), ["model 'net'", "with the output:"]),
    "NaN targets name model and layer": (
        lambda: fit(model(), X, Y * np.nan),
        ["[fit] in model 'three'", "output 'third'", "hold NaN"],
    ),
    "EarlyStopping": (
        lambda: fit(
            model(), X, Y, validation_data=(X, Y), callbacks=[am.callbacks.EarlyStopping(monitor="val_los", patience=1)]
        ),
        ["[EarlyStopping]", "'val_los'", "monitor='val_loss'"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_the_message_names_the_public_function(name) -> None:
    make, parts = MISTAKES[name]
    with pytest.raises(ValueError) as caught:
        make()
    assert [part for part in parts if part not in str(caught.value)] == [], str(caught.value)


def test_a_call_that_does_not_fit_is_a_type_error_too() -> None:
    with pytest.raises(TypeError, match="epochs"):
        model().fit(X, Y, epoch=3)


def test_a_type_error_from_inside_passes_as_it_is() -> None:
    class Broken(am.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            raise TypeError("my own")

    with pytest.raises(TypeError, match="^my own$"):
        fit(model(), X, Y, callbacks=[Broken()])


def test_a_missing_result_is_warned_of_with_near_names() -> None:
    stopping = am.callbacks.EarlyStopping(monitor="val_los", mode="min")
    with pytest.warns(UserWarning, match="did you mean 'val_loss'"):
        fit(model(), X, Y, validation_data=(X, Y), callbacks=[stopping])


def test_the_csv_logger_says_which_folder_is_missing(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"\[CSVLogger\].*no_such.*Fix: create it"):
        fit(model(), X, Y, callbacks=[am.callbacks.CSVLogger(tmp_path / "no_such" / "log.csv")])


def test_own_losses_decide_about_missing_targets() -> None:
    class Free(am.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return am.ops.mean(y_pred)

    free = Free([L.Input((3,)), L.Dense(1)])
    free.compile("sgd", "mse")
    assert len(fit(free, X).history["loss"]) == 1
