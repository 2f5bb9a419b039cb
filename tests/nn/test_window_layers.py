"""What the table of layers does not reach in convolution and pooling layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import amalthea as am
from tests.nn.twins import assert_close, data, twins


@pytest.mark.parametrize("kind", ["Average", "Max"])
def test_global_pooling_of_integers_and_booleans_keeps_going(kind):
    x = np.arange(24, dtype="float32").reshape(2, 3, 4)
    layer = getattr(am.layers, f"Global{kind}Pooling1D")()
    assert_close(layer(x), x.mean(1) if kind == "Average" else x.max(1))


@pytest.mark.parametrize("options", [{}, {"keepdims": True}, {"data_format": "channels_first"}])
def test_global_average_pooling_leaves_masked_steps_out(options):
    first = "data_format" in options
    x, mask = data(2, 5, 3), np.array([[1, 1, 0, 0, 1], [0, 1, 0, 0, 0]], bool)
    x = x.swapaxes(1, 2) if first else x
    ours, theirs = am.layers.GlobalAveragePooling1D(**options), keras.layers.GlobalAveragePooling1D(**options)
    assert_close(ours(x, mask=mask), theirs(x, mask=mask))


@pytest.mark.parametrize(
    "make",
    [
        lambda k: k.Conv1D(4, 3, padding="causal", dilation_rate=2),
        lambda k: k.Conv1D(4, 3, strides=2),
        lambda k: k.MaxPooling1D(3, padding="same"),
        lambda k: k.Conv1DTranspose(4, 3, strides=2),
        lambda k: k.SeparableConv1D(4, 3, padding="same", strides=3),
        lambda k: k.GlobalMaxPooling1D(keepdims=True),
        lambda k: k.LSTM(4, return_sequences=True, return_state=True),
        lambda k: k.Bidirectional(k.GRU(4, return_sequences=True)),
        lambda k: k.TimeDistributed(k.Dense(2)),
    ],
)
@pytest.mark.parametrize("shape", [(None, 11, 3), (2, None, 3), (None, None, 3)])
def test_output_shapes_with_unknown_sizes(make, shape):
    assert _plain(make(am.layers).compute_output_shape(shape)) == _plain(make(keras.layers).compute_output_shape(shape))


def _plain(shapes):
    return [tuple(s) for s in shapes] if isinstance(shapes[0], (list, tuple)) else tuple(shapes)


def test_channels_first_equals_channels_last_transposed():
    x = data(2, 6, 7, 3)
    last, first = am.layers.Conv2D(4, 3), am.layers.Conv2D(4, 3, data_format="channels_first")
    y = np.asarray(last(x))
    first.build((2, 3, 6, 7))
    first.set_weights(last.get_weights())
    assert_close(first(x.transpose(0, 3, 1, 2)), y.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("options", [{}, {"groups": 3}])
def test_a_convolution_is_the_sum_it_says_it_is(options):
    x = data(1, 5, 6)
    layer = am.layers.Conv1D(3, 2, **options)
    y = np.asarray(layer(x))
    kernel, bias = layer.get_weights()
    groups = options.get("groups", 1)
    for t in range(4):
        for f in range(3):
            part = slice(0, 6) if groups == 1 else slice(2 * f, 2 * f + 2)
            np.testing.assert_allclose(y[0, t, f], (x[0, t : t + 2, part] * kernel[:, :, f]).sum() + bias[f], rtol=1e-4)


def test_lora_adds_a_low_rank_update_and_freezes_the_kernel():
    x = data(2, 6, 6, 3)
    layer = am.layers.Conv2D(4, 3)
    before = np.asarray(layer(x))
    layer.enable_lora(2)
    assert_close(layer(x), before)
    assert [w.name for w in layer.trainable_weights] == ["bias", "lora_kernel_a", "lora_kernel_b"]
    layer.lora_kernel_b.assign(data(2, 4))
    assert np.abs(np.asarray(layer(x)) - before).max() > 0
    store = {}
    layer.save_own_variables(store)
    plain = am.layers.Conv2D(4, 3)
    plain.build(x.shape)
    plain.load_own_variables(store)
    assert_close(plain(x), layer(x))
    layer.load_own_variables(store)
    assert_close(plain(x), layer(x))
    with pytest.raises(ValueError, match="LoRA is on already"):
        layer.enable_lora(2)
    again = am.layers.Conv2D.from_config(layer.get_config())
    again.build(x.shape)
    assert again.lora_enabled and again.lora_rank == 2


def test_mixed_precision():
    for name, size in (("Conv2D", (4, 3)), ("DepthwiseConv2D", (3,)), ("SeparableConv2D", (4, 3))):
        layer = getattr(am.layers, name)(*size, dtype="mixed_bfloat16")
        assert str(layer(data(2, 6, 6, 3)).dtype) == "bfloat16"
        assert {str(w.dtype) for w in layer.weights} == {"float32"}


def test_the_old_names_are_the_same_classes():
    for old, new in (
        ("Convolution2D", "Conv2D"),
        ("AvgPool1D", "AveragePooling1D"),
        ("MaxPool3D", "MaxPooling3D"),
        ("GlobalAvgPool2D", "GlobalAveragePooling2D"),
        ("SeparableConvolution2D", "SeparableConv2D"),
        ("Convolution3DTranspose", "Conv3DTranspose"),
    ):
        assert getattr(am.layers, old) is getattr(am.layers, new)


def test_a_compiled_convolution_is_the_eager_one():
    x = data(2, 8, 8, 3)
    ours, _ = twins(lambda k: k.Conv2D(4, 3, activation="relu", padding="same"), lambda layer: layer(x))
    pool = am.layers.MaxPooling2D()
    assert_close(am.function(lambda v: pool(ours(v)))(x), pool(ours(x)))
