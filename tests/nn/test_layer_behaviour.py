"""What single layers do beyond the tables: randomness in training, adapting to data, functions as layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import amalthea as am

ONES = np.ones((2, 3), "float32")


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_keeps_the_mean_and_drops_the_rate(rate):
    y = am.layers.Dropout(rate, seed=1)(np.ones((400, 500), "float32"), training=True).numpy()
    assert (y == 0).mean() == pytest.approx(rate, abs=0.005)
    assert y.mean() == pytest.approx(1.0, abs=0.01)
    assert set(np.unique(y).round(4)) == {0.0, np.float32(1 / (1 - rate)).round(4)}


def test_dropout_masks_change_and_seeds_repeat_them():
    layer, same = am.layers.Dropout(0.5, seed=7), am.layers.Dropout(0.5, seed=7)
    x = np.ones((10, 10), "float32")
    first, second = layer(x, training=True), layer(x, training=True)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, same(x, training=True)) and np.array_equal(second, same(x, training=True))
    traced = am.function(lambda x: layer(x, training=True))
    x = am.ops.convert_to_tensor(x)
    assert not np.array_equal(traced(x), traced(x))


@pytest.mark.parametrize(
    ("name", "shape", "shared"),
    [("SpatialDropout1D", (3, 50, 40), (1,)), ("SpatialDropout2D", (3, 9, 8, 40), (1, 2))],
)
def test_spatial_dropout_drops_whole_channels(name, shape, shared):
    y = getattr(am.layers, name)(0.5, seed=0)(np.ones(shape, "float32"), training=True).numpy()
    assert np.array_equal(y, np.broadcast_to(y[:, :1] if len(shared) == 1 else y[:, :1, :1], shape))
    assert 0.3 < (y == 0).mean() < 0.7


def test_dropout_of_a_noise_shape_shares_its_mask():
    y = am.layers.Dropout(0.5, noise_shape=(None, 1), seed=0)(np.ones((50, 4), "float32"), training=True).numpy()
    assert np.array_equal(y, np.broadcast_to(y[:, :1], y.shape))


@pytest.mark.parametrize(
    ("layer", "mean", "stddev"),
    [
        (lambda: am.layers.GaussianNoise(0.3, seed=0), 1.0, 0.3),
        (lambda: am.layers.GaussianDropout(0.2, seed=0), 1.0, 0.5),
    ],
)
def test_noise_has_its_mean_and_deviation(layer, mean, stddev):
    y = layer()(np.ones((400, 500), "float32"), training=True).numpy()
    assert y.mean() == pytest.approx(mean, abs=0.01) and y.std() == pytest.approx(stddev, abs=0.01)


def test_alpha_dropout_keeps_mean_and_variance():
    x = np.random.default_rng(0).normal(size=(400, 500)).astype("float32")
    y = am.layers.AlphaDropout(0.3, seed=0)(x, training=True).numpy()
    assert y.mean() == pytest.approx(0.0, abs=0.02) and y.std() == pytest.approx(1.0, abs=0.02)


def test_normalization_adapts_to_data():
    data = np.random.default_rng(0).normal(3, 2, size=(200, 4)).astype("float32")
    theirs = keras.layers.Normalization()
    theirs.adapt(data)
    batches = [data[:60], data[60:150], data[150:]]
    for source in (data, am.ops.convert_to_tensor(data), batches, (batch for batch in batches)):
        ours = am.layers.Normalization()
        ours.adapt(source)
        np.testing.assert_allclose(ours(data), theirs(data), rtol=1e-4, atol=1e-5)
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]


def test_embedding_takes_first_weights():
    table = np.arange(6, dtype="float32").reshape(3, 2)
    assert am.layers.Embedding(3, 2, weights=table)(np.array([2])).numpy().tolist() == [[4.0, 5.0]]
    assert am.layers.Embedding(3, 2, weights=[table])(np.array([0])).numpy().tolist() == [[0.0, 1.0]]


def test_lambda_takes_arguments_masks_and_training():
    def scaled(x, factor, training=False, mask=None):
        return x * (factor if training else 1)

    layer = am.layers.Lambda(scaled, arguments={"factor": 3}, mask=lambda x, mask: mask)
    assert layer(ONES, training=True).numpy().sum() == 18 and layer(ONES).numpy().sum() == 6
    assert am.layers.Lambda(lambda x: x[:, :2])(am.KerasTensor((None, 3))).shape == (None, 2)
    assert am.layers.Lambda(lambda x: x, output_shape=(9,))(am.KerasTensor((None, 3))).shape == (None, 9)


def test_sparsemax_is_a_projection_onto_the_simplex():
    x = np.random.default_rng(0).normal(size=(20, 6)).astype("float32")
    y = am.layers.Activation("sparsemax")(x).numpy()
    assert np.allclose(y.sum(1), 1, atol=1e-5) and (y >= 0).all()
    for row, projected in zip(x, y, strict=True):  # the nearest point: kept entries differ from x by one number
        kept = projected > 0
        assert np.ptp((row - projected)[kept]) < 1e-5
        assert (row[~kept] <= (row - projected)[kept].mean() + 1e-5).all()


def test_the_functional_names_of_merging_layers():
    x = am.ops.ones((2, 3))
    for name in ("add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate", "dot"):
        layer = {"dot": am.layers.Dot(axes=-1)}.get(name) or getattr(am.layers, name.capitalize())()
        assert np.array_equal(getattr(am.layers, name)([x, x]), layer([x, x]))
