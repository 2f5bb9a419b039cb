"""Wrong arguments of constructors and calls of layers, losses and optimizers, and what each message must say."""

from __future__ import annotations

import numpy as np
import pytest

import amalthea as am

L = am.layers
X = np.ones((4, 3), "float32")
ONE = am.ops.ones(3)


class Nothing(L.Layer):
    def call(self, x):
        self.seen = x.shape


class Net(am.Model):
    def __init__(self):
        super().__init__(name="net")
        self.dense = L.Dense(1)

    def call(self, x):
        self.dense(x)


class Own(L.Dense):
    def __init__(self, size):
        super().__init__()


class Passing(am.Model):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


def functional():
    x = am.Input((3,))
    return am.Model(x, L.Dense(1)(x), name="graph")


def compiled(model):
    model.compile("sgd", "mse")
    return model


def set_rate(value):
    am.optimizers.SGD(name="sgd").learning_rate = value


MISTAKES = {
    "missing": (lambda: L.Dense(), ["[Dense]", "`units` is missing", "Dense(units=...)"]),
    "missing with others": (lambda: L.Conv2D(3), ["[Conv2D]", "`kernel_size` is missing", "Received: 3"]),
    "missing in super": (lambda: Own(3), ["[Dense]", "`units` is missing"]),
    "missing in own class": (lambda: Own(), ["[Own]", "`size` is missing"]),
    "unknown": (lambda: L.Dense(3, activaton="relu"), ["[Dense]", "activaton='relu'", "did you mean `activation`"]),
    "unknown in own class": (lambda: Own(sice=3), ["[Own]", "did you mean `size`"]),
    "unknown, nothing near": (lambda: L.ReLU(zzz=3), ["[ReLU]", "zzz=3", "It takes max_value"]),
    "unknown of a model": (lambda: am.Sequential(layer=[]), ["[Sequential]", "did you mean `layers`"]),
    "an array in the way": (lambda: L.Dense(3, activaton=X), ["activaton=ndarray of shape (4, 3)"]),
    "loose layers": (
        lambda: am.Sequential(L.Dense(1), L.ReLU()),
        ["[Sequential]", "one list", "Sequential([Dense(...), ReLU(...)])"],
    ),
    "many loose layers": (lambda: am.Sequential(*[L.ReLU() for _ in range(5)]), ["[Sequential]", "one list"]),
    "one loose layer": (lambda: am.Sequential(L.ReLU()), ["[Sequential]", "one list"]),
    "activation class": (lambda: L.Dense(3, activation=L.ReLU), ["the class ReLU", "ReLU()"]),
    "nothing, symbolic": (lambda: Nothing(name="a")(am.Input((3,))), ["[Nothing] in layer 'a'", "returned nothing"]),
    "nothing, eager": (lambda: Nothing(name="a")(X), ["[Nothing] in layer 'a'", "returned nothing", "`return`"]),
    "nothing in a model": (
        lambda: am.Sequential([L.Input((3,)), Nothing(name="q")], name="m"),
        ["model 'm' / layer 'q'", "returned nothing"],
    ),
    "nothing in fit": (lambda: compiled(Net()).fit(X, X, verbose=0), ["[Net] in model 'net'", "returned nothing"]),
    "call: unknown": (lambda: functional()(X, trainig=True), ["[Model] in model 'graph'", "did you mean `training`"]),
    "call: unknown, sequential": (
        lambda: am.Sequential([L.Input((3,)), L.Dense(1)])(X, trainig=True),
        ["[Model]", "did you mean `training`"],
    ),
    "call: unknown, not built": (lambda: am.Sequential([L.Dense(1)])(X, trainig=True), ["did you mean `training`"]),
    "training": (lambda: L.Dropout(0.5)(X, training="yes"), ["[Dropout]", "`training`", "'yes'", "Fix:"]),
    "training of a layer without": (lambda: L.Dense(1)(X, training="yes"), ["[Dense]", "`training`"]),
    "training of a model": (lambda: functional()(X, training="yes"), ["model 'graph'", "`training`"]),
    "mask": (lambda: functional()(X, mask="a"), ["`mask`", "mask='a'", "boolean tensor"]),
    "mask of a layer": (lambda: L.LSTM(2)(X[None], mask="a"), ["[LSTM]", "`mask`"]),
    "no targets": (lambda: am.losses.MeanSquaredError()(None, X), ["[mean_squared_error]", "`y_true` is missing"]),
    "no predictions": (lambda: am.losses.MeanSquaredError()(X, None), ["`y_pred` is missing"]),
    "learning rate text": (lambda: set_rate("a"), ["[sgd]", "`learning_rate` must be a number", "'a'"]),
    "learning rate below 0, set": (lambda: set_rate(-0.5), ["[sgd]", "must not be below 0", "-0.5"]),
    "learning rate below 0": (lambda: am.optimizers.Adam(learning_rate=-1), ["must not be below 0", "-1"]),
    "learning rate NaN": (lambda: am.optimizers.Adam(learning_rate=float("nan")), ["must not be below 0", "nan"]),
    "schedule": (
        lambda: am.optimizers.schedules.ExponentialDecay("a", 10, 0.9),
        ["[ExponentialDecay]", "`initial_learning_rate` must be a number", "'a'"],
    ),
    "schedule steps": (lambda: am.optimizers.schedules.CosineDecay(0.1, "b"), ["[CosineDecay]", "`decay_steps`"]),
    "no variable": (
        lambda: am.optimizers.SGD(name="sgd").apply_gradients([(ONE, ONE)]),
        ["[sgd]", "changes variables", "a Tensor of shape (3,)"],
    ),
    "no pairs": (
        lambda: am.optimizers.SGD().apply_gradients([am.Variable([1.0])]),
        ["[SGD.apply_gradients]", "pairs", "of type Variable", "zip("],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_the_message_says_what_is_wrong(name) -> None:
    make, parts = MISTAKES[name]
    with pytest.raises(ValueError) as caught:
        make()
    assert [part for part in parts if part not in str(caught.value)] == [], str(caught.value)


def test_what_is_right_stays_right() -> None:
    x = am.Input((3,))
    assert Passing(x, L.Dense(1)(x)).count_params() == 4
    assert L.Dropout(0.5)(X, training=np.True_).shape == (4, 3)
    assert L.Dropout(0.5)(X, training=0).shape == (4, 3)
    optimizer = am.optimizers.SGD(0.1)
    optimizer.learning_rate = am.Variable(0.5)
    assert float(optimizer.learning_rate) == 0.5


def test_unstack_of_an_unknown_size_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"\[unstack\].*axis 0 is not known") as caught:
        am.ops.unstack(am.Input((3,)), axis=0)
    assert len(str(caught.value)) < 400
    assert len(am.ops.unstack(am.Input((3,)), num=2, axis=0)) == 2
    assert len(am.ops.unstack(am.Input((3,)), axis=1)) == 3
