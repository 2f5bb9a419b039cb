"""Labels as vectors, and vectors of length one."""

from __future__ import annotations

from typing import Any

import numpy as np

from amalthea import ops
from amalthea.core.tensor import Operand


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Class numbers as one-hot vectors.

    Args:
        x: whole numbers from 0 to `num_classes - 1`, of any shape; a last axis of size 1 is dropped.
        num_classes: the number of classes; by default the largest number plus one.

    Returns:
        An array (for a tensor, a tensor) of shape `(*x.shape, num_classes)`, floating-point.

    >>> to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if isinstance(x, Operand):
        if len(x.shape) > 1 and x.shape[-1] == 1:
            x = ops.squeeze(x, axis=-1)
        return ops.one_hot(x, num_classes if num_classes is not None else int(ops.max(x)) + 1)
    numbers = np.asarray(x, dtype="int64")
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    classes = num_classes or (int(numbers.max()) + 1 if numbers.size else 0)
    if numbers.size and (numbers.min() < 0 or numbers.max() >= classes):
        raise ValueError(
            f"[to_categorical] class numbers must be from 0 to num_classes - 1. Received: numbers from {numbers.min()} "
            f"to {numbers.max()}, num_classes={classes}. Fix: pass a larger num_classes, or renumber the classes."
        )
    return np.eye(classes)[numbers]


def normalize(x: Any, axis: int = -1, order: int = 2) -> Any:
    """Divide by the norm along an axis; zero vectors stay zero.

    >>> normalize(np.array([[3.0, 4.0]])).tolist()
    [[0.6, 0.8]]
    """
    if isinstance(x, Operand):
        return ops.normalize(x, axis=axis, order=order)
    norm = np.atleast_1d(np.linalg.norm(x, order, axis))
    norm[norm == 0] = 1
    return x / np.expand_dims(norm, axis)
