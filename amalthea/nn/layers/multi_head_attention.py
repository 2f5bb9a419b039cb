"""MultiHeadAttention: several attentions side by side, each on a learned projection."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from amalthea.nn.arguments import whole_number
from amalthea.nn.layers.projected_attention import ProjectedAttention, Shape
from amalthea.nn.objects import public


def _projection(free: int, bound: int, made: int) -> tuple[str, str]:
    """The einsum equation of a projection that keeps `free` axes, sums over `bound` and makes `made`; its bias axes."""
    letters = string.ascii_lowercase
    kept, summed = letters[:free], letters[free : free + bound]
    new = letters[free + bound : free + bound + made]
    return f"{kept}{summed},{summed}{new}->{kept}{new}", new


def _attention_equations(rank: int, axes: tuple[int, ...]) -> tuple[str, str]:
    """The einsum equations of the scores (from key and query) and of the output (from scores and value).

    Query, key and value have `rank` axes, of which the last two are heads and channels; `axes` are attended over.
    """
    target = string.ascii_lowercase[:rank]
    others = iter(string.ascii_lowercase[rank:])
    source = "".join(next(others) if i in axes else target[i] for i in range(rank))
    batch = "".join(target[i] for i in range(rank - 1) if i not in axes)
    scores = batch + "".join(target[i] for i in axes) + "".join(source[i] for i in axes)
    return f"{source},{target}->{scores}", f"{scores},{source}->{target}"


@public("keras.layers.MultiHeadAttention")
class MultiHeadAttention(ProjectedAttention):
    """Multi-head attention (Vaswani et al., 2017, https://arxiv.org/abs/1706.03762).

    Query, key and value are projected to `num_heads` heads; in each, every position of the query takes the mean of the
    values, weighted by softmax(query . key / sqrt(key_dim)); the heads are projected back.

    Args:
        num_heads: number of heads.
        key_dim: width of a head's query and key.
        value_dim: width of a head's value; default: key_dim.
        dropout: fraction of the attention weights to drop in training.
        use_bias: whether the projections have biases.
        output_shape: shape of the output after the positions; default: the width of the query.
        attention_axes: axes of the inputs to attend over; default: all but the batch and the last.
        sliding_window: let each position see only those less than this many away.
        flash_attention: ask for a fused kernel, where the backend has one.
        use_gate: multiply the result by a learned sigmoid gate of the query (https://arxiv.org/abs/2505.06708).
        seed: seed of the dropout.

    Call arguments:
        query (B, T, ...), value (B, S, ...), key (default: value).
        query_mask, value_mask, key_mask: masks of positions, by default those attached to the inputs.
        attention_mask (B, T, S): True where a position of the query may see one of the value.
        return_attention_scores: return (output, weights (B, heads, T, S)).
        use_causal_mask: let each position see itself and earlier ones only.

    >>> import amalthea as am
    >>> x = am.ops.ones((2, 5, 8))
    >>> am.layers.MultiHeadAttention(num_heads=2, key_dim=4)(x, x, use_causal_mask=True).shape
    (2, 5, 8)
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
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
        whole_number(num_heads, where, "num_heads")
        whole_number(key_dim, where, "key_dim")
        if value_dim is not None:
            whole_number(value_dim, where, "value_dim")
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
            key_dim, dropout, use_bias, use_gate, sliding_window, flash_attention, settings, seed, **kwargs
        )
        self._num_heads = num_heads
        self._key_dim = key_dim
        self._value_dim = value_dim or key_dim
        self._output_shape = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape or ()) or None
        axes = (attention_axes,) if isinstance(attention_axes, int) else attention_axes
        self._attention_axes = None if axes is None else tuple(axes)

    num_heads = property(lambda self: self._num_heads, doc="The number of heads.")
    key_dim = property(lambda self: self._key_dim, doc="The width of a head's query and key.")
    value_dim = property(lambda self: self._value_dim, doc="The width of a head's value.")
    dropout = property(lambda self: self._dropout, doc="The fraction of attention weights dropped in training.")
    use_bias = property(lambda self: self._use_bias, doc="Whether the projections have biases.")
    attention_axes = property(lambda self: self._attention_axes, doc="The axes attended over.")
    query_dense = property(lambda self: self._query_dense, doc="The projection of the query.")
    key_dense = property(lambda self: self._key_dense, doc="The projection of the key.")
    value_dense = property(lambda self: self._value_dense, doc="The projection of the value.")
    output_dense = property(lambda self: self._output_dense, doc="The projection of the result.")

    def build(  # type: ignore[override]
        self,
        query_shape: Sequence[int | None],
        value_shape: Sequence[int | None],
        key_shape: Sequence[int | None] | None = None,
    ) -> None:
        """Make and build the projections."""
        key_shape = value_shape if key_shape is None else key_shape
        self._check_shapes(query_shape, value_shape, key_shape)

        def heads(name: str, shape: Sequence[int | None], width: int, **kwargs: Any) -> Any:
            equation, bias = _projection(len(shape) - 1, 1, 2)
            sizes = [None] * (len(shape) - 2) + [self._num_heads, width]
            dense = self._project(name, equation, sizes, bias, **kwargs)
            dense.build(tuple(shape))
            return dense

        self._query_dense = heads("query", query_shape, self._key_dim)
        self._key_dense = heads("key", key_shape, self._key_dim)
        if self._use_gate:
            self._gate_dense = heads("gate", query_shape, self._value_dim, activation="sigmoid")
        self._value_dense = heads("value", value_shape, self._value_dim)
        rank = len(value_shape) + 1  # of the projected value
        if self._attention_axes is None:
            self._attention_axes = tuple(range(1, rank - 2))
        else:
            self._attention_axes = tuple(a if a >= 0 else a + rank - 1 for a in self._attention_axes)
        self._build_attention(_attention_equations(rank, self._attention_axes), len(self._attention_axes))
        made = self._output_shape or (query_shape[-1],)
        equation, bias = _projection(len(query_shape) - 1, 2, len(made))
        sizes = [None] * (len(query_shape) - 2) + list(made)
        self._output_dense = self._project("attention_output", equation, sizes, bias)
        self._output_dense.build((*query_shape[:-1], self._num_heads, self._value_dim))
        self.built = True

    def compute_output_shape(
        self,
        query_shape: Sequence[int | None],
        value_shape: Sequence[int | None],
        key_shape: Sequence[int | None] | None = None,
    ) -> Shape:
        """The output shape for the shapes of query, value and key; unknown sizes are None."""
        shape = super().compute_output_shape(query_shape, value_shape, key_shape)
        return shape[:-1] + self._output_shape if self._output_shape else shape

    def _scores_shape(self, query: Shape, key: Shape) -> Shape:
        rank = len(query)
        axes = self._attention_axes if self._attention_axes is not None else tuple(range(1, rank - 1))
        axes = tuple(a if a >= 0 else a + rank for a in axes)
        batch = tuple(size for i, size in enumerate(query[:-1]) if i not in axes)
        return (*batch, self._num_heads, *(query[a] for a in axes), *(key[a] for a in axes))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values."""
        return {
            **super().get_config(),
            "num_heads": self._num_heads,
            "key_dim": self._key_dim,
            "value_dim": self._value_dim,
            "output_shape": self._output_shape,
            "attention_axes": self._attention_axes,
        }
