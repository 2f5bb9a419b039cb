"""Mistakes that users make with convolution, pooling, recurrent and attention layers, and what they are told."""

from __future__ import annotations

import numpy as np
import pytest

import amalthea as am

L = am.layers


def x(*shape):
    return np.ones(shape, "float32")


def built(layer, *shapes):
    layer(*[x(*shape) for shape in shapes])
    return layer


class NoState:
    def call(self, inputs, states):
        return inputs, states


# (what is done, parts of the message that must all be there)
MISTAKES = [
    # Arguments
    (lambda: L.Conv2D(0, 3), ["[Conv2D]", "`filters` must be a whole number of at least 1", "filters=0"]),
    (lambda: L.Conv2D(4, (3, 3, 3)), ["[Conv2D]", "`kernel_size` must be a whole number or 2 of them", "(3, 3, 3)"]),
    (lambda: L.Conv2D(4, 3, strides=0), ["`strides`", "none below 1", "strides=0"]),
    (lambda: L.Conv2D(4, "3"), ["`kernel_size`", "'3'"]),
    (lambda: L.Conv2D(4, 3, padding="causal"), ["[Conv2D]", "'valid', 'same'", "padding='causal'"]),
    (lambda: L.Conv1D(4, 3, padding="full"), ["[Conv1D]", "'valid', 'same', 'causal'", "padding='full'"]),
    (lambda: L.Conv2D(4, 3, data_format="NHWC"), ["channels_last", "data_format='NHWC'"]),
    (lambda: L.Conv2D(4, 3, strides=2, dilation_rate=2), ["`strides` and `dilation_rate` cannot both", "(2, 2)"]),
    (lambda: L.Conv2D(5, 3, groups=2), ["`filters` must be divisible by `groups`", "filters=5, groups=2"]),
    (lambda: L.Conv2DTranspose(5, 3, strides=2, output_padding=2), ["`output_padding`", "less than its stride"]),
    (lambda: L.DepthwiseConv2D(3, depth_multiplier=0), ["[DepthwiseConv2D]", "`depth_multiplier`"]),
    (lambda: L.MaxPooling2D(0), ["[MaxPooling2D]", "`pool_size`", "none below 1"]),
    (lambda: L.AveragePooling1D(2, padding="SOME"), ["[AveragePooling1D]", "padding='SOME'"]),
    (lambda: L.LSTM(-1), ["[LSTMCell]", "`units`", "units=-1"]),
    (lambda: L.LSTM(4, use_cudnn="yes"), ["[LSTM]", "`use_cudnn`", "'yes'"]),
    (lambda: L.RNN(4), ["[RNN]", "`call(inputs, states)`", "cell=4"]),
    (lambda: L.RNN(NoState()), ["[RNN]", "`state_size`"]),
    (lambda: L.StackedRNNCells([L.Dense(3)]), ["[StackedRNNCells]", "`state_size`", "not layers"]),
    (lambda: L.Bidirectional("lstm"), ["[Bidirectional]", "`layer` must be a layer", "'lstm'"]),
    (lambda: L.Bidirectional(L.Dense(3)), ["[Bidirectional]", "must be recurrent", "Dense"]),
    (lambda: L.Bidirectional(L.LSTM(3), merge_mode="max"), ["`merge_mode`", "'concat'", "'max'"]),
    (
        lambda: L.Bidirectional(L.LSTM(3), backward_layer=L.LSTM(3)),
        ["opposite directions", "go_backwards=True"],
    ),
    (
        lambda: L.Bidirectional(L.LSTM(3), backward_layer=L.LSTM(3, go_backwards=True, return_sequences=True)),
        ["the same `return_sequences`"],
    ),
    (lambda: L.TimeDistributed(np.sum), ["[TimeDistributed]", "`layer` must be a layer"]),
    (lambda: L.MultiHeadAttention(0, 3), ["[MultiHeadAttention]", "`num_heads`"]),
    (lambda: L.MultiHeadAttention(2, 3, sliding_window=0), ["`sliding_window`"]),
    (lambda: L.MultiHeadAttention(2, 3, flash_attention=True, dropout=0.1), ["flash attention", "dropout"]),
    (lambda: L.GroupQueryAttention(3, 4, 3), ["divisible by `num_key_value_heads`", "num_query_heads=4"]),
    (lambda: L.Attention(score_mode="cosine"), ["`score_mode`", "'cosine'"]),
    # Shapes
    (
        lambda: L.Conv2D(4, 3, name="first")(x(32, 28, 28)),
        [
            "[Conv2D] in layer 'first'",
            "(batch, height, width, channels)",
            "has 3",
            "(32, 28, 28)",
            "expand_dims(x, -1)",
        ],
    ),
    (lambda: L.Conv1D(4, 3)(x(2, 8, 8, 3)), ["[Conv1D]", "must have 3 axes", "(2, 8, 8, 3)"]),
    (lambda: L.Conv2D(4, 3, data_format="channels_first")(x(2, 8, 8)), ["(batch, channels, height, width)"]),
    (
        lambda: built(L.Conv2D(4, 3, name="c"), (2, 8, 8, 3))(x(2, 8, 8, 1)),
        ["[Conv2D] in layer 'c'", "the input has 1 channels and the kernel expects 3", "(2, 8, 8, 1)", "(3, 3, 3, 4)"],
    ),
    (lambda: L.Conv2D(4, 3, groups=2)(x(2, 8, 8, 3)), ["channels (3)", "`groups` (2)"]),
    (
        lambda: L.Conv2D(4, 5)(x(2, 3, 8, 1)),
        ["[Conv2D]", "the window of 5 is larger than the input", "3", "padding='same'"],
    ),
    (lambda: L.Conv1D(4, 3, dilation_rate=4)(x(2, 8, 1)), ["the window of 3 (dilated to 9)", "8"]),
    (lambda: L.MaxPooling2D(4)(x(2, 3, 3, 1)), ["[MaxPooling2D]", "larger than the input", "pool_size=(4, 4)"]),
    (lambda: L.MaxPooling2D()(x(2, 8, 8)), ["[MaxPooling2D]", "must have 4 axes"]),
    (lambda: L.GlobalAveragePooling2D()(x(2, 8)), ["[GlobalAveragePooling2D]", "must have 4 axes", "(2, 8)"]),
    (
        lambda: am.Sequential([am.Input((28, 28, 1)), *[L.MaxPooling2D(3) for _ in range(3)], L.Conv2D(4, 3)]),
        ["[Conv2D]", "larger than the input"],
    ),
    (lambda: L.Conv2D(4, 3)(am.Input((8, 8, None))), ["the number of channels of the input must be known"]),
    (
        lambda: L.LSTM(4, name="lstm")(x(2, 8)),
        ["[LSTM] in layer 'lstm'", "(batch, steps, features)", "return_sequences=True", "(2, 8)"],
    ),
    (lambda: built(L.GRU(4), (2, 5, 3))(x(2, 5, 7)), ["[GRU]", "7 features and the kernel expects 3"]),
    (lambda: L.LSTM(4)(x(2, 0, 3)), ["at least one step"]),
    (lambda: L.LSTM(4)(x(2, 5, 3), initial_state=[x(2, 4)]), ["2 states, and `initial_state` has 1", "(2, 4)"]),
    (lambda: L.GRU(4)(x(2, 5, 3), initial_state=[x(2, 3)]), ["(batch, size) = (2, 4)", "state (2, 3)"]),
    (lambda: L.GRU(4)(x(2, 5, 3), mask=np.ones((2, 4), bool)), ["the mask", "mask (2, 4)", "input (2, 5, 3)"]),
    (lambda: L.GRU(4, stateful=True)(am.Input((5, 3))), ["`stateful=True` needs a fixed batch size", "batch_shape"]),
    (lambda: built(L.GRU(4, stateful=True), (2, 5, 3))(x(3, 5, 3)), ["keeps the states of 2 samples", "(3, 5, 3)"]),
    (lambda: L.GRU(4, unroll=True)(am.Input((None, 3))), ["`unroll=True` needs a known number of steps"]),
    (lambda: L.LSTMCell(4)(x(2, 5, 3), [x(2, 4), x(2, 4)]), ["[LSTMCell]", "RNN(cell)"]),
    (
        lambda: am.Sequential([am.Input((5, 3)), L.LSTM(4), L.LSTM(4)]),
        ["[LSTM]", "return_sequences=True", "(None, 4)"],
    ),
    (lambda: L.Bidirectional(L.GRU(4))(x(2, 5, 3), initial_state=[x(2, 4)]), ["forward layer", "1 states"]),
    (lambda: L.TimeDistributed(L.Dense(3))(x(2, 5)), ["[TimeDistributed]", "at least 3 axes", "(2, 5)"]),
    (
        lambda: L.TimeDistributed(L.LSTM(3))(x(2, 5, 4, 3), mask=np.ones((2, 4, 4), bool)),
        ["[TimeDistributed]", "the mask", "(2, 4, 4)"],
    ),
    (lambda: L.MultiHeadAttention(2, 3)(x(2, 6), x(2, 6)), ["[MultiHeadAttention]", "the query", "at least 3 axes"]),
    (lambda: L.MultiHeadAttention(2, 3)(x(2, 5, 6), x(3, 4, 6)), ["a batch of 2", "one of 3"]),
    (
        lambda: L.MultiHeadAttention(2, 3)(x(2, 5, 6), x(2, 4, 6), key=x(2, 3, 6)),
        ["the key and the value must have the same positions", "(2, 3, 6)"],
    ),
    (
        lambda: built(L.MultiHeadAttention(2, 3), (2, 5, 6), (2, 4, 6))(x(2, 5, 7), x(2, 4, 6)),
        ["the query has 7 features and the layer was built for 6"],
    ),
    (
        lambda: L.MultiHeadAttention(2, 3, flash_attention=True)(x(2, 5, 6), x(2, 4, 6), return_attention_scores=True),
        ["flash attention", "scores"],
    ),
    (lambda: L.Attention()(x(2, 5, 6)), ["[Attention]", "must be a list [query, value]"]),
    (lambda: L.Attention()([x(2, 5, 6), x(2, 4, 3)]), ["the query has 6 features and the key 3"]),
    (lambda: L.Attention()([x(2, 5, 6), x(2, 4, 6), x(2, 3, 6)]), ["4 values and 3 keys"]),
    (lambda: L.Attention()([x(2, 5, 6), x(2, 4, 6)], mask=np.ones((2, 5))), ["`mask` must be a list"]),
]


@pytest.mark.parametrize(("mistake", "parts"), MISTAKES, ids=[str(i) for i in range(len(MISTAKES))])
def test_a_mistake_is_explained(mistake, parts):
    with pytest.raises((ValueError, TypeError)) as raised:
        mistake()
    message = str(raised.value)
    for part in parts:
        assert part in message, message
    assert "Received: " in message and "Fix: " in message


def test_the_same_message_when_traced():
    layer = built(L.Conv2D(4, 3, name="c"), (2, 8, 8, 3))
    with pytest.raises(ValueError, match=r"\[Conv2D\] in layer 'c': the input has 1 channels"):
        am.function(lambda v: layer(v))(x(2, 8, 8, 1))


def test_states_of_a_layer_that_keeps_none():
    with pytest.raises(AttributeError, match="keeps no states"):
        L.Bidirectional(L.GRU(3)).reset_state()


def test_the_kernel_before_the_build():
    with pytest.raises(AttributeError, match="no kernel before it is built"):
        _ = L.Conv2D(3, 3).kernel
