"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.op import composite, export
from amalthea.core.tensor import Tensor
from amalthea.ops.activations import softmax
from amalthea.ops.arranging import repeat
from amalthea.ops.comparison import logical_and
from amalthea.ops.contractions import contract
from amalthea.ops.core_ops import cast
from amalthea.ops.creation import arange
from amalthea.ops.elementwise import absolute
from amalthea.ops.samples import values
from amalthea.ops.selection import where
from amalthea.ops.shaping import reshape
from amalthea.ops.specs import show


def _samples() -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    q, k, v = values(2, 3, 2, 4), values(2, 5, 2, 4, seed=1), values(2, 5, 2, 4, seed=2)
    mask = np.arange(2 * 3 * 5).reshape(2, 1, 3, 5) % 4 != 1
    return [
        ((q, k, v), {}),
        ((q, k, v), {"mask": mask, "bias": values(1, 2, 3, 5, seed=3), "scale": 0.3}),
        ((q, k[:, :, :1], v[:, :, :1]), {"is_causal": True}),
    ]


@composite(samples=_samples)
def dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Tensor:
    """softmax(query key^T * scale + bias) value, for each head.

    Args:
        query: `(batch, queries, heads, size)`.
        key: `(batch, keys, heads or a divisor of heads, size)`; with fewer heads each serves a group of query heads.
        value: `(batch, keys, heads as for key, size)`.
        bias: What is added to the logits; it broadcasts with `(batch, heads, queries, keys)`.
        mask: Where a query may look at a key: bools that broadcast with `(batch, heads, queries, keys)`.
        scale: What the products are multiplied by; None: 1 / sqrt(size).
        is_causal: Whether query i looks at keys 0 to i only.
        flash_attention: Accepted as a hint; the result does not depend on it.
        attn_logits_soft_cap: With a number c, the logits become logits / (1 + |logits| / c), which stays within c.

    Returns:
        A tensor `(batch, queries, heads, size)` of the common dtype; the softmax is taken in at least float32
        (Vaswani et al. 2017, arXiv:1706.03762).

    Raises:
        ShapeError: If an argument does not have four axes, or the heads do not match.

    Example:

    >>> import amalthea as am
    >>> x = am.random.normal((2, 5, 4, 8), seed=0)
    >>> am.ops.dot_product_attention(x, x, x, is_causal=True).shape
    (2, 5, 4, 8)
    """
    del flash_attention
    received = f"query {show(query.shape)}, key {show(key.shape)}, value {show(value.shape)}"
    if not len(query.shape) == len(key.shape) == len(value.shape) == 4:
        fail(
            ShapeError, "query, key and value need four axes each", received=received, fix="(batch, time, heads, size)"
        )
    heads, shared, size = query.shape[2], key.shape[2], query.shape[3]
    if heads % shared or shared != value.shape[2]:
        fail(
            ShapeError,
            f"{heads} heads of queries do not divide over {shared} of keys and {value.shape[2]} of values",
            received=received,
            fix="give key and value the query's number of heads, or a divisor of it",
        )
    if attn_logits_soft_cap is not None and attn_logits_soft_cap <= 0:
        fail(ArgumentError, "the soft cap must be positive", received=f"attn_logits_soft_cap={attn_logits_soft_cap}")
    dtype = dtypes.result_type(query.dtype, key.dtype, value.dtype)
    wide = dtypes.result_type(dtype, "float32")
    query, key, value = cast(query, dtype), cast(key, dtype), cast(value, dtype)
    if shared != heads:
        key, value = (repeat(x, heads // shared, axis=2) for x in (key, value))
    logits = contract(query, key, subscripts="bqhd,bkhd->bhqk")
    logits = cast(logits, wide) * (1.0 / math.sqrt(size) if scale is None else scale)
    if bias is not None:
        logits = logits + cast(bias, wide)
    if attn_logits_soft_cap is not None:
        logits = logits / (1.0 + absolute(logits) / attn_logits_soft_cap)
    seen = None if mask is None else cast(mask, "bool")
    if is_causal:
        n, m = query.shape[1], key.shape[1]
        causal = reshape(arange(n, dtype="int32"), (n, 1)) >= reshape(arange(m, dtype="int32"), (1, m))
        seen = causal if seen is None else logical_and(seen, causal)
    if seen is not None:
        # not minus infinity: a query that may look at nothing gets the mean of all values, as in Keras, and no NaN
        logits = where(seen, logits, -0.7 * float(np.finfo(np.float32).max))
    weights = cast(softmax(logits, axis=-1), dtype)
    return contract(weights, value, subscripts="bhqk,bkhd->bqhd")


export(__name__)
