"""A layer of ours and the real Keras' same layer, with the same weights."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras

import amalthea as am
from amalthea.core import tree


def data(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal float32 numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def twins(make: Callable[[Any], Any], call: Callable[[Any], Any]) -> tuple[Any, Any]:
    """(ours, theirs): `make` gets a module of layers, `call` calls the layer once, which builds it."""
    ours, theirs = make(am.layers), make(keras.layers)
    call(ours), call(theirs)
    values = [data(*w.shape, seed=i) * 0.5 for i, w in enumerate(theirs.weights)]
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    ours.set_weights(values)
    theirs.set_weights(values)
    return ours, theirs


def arrays(result: Any) -> list[np.ndarray]:
    """The arrays in a result, in order."""
    return [np.asarray(x) for x in tree.flatten(result) if x is not None]


def assert_close(ours: Any, theirs: Any) -> None:
    """The same number of arrays, equal to float32 precision."""
    ours, theirs = arrays(ours), arrays(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)
