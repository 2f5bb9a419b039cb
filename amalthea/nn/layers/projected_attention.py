"""Base of the attention layers that project query, key and value to heads: multi-head and grouped-query attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.errors import ShapeError, fail
from amalthea.core.tensor import KerasTensor, Tensor
from amalthea.nn.layer import Layer
from amalthea.nn.layers.attention_masks import causal_mask, check_flash, check_window, merged_mask, without_masks
from amalthea.nn.layers.dropout import Dropout
from amalthea.nn.layers.einsum_dense import EinsumDense
from amalthea.nn.layers.settings import keep, written
from amalthea.nn.layers.sliding import known
from amalthea.nn.layers.softmax import Softmax

Shape = tuple[int | None, ...]
_SETTINGS = (
    "kernel_initializer",
    "bias_initializer",
    "kernel_regularizer",
    "bias_regularizer",
    "activity_regularizer",
    "kernel_constraint",
    "bias_constraint",
)


class ProjectedAttention(Layer):
    """Attention between learned projections (not for direct use).

    A subclass makes the projections `_query_dense`, `_key_dense`, `_value_dense`, `_output_dense` (and `_gate_dense`)
    in `build`, calls `_build_attention` there, and may change keys and values in `_spread`.
    """

    _query_dense: EinsumDense
    _key_dense: EinsumDense
    _value_dense: EinsumDense
    _output_dense: EinsumDense
    _gate_dense: EinsumDense

    def __init__(
        self,
        head_size: int,
        dropout: float,
        use_bias: bool,
        use_gate: bool,
        sliding_window: int | None,
        flash_attention: bool | None,
        settings: dict[str, Any],
        seed: int | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        where = type(self).__name__
        check_window(sliding_window, where)
        check_flash(flash_attention, dropout, False, where)
        self.supports_masking = True
        self._dropout = dropout
        self._use_bias = use_bias
        self._use_gate = use_gate
        self._sliding_window = sliding_window
        self._flash_attention = flash_attention
        self._scale = 1.0 / math.sqrt(head_size)
        self.seed = seed
        # The penalty on activity is one of the projections, not of the result, which it would count twice.
        keep(self, **{f"_{name}": value for name, value in settings.items()})

    def _project(self, name: str, equation: str, shape: Sequence[int | None], bias: str, **kwargs: Any) -> EinsumDense:
        """A projection with the layer's initializers, regularizers and constraints."""
        settings = {setting: getattr(self, f"_{setting}") for setting in _SETTINGS}
        for setting in ("kernel_initializer", "bias_initializer"):  # each its own, so that random ones differ
            if hasattr(settings[setting], "get_config"):
                settings[setting] = type(settings[setting]).from_config(settings[setting].get_config())
        return EinsumDense(
            equation,
            output_shape=tuple(shape),
            bias_axes=bias if self._use_bias else None,
            name=name,
            dtype=self.dtype_policy,
            **settings,
            **kwargs,
        )

    def _build_attention(self, equations: tuple[str, str], axes: int) -> None:
        """Keep the einsum equations of scores and output; `axes` is how many axes of positions are attended over."""
        self._scores_equation, self._output_equation = equations
        self._position_axes = axes
        self._softmax = Softmax(axis=tuple(range(-axes, 0)), dtype=self.dtype_policy)
        self._dropout_layer = Dropout(self._dropout, dtype=self.dtype_policy, seed=self.seed)

    def _spread(self, x: Tensor) -> Tensor:
        """Keys or values with as many heads as the query has."""
        return x

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """Attend from `query` to `value`; see the class for the arguments."""
        key = value if key is None else key
        self._check_shapes(query.shape, value.shape, key.shape)
        check_flash(self._flash_attention, 0.0, return_attention_scores, type(self).__name__)
        given = (query_mask, value_mask, key_mask, attention_mask, self._sliding_window)
        overridden = type(self)._compute_attention is not ProjectedAttention._compute_attention
        causal_only = use_causal_mask and not overridden and all(mask is None for mask in given)
        with without_masks(query, value, key):
            mask = None
            if not causal_only:
                mask = merged_mask(
                    query,
                    value,
                    query_mask,
                    value_mask,
                    key_mask,
                    attention_mask,
                    use_causal_mask,
                    self._sliding_window,
                )
            gate = self._gate_dense(query) if self._use_gate else None
            extra = {"use_causal_mask": True} if causal_only else {}
            output, scores = self._compute_attention(
                self._query_dense(query),
                self._spread(self._key_dense(key)),
                self._spread(self._value_dense(value)),
                mask,
                training,
                return_attention_scores,
                **extra,
            )
            output = self._output_dense(output if gate is None else ops.multiply(output, gate))
        return (output, scores) if return_attention_scores else output

    def _compute_attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """(result (B, T, heads, width), weights or None) from projected query, key and value; may be overridden."""
        axis = -2 * self._position_axes - 1  # where the axis of the heads goes in a mask (B, T, S)
        if self._dropout == 0 and not return_attention_scores and query.ndim == 4:
            while attention_mask is not None and attention_mask.ndim < 4:
                attention_mask = ops.expand_dims(attention_mask, axis)
            output = ops.dot_product_attention(
                query,
                key,
                value,
                mask=attention_mask,
                scale=self._scale,
                is_causal=use_causal_mask,
                flash_attention=self._flash_attention,
            )
            return output, None
        if use_causal_mask:
            attention_mask = causal_mask(query, value)
        scores = ops.einsum(self._scores_equation, key, query * self._scale)
        while attention_mask is not None and attention_mask.ndim < scores.ndim:
            attention_mask = ops.expand_dims(attention_mask, axis)
        scores = self._softmax(scores, mask=attention_mask)
        dropped = self._dropout_layer(scores, training=training) if self._dropout > 0 else scores
        return ops.einsum(self._output_equation, dropped, value), scores

    # Shapes

    def _check_shapes(
        self, query: Sequence[int | None], value: Sequence[int | None], key: Sequence[int | None]
    ) -> None:
        """Refuse inputs that do not go together, or not with the projections that were built."""
        query, value, key = known(query), known(value), known(key)
        where, received = type(self).__name__, f"query {query}, value {value}, key {key}"
        for name, shape in (("query", query), ("value", value), ("key", key)):
            if len(shape) < 3:
                fail(
                    ShapeError,
                    f"the {name} must have at least 3 axes (batch, positions, features)",
                    where=where,
                    received=received,
                    fix="add the axis of the positions, for example with `ops.expand_dims(x, 1)`",
                )
            if None not in (shape[0], query[0]) and shape[0] != query[0]:
                fail(
                    ShapeError,
                    f"the query has a batch of {query[0]} and the {name} one of {shape[0]}",
                    where=where,
                    received=received,
                    fix="pass the same number of samples in all of them",
                )
            dense = getattr(self, f"_{name}_dense", None)
            if dense is not None and dense.built and shape[-1] is not None:
                expected = dense.kernel.shape[0]
                if shape[-1] != expected:
                    fail(
                        ShapeError,
                        f"the {name} has {shape[-1]} features and the layer was built for {expected}",
                        where=where,
                        received=received,
                        fix=f"pass a {name} (..., {expected}), or make a new layer for this one",
                    )
        if len(value) != len(key) or any(
            a is not None and b is not None and a != b for a, b in zip(value[1:-1], key[1:-1], strict=True)
        ):
            fail(
                ShapeError,
                "the key and the value must have the same positions",
                where=where,
                received=received,
                fix="pass a key for every value, or leave `key` out to use the value as key",
            )

    def compute_output_shape(
        self,
        query_shape: Sequence[int | None],
        value_shape: Sequence[int | None],
        key_shape: Sequence[int | None] | None = None,
    ) -> Shape:
        """The output shape for the shapes of query, value and key; unknown sizes are None."""
        self._check_shapes(query_shape, value_shape, value_shape if key_shape is None else key_shape)
        return tuple(query_shape)

    def _scores_shape(self, query: Shape, key: Shape) -> Shape:
        raise NotImplementedError

    def compute_output_spec(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """The output (and the weights, if asked for) of symbolic inputs, as symbolic tensors."""
        key = value if key is None else key
        shape = self.compute_output_shape(query.shape, value.shape, key.shape)
        output = KerasTensor(shape, self.compute_dtype)
        if not return_attention_scores:
            return output
        scores = self._scores_shape(known(query.shape), known(key.shape))
        return output, KerasTensor(scores, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values."""
        settings = written(self, *(f"_{name}" for name in _SETTINGS))
        return {
            **super().get_config(),
            "dropout": self._dropout,
            "use_bias": self._use_bias,
            "use_gate": self._use_gate,
            "sliding_window": self._sliding_window,
            **{name.removeprefix("_"): value for name, value in settings.items()},
            "seed": self.seed,
        }
