"""JAX kernel of `contract`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jax import lax


def contract(x: Any, y: Any, *, subscripts: str) -> Any:
    """The product of two arrays, summed over the letters that the result does not have."""
    left, right, out = *subscripts.split("->")[0].split(","), subscripts.split("->")[1]
    batch = [c for c in left if c in right and c in out]
    summed = [c for c in left if c not in out]
    dimensions = (
        (tuple(left.index(c) for c in summed), tuple(right.index(c) for c in summed)),
        (tuple(left.index(c) for c in batch), tuple(right.index(c) for c in batch)),
    )
    made = lax.dot_general(x, y, dimensions)  # XLA adds half precision up in float32 by itself
    order = batch + [c for c in left if c not in right] + [c for c in right if c not in left]
    axes = tuple(order.index(c) for c in out)
    return made if axes == tuple(range(len(axes))) else made.transpose(axes)


KERNELS: dict[str, Callable[..., Any]] = {"contract": contract}
