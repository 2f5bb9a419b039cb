"""Checks of targets against outputs, made before a wrong loss value can come of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.train.structure import Path

# Losses whose targets have a shape of their own; all other built-in ones compare element by element.
OWN_SHAPES = ("ctc", "circle", "categorical_generalized_cross_entropy", "sparse_categorical_crossentropy")


class LabelRule(NamedTuple):
    """What the targets of one output must look like."""

    path: Path
    name: str
    classes: int | None
    ignored: int | None


def built_in_name(loss: Any) -> str | None:
    """Name of the function behind a built-in loss, or None for a loss of the user's own.

    >>> from amalthea.nn import losses
    >>> built_in_name(losses.MeanSquaredError()), built_in_name(lambda y, p: p)
    ('mean_squared_error', None)
    """
    function = getattr(loss, "fn", loss)
    function = getattr(function, "__wrapped__", function)
    module = getattr(function, "__module__", None) or ""
    return getattr(function, "__name__", None) if module.startswith("amalthea.nn.losses") else None


def check_shapes(loss: Any, target: Any, output: Any, name: str) -> None:
    """Refuse targets whose shape does not fit the output, which broadcasting would otherwise hide.

    Args:
        loss: the loss of this output; only built-in ones are checked.
        target: targets, with a `shape` (None for unknown dimensions).
        output: the output.
        name: what errors call the output: "output 'dense'".

    Raises:
        ShapeError: if the shapes cannot belong together.
    """
    kind = built_in_name(loss)
    if kind is None or not hasattr(target, "shape") or not hasattr(output, "shape"):
        return
    true, pred = tuple(target.shape), tuple(output.shape)
    if kind == "sparse_categorical_crossentropy":
        if _fits(true, pred[:-1]) or (true and true[-1] == 1 and _fits(true[:-1], pred[:-1])):
            return
        one_hot = _fits(true, pred)
        fix = (
            'the targets look one-hot: use loss="categorical_crossentropy"'
            if one_hot
            else "give one class index for each prediction"
        )
        expected = _fits_text(pred[:-1])
    elif kind in OWN_SHAPES:
        return
    else:
        if _fits(true, pred) or _fits(_less_last(true, len(pred)), pred) or _fits(true, _less_last(pred, len(true))):
            return
        fix = f"give the targets shape {_fits_text(pred)}"
        if len(true) == len(pred) and _fits(true[:-1], pred[:-1]):
            fix += f", or the last layer {_units(true[-1])} instead of {pred[-1]}"
        if len(true) < len(pred) or (true and true[-1] == 1):
            if kind == "categorical_crossentropy":
                fix = 'the targets look like class indices: use loss="sparse_categorical_crossentropy"'
            elif _fits(true, pred[:-1]) and len(pred) > 1:
                fix = f"give the targets shape {_fits_text(pred)}, or the last layer 1 unit instead of {pred[-1]}"
        expected = _fits_text(pred)
    fail(
        ShapeError,
        f"{kind} cannot compare the targets with {name}: it expects targets of shape {expected}",
        where="loss",
        received=f"y {true}, output {pred}",
        fix=fix,
    )


def _fits(a: tuple, b: tuple) -> bool:
    return len(a) == len(b) and all(p is None or q is None or p == q for p, q in zip(a, b, strict=True))


def _less_last(shape: tuple, rank: int) -> tuple:
    return shape[:-1] if len(shape) == rank + 1 and shape[-1] == 1 else shape


def _units(count: int | None) -> str:
    return "1 unit" if count == 1 else f"{count} units"


def _fits_text(shape: tuple) -> str:
    return "(" + ", ".join("None" if d is None else str(d) for d in shape) + ("," if len(shape) == 1 else "") + ")"


def label_rule(loss: Any, path: Path, name: str, output: Any) -> LabelRule | None:
    """What a built-in loss demands of the values of its targets, or None for a loss of the user's own.

    Args:
        loss: the loss.
        path: path of its output.
        name: what errors call its output: "output 'dense'".
        output: the output, with a `shape`.
    """
    kind = built_in_name(loss)
    if kind is None:
        return None
    classes = ignored = None
    # behind a mask, any label may stand for padding
    masked = getattr(output, "_keras_mask", None) is not None
    if kind == "sparse_categorical_crossentropy" and getattr(output, "shape", None) and not masked:
        options = getattr(loss, "_fn_kwargs", None) or {}
        axis = options.get("axis", getattr(loss, "axis", -1))
        classes = output.shape[axis if axis is not None else -1]
        ignored = options.get("ignore_class", getattr(loss, "ignore_class", None))
    return LabelRule(path, name, classes, ignored)


def check_labels(rule: LabelRule, target: Any, weights: Any = None, where: str = "fit") -> None:
    """Refuse targets that are NaN, and class indices that name no class.

    Args:
        rule: what the loss demands.
        target: targets, all of them or one batch.
        weights: sample weights of the targets, or None; where they are 0, any class index may stand.
        where: the method used in errors.

    Raises:
        ValueError: if a target is NaN or out of range.

    >>> check_labels(LabelRule((), "the output", 3, None), np.array([0, 2, 1]))
    """
    if isinstance(target, Tensor):
        target = target.numpy()
    if not isinstance(target, np.ndarray) or target.size == 0:
        return
    if target.dtype.kind == "f":
        # The sum needs no temporary array of the targets' size. It is also not finite for infinite targets or on
        # overflow, so look closely then.
        with np.errstate(all="ignore"):
            total = target.sum()
        if not np.isfinite(total) and np.isnan(target).any():
            rows = np.unique(np.nonzero(np.isnan(target))[0])
            fail(
                ArgumentError,
                f"the targets of {rule.name} hold NaN, so the loss would be NaN",
                where=where,
                received=f"NaN in {len(rows)} of {len(target)} samples, first at index {int(rows[0])}",
                fix="remove these samples, or give them sample_weight 0 and a number as target",
            )
    if rule.classes is None:
        return
    if target.dtype.kind == "f" and rule.ignored is None and (target != np.floor(target)).any():
        first = target[target != np.floor(target)][0]
        fail(
            ArgumentError,
            f"the targets of output {rule.name!r} must be class numbers, which are whole",
            where=where,
            received=f"targets with fractions, the first is {first:g}",
            fix="pass whole numbers from 0; for probabilities of classes use categorical_crossentropy",
        )
    low, high = target.min(), target.max()
    if low >= 0 and high < rule.classes:
        return
    bad = (target < 0) | (target >= rule.classes)
    if rule.ignored is not None:
        bad &= target != rule.ignored
    if isinstance(weights, Tensor):
        weights = weights.numpy()
    if isinstance(weights, np.ndarray) and weights.shape == bad.shape[: weights.ndim]:
        bad &= (weights != 0).reshape(weights.shape + (1,) * (bad.ndim - weights.ndim))
    if not bad.any():
        return
    first = target[bad].flat[0]
    fail(
        ArgumentError,
        f"the targets of {rule.name} name classes that the model does not have: it has {rule.classes}, "
        f"numbered 0 to {rule.classes - 1}",
        where=where,
        received=f"targets from {low} to {high}, the first bad one is {first}",
        fix=f"number the classes from 0, or give the last layer {int(high) + 1} units"
        if low >= 0
        else "number the classes from 0, or pass ignore_class to the loss",
    )
