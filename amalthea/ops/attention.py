"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, DTypeError, ShapeError, fail
from amalthea.core.op import composite, export
from amalthea.core.tensor import Tensor
from amalthea.ops.activations import softmax
from amalthea.ops.arranging import repeat
from amalthea.ops.comparison import logical_and
from amalthea.ops.contractions import contract
from amalthea.ops.core_ops import cast, stop_gradient
from amalthea.ops.creation import arange
from amalthea.ops.elementary import exp, log
from amalthea.ops.elementwise import absolute
from amalthea.ops.reductions import max as reduce_max
from amalthea.ops.reductions import sum as reduce_sum
from amalthea.ops.samples import values
from amalthea.ops.selection import where
from amalthea.ops.shaping import expand_dims, reshape, squeeze, transpose
from amalthea.ops.specs import show

_HIDDEN = -0.7 * float(np.finfo(np.float32).max)
"""The logit of a key that a query may not look at. Not minus infinity: a query that may look at nothing gets the mean
of all values, as in Keras, and no NaN."""

_FEW = 16
"""Queries below which all scores are few, and are computed as such."""


def _few(query: Tensor, key: Tensor, value: Tensor) -> bool:
    sizes = (*query.shape, *key.shape, *value.shape)
    return query.shape[1] is not None and (query.shape[1] < _FEW or 0 in sizes)


def _check_dtypes(where: str, *tensors: Tensor) -> None:
    if len({x.dtype for x in tensors}) > 1 or not tensors[0].dtype.is_floating:
        received = ", ".join(x.dtype for x in tensors)
        fail(
            DTypeError, "query, key and value need one floating dtype", where=where, received=received, fix="cast them"
        )


def _hidden(logits: Tensor, seen: Tensor | None, is_causal: bool) -> tuple[Tensor, Tensor | None]:
    """The logits with those hidden that queries do not see, and where they see keys (None: everywhere)."""
    if is_causal:
        n, m = logits.shape[-2:]
        causal = reshape(arange(n, dtype="int32"), (n, 1)) >= reshape(arange(m, dtype="int32"), (1, m))
        seen = causal if seen is None else logical_and(seen, causal)
    return (logits if seen is None else where(seen, logits, _HIDDEN)), seen


def _logits(
    query: Tensor, key: Tensor, mask: Tensor | None, scale: float, is_causal: bool
) -> tuple[Tensor, Tensor | None]:
    """The logits `(batch, heads, queries, keys)` in at least float32, and where queries see keys (None: everywhere)."""
    wide = dtypes.result_type(query.dtype, "float32")
    logits = cast(contract(query, key, subscripts="bqhd,bkhd->bhqk"), wide) * scale
    if mask is None:
        return _hidden(logits, None, is_causal)
    mask = transpose(mask, (0, 1, 3, 2))
    if mask.dtype == "bool":
        return _hidden(logits, mask, is_causal)
    return _hidden(logits + cast(mask, wide), None, is_causal)


def _core_samples() -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    q, k, v = values(2, 3, 2, 4), values(2, 5, 2, 4, seed=1), values(2, 5, 2, 3, seed=2)
    mask = np.arange(2 * 3 * 5).reshape(2, 1, 5, 3) % 4 != 1
    return [
        ((q, k, v), {"scale": 0.5}),
        ((q, k, v, mask), {"scale": 0.3, "is_causal": True}),
        ((q, k, v, values(1, 2, 5, 3, seed=3)), {"scale": 1.0}),
    ]


def _core_gradient(g: Any, out: Any, *inputs: Tensor, scale: float, is_causal: bool = False) -> list[Tensor | None]:
    query, key, value, *mask = inputs
    arguments = (*g, query, key, value, *out, *mask)
    found: list[Tensor | None] = [*_attention_gradient(*arguments, scale=scale, is_causal=is_causal)]
    if mask and mask[0].dtype.is_floating:
        found.append(_bias_gradient(g[0], g[1], query, key, value, mask[0], scale, is_causal))
    return found + [None] * (len(inputs) - len(found))


