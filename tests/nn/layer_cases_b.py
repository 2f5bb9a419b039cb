"""Cases of the convolution, pooling, recurrent and attention layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.nn.layer_harness import Case, normal

SEQUENCE, IMAGE, VOLUME = (2, 9, 4), (2, 7, 8, 4), (2, 5, 6, 5, 4)
FIRST = {"data_format": "channels_first"}


def row(name: str, make: Callable[[Any], Any], *shapes: tuple[int, ...], random: bool = False, **call: Any) -> Case:
    """A case with normal inputs of these shapes; several are passed one by one, or with list=True as one list."""
    arrays = [normal(*shape, seed=i) for i, shape in enumerate(shapes)]
    inputs: Any = arrays if call.pop("list", False) else arrays[0] if len(arrays) == 1 else tuple(arrays)
    return Case(name, make, inputs, call, random)


CONVOLUTIONS: list[Case] = [
    row("Conv1D", lambda k: k.Conv1D(6, 3), SEQUENCE),
    row("Conv1D/causal", lambda k: k.Conv1D(6, 3, padding="causal", dilation_rate=2), SEQUENCE),
    row("Conv1D/causal first", lambda k: k.Conv1D(6, 3, padding="causal", strides=2, **FIRST), SEQUENCE),
    row("Conv1D/same", lambda k: k.Conv1D(6, 4, padding="same", strides=2, activation="relu"), SEQUENCE),
    row("Conv1D/groups", lambda k: k.Conv1D(6, 2, groups=2, use_bias=False), SEQUENCE),
    row("Conv2D", lambda k: k.Conv2D(6, 3), IMAGE),
    row("Conv2D/same", lambda k: k.Conv2D(6, (3, 2), padding="same", strides=(2, 1), activation="tanh"), IMAGE),
    row("Conv2D/SAME", lambda k: k.Conv2D(6, 3, padding="SAME"), IMAGE),
    row("Conv2D/dilated", lambda k: k.Conv2D(6, 3, dilation_rate=(2, 1)), IMAGE),
    row("Conv2D/groups", lambda k: k.Conv2D(6, 3, groups=2, strides=2), IMAGE),
    row("Conv2D/first", lambda k: k.Conv2D(6, 3, padding="same", **FIRST), IMAGE),
    row(
        "Conv2D/penalties",
        lambda k: k.Conv2D(3, 2, kernel_regularizer="l2", bias_regularizer="l1", activity_regularizer="l2"),
        IMAGE,
    ),
    row("Conv3D", lambda k: k.Conv3D(3, 3), VOLUME),
    row("Conv3D/same", lambda k: k.Conv3D(3, (2, 3, 2), padding="same", strides=(1, 2, 2)), VOLUME),
    row("Conv1DTranspose", lambda k: k.Conv1DTranspose(5, 3, strides=2), SEQUENCE),
    row("Conv1DTranspose/same", lambda k: k.Conv1DTranspose(5, 4, strides=3, padding="same"), SEQUENCE),
    row("Conv2DTranspose", lambda k: k.Conv2DTranspose(5, 3), IMAGE),
    row("Conv2DTranspose/same", lambda k: k.Conv2DTranspose(5, (3, 2), strides=(2, 3), padding="same"), IMAGE),
    row("Conv2DTranspose/wide stride", lambda k: k.Conv2DTranspose(5, 2, strides=3, activation="relu"), IMAGE),
    row("Conv2DTranspose/padded", lambda k: k.Conv2DTranspose(5, 3, strides=2, output_padding=1), IMAGE),
    row(
        "Conv2DTranspose/same padded",
        lambda k: k.Conv2DTranspose(5, 3, strides=2, padding="same", output_padding=1),
        IMAGE,
    ),
    row("Conv2DTranspose/dilated", lambda k: k.Conv2DTranspose(5, 3, dilation_rate=2), IMAGE),
    row("Conv2DTranspose/first", lambda k: k.Conv2DTranspose(5, 3, strides=2, padding="same", **FIRST), IMAGE),
    row("Conv3DTranspose", lambda k: k.Conv3DTranspose(2, 3, strides=2, padding="same"), (1, 3, 4, 3, 2)),
    row("DepthwiseConv1D", lambda k: k.DepthwiseConv1D(3, depth_multiplier=2), SEQUENCE),
    row("DepthwiseConv2D", lambda k: k.DepthwiseConv2D(3, padding="same"), IMAGE),
    row("DepthwiseConv2D/strides", lambda k: k.DepthwiseConv2D(3, strides=2, depth_multiplier=2), IMAGE),
    row("DepthwiseConv2D/dilated", lambda k: k.DepthwiseConv2D(2, dilation_rate=2, activation="relu"), IMAGE),
    row("DepthwiseConv2D/first", lambda k: k.DepthwiseConv2D(3, **FIRST), IMAGE),
    row("SeparableConv1D", lambda k: k.SeparableConv1D(5, 3, padding="same"), SEQUENCE),
    row("SeparableConv2D", lambda k: k.SeparableConv2D(5, 3, depth_multiplier=2, activation="relu"), IMAGE),
    row("SeparableConv2D/strides", lambda k: k.SeparableConv2D(5, 3, strides=2, padding="same", **FIRST), IMAGE),
]


def _pools() -> list[Case]:
    rows: list[Case] = []
    for rank, shape in ((1, SEQUENCE), (2, IMAGE), (3, VOLUME)):
        for kind in ("Max", "Average"):
            name = f"{kind}Pooling{rank}D"
            for options in ({}, {"strides": 1}, {"padding": "same", "strides": 2}, {"padding": "same", **FIRST}):
                size = 2 if not options else 3
                rows.append(row(f"{name} {options}", lambda k, n=name, s=size, o=options: getattr(k, n)(s, **o), shape))
            name = f"Global{kind}Pooling{rank}D"
            for options in ({}, {"keepdims": True}, {"keepdims": True, **FIRST}):
                rows.append(row(f"{name} {options}", lambda k, n=name, o=options: getattr(k, n)(**o), shape))
    return rows


POOLS = _pools()


def _recurrent() -> list[Case]:
    rows: list[Case] = []
    options: list[dict[str, Any]] = [
        {},
        {"return_sequences": True},
        {"return_sequences": True, "return_state": True},
        {"go_backwards": True, "return_sequences": True},
        {"go_backwards": True, "return_state": True, "use_bias": False},
    ]
    for name in ("SimpleRNN", "LSTM", "GRU"):
        for option in options:
            rows.append(row(f"{name} {option}", lambda k, n=name, o=option: getattr(k, n)(5, **o), SEQUENCE))
    rows += [
        row(
            "LSTM/plain bias",
            lambda k: k.LSTM(5, unit_forget_bias=False, recurrent_activation="hard_sigmoid"),
            SEQUENCE,
        ),
        row("GRU/reset before", lambda k: k.GRU(5, reset_after=False, return_sequences=True), SEQUENCE),
        row("GRU/reset before, no bias", lambda k: k.GRU(5, reset_after=False, use_bias=False), SEQUENCE),
        row("LSTM/unrolled", lambda k: k.LSTM(5, unroll=True, activation="relu"), SEQUENCE),
        row("GRU/dropout", lambda k: k.GRU(5, dropout=0.3, recurrent_dropout=0.2), SEQUENCE, random=True),
        row("GRU/no bias", lambda k: k.GRU(5, use_bias=False), SEQUENCE),
        row("RNN/LSTMCell", lambda k: k.RNN(k.LSTMCell(5), return_sequences=True), SEQUENCE),
        row("RNN/GRUCell", lambda k: k.RNN(k.GRUCell(5), return_state=True), SEQUENCE),
        row(
            "RNN/stacked",
            lambda k: k.RNN([k.LSTMCell(5), k.GRUCell(3), k.SimpleRNNCell(4)], return_sequences=True),
            SEQUENCE,
        ),
        row("RNN/stacked backwards", lambda k: k.RNN([k.GRUCell(5), k.GRUCell(3)], go_backwards=True), SEQUENCE),
        row("Bidirectional/LSTM", lambda k: k.Bidirectional(k.LSTM(5)), SEQUENCE),
        row(
            "Bidirectional/GRU sequences",
            lambda k: k.Bidirectional(k.GRU(5, return_sequences=True), merge_mode="sum"),
            SEQUENCE,
        ),
        row("Bidirectional/ave", lambda k: k.Bidirectional(k.SimpleRNN(5), merge_mode="ave"), SEQUENCE),
        row("Bidirectional/mul", lambda k: k.Bidirectional(k.LSTM(5), merge_mode="mul"), SEQUENCE),
        row("Bidirectional/both", lambda k: k.Bidirectional(k.LSTM(5), merge_mode=None), SEQUENCE),
        row(
            "Bidirectional/state",
            lambda k: k.Bidirectional(k.LSTM(5, return_state=True, return_sequences=True)),
            SEQUENCE,
        ),
        row(
            "Bidirectional/own backward layer",
            lambda k: k.Bidirectional(k.LSTM(5), backward_layer=k.LSTM(5, activation="relu", go_backwards=True)),
            SEQUENCE,
        ),
        row("TimeDistributed/Dense", lambda k: k.TimeDistributed(k.Dense(3, activation="relu")), SEQUENCE),
        row("TimeDistributed/Conv2D", lambda k: k.TimeDistributed(k.Conv2D(3, 2)), (2, 3, 5, 5, 2)),
        row("TimeDistributed/LSTM", lambda k: k.TimeDistributed(k.LSTM(5)), (2, 3, 9, 4)),
        row("TimeDistributed/BatchNormalization", lambda k: k.TimeDistributed(k.BatchNormalization()), SEQUENCE),
    ]
    return rows


RECURRENT = _recurrent()

QUERY, VALUE = (2, 5, 6), (2, 4, 6)
SCORES = {"return_attention_scores": True}
ATTENTION: list[Case] = [
    row("MultiHeadAttention", lambda k: k.MultiHeadAttention(2, 3), QUERY, VALUE),
    row(
        "MultiHeadAttention/key",
        lambda k: k.MultiHeadAttention(2, 3, value_dim=4),
        QUERY,
        (2, 4, 7),
        (2, 4, 3),
        **SCORES,
    ),
    row("MultiHeadAttention/causal", lambda k: k.MultiHeadAttention(2, 3), QUERY, QUERY, use_causal_mask=True),
    row(
        "MultiHeadAttention/scores",
        lambda k: k.MultiHeadAttention(2, 3),
        QUERY,
        QUERY,
        use_causal_mask=True,
        return_attention_scores=True,
    ),
    row("MultiHeadAttention/dropout", lambda k: k.MultiHeadAttention(2, 3, dropout=0.2), QUERY, VALUE, random=True),
    row("MultiHeadAttention/plain", lambda k: k.MultiHeadAttention(2, 3, use_bias=False, output_shape=5), QUERY, VALUE),
    row("MultiHeadAttention/gate", lambda k: k.MultiHeadAttention(2, 3, use_gate=True), QUERY, VALUE),
    row("MultiHeadAttention/window", lambda k: k.MultiHeadAttention(2, 3, sliding_window=2), QUERY, QUERY),
    row(
        "MultiHeadAttention/axes",
        lambda k: k.MultiHeadAttention(2, 3, attention_axes=(2, 3)),
        (2, 2, 3, 4, 6),
        (2, 2, 2, 5, 6),
    ),
    row(
        "MultiHeadAttention/axis",
        lambda k: k.MultiHeadAttention(2, 3, attention_axes=2),
        (2, 3, 4, 6),
        (2, 3, 5, 6),
    ),
    row("GroupQueryAttention", lambda k: k.GroupQueryAttention(3, 4, 2), QUERY, VALUE),
    row("GroupQueryAttention/causal", lambda k: k.GroupQueryAttention(3, 4, 1), QUERY, QUERY, use_causal_mask=True),
    row(
        "GroupQueryAttention/scores",
        lambda k: k.GroupQueryAttention(3, 4, 2, use_gate=True, sliding_window=3),
        QUERY,
        QUERY,
        return_attention_scores=True,
    ),
    row("Attention", lambda k: k.Attention(), QUERY, VALUE, list=True),
    row("Attention/key", lambda k: k.Attention(use_scale=True), QUERY, (2, 4, 3), VALUE, list=True),
    row("Attention/concat", lambda k: k.Attention(score_mode="concat", use_scale=True), QUERY, VALUE, list=True),
    row(
        "Attention/causal",
        lambda k: k.Attention(),
        QUERY,
        QUERY,
        list=True,
        use_causal_mask=True,
        return_attention_scores=True,
    ),
    row("AdditiveAttention", lambda k: k.AdditiveAttention(), QUERY, VALUE, list=True),
    row("AdditiveAttention/plain", lambda k: k.AdditiveAttention(use_scale=False), QUERY, VALUE, list=True),
]

CASES: list[Case] = CONVOLUTIONS + POOLS + RECURRENT + ATTENTION
