"""`fit` under mixed_float16 beside the real Keras: the scale, skipped steps, the weights, and files of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import amalthea as am

X = np.random.default_rng(0).normal(size=(64, 12)).astype("float32")
Y = (X[:, :3] * 2 + X[:, 3:6]).astype("float32")
SCALE = 2.0**22
"""Far too large for float16, whose largest number is 65504: the first steps overflow."""


@pytest.fixture(params=["float32", "mixed_bfloat16", "mixed_float16"])
def policy(request: pytest.FixtureRequest) -> Iterator[str]:
    before = am.config.dtype_policy(), keras.config.dtype_policy()
    am.config.set_dtype_policy(request.param)
    keras.config.set_dtype_policy(request.param)
    yield request.param
    am.config.set_dtype_policy(before[0])
    keras.config.set_dtype_policy(before[1])


def model_of(module: Any) -> Any:
    model = module.Sequential(
        [
            module.layers.Input((12,)),
            module.layers.Dense(16, activation="tanh"),
            module.layers.Dense(3, dtype="float32"),
        ]
    )
    r = np.random.default_rng(1)
    model.set_weights([r.normal(size=w.shape).astype("float32") * 0.3 for w in model.get_weights()])
    return model


def test_auto_scale_loss_wraps_the_optimizer_as_keras_does(policy: str) -> None:
    for asked in (True, False):
        kinds = []
        for module in (am, keras):
            model = model_of(module)
            model.compile(module.optimizers.Adam(0.01), "mse", auto_scale_loss=asked)
            kinds.append(type(model.optimizer).__name__)
        assert kinds[0] == kinds[1] == ("LossScaleOptimizer" if asked and policy == "mixed_float16" else "Adam")


@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
@pytest.mark.parametrize("inner", ["Adam", "SGD"])
def test_a_curve_with_overflows(policy: str, inner: str) -> None:
    curves = []
    for module in (am, keras):
        model, scales = model_of(module), []
        optimizer = getattr(module.optimizers, inner)(0.02, clipnorm=1.0)
        scaled = module.optimizers.LossScaleOptimizer(optimizer, initial_scale=SCALE, dynamic_growth_steps=4)
        model.compile(scaled, "mse")
        losses = []
        for _ in range(6):
            losses += model.fit(X, Y, batch_size=16, shuffle=False, verbose=0).history["loss"]
            scales.append((float(scaled.dynamic_scale), int(scaled.step_counter), int(scaled.iterations)))
        curves.append((losses, scales, model.get_weights()))
    (losses, scales, weights), (theirs, their_scales, their_weights) = curves
    assert scales == their_scales
    assert scales[0][0] < SCALE and scales[-1][2] < 24, "no step overflowed"
    np.testing.assert_allclose(losses, theirs, rtol=2e-3)
    for a, b in zip(weights, their_weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=3e-3)


@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
def test_a_skipped_step_leaves_everything_but_the_scale(policy: str) -> None:
    model = model_of(am)
    scaled = am.optimizers.LossScaleOptimizer(am.optimizers.Adam(0.02), initial_scale=2.0**40)
    model.compile(scaled, "mse")
    before = [w.copy() for w in model.get_weights()]
    model.fit(X[:16], Y[:16], batch_size=16, verbose=0)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert float(scaled.dynamic_scale) == 2.0**39 and int(scaled.iterations) == 0
    assert [v.name for v in scaled.inner_optimizer.variables if np.any(v.numpy())] == ["learning_rate"]


@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
def test_saved_and_loaded_it_goes_on(policy: str, tmp_path: Path) -> None:
    model = model_of(am)
    model.compile(am.optimizers.LossScaleOptimizer(am.optimizers.Adam(0.02), SCALE, 5), "mse")
    fit = {"batch_size": 16, "shuffle": False, "verbose": 0}
    model.fit(X, Y, **fit)
    model.save(tmp_path / "model.keras")
    loaded = am.models.load_model(tmp_path / "model.keras")
    assert loaded.dtype_policy.name == policy and isinstance(loaded.optimizer, am.optimizers.LossScaleOptimizer)
    assert [v.numpy().tolist() for v in loaded.optimizer.variables] == [
        v.numpy().tolist() for v in model.optimizer.variables
    ]
    theirs = keras.models.load_model(tmp_path / "model.keras")
    assert float(theirs.optimizer.dynamic_scale) == float(model.optimizer.dynamic_scale)
    after = [m.fit(X, Y, **fit).history["loss"] for m in (model, loaded)]
    assert after[0] == after[1]
    np.testing.assert_allclose(theirs.fit(X, Y, **fit).history["loss"], after[0], rtol=2e-3)
