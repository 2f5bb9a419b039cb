from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import amalthea as am


@pytest.fixture(scope="session")
def keras():
    import keras

    assert keras.backend.backend() == "jax"
    return keras


@pytest.fixture
def pair(keras):
    """Build the same model twice, with Amalthea and with the real Keras, and give both the same weights."""

    def make(build):
        ours, theirs = build(am), build(keras)
        theirs_weights = theirs.get_weights()
        assert [w.shape for w in theirs_weights] == [w.shape for w in ours.get_weights()]
        ours.set_weights(theirs_weights)
        return ours, theirs

    return make


@pytest.fixture
def data():
    """Inputs of shape (50, 4): 50 is no multiple of the batch sizes used, so the last batch is partial."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 4)).astype("float32")
    return {
        "x": x,
        "x2": rng.normal(size=(50, 3)).astype("float32"),
        "y": (x.sum(axis=1, keepdims=True) + rng.normal(size=(50, 1)) * 0.1).astype("float32"),
        "y2": rng.normal(size=(50, 2)).astype("float32"),
        "labels": rng.integers(0, 3, size=(50,)),
        "binary": rng.integers(0, 2, size=(50, 1)).astype("float32"),
        "tokens": np.where(np.arange(6) < rng.integers(2, 7, size=(50, 1)), rng.integers(1, 5, size=(50, 6)), 0),
        "weights": rng.uniform(0.1, 2.0, size=(50,)).astype("float32"),
    }
