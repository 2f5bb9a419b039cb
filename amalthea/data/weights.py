"""Class weights: one number a class, turned into one weight a sample."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

from amalthea.core import config, tree
from amalthea.core.dtypes import to_numpy
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Tensor
from amalthea.data.batches import to_array


def check_class_weight(class_weight: Any, where: str = "fit") -> dict[int, float]:
    """Check a `class_weight` argument and return it with plain Python keys and values.

    Args:
        class_weight: mapping from class index (int >= 0) to a finite weight.
        where: the method used in errors.

    Returns:
        A dict from int to float.

    Raises:
        ValueError: if it is no mapping, a key is no class index, or a value no number.

    >>> check_class_weight({0: 1, 1: 2})
    {0: 1.0, 1: 2.0}
    """
    if not isinstance(class_weight, Mapping):
        fail(
            ArgumentError,
            "`class_weight` must be a dict from class index to weight",
            where=where,
            received=f"class_weight={class_weight!r}",
            fix="write for example class_weight={0: 1.0, 1: 2.5}",
        )
    checked = {}
    for key, value in class_weight.items():
        whole = isinstance(key, numbers.Real) and not isinstance(key, bool) and float(key).is_integer()
        whole = whole and float(key) >= 0
        if not whole:
            fail(
                ArgumentError,
                "the keys of `class_weight` must be class indices",
                where=where,
                received=f"key {key!r} of type {type(key).__name__}",
                fix="use the integers that stand in y (0, 1, 2, ...), not class names",
            )
        if not isinstance(value, (numbers.Real, np.generic)) or not np.isfinite(float(value)):
            fail(
                ArgumentError,
                "the values of `class_weight` must be finite numbers",
                where=where,
                received=f"class_weight[{key!r}]={value!r}",
                fix="give each class a number, 1.0 for no change",
            )
        checked[int(key)] = float(value)
    return checked


def class_weight_to_sample_weight(y: Any, class_weight: Mapping[int, float], where: str = "fit") -> np.ndarray:
    """Give each sample the weight of its class.

    Args:
        y: labels, shape (n,) or (n, 1) of class indices, or (n, ..., classes) one-hot.
        class_weight: mapping from class index to weight; classes left out weigh 1.
        where: the method used in errors.

    Returns:
        Array of dtype floatx and shape (n,), or (n, ...) for one-hot labels of higher rank.

    >>> class_weight_to_sample_weight(np.array([0, 1, 1]), {0: 1.0, 1: 2.0})
    array([1., 2., 2.], dtype=float32)
    """
    labels = to_array(y, "y", where)
    one_hot_classes = None
    if labels.ndim > 1:
        if labels.shape[-1] != 1:
            one_hot_classes = labels.shape[-1]
            labels = labels.argmax(axis=-1)
        else:
            labels = labels[..., 0]
    if labels.size == 0:
        return np.ones(labels.shape, to_numpy(config.floatx()))
    labels = np.round(labels).astype(np.int64)
    highest = max(int(labels.max()), max(class_weight, default=0))
    if one_hot_classes is not None and max(class_weight, default=0) >= one_hot_classes:
        fail(
            ArgumentError,
            f"`class_weight` names class {max(class_weight)}, and y has {one_hot_classes} classes",
            where=where,
            received=f"class_weight keys {sorted(class_weight)}, y of shape {tuple(np.shape(y))}",
            fix=f"use keys from 0 to {one_hot_classes - 1}",
        )
    if int(labels.min()) < 0:
        # weights for labels such as -1 / +1 cannot be looked up in a table: go through the distinct values
        values, inverse = np.unique(labels, return_inverse=True)
        table = np.array([class_weight.get(int(v), 1.0) for v in values], to_numpy(config.floatx()))
        return table[inverse.reshape(labels.shape)]
    table = np.ones(highest + 1, to_numpy(config.floatx()))
    for index, weight in class_weight.items():
        table[index] = weight
    return table[labels]


def check_weights_are_numbers(sample_weight: Any, where: str = "fit") -> None:
    """Refuse sample weights that are NaN or infinite, which would make the loss so too.

    Args:
        sample_weight: None, an array, or a nested structure of arrays.
        where: the method used in errors.

    >>> check_weights_are_numbers(np.ones(3))
    """
    for leaf in tree.flatten(sample_weight):
        array = leaf.numpy() if isinstance(leaf, Tensor) else leaf
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            continue
        bad = np.nonzero(~np.isfinite(array))[0]
        if len(bad):
            fail(
                ArgumentError,
                "`sample_weight` holds values that are no finite numbers, so the loss would be none either",
                where=where,
                received=f"{array[np.nonzero(~np.isfinite(array))][0]} at index {int(bad[0])}, "
                f"{len(np.unique(bad))} of {len(array)} samples",
                fix="give these samples weight 0",
            )
