"""Bring targets, predictions and weights to shapes that belong together, or say why they do not."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.errors import ShapeError, fail
from amalthea.core.tensor import Tensor

TensorLike = Any


def same_rank(x1: Tensor, x2: Tensor, expand_rank_1: bool = True) -> tuple[Tensor, Tensor]:
    """Drop or add a last axis of size one where the ranks of `x1` and `x2` differ by exactly one.

    A vector beside a column becomes a column (so `(batch,)` targets fit `(batch, 1)` predictions); in higher ranks
    the axis of size one goes. Anything else is returned as it came.

    Args:
        x1: tensor of any shape.
        x2: tensor of any shape.
        expand_rank_1: whether the vector grows; with False the column shrinks instead.

    Returns:
        The pair, in the order given.
    """
    difference = x1.ndim - x2.ndim
    if difference == 1 and x1.shape[-1] == 1:
        if x2.ndim == 1 and expand_rank_1:
            return x1, ops.expand_dims(x2, -1)
        return ops.squeeze(x1, -1), x2
    if difference == -1 and x2.shape[-1] == 1:
        if x1.ndim == 1 and expand_rank_1:
            return ops.expand_dims(x1, -1), x2
        return x1, ops.squeeze(x2, -1)
    return x1, x2


def shapes_agree(shape1: tuple[int | None, ...], shape2: tuple[int | None, ...]) -> bool:
    """Whether two shapes are equal, an unknown (None) dimension being equal to any."""
    if shape1 == shape2:
        return True
    return len(shape1) == len(shape2) and all(
        a is None or b is None or a == b for a, b in zip(shape1, shape2, strict=True)
    )


def target_and_prediction(where: str, y_true: TensorLike, y_pred: TensorLike) -> tuple[Tensor, Tensor]:
    """The targets and predictions of an element-wise loss or metric, as tensors of one dtype and one shape.

    Args:
        where: name of the loss or metric, for the error.
        y_true: targets; cast to the dtype of `y_pred`. A scalar stands for every element.
        y_pred: predictions; these decide the dtype.

    Raises:
        ShapeError: the shapes differ by more than a last axis of size one. (Broadcasting one against the other would
            compare every target with every prediction, which is hardly ever meant and never noticed.)
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true, dtype=y_pred.dtype)
    if y_true.shape == y_pred.shape:
        return y_true, y_pred
    y_true, y_pred = same_rank(y_true, y_pred)
    if not shapes_agree(y_true.shape, y_pred.shape) and y_true.ndim and y_pred.ndim:
        fail(
            ShapeError,
            "the targets and the predictions must have the same shape",
            where=where,
            received=f"y_true of shape {y_true.shape}, y_pred of shape {y_pred.shape}",
            fix=_advice(y_true.shape, y_pred.shape),
        )
    return y_true, y_pred


def _advice(true_shape: tuple[int | None, ...], pred_shape: tuple[int | None, ...]) -> str:
    if len(true_shape) == 1 and len(pred_shape) == 2 and shapes_agree(true_shape, pred_shape[:1]):
        return (
            f"if y_true holds class numbers, use sparse_categorical_crossentropy (or one-hot targets of shape "
            f"{pred_shape}); if it holds one value per sample, end the model with 1 unit, not {pred_shape[1]}"
        )
    if true_shape and pred_shape and true_shape[0] != pred_shape[0] and shapes_agree(true_shape[1:], pred_shape[1:]):
        return f"pass as many targets as predictions ({true_shape[0]} and {pred_shape[0]} here)"
    if len(true_shape) == len(pred_shape):
        return f"give the last layer of the model the output shape {true_shape[1:]}, or reshape or broadcast y_true"
    return f"reshape y_true to {pred_shape}, or change the model's last layer to give {true_shape}"
