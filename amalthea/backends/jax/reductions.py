"""JAX kernels of the reductions and cumulative ops; half-precision sums are accumulated in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

Axis = tuple[int, ...]


def _is_half(x: Any) -> bool:
    return x.dtype.itemsize == 2 and x.dtype.kind not in "iu"


def _accumulated(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, axis: Axis, keepdims: bool) -> Any:
        return function(x, axis=axis, keepdims=keepdims, dtype=jnp.float32 if _is_half(x) else x.dtype).astype(x.dtype)

    return run


def max(x: Any, axis: Axis, keepdims: bool, initial: float | None) -> Any:
    """The greatest element over the axes, and of `initial` where given."""
    return jnp.max(x, axis=axis, keepdims=keepdims, initial=initial)


def min(x: Any, axis: Axis, keepdims: bool, initial: float | None) -> Any:
    """The least element over the axes, and of `initial` where given."""
    return jnp.min(x, axis=axis, keepdims=keepdims, initial=initial)


def argmax(x: Any, axis: int | None, keepdims: bool) -> Any:
    """The int32 index of the first greatest element."""
    return jnp.argmax(x, axis=axis, keepdims=keepdims).astype(jnp.int32)


def argmin(x: Any, axis: int | None, keepdims: bool) -> Any:
    """The int32 index of the first least element."""
    return jnp.argmin(x, axis=axis, keepdims=keepdims).astype(jnp.int32)


def cumulative_sum(x: Any, axis: int) -> Any:
    """Running sums along an axis, in x's own dtype."""
    return jnp.cumsum(x, axis=axis, dtype=jnp.float32 if _is_half(x) else x.dtype).astype(x.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    "sum": _accumulated(jnp.sum),
    "prod": _accumulated(jnp.prod),
    "max": max,
    "min": min,
    "argmax": argmax,
    "argmin": argmin,
    "cumulative_sum": cumulative_sum,
}
