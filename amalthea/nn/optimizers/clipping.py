"""Ways to bound gradients."""

from __future__ import annotations

from collections.abc import Sequence

from amalthea import ops
from amalthea.core.tensor import Tensor


def clip_by_norm(gradient: Tensor, limit: float) -> Tensor:
    """The gradient, scaled down where its Euclidean norm is above `limit`."""
    squared = ops.sum(ops.square(gradient))
    # The square root has no derivative at 0, and a gradient of zeros needs no scaling.
    norm = ops.sqrt(ops.where(squared > 0, squared, 1.0))
    return gradient * limit / ops.maximum(norm, limit)


def global_norm(gradients: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients taken as one vector."""
    total = ops.sum(ops.square(gradients[0]))
    for gradient in gradients[1:]:
        total = total + ops.sum(ops.square(gradient))
    return ops.sqrt(total)


def clip_by_global_norm(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """All gradients, scaled down by one factor where their joint norm is above `limit`.

    One that is not finite makes all of them NaN, so that it is noticed.
    """
    norm = global_norm(gradients)
    scale = limit / ops.maximum(norm, limit) + (norm - norm)
    return [gradient * scale for gradient in gradients]
