"""Attention and AdditiveAttention: attention between tensors as they are, without projections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.tensor import KerasTensor, Tensor
from amalthea.nn.layer import Layer
from amalthea.nn.layers.attention_masks import causal_mask
from amalthea.nn.layers.sliding import known
from amalthea.nn.objects import public
from amalthea.ops.random import SeedGenerator
from amalthea.ops.random import dropout as drop

Shape = tuple[int | None, ...]


@public("keras.layers.Attention")
class Attention(Layer):
    """Dot-product attention (Luong et al., 2015, https://arxiv.org/abs/1508.04025).

    Called on a list [query (B, T, dim), value (B, S, dim)] or [query, value, key (B, S, dim)]: every position of the
    query takes the mean of the values, weighted by the softmax of its scores with the keys.

    Args:
        use_scale: learn a factor of the scores.
        score_mode: "dot" (query . key) or "concat" (a learned factor times the sum of tanh(query + key)).
        dropout: fraction of the weights to drop in training.
        seed: seed of the dropout.

    Call arguments:
        mask: list [query mask (B, T), value mask (B, S)]; masked values get no weight, masked queries give zeros.
        return_attention_scores: return (output, weights (B, T, S)).
        use_causal_mask: let each position see itself and earlier ones only.

    >>> import amalthea as am
    >>> am.layers.Attention()([am.ops.ones((2, 3, 8)), am.ops.ones((2, 5, 8))]).shape
    (2, 3, 8)
    """

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if score_mode not in ("dot", "concat"):
            fail(
                ArgumentError,
                "`score_mode` must be 'dot' or 'concat'",
                where=type(self).__name__,
                received=f"score_mode={score_mode!r}",
                fix="leave it out for dot products",
            )
        self.use_scale = use_scale
        self.score_mode = score_mode
        self.dropout = dropout
        self.seed = seed
        self.scale: Any = None
        self.concat_score_weight: Any = None
        if dropout > 0:
            self.seed_generator = SeedGenerator(seed)

    def build(self, input_shape: Any) -> None:
        """Add the learned factors."""
        self._check_list(input_shape, "inputs")
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(name="concat_score_weight", shape=(), initializer="ones")
        self.built = True

    def _check_list(self, values: Any, name: str) -> None:
        if not isinstance(values, (list, tuple)) or len(values) not in (2, 3):
            parts = "[query, value] or [query, value, key]" if name == "inputs" else "[query_mask, value_mask]"
            shown = f"a list of {len(values)}" if isinstance(values, (list, tuple)) else type(values).__name__
            fail(
                ArgumentError,
                f"`{name}` must be a list {parts}",
                where=type(self).__name__,
                received=shown,
                fix=f"call the layer as layer([query, value]{', mask=[...]' if name == 'mask' else ''})",
            )

    def _check_shapes(self, shapes: Sequence[Sequence[int | None]]) -> None:
        query, value = known(shapes[0]), known(shapes[1])
        key = known(shapes[2]) if len(shapes) > 2 else value
        clash = None
        if min(len(query), len(value), len(key)) < 3:
            clash = "query, value and key must have 3 axes (batch, positions, features)"
        elif None not in (query[-1], key[-1]) and query[-1] != key[-1]:
            clash = f"the query has {query[-1]} features and the key {key[-1]}"
        elif None not in (value[-2], key[-2]) and value[-2] != key[-2]:
            clash = f"there are {value[-2]} values and {key[-2]} keys"
        if clash:
            fail(
                ShapeError,
                clash,
                where=type(self).__name__,
                received=f"query {query}, value {value}, key {key}",
                fix="pass query (batch, T, features), value (batch, S, ...) and key (batch, S, features)",
            )

    def _calculate_scores(self, query: Tensor, key: Tensor) -> Tensor:
        """The scores (B, T, S) of every position of the query with every key."""
        if self.score_mode == "dot":
            scores = ops.matmul(query, ops.swapaxes(key, -2, -1))
            return scores if self.scale is None else ops.multiply(scores, self.scale)
        both = ops.expand_dims(query, -2) + ops.expand_dims(key, -3)
        if self.scale is not None:
            both = ops.multiply(both, self.scale)
        return ops.multiply(ops.sum(ops.tanh(both), axis=-1), self.concat_score_weight)

    def _apply_scores(
        self, scores: Tensor, value: Tensor, scores_mask: Tensor | None = None, training: bool = False
    ) -> tuple[Tensor, Tensor]:
        """(output, weights) from scores and a mask that is False where a score must not count."""
        if scores_mask is not None:
            large = 65504.0 if scores.dtype == "float16" else 1e9
            scores = ops.where(scores_mask, scores, scores - large)
        weights = ops.softmax(scores, axis=-1)
        if training and self.dropout > 0:
            weights = drop(weights, self.dropout, seed=self.seed_generator)
        return ops.matmul(weights, value), weights

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """Attend from the query to the values; see the class for the arguments."""
        self._check_list(inputs, "inputs")
        self._check_shapes([x.shape for x in inputs])
        query, value = inputs[0], inputs[1]
        key = inputs[2] if len(inputs) > 2 else value
        query_mask = value_mask = None
        if mask is not None:
            self._check_list(mask, "mask")
            query_mask, value_mask = mask[0], mask[1]
        seen = causal_mask(query, value) if use_causal_mask else None
        if value_mask is not None:
            kept = ops.expand_dims(ops.cast(value_mask, "bool"), -2)
            seen = kept if seen is None else ops.logical_and(kept, seen)
        output, weights = self._apply_scores(self._calculate_scores(query, key), value, seen, training)
        if query_mask is not None:
            kept = ops.expand_dims(ops.cast(query_mask, "bool"), -1)
            output = ops.where(kept, output, ops.zeros_like(output))
        return (output, weights) if return_attention_scores else output

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the query."""
        return None if mask is None or not isinstance(mask, (list, tuple)) else mask[0]

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """The output shape for a list of the shapes of query, value (and key)."""
        self._check_list(input_shape, "inputs")
        self._check_shapes(input_shape)
        return (*input_shape[0][:-1], input_shape[1][-1])

    def compute_output_spec(
        self,
        inputs: Any,
        mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """The output (and the weights, if asked for) of symbolic inputs, as symbolic tensors."""
        self._check_list(inputs, "inputs")
        output = KerasTensor(self.compute_output_shape([x.shape for x in inputs]), self.compute_dtype)
        if not return_attention_scores:
            return output
        return output, KerasTensor((*inputs[0].shape[:-1], inputs[-1].shape[-2]), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values."""
        return {
            **super().get_config(),
            "use_scale": self.use_scale,
            "score_mode": self.score_mode,
            "dropout": self.dropout,
            "seed": self.seed,
        }


@public("keras.layers.AdditiveAttention")
class AdditiveAttention(Attention):
    """Additive attention (Bahdanau et al., 2014, https://arxiv.org/abs/1409.0473).

    As `Attention`, with the scores sum(scale * tanh(query + key)) over the features.

    Args:
        use_scale: learn the factor of each feature (`scale`); else it is 1.
        dropout: fraction of the weights to drop in training.

    >>> import amalthea as am
    >>> am.layers.AdditiveAttention()([am.ops.ones((2, 3, 8)), am.ops.ones((2, 5, 8))]).shape
    (2, 3, 8)
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Add the learned factors, one for each feature."""
        self._check_list(input_shape, "inputs")
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(input_shape[0][-1],), initializer="glorot_uniform")
        self.built = True

    def _calculate_scores(self, query: Tensor, key: Tensor) -> Tensor:
        terms = ops.tanh(ops.expand_dims(query, -2) + ops.expand_dims(key, -3))
        return ops.sum(terms if self.scale is None else ops.multiply(terms, self.scale), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values."""
        config = super().get_config()
        del config["score_mode"]
        return config
