"""JAX kernels of sorting and searching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

KERNELS: dict[str, Callable[..., Any]] = {
    "argsort": lambda x, axis: jnp.argsort(x, axis=axis, stable=True).astype(jnp.int32),
    "searchsorted": lambda sorted_sequence, values, side: jnp.searchsorted(sorted_sequence, values, side=side).astype(
        jnp.int32
    ),
}
