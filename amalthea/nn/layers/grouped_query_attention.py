"""GroupQueryAttention: multi-head attention in which several query heads share one head of keys and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn.arguments import whole_number
from amalthea.nn.layers.projected_attention import ProjectedAttention, Shape
from amalthea.nn.objects import public


@public("keras.layers.GroupQueryAttention")
class GroupedQueryAttention(ProjectedAttention):
    """Grouped-query attention (Ainslie et al., 2023, https://arxiv.org/abs/2305.13245).

    As multi-head attention, but keys and values have fewer heads, each shared by a group of query heads: one such head
    is multi-query attention, as many as the query has is multi-head attention.

    Args:
        head_dim: width of a head.
        num_query_heads: number of heads of the query.
        num_key_value_heads: number of heads of key and value; must divide num_query_heads.
        dropout: fraction of the attention weights to drop in training.
        use_bias: whether the projections have biases.
        sliding_window: let each position see only those less than this many away.
        flash_attention: ask for a fused kernel, where the backend has one.
        use_gate: multiply the result by a learned sigmoid gate of the query (https://arxiv.org/abs/2505.06708).
        seed: seed of the dropout.

    Call arguments: those of `MultiHeadAttention`; query (B, T, features), value and key (B, S, features).

    >>> import amalthea as am
    >>> x = am.ops.ones((2, 5, 8))
    >>> am.layers.GroupQueryAttention(head_dim=4, num_query_heads=4, num_key_value_heads=2)(x, x).shape
    (2, 5, 8)
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        where = type(self).__name__
        whole_number(head_dim, where, "head_dim")
        whole_number(num_query_heads, where, "num_query_heads")
        whole_number(num_key_value_heads, where, "num_key_value_heads")
        if num_query_heads % num_key_value_heads:
            fail(
                ArgumentError,
                "`num_query_heads` must be divisible by `num_key_value_heads`",
                where=where,
                received=f"num_query_heads={num_query_heads}, num_key_value_heads={num_key_value_heads}",
                fix=f"use a multiple of {num_key_value_heads} query heads",
            )
        settings = {
            "kernel_initializer": kernel_initializer,
            "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer,
            "bias_regularizer": bias_regularizer,
            "activity_regularizer": activity_regularizer,
            "kernel_constraint": kernel_constraint,
            "bias_constraint": bias_constraint,
        }
        super().__init__(
            head_dim, dropout, use_bias, use_gate, sliding_window, flash_attention, settings, seed, **kwargs
        )
        self.head_dim = head_dim
        self.num_query_heads = num_query_heads
        self.num_key_value_heads = num_key_value_heads
        self.num_repeats = num_query_heads // num_key_value_heads

    def build(  # type: ignore[override]
        self,
        query_shape: Sequence[int | None],
        value_shape: Sequence[int | None],
        key_shape: Sequence[int | None] | None = None,
    ) -> None:
        """Make and build the projections."""
        key_shape = value_shape if key_shape is None else key_shape
        self._check_shapes(query_shape, value_shape, key_shape)
        many, few, width = self.num_query_heads, self.num_key_value_heads, self.head_dim
        self.feature_dim = query_shape[-1]
        self._query_dense = self._project("query", "bqm,muh->bquh", (None, many, width), "uh")
        self._query_dense.build(tuple(query_shape))
        self._key_dense = self._project("key", "bkm,mvh->bkvh", (None, few, width), "vh")
        self._key_dense.build(tuple(key_shape))
        if self._use_gate:
            self._gate_dense = self._project("gate", "bqm,muh->bquh", (None, many, width), "uh", activation="sigmoid")
            self._gate_dense.build(tuple(query_shape))
        self._value_dense = self._project("value", "bkm,mvh->bkvh", (None, few, width), "vh")
        self._value_dense.build(tuple(value_shape))
        self._build_attention(("bkuh,bquh->buqk", "buqk,bkuh->bquh"), 1)
        self._output_dense = self._project("attention_output", "bquh,uhm->bqm", (None, self.feature_dim), "m")
        self._output_dense.build((*query_shape[:-1], many, width))
        self.built = True

    def _spread(self, x: Tensor) -> Tensor:
        return ops.repeat(x, self.num_repeats, axis=2)

    def _scores_shape(self, query: Shape, key: Shape) -> Shape:
        return (query[0], self.num_query_heads, query[1], key[1])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values."""
        return {
            **super().get_config(),
            "head_dim": self.head_dim,
            "num_query_heads": self.num_query_heads,
            "num_key_value_heads": self.num_key_value_heads,
        }
