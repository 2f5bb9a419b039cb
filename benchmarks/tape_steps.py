"""One model, one step, in several frameworks: each step takes 20 rows of 3 features and updates 81 weights."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

Step = Callable[[], object]
ROWS = np.random.default_rng(0).random((20, 3), dtype=np.float32)
SUMS = ROWS.sum(axis=1, keepdims=True)
RATE = 0.1


def _amalthea(decorate: Callable[[Any], Any]) -> Step:
    import amalthea as am

    model = am.Sequential([am.Input((3,)), am.layers.Dense(16, activation="tanh"), am.layers.Dense(1)])
    optimizer = am.optimizers.SGD(RATE)
    x, y = am.ops.convert_to_tensor(ROWS), am.ops.convert_to_tensor(SUMS)

    @decorate
    def step(x: am.Tensor, y: am.Tensor) -> am.Tensor:
        with am.GradientTape() as tape:
            loss = am.ops.mean((model(x) - y) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    return lambda: step(x, y)


def amalthea() -> Step:
    return _amalthea(lambda step: step)


def amalthea_compiled() -> Step:
    import amalthea as am

    return _amalthea(am.function)


def torch() -> Step:
    import torch

    torch.set_num_threads(1)
    model = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    x, y = torch.from_numpy(ROWS), torch.from_numpy(SUMS)

    def step() -> object:
        optimizer.zero_grad()
        loss = torch.mean((model(x) - y) ** 2)
        loss.backward()
        optimizer.step()
        return loss

    return step


def tensorflow() -> Step:
    """The fifteen lines as they stand, with TensorFlow in the place of this package."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import tensorflow as tf

    model = tf.keras.Sequential(
        [tf.keras.Input((3,)), tf.keras.layers.Dense(16, activation="tanh"), tf.keras.layers.Dense(1)]
    )
    optimizer = tf.keras.optimizers.SGD(RATE)
    x, y = tf.constant(ROWS), tf.constant(SUMS)

    def step() -> object:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x) - y) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    return step


def tensorflow_by_hand() -> Step:
    """The same arithmetic without Keras, as fast as eager TensorFlow can be written."""
    import tensorflow as tf

    weights = [
        tf.Variable(tf.random.normal((3, 16))),
        tf.Variable(tf.zeros(16)),
        tf.Variable(tf.random.normal((16, 1))),
        tf.Variable(tf.zeros(1)),
    ]
    x, y = tf.constant(ROWS), tf.constant(SUMS)

    def step() -> object:
        with tf.GradientTape() as tape:
            hidden = tf.tanh(x @ weights[0] + weights[1])
            loss = tf.reduce_mean((hidden @ weights[2] + weights[3] - y) ** 2)
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign_sub(RATE * gradient)
        return loss

    return step
