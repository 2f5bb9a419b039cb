"""What the attention layers share: masks over pairs of positions, and attention with the scores kept.

Shapes: B is the batch, T the positions of the query, S those of the key and value, N the heads.
"""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Tensor


def positions(x: Tensor) -> Tensor:
    """The numbers of the positions of x (B, T, ...), shape (1, T)."""
    row = x[(slice(0, 1), slice(None)) + (0,) * (x.ndim - 2)]
    return ops.cumsum(ops.ones_like(row, dtype="int32"), axis=1)


def causal_mask(query: Tensor, value: Tensor) -> Tensor:
    """A mask (1, T, S) that lets each position see itself and earlier ones."""
    return ops.greater_equal(ops.expand_dims(positions(query), 2), ops.expand_dims(positions(value), 1))


def window_mask(query: Tensor, value: Tensor, window: int) -> Tensor:
    """A mask (1, T, S) that lets each position see those less than `window` away."""
    distance = ops.expand_dims(positions(query), 2) - ops.expand_dims(positions(value), 1)
    return ops.less(ops.abs(distance), window)


def merged_mask(
    query: Tensor,
    value: Tensor,
    query_mask: Any,
    value_mask: Any,
    key_mask: Any,
    attention_mask: Any,
    causal: bool,
    window: int | None,
) -> Tensor | None:
    """All masks combined, (B, T, S): True where a position of the query may see one of the value. None without any."""
    masks = []
    if query_mask is not None:
        masks.append(ops.expand_dims(ops.cast(query_mask, "bool"), -1))
    for mask in (value_mask, key_mask):
        if mask is not None:
            masks.append(ops.expand_dims(ops.cast(mask, "bool"), -2))
    if causal:
        masks.append(causal_mask(query, value))
    if window is not None:
        masks.append(window_mask(query, value, window))
    if attention_mask is not None:
        masks.append(ops.cast(attention_mask, "bool"))
    merged = None
    for mask in masks:
        merged = mask if merged is None else ops.logical_and(merged, mask)
    return merged


def check_window(window: Any, where: str) -> None:
    """Refuse a sliding window that is neither None nor a positive integer."""
    if window is not None and (not isinstance(window, int) or window <= 0):
        fail(
            ArgumentError,
            "`sliding_window` must be None or an integer greater than 0",
            where=where,
            received=f"sliding_window={window!r}",
            fix="leave it out for attention to all positions",
        )


def check_flash(flash: Any, dropout: float, scores: bool, where: str) -> None:
    """Refuse what flash attention cannot give: dropout and the scores."""
    if flash and (dropout > 0 or scores):
        what = "dropout" if dropout > 0 else "the attention scores"
        fail(
            ArgumentError,
            f"flash attention never makes the table of scores, so it cannot give {what}",
            where=where,
            received=f"flash_attention=True, dropout={dropout}, return_attention_scores={scores}",
            fix="leave `flash_attention` out",
        )


class without_masks:
    """While inside, the tensors carry no `_keras_mask`, so that inner layers do not apply or warn of them again."""

    def __init__(self, *tensors: Any) -> None:
        self.kept = [(x, x._keras_mask) for x in tensors if getattr(x, "_keras_mask", None) is not None]

    def __enter__(self) -> None:
        for x, _ in self.kept:
            x._keras_mask = None

    def __exit__(self, *_: Any) -> None:
        for x, mask in self.kept:
            x._keras_mask = mask
