"""What is done with gradients before a step: they are checked and bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.dtypes import is_floating
from amalthea.core.errors import DTypeError, ShapeError, fail
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.core.variable import Variable


def fitting(where: str, gradient: Any, variable: Variable) -> Tensor:
    """The gradient as a tensor of its variable's dtype.

    Args:
        where: name of the optimizer, for errors.
        gradient: a tensor, array or list.
        variable: the variable that it belongs to.

    Raises:
        ShapeError: it has another shape than the variable.
        DTypeError: the variable holds no floating-point numbers.
    """
    if type(gradient) is not Tensor:
        gradient = as_tensor(gradient)
    if gradient.shape != variable.shape:
        fail(
            ShapeError,
            f"the gradient of variable '{variable.path}' must have the variable's shape",
            where=where,
            received=f"a gradient of shape {gradient.shape}, the variable of shape {variable.shape}",
            fix="pass gradients in the order of the variables",
        )
    if gradient.dtype != variable.dtype:
        if not is_floating(variable.dtype):
            fail(
                DTypeError,
                f"variable '{variable.path}' holds no floating-point numbers and cannot be trained",
                where=where,
                received=f"dtype {variable.dtype}",
                fix="make it with trainable=False",
            )
        gradient = as_tensor(gradient, variable.dtype)
    return gradient


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