@composite(samples=_core_samples, gradient=_core_gradient, name="attention")
def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    scale: float = 1.0,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor]:
    """What `dot_product_attention` computes, once its arguments are of one dtype and one number of heads.

    A backend may compute it without the matrix of all scores; then the other result is what it keeps for the gradient.

    Args:
        query: `(batch, queries, heads, size)`.
        key: `(batch, keys, heads, size)`.
        value: `(batch, keys, heads, width)`.
        mask: Bools, where queries see keys, or numbers to be added to the logits; it broadcasts with
            `(batch, heads, keys, queries)`.
        scale: What the products are multiplied by.
        is_causal: Whether query i looks at keys 0 to i only.

    Returns:
        The result `(batch, queries, heads, width)`, and the logarithm of the sum of exp(logit) for each query,
        `(batch, heads, queries)` in at least float32.
    """
    _check_dtypes("attention", query, key, value)
    logits, _ = _logits(query, key, mask, scale, is_causal)
    maximum = stop_gradient(reduce_max(logits, axis=-1, keepdims=True))
    exponentials = exp(logits - maximum)
    total = reduce_sum(exponentials, axis=-1, keepdims=True)
    weights = cast(exponentials / total, query.dtype)
    result = contract(weights, value, subscripts="bhqk,bkhd->bqhd")
    return result, squeeze(maximum + log(total), -1)


def _weights_and_changes(
    g: Tensor,
    g_sum: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scale: float,
    is_causal: bool,
) -> tuple[Tensor, Tensor]:
    """The softmax of the logits, and the gradient of the logits."""
    logits, seen = _logits(query, key, mask, scale, is_causal)
    weights = softmax(logits, axis=-1)
    dots = weights * cast(contract(g, value, subscripts="bqhd,bkhd->bhqk"), weights.dtype)
    changes = dots - weights * (reduce_sum(dots, axis=-1, keepdims=True) - expand_dims(g_sum, -1))
    return weights, (changes if seen is None else where(seen, changes, 0))


def _gradient_samples() -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    g, kept = values(2, 3, 2, 3, seed=4), values(2, 2, 3, seed=5)
    return [((g, kept, *args[:3], g, kept, *args[3:]), options) for args, options in _core_samples()]


@composite(samples=_gradient_samples, name="attention_gradient")
def _attention_gradient(
    g: Tensor,
    g_sum: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    result: Tensor,
    log_sum: Tensor,
    mask: Tensor | None = None,
    scale: float = 1.0,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of query, key and value, from those of the results of `attention`.

    Args:
        g, g_sum: The gradients of the results.
        query, key, value, mask, scale, is_causal: As for `attention`.
        result, log_sum: What `attention` gave. They follow from the rest, so no gradient goes through them.
    """
    del result, log_sum
    _check_dtypes("attention_gradient", query, key, value)
    weights, changes = _weights_and_changes(g, g_sum, query, key, value, mask, scale, is_causal)
    dtype = query.dtype
    changes = cast(changes * scale, dtype)
    return (
        contract(changes, key, subscripts="bhqk,bkhd->bqhd"),
        contract(changes, query, subscripts="bhqk,bqhd->bkhd"),
        contract(cast(weights, dtype), g, subscripts="bhqk,bqhd->bkhd"),
    )


def _bias_gradient(
    g: Tensor,
    g_sum: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    scale: float,
    is_causal: bool,
) -> Tensor:
    """The gradient of numbers that are added to the logits: this one is a matrix of all scores."""
    _, changes = _weights_and_changes(g, g_sum, query, key, value, mask, scale, is_causal)
    changes = transpose(changes, (0, 1, 3, 2))
    repeated = tuple(i for i, size in enumerate(mask.shape) if size == 1)
    return cast(reduce_sum(changes, axis=repeated, keepdims=True) if repeated else changes, mask.dtype)


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
    scale = float(1.0 / math.sqrt(size) if scale is None else scale)
    both = bias is not None and mask is not None
    if attn_logits_soft_cap is None and dtype.is_floating and not both and not _few(query, key, value):
        extra = cast(bias, wide) if bias is not None else None if mask is None else cast(mask, "bool")
        if extra is not None:
            extra = reshape(extra, (1,) * (4 - len(extra.shape)) + tuple(extra.shape))
            extra = transpose(extra, (0, 1, 3, 2))
        return _attention(query, key, value, extra, scale=scale, is_causal=bool(is_causal))[0]
    logits = cast(contract(query, key, subscripts="bqhd,bkhd->bhqk"), wide) * scale
    if bias is not None:
        logits = logits + cast(bias, wide)
    if attn_logits_soft_cap is not None:
        logits = logits / (1.0 + absolute(logits) / attn_logits_soft_cap)
    logits, _ = _hidden(logits, None if mask is None else cast(mask, "bool"), is_causal)
    weights = cast(softmax(logits, axis=-1), dtype)
    return contract(weights, value, subscripts="bhqk,bkhd->bqhd")


export(__name__)
