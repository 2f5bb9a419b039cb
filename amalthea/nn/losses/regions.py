"""Losses of regions (segmentation masks) and of embeddings: they compare sets rather than elements."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.config import epsilon
from amalthea.core.tensor import Tensor
from amalthea.nn.losses.alignment import TensorLike, target_and_prediction
from amalthea.nn.losses.loss import FunctionLoss
from amalthea.nn.objects import public

Axes = int | list[int] | tuple[int, ...] | None


@public("keras.losses.dice")
def dice(y_true: TensorLike, y_pred: TensorLike, axis: Axes = None) -> Tensor:
    """One minus the Dice coefficient, `2 |A and B| / (|A| + |B|)` (Milletari et al., 2016, arXiv:1606.04797).

    Args:
        y_true: target mask, values 0 to 1.
        y_pred: predicted mask, same shape.
        axis: axes that make up one mask; None takes all, and gives one loss for the whole batch.

    Returns:
        Losses, without `axis`.

    Raises:
        ShapeError: the shapes differ.

    Example:
    >>> import amalthea as am
    >>> bool(am.losses.dice([[1.0, 0.0]], [[1.0, 0.0]]) < 1e-6)
    True
    """
    y_true, y_pred = target_and_prediction("dice", y_true, y_pred)
    axis = tuple(axis) if isinstance(axis, list) else axis
    common = ops.sum(y_true * y_pred, axis=axis)
    return 1 - 2.0 * common / (ops.sum(y_true, axis=axis) + ops.sum(y_pred, axis=axis) + epsilon())


@public("keras.losses.tversky")
def tversky(y_true: TensorLike, y_pred: TensorLike, alpha: float = 0.5, beta: float = 0.5, axis: Axes = None) -> Tensor:
    """One minus the Tversky index, a Dice coefficient that weighs the two kinds of error (arXiv:1706.05721).

    Args:
        y_true: target mask, values 0 to 1.
        y_pred: predicted mask, same shape.
        alpha: weight of target elements that the prediction lacks.
        beta: weight of predicted elements that the target lacks.
        axis: axes that make up one mask; None takes all.

    Returns:
        Losses, without `axis`.

    Raises:
        ShapeError: the shapes differ.

    Example:
    >>> import amalthea as am
    >>> bool(am.losses.tversky([[1.0, 0.0]], [[1.0, 0.0]]) < 1e-6)
    True
    """
    y_true, y_pred = target_and_prediction("tversky", y_true, y_pred)
    axis = tuple(axis) if isinstance(axis, list) else axis
    common = ops.sum(y_true * y_pred, axis=axis)
    lacking = ops.sum((1 - y_pred) * y_true, axis=axis)
    extra = ops.sum(y_pred * (1 - y_true), axis=axis)
    return 1 - common / (common + lacking * alpha + extra * beta + epsilon())


@public("keras.losses.circle")
def circle(
    y_true: TensorLike,
    y_pred: TensorLike,
    ref_labels: TensorLike | None = None,
    ref_embeddings: TensorLike | None = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Tensor:
    """Circle loss of embeddings: near to those of the same class, far from the others (arXiv:2002.10857).

    Args:
        y_true: class numbers, shape `(batch,)` or `(batch, 1)`.
        y_pred: embeddings of length one, shape `(batch, d)`.
        ref_labels: class numbers of the embeddings to compare with; `y_true` when absent.
        ref_embeddings: embeddings to compare with; `y_pred` when absent.
        remove_diagonal: whether a sample is not compared with itself.
        gamma: scale of the loss.
        margin: how far apart the classes shall be.

    Returns:
        Losses of shape `(batch,)`; samples whose loss is 0 are masked.

    Example:
    >>> import amalthea as am
    >>> am.losses.circle([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).shape
    (3,)
    """
    y_pred = ops.convert_to_tensor(y_pred)
    labels = ops.reshape(ops.cast(y_true, "int32"), (-1, 1))
    others = y_pred if ref_embeddings is None else ops.convert_to_tensor(ref_embeddings)
    other_labels = labels if ref_labels is None else ops.reshape(ops.cast(ref_labels, "int32"), (-1, 1))
    distances = ops.maximum(1 - ops.matmul(y_pred, ops.transpose(others)), 0.0)
    same = ops.equal(labels, ops.transpose(other_labels))
    different = ops.logical_not(same)
    if remove_diagonal:
        itself = ops.eye(same.shape[0], same.shape[1], dtype="bool")
        same = ops.logical_and(same, ops.logical_not(itself))
    near = ops.maximum((margin + distances) * ops.cast(same, distances.dtype), 0.0)
    far = ops.maximum((1 + margin - distances) * ops.cast(different, distances.dtype), 0.0)
    positive = ops.logsumexp(ops.where(same, -gamma * near * (margin - distances), float("-inf")), axis=1)
    negative = ops.logsumexp(ops.where(different, gamma * far * (1 - margin - distances), float("-inf")), axis=1)
    loss = ops.softplus(positive + negative)
    loss._keras_mask = loss > 0  # type: ignore[attr-defined]
    return loss


@public("keras.losses.Dice")
class Dice(FunctionLoss):
    """`dice` as a `Loss`; `axis` makes up one mask, the other arguments are those of `Loss`.

    >>> import amalthea as am
    >>> bool(am.losses.Dice()([[1.0, 0.0]], [[1.0, 0.0]]) < 1e-6)
    True
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "dice",
        axis: Axes = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dice, reduction, name, dtype, axis=axis)


@public("keras.losses.Tversky")
class Tversky(FunctionLoss):
    """`tversky` as a `Loss`; the first arguments are those of the function, the others those of `Loss`.

    >>> import amalthea as am
    >>> bool(am.losses.Tversky()([[1.0, 0.0]], [[1.0, 0.0]]) < 1e-6)
    True
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "tversky",
        axis: Axes = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)


@public("keras.losses.Circle")
class Circle(FunctionLoss):
    """`circle` as a `Loss`; the first arguments are those of the function, the others those of `Loss`.

    >>> import amalthea as am
    >>> loss = am.losses.Circle()
    >>> loss.gamma
    80.0
    """

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "circle",
        dtype: Any = None,
    ) -> None:
        super().__init__(circle, reduction, name, dtype, gamma=gamma, margin=margin, remove_diagonal=remove_diagonal)
