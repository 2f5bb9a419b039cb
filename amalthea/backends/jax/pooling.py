"""JAX kernels of the pooling primitives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from amalthea.backends.numpy.convolution import positions
from amalthea.backends.numpy.pooling import lowest

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def _padded(x: Any, padding: Sequence[tuple[int, int]], value: float = 0) -> Any:
    edges = [(0, 0, 0), *((lo, hi, 0) for lo, hi in padding), (0, 0, 0)]
    return lax.pad(x, jnp.asarray(value, x.dtype), edges)


def _summed(dtype: np.dtype) -> Any:
    """The dtype in which numbers of a dtype are added: XLA adds no bools, whose sum is whether there is a True."""
    return jnp.int32 if dtype.kind == "b" else dtype


def max_pooling(x: Any, *, size: Ints, strides: Ints, padding: Pairs) -> Any:
    """The greatest element of each window; NaN if there is one."""
    x = _padded(x, padding, lowest(x.dtype))
    return lax.reduce_window(
        x, jnp.asarray(lowest(x.dtype), x.dtype), lax.max, (1, *size, 1), (1, *strides, 1), "VALID"
    )


def max_pooling_gradient(x: Any, g: Any, *, size: Ints, strides: Ints, padding: Pairs) -> Any:
    """The gradient of each window at its first greatest element."""
    best = max_pooling(x, size=size, strides=strides, padding=padding)
    x = _padded(x, padding, lowest(x.dtype))
    spread, left = jnp.zeros(x.shape, _summed(g.dtype)), jnp.ones(g.shape, bool)
    for _, where in positions(size, g.shape[1:-1], strides, (1,) * len(size)):
        here = left & ((x[where] == best) | (best != best))
        spread = spread.at[where].add(jnp.where(here, g, 0))
        left &= ~here
    return _padded(spread, [(-lo, -hi) for lo, hi in padding]).astype(g.dtype)


def extract_windows(x: Any, *, size: Ints, strides: Ints) -> Any:
    """All windows: (batch, *places, *size, channels)."""
    places = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], size, strides, strict=True)]
    views = [x[where] for _, where in positions(size, places, strides, (1,) * len(size))]
    n = len(size)
    return jnp.stack(views, axis=1 + n).reshape(x.shape[0], *places, *size, x.shape[-1])


def overlap_add(x: Any, *, input_size: Ints, size: Ints, strides: Ints) -> Any:
    """The transpose of `extract_windows`: windows are added where they lie."""
    n = len(size)
    out = jnp.zeros((x.shape[0], *input_size, x.shape[-1]), _summed(x.dtype))
    for index, where in positions(size, x.shape[1 : 1 + n], strides, (1,) * n):
        out = out.at[where].add(x[(slice(None),) * (1 + n) + index])
    return out.astype(x.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    "max_pooling": max_pooling,
    "max_pooling_gradient": max_pooling_gradient,
    "extract_windows": extract_windows,
    "overlap_add": overlap_add,
}
