"""True and false positives and negatives at one or many thresholds: how metrics of yes/no answers count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.errors import ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.core.variable import Variable
from amalthea.nn.losses.alignment import TensorLike, same_rank, shapes_agree

# The threshold under which no score lies, for "the k best count as positive".
LOWEST = -1e10


def checked_thresholds(where: str, thresholds: Any, default: float = 0.5) -> list[float]:
    """A number, list or None as a list of thresholds.

    Raises:
        ValueError: one of them is not between 0 and 1.
    """
    if thresholds is None:
        return [default]
    thresholds = list(thresholds) if isinstance(thresholds, (list, tuple)) else [thresholds]
    wrong = [t for t in thresholds if t is None or not 0 <= t <= 1]
    if wrong:
        raise ValueError(
            f"[{where}] thresholds are probabilities, from 0 to 1. Received: {wrong}. "
            "Fix: for predictions that are logits put a sigmoid on them."
        )
    return thresholds


def count_confusion(
    where: str,
    counts: dict[str, Variable],
    y_true: TensorLike,
    y_pred: TensorLike,
    thresholds: Sequence[float],
    top_k: int | None = None,
    class_id: int | None = None,
    sample_weight: TensorLike | None = None,
    multi_label: bool = False,
    label_weights: TensorLike | None = None,
) -> None:
    """Add a batch to counts of true and false positives and negatives.

    Args:
        where: name of the metric, for errors.
        counts: variables to add to, by `"tp"`, `"fp"`, `"tn"`, `"fn"`; each of shape `(thresholds,)`, or
            `(thresholds, labels)` with `multi_label`.
        y_true: targets; what is not 0 counts as yes.
        y_pred: predicted probabilities, same shape.
        thresholds: predictions above one count as yes at that one.
        top_k: only the `k` highest predictions of each row can count as yes.
        class_id: only this entry of the last axis is looked at.
        sample_weight: weights of samples, of shape `(batch,)` or that of `y_true`.
        multi_label: keep the labels (the last axis of `(batch, labels)`) apart.
        label_weights: weights of the labels, without `multi_label`.

    Raises:
        ShapeError: the shapes do not belong together.
    """
    dtype = next(iter(counts.values())).dtype
    y_true, y_pred = ops.cast(y_true, dtype), ops.cast(y_pred, dtype)
    y_pred, y_true = same_rank(y_pred, y_true)
    _check_shapes(where, y_true, y_pred, class_id, multi_label)
    if top_k is not None:
        y_pred = _keep_best(y_pred, top_k)
    weight = _weights(where, y_true, sample_weight, label_weights, dtype)
    if class_id is not None:
        y_true, y_pred = (ops.expand_dims(x[..., class_id], -1) for x in (y_true, y_pred))
        if weight is not None and weight.ndim and weight.shape[-1] != 1:
            weight = ops.expand_dims(weight[..., class_id], -1)
    label = ops.cast(ops.not_equal(y_true, 0), dtype)
    weight = ops.ones_like(label) if weight is None else ops.broadcast_to(weight, label.shape)
    if multi_label:
        parts = [[x[:, i] for i in range(label.shape[1])] for x in (label * weight, (1.0 - label) * weight, y_pred)]
    else:
        parts = [[ops.reshape(x, (-1,))] for x in (label * weight, (1.0 - label) * weight, y_pred)]
    order = sorted(range(len(thresholds)), key=lambda i: thresholds[i])
    limits = ops.convert_to_tensor([thresholds[i] for i in order], dtype=dtype)
    count = _at_one if len(order) == 1 else _at_many
    columns = [count(limits, yes, no, scores, set(counts)) for yes, no, scores in zip(*parts, strict=True)]
    back = [order.index(i) for i in range(len(order))]
    for kind, variable in counts.items():
        found = ops.stack([column[kind] for column in columns], axis=-1)
        if back != sorted(back):
            found = ops.take(found, back, axis=0)
        variable.assign_add(ops.reshape(found, variable.shape))


def _check_shapes(where: str, y_true: Tensor, y_pred: Tensor, class_id: int | None, multi_label: bool) -> None:
    received = f"y_true of shape {y_true.shape}, y_pred of shape {y_pred.shape}"
    if not shapes_agree(y_pred.shape, y_true.shape):
        one_hot = "one-hot targets" if y_true.ndim < y_pred.ndim else "y_true"
        fail(
            ShapeError,
            "the targets and the predictions must have the same shape",
            where=where,
            received=received,
            fix=f"pass {one_hot} of shape {y_pred.shape}",
        )
    if multi_label and y_pred.ndim != 2:
        fail(
            ShapeError,
            "with multi_label=True predictions have the shape (batch, labels)",
            where=where,
            received=received,
            fix="reshape them, or leave multi_label out",
        )
    if class_id is not None and (y_pred.ndim < 2 or not -y_pred.shape[-1] <= class_id < y_pred.shape[-1]):
        fail(
            ShapeError,
            f"class_id={class_id} picks from the last axis of predictions of shape (batch, classes)",
            where=where,
            received=received,
            fix="leave class_id out, or choose a class that there is",
        )


_SIDES = (("tp", "fn"), ("fp", "tn"))  # for true cases, then for false ones: counted above a limit, and below


def _at_one(limit: Tensor, yes: Tensor, no: Tensor, scores: Tensor, kinds: set[str]) -> dict[str, Tensor]:
    """The counts of `kinds` at one limit, each of shape `(1,)`, from vectors of weights and of scores."""
    above = ops.greater(scores, limit)
    found = {}
    for weights, (over, under) in zip((yes, no), _SIDES, strict=True):
        if over in kinds:
            found[over] = ops.sum(ops.where(above, weights, 0.0), keepdims=True)
        if under in kinds:
            found[under] = ops.sum(ops.where(above, 0.0, weights), keepdims=True)
    return found


def _at_many(limits: Tensor, yes: Tensor, no: Tensor, scores: Tensor, kinds: set[str]) -> dict[str, Tensor]:
    """The counts of `kinds` at each of the rising `limits`.

    Each score falls into the bin between two limits, and running sums over the bins from either end are the counts: the
    work does not grow with the number of limits.
    """
    bins = ops.searchsorted(limits, scores, side="left")  # how many limits lie below
    found = {}
    for weights, (over, under) in zip((yes, no), _SIDES, strict=True):
        if over in kinds or under in kinds:
            in_bins = ops.segment_sum(weights, bins, num_segments=limits.shape[0] + 1)
            found[under] = ops.cumsum(in_bins)[:-1]
            found[over] = ops.flip(ops.cumsum(ops.flip(in_bins)))[1:]
    return found


def _weights(
    where: str, y_true: Tensor, sample_weight: TensorLike | None, label_weights: TensorLike | None, dtype: Any
) -> Tensor | None:
    """Weights that broadcast against `y_true`, or None."""
    weight = None
    if sample_weight is not None:
        weight = ops.expand_dims(ops.cast(sample_weight, dtype), -1)
        _, weight = same_rank(y_true, weight, expand_rank_1=False)
        fits = weight.ndim <= y_true.ndim and all(
            w in (s, 1) for w, s in zip(weight.shape[::-1], y_true.shape[::-1], strict=False)
        )
        if not fits:
            fail(
                ShapeError,
                "the sample weights do not fit the targets",
                where=where,
                received=f"sample_weight of shape {ops.shape(sample_weight)}, y_true of shape {y_true.shape}",
                fix=f"pass weights of shape {y_true.shape}",
            )
    if label_weights is not None:
        per_label = ops.expand_dims(ops.cast(label_weights, dtype), 0)
        weight = per_label if weight is None else weight * per_label
    return weight


def _keep_best(scores: Tensor, k: int) -> Tensor:
    """All scores but the `k` highest of each row replaced by the lowest there is."""
    _, best = ops.top_k(scores, k)
    kept = ops.sum(ops.one_hot(best, scores.shape[-1], dtype=scores.dtype), axis=-2)
    return scores * kept + LOWEST * (1 - kept)
