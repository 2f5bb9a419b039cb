"""Convolution, pooling, recurrent and attention layers in models: files exchanged with Keras, ten training steps."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import amalthea as am
from tests.nn.twins import assert_close, data

X = data(4, 6, 8)


def sequence_model(k):
    layers, x = k.layers, k.Input((6, 8))
    y = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)
    y = layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)], return_sequences=True)(y)
    y = layers.TimeDistributed(layers.Dense(8))(y)
    y = layers.MultiHeadAttention(2, 3, use_gate=True)(y, x)
    y = layers.GroupQueryAttention(3, 4, 2)(y, x)
    y = layers.Attention(use_scale=True)([y, x])
    y = layers.AdditiveAttention()([y, x])
    y = layers.Conv1D(4, 3, padding="causal")(y)
    y = layers.SeparableConv1D(4, 3, padding="same")(y)
    y = layers.DepthwiseConv1D(3, padding="same")(y)
    y = layers.MaxPooling1D(2)(layers.Conv1DTranspose(4, 3, strides=2)(y))
    y = layers.SimpleRNN(3, return_sequences=True)(y)
    return k.Model(x, layers.GlobalAveragePooling1D()(layers.GRU(3, return_sequences=True)(y)))


@pytest.mark.parametrize(("source", "reader"), [(am, keras), (keras, am)], ids=["to keras", "from keras"])
def test_files_are_exchanged(source, reader, tmp_path):
    model = sequence_model(source)
    expected = np.asarray(model(X))
    model.save(tmp_path / "model.keras")
    assert_close(reader.models.load_model(tmp_path / "model.keras")(X), expected)
    model.save_weights(tmp_path / "model.weights.h5")
    other = sequence_model(reader)
    other.load_weights(tmp_path / "model.weights.h5")
    assert_close(other(X), expected)


def image_and_text(k):
    layers = k.layers
    image, text = k.Input((8, 8, 2)), k.Input((5, 4))
    a = layers.MaxPooling2D()(layers.Conv2D(4, 3, activation="relu", padding="same")(image))
    a = layers.GlobalAveragePooling2D()(layers.Conv2DTranspose(3, 2)(a))
    b = layers.GRU(3)(layers.MultiHeadAttention(2, 2)(text, text, use_causal_mask=True))
    return k.Model([image, text], layers.Dense(1)(layers.Concatenate()([a, b])))


def test_ten_training_steps_are_those_of_keras():
    inputs, target = [data(8, 8, 8, 2), data(8, 5, 4, seed=1)], data(8, 1, seed=2)
    ours, theirs = image_and_text(am), image_and_text(keras)
    ours.set_weights([np.asarray(w) for w in theirs.weights])
    losses = []
    for k, model in ((am, ours), (keras, theirs)):
        model.compile(optimizer=k.optimizers.SGD(0.05), loss="mse")
        losses.append(model.fit(inputs, target, batch_size=8, epochs=10, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    assert_close(ours.get_weights(), theirs.get_weights())
