"""JAX kernels of the ops that move elements without computing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax

from amalthea.core import dtypes

Ints = tuple[int, ...]


def constant_pad(x: Any, low: Ints, high: Ints, interior: Ints, value: float) -> Any:
    """`low` and `high` elements before and after each axis, and `interior` ones between any two elements."""
    return lax.pad(x, jnp.asarray(value, x.dtype), list(zip(low, high, interior, strict=True)))


def strided_slice(x: Any, start: Ints, stop: Ints, strides: Ints) -> Any:
    """x[start:stop:strides] on every axis."""
    return x[tuple(map(slice, start, stop, strides))]


KERNELS: dict[str, Callable[..., Any]] = {
    "reshape": lambda x, newshape: jnp.reshape(x, newshape),
    "transpose": lambda x, axes: jnp.transpose(x, axes),
    "broadcast_to": lambda x, shape: jnp.broadcast_to(x, shape),
    "concatenate": lambda *xs, axis: jnp.concatenate(xs, axis=axis),
    "constant_pad": constant_pad,
    "flip": lambda x, axis: jnp.flip(x, axis),
    "strided_slice": strided_slice,
    "iota": lambda size, dtype: jnp.arange(size).astype(dtypes.to_numpy(dtype)),
}
