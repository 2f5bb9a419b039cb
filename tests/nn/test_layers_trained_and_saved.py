"""Each layer of the tables, once: ten training steps are those of Keras, and files go both ways."""

from __future__ import annotations

from typing import Any

import jax
import keras
import numpy as np
import pytest

import amalthea as am
from amalthea.core import tree
from tests.nn.layer_cases import LAYER_CASES
from tests.nn.layer_cases_b import CASES
from tests.nn.layer_harness import Case, assert_close, normal, pair

EACH = list({case.name.split("/")[0]: case for case in reversed(LAYER_CASES + CASES)}.values())
RATE = 0.02


def _targets(outputs: Any) -> list[np.ndarray]:
    return [normal(*np.shape(y), seed=20 + i) for i, y in enumerate(tree.flatten(outputs))]


def _ours(layer: Any, case: Case, options: dict[str, Any]) -> None:
    for _ in range(10):
        with am.GradientTape() as tape:
            outputs = case.run(layer, **options)
            pairs = zip(tree.flatten(outputs), _targets(outputs), strict=True)
            loss = sum((am.ops.mean((y - t) ** 2) for y, t in pairs), 0.0)
        variables = layer.trainable_variables
        for v, g in zip(variables, tape.gradient(loss, variables, unconnected_gradients="zero"), strict=True):
            v.assign_sub(RATE * g)


def _theirs(layer: Any, case: Case, options: dict[str, Any]) -> None:
    inputs = case.given([jax.numpy.asarray(x) for x in case.arrays])

    def loss(weights: Any, state: Any) -> Any:
        outputs, state = layer.stateless_call(weights, state, *inputs, **{**case.call, **options})
        pairs = zip(tree.flatten(outputs), _targets(outputs), strict=True)
        return sum(((y - t) ** 2).mean() for y, t in pairs), state

    @jax.jit
    def step(weights: Any, state: Any) -> Any:
        grads, state = jax.grad(loss, has_aux=True)(weights, state)
        return [w - RATE * g for w, g in zip(weights, grads, strict=True)], state

    weights = [v.value for v in layer.trainable_variables]
    state = [v.value for v in layer.non_trainable_variables]
    for _ in range(10):
        weights, state = step(weights, state)
    for variables, values in ((layer.trainable_variables, weights), (layer.non_trainable_variables, state)):
        for v, value in zip(variables, values, strict=True):
            v.assign(value)


@pytest.mark.parametrize("case", EACH, ids=repr)
def test_ten_training_steps(case: Case) -> None:
    ours, theirs = pair(case)
    takes_training = "training" in type(ours).call.__code__.co_varnames
    options = {"training": True} if takes_training and not case.random else {}
    before = [np.array(w) for w in ours.get_weights()]
    _ours(ours, case, options)
    _theirs(theirs, case, options)
    assert_close(ours.get_weights(), theirs.get_weights(), f"{case}: weights after ten steps")
    if ours.trainable_variables:
        assert any(not np.array_equal(a, b) for a, b in zip(before, ours.get_weights(), strict=True))


def _model(k: Any, case: Case) -> Any:
    inputs = [k.Input(x.shape[1:], dtype=str(x.dtype)) for x in case.arrays]
    return k.Model(inputs, case.make(k.layers)(*case.given(inputs)))


def _value(weight: Any, seed: int) -> np.ndarray:
    """Positive numbers, which suit variances too; whole numbers stay."""
    floating = np.issubdtype(np.asarray(weight).dtype, np.floating)
    return normal(*np.shape(weight), seed=seed + 3) ** 2 + 0.1 if floating else np.asarray(weight)


@pytest.mark.parametrize("case", EACH, ids=repr)
@pytest.mark.parametrize(("source", "reader"), [(am, keras), (keras, am)], ids=["to keras", "from keras"])
def test_files(case: Case, source: Any, reader: Any, tmp_path: Any) -> None:
    model = _model(source, case)
    model.set_weights([_value(w, seed) for seed, w in enumerate(model.get_weights())])
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):  # Keras' Normalization computes with what it noted before
            layer.finalize_state()
    model.save(tmp_path / "model.keras")
    read = reader.models.load_model(tmp_path / "model.keras")
    assert_close(read(case.arrays), model(case.arrays), f"{case}: output of the file that was read")
