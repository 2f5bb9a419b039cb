"""Every learning-rate schedule against the real Keras over its steps; configs; and the mistakes."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import pytest

import amalthea as am

CASES: list[tuple[str, dict[str, Any]]] = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5}),
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5, "staircase": True}),
    ("PiecewiseConstantDecay", {"boundaries": [3, 8, 20], "values": [1.0, 0.5, 0.1, 0.05]}),
    ("PiecewiseConstantDecay", {"boundaries": [3], "values": [1.0, 0.5]}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 20}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 9, "power": 2.0, "cycle": True}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 9, "end_learning_rate": 0.05, "power": 0.5}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5, "staircase": True}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 20}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "alpha": 0.1}),
    ("CosineDecay", {"initial_learning_rate": 0.0, "decay_steps": 20, "warmup_target": 0.3, "warmup_steps": 6}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "warmup_target": 0.3}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 5}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 5, "t_mul": 1.0, "m_mul": 0.8}),
    (
        "CosineDecayRestarts",
        {"initial_learning_rate": 0.1, "first_decay_steps": 5, "t_mul": 1.5, "m_mul": 0.8, "alpha": 0.2},
    ),
]
IDS = [f"{name}-{i}" for i, (name, _) in enumerate(CASES)]


def both(name: str, arguments: dict[str, Any]) -> tuple[Any, Any]:
    return tuple(getattr(m.optimizers.schedules, name)(**arguments) for m in (am, keras))


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_rates_are_those_of_keras(name, arguments):
    ours, theirs = both(name, arguments)
    traced = am.function(lambda step: ours(step))
    for step in [0, 1, 3, 4, 5, 6, 8, 12, 19, 20, 30]:
        expected = float(theirs(step))
        for rate in (ours(step), ours(am.Variable(step, dtype="int32")), traced(am.ops.convert_to_tensor(step))):
            assert rate.dtype == "float32" and rate.shape == ()
            np.testing.assert_allclose(float(rate), expected, rtol=1e-4, atol=2e-7)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_configs_go_both_ways(name, arguments):
    ours, theirs = both(name, arguments)
    written = am.optimizers.schedules.serialize(ours)
    assert written == keras.optimizers.schedules.serialize(theirs)
    for read in (
        am.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(theirs)),
        am.saving.deserialize_keras_object(written),
        type(ours).from_config(ours.get_config()),
    ):
        assert type(read) is type(ours) and read.get_config() == ours.get_config()
    assert float(keras.optimizers.schedules.deserialize(written)(4)) == pytest.approx(float(ours(4)), rel=1e-4)


schedules = am.optimizers.schedules
MISTAKES = [
    (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), ValueError, ["decay_steps=0", "Fix"]),
    (lambda: schedules.InverseTimeDecay(0.1, -1, 0.5), ValueError, ["decay_steps=-1", "Fix"]),
    (lambda: schedules.PolynomialDecay(0.1, 0), ValueError, ["decay_steps=0", "Fix"]),
    (lambda: schedules.CosineDecay(0.1, 0), ValueError, ["decay_steps=0", "Fix"]),
    (lambda: schedules.CosineDecayRestarts(0.1, 0), ValueError, ["first_decay_steps=0", "Fix"]),
    (lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2]), ValueError, ["[1, 2]", "[0.1, 0.2]", "Fix"]),
    (lambda: schedules.LearningRateSchedule()(0), NotImplementedError, ["__call__", "Fix"]),
    (lambda: schedules.LearningRateSchedule().get_config(), NotImplementedError, ["get_config", "Fix"]),
]


@pytest.mark.parametrize(("mistake", "kind", "parts"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_gets_an_error_that_says_how_to_mend_it(mistake, kind, parts):
    with pytest.raises(kind) as error:
        mistake()
    assert all(part in str(error.value) for part in parts), str(error.value)
