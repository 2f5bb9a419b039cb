"""What the table of layers does not reach in attention layers: masks, scores, symbolic shapes, own attention."""

from __future__ import annotations

import numpy as np
import pytest

import amalthea as am
from tests.nn.twins import assert_close, data, twins

Q, V = data(2, 5, 6), data(2, 4, 6, seed=1)
Q_MASK = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
V_MASK = np.array([[1, 1, 0, 0], [1, 0, 1, 1]], bool)
PAIR_MASK = np.random.default_rng(3).random((2, 5, 4)) > 0.3


@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("make", [lambda k: k.MultiHeadAttention(2, 3), lambda k: k.GroupQueryAttention(3, 4, 2)])
@pytest.mark.parametrize(
    "masks",
    [{"value_mask": V_MASK}, {"attention_mask": PAIR_MASK}, {"value_mask": V_MASK, "attention_mask": PAIR_MASK}],
)
def test_masks(make, masks, scores):
    ours, theirs = twins(make, lambda layer: layer(Q, V))
    call = {**masks, "return_attention_scores": scores}
    assert_close(ours(Q, V, **call), theirs(Q, V, **call))


def test_a_causal_mask_joins_the_others():
    ours, theirs = twins(lambda k: k.MultiHeadAttention(2, 3), lambda layer: layer(Q, Q))
    for call in (
        {"value_mask": Q_MASK},
        {"attention_mask": np.ones((2, 5, 5), bool)},
        {"return_attention_scores": True},
    ):
        assert_close(ours(Q, Q, use_causal_mask=True, **call), theirs(Q, Q, use_causal_mask=True, **call))


def test_a_causal_position_does_not_see_later_ones():
    layer = am.layers.MultiHeadAttention(2, 3)
    before = np.asarray(layer(Q, Q, use_causal_mask=True))
    changed = Q.copy()
    changed[:, 3:] += 1
    after = np.asarray(layer(changed, changed, use_causal_mask=True))
    np.testing.assert_allclose(after[:, :3], before[:, :3], rtol=1e-5, atol=1e-6)
    assert np.abs(after[:, 3:] - before[:, 3:]).max() > 0


def test_masks_attached_to_the_inputs_are_used_and_kept():
    layer = am.layers.MultiHeadAttention(2, 3)
    query, value = am.ops.convert_to_tensor(Q), am.ops.convert_to_tensor(V)
    wanted = layer(Q, V, query_mask=Q_MASK, value_mask=V_MASK)
    query._keras_mask, value._keras_mask = am.ops.convert_to_tensor(Q_MASK), am.ops.convert_to_tensor(V_MASK)
    y = layer(query, value)
    assert_close(y, wanted)
    np.testing.assert_array_equal(np.asarray(y._keras_mask), Q_MASK)
    assert query._keras_mask is not None


def test_a_query_mask_that_is_passed_is_applied():
    # Keras replaces it by the mask attached to the query, here none: docs/decisions/0010-departures.md
    ours, theirs = twins(lambda k: k.MultiHeadAttention(2, 3), lambda layer: layer(Q, V))
    y = ours(Q, V, query_mask=Q_MASK)
    assert_close(y, ours(Q, V, attention_mask=np.broadcast_to(Q_MASK[..., None], (*Q.shape[:2], V.shape[1]))))
    assert_close(theirs(Q, V, query_mask=Q_MASK), theirs(Q, V))
    kept = np.asarray(Q_MASK)
    np.testing.assert_allclose(np.asarray(y)[kept], np.asarray(ours(Q, V))[kept], rtol=1e-5, atol=1e-6)
    assert np.abs(np.asarray(y)[~kept] - np.asarray(ours(Q, V))[~kept]).max() > 1e-3


def test_dropout_only_in_training_and_repeatable():
    layers = [am.layers.MultiHeadAttention(2, 3, dropout=0.5, seed=1) for _ in range(2)]
    for layer in layers:
        layer(Q, V)
        layer.set_weights(layers[0].get_weights())
    plain = np.asarray(layers[0](Q, V))
    first = np.asarray(layers[0](Q, V, training=True))
    assert np.abs(first - plain).max() > 0
    assert_close(layers[1](Q, V, training=True), first)
    attention = am.layers.Attention(dropout=0.5, seed=2)
    assert np.abs(np.asarray(attention([Q, V], training=True)) - np.asarray(attention([Q, V]))).max() > 0


@pytest.mark.parametrize("name", ["Attention", "AdditiveAttention"])
@pytest.mark.parametrize("masks", [[None, V_MASK], [Q_MASK, None], [Q_MASK, V_MASK]])
def test_masks_of_plain_attention(name, masks):
    ours, theirs = twins(lambda k: getattr(k, name)(), lambda layer: layer([Q, V]))
    call = {"mask": masks, "return_attention_scores": True}
    assert_close(ours([Q, V], **call), theirs([Q, V], **call))


def test_plain_attention_is_softmax_of_products():
    scores = np.einsum("btd,bsd->bts", Q, V)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    assert_close(am.layers.Attention()([Q, V], return_attention_scores=True), (weights @ V, weights))


def test_symbolic_outputs():
    query, value = am.Input((5, 6)), am.Input((4, 6))
    output, scores = am.layers.MultiHeadAttention(2, 3)(query, value, return_attention_scores=True)
    assert (output.shape, scores.shape) == ((None, 5, 6), (None, 2, 5, 4))
    output, scores = am.layers.GroupQueryAttention(3, 4, 2)(query, value, return_attention_scores=True)
    assert (output.shape, scores.shape) == ((None, 5, 6), (None, 4, 5, 4))
    output, scores = am.layers.Attention()([query, value], return_attention_scores=True)
    assert (output.shape, scores.shape) == ((None, 5, 6), (None, 5, 4))


def test_unknown_lengths_in_a_model():
    x = am.Input((None, 6))
    model = am.Model(x, am.layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True))
    for length in (3, 7):
        assert model(data(2, length, 6)).shape == (2, length, 6)


def test_a_subclass_may_compute_attention_itself():
    class Mean(am.layers.MultiHeadAttention):
        def _compute_attention(self, query, key, value, attention_mask=None, training=None, scores=False):
            self.seen = attention_mask
            return am.ops.broadcast_to(am.ops.mean(value, axis=1, keepdims=True), (*query.shape[:-1], 3)), None

    layer = Mean(2, 3)
    assert layer(Q, V, use_causal_mask=True).shape == Q.shape
    assert layer.seen.shape == (1, 5, 4)


def test_mixed_precision():
    layer = am.layers.MultiHeadAttention(2, 3, dtype="mixed_bfloat16")
    output, scores = layer(Q, V, return_attention_scores=True, value_mask=V_MASK)
    assert str(output.dtype) == str(scores.dtype) == "bfloat16"
    assert {str(w.dtype) for w in layer.weights} == {"float32"}


def test_compiled_and_eager_are_the_same():
    layer = am.layers.MultiHeadAttention(2, 3)
    layer(Q, Q)
    assert_close(am.function(lambda x: layer(x, x, use_causal_mask=True))(Q), layer(Q, Q, use_causal_mask=True))
