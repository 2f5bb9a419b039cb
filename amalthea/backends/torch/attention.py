"""Kernels of attention and its gradient: torch's flash attention where there is no mask, else the matrix of scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from amalthea.backends.torch.types import HALF

_HIDDEN = -0.7 * torch.finfo(torch.float32).max
"""The logit of a key that a query may not look at, as in `ops.dot_product_attention`."""

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default


def _flash(query: Any, key: Any, value: Any, mask: Any) -> bool:
    """Whether torch's flash attention for processors computes this."""
    same = query.shape[3] == key.shape[3] == value.shape[3] and query.shape[2] == key.shape[2] == value.shape[2]
    whole = all(x.numel() for x in (query, key, value))
    return mask is None and same and whole and query.device.type == "cpu"


def _heads_first(*tensors: Any) -> list[Any]:
    # Flash attention takes for granted that the numbers of a head lie one after the other.
    return [(x if x.stride(-1) == 1 else x.contiguous()).transpose(1, 2) for x in tensors]


def _logits(query: Any, key: Any, mask: Any, scale: float, is_causal: bool) -> tuple[Any, Any]:
    """The logits in at least float32, and where queries see keys (None: everywhere)."""
    logits = torch.matmul(query.transpose(1, 2), key.permute(0, 2, 3, 1))
    logits = (logits.float() if logits.dtype in HALF else logits) * scale
    seen = None
    if mask is not None:
        mask = mask.transpose(2, 3)
        if mask.dtype == torch.bool:
            seen = mask
        else:
            logits = logits + mask.to(logits.dtype)
    if is_causal:
        causal = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
        seen = causal if seen is None else seen & causal
    return (logits if seen is None else torch.where(seen, logits, _HIDDEN)), seen


def attention(
    query: Any, key: Any, value: Any, mask: Any = None, scale: float = 1.0, is_causal: bool = False
) -> tuple[Any, Any]:
    """The result, and the logarithm of the sum of exp(logit) for each query."""
    if _flash(query, key, value, mask):
        made, log_sum = _forward(*_heads_first(query, key, value), 0.0, is_causal, scale=scale)
        return made.transpose(1, 2), log_sum
    logits, _ = _logits(query, key, mask, scale, is_causal)
    weights = torch.softmax(logits, -1).to(query.dtype)
    return torch.matmul(weights, value.transpose(1, 2)).transpose(1, 2), torch.logsumexp(logits, -1)


def attention_gradient(
    g: Any,
    g_sum: Any,
    query: Any,
    key: Any,
    value: Any,
    result: Any,
    log_sum: Any,
    mask: Any = None,
    scale: float = 1.0,
    is_causal: bool = False,
) -> tuple[Any, Any, Any]:
    """The gradients of query, key and value. Without one for the sums they come from flash attention."""
    if _flash(query, key, value, mask) and (g_sum is None or not g_sum.any()):
        heads = _heads_first(g, query, key, value, result)
        found = _backward(*heads, log_sum, 0.0, is_causal, scale=scale)
        made = [x.transpose(1, 2) for x in found]
        return made[0], made[1], made[2]
    kind = query.dtype
    logits, seen = _logits(query, key, mask, scale, is_causal)
    weights = torch.softmax(logits, -1)
    dots = weights * torch.matmul(g.transpose(1, 2), value.permute(0, 2, 3, 1)).to(weights.dtype)
    total = dots.sum(-1, keepdim=True)
    changes = dots - weights * (total if g_sum is None else total - g_sum[..., None])
    changes = ((changes if seen is None else torch.where(seen, changes, 0.0)) * scale).to(kind)
    of_query = torch.matmul(changes, key.transpose(1, 2)).transpose(1, 2)
    of_key = torch.matmul(changes.transpose(2, 3), query.transpose(1, 2)).transpose(1, 2)
    of_value = torch.matmul(weights.to(kind).transpose(2, 3), g.transpose(1, 2)).transpose(1, 2)
    return of_query, of_key, of_value


KERNELS: dict[str, Callable[..., Any]] = {"attention": attention, "attention_gradient": attention_gradient}
