"""From whatever a person passes to `fit`, `evaluate` or `predict` to an adapter that yields batches."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from amalthea.core import tree
from amalthea.core.errors import ArgumentError, fail
from amalthea.data.arrays import ArrayAdapter
from amalthea.data.batches import is_arraylike
from amalthea.data.iterables import IterableAdapter
from amalthea.data.protocol import DataAdapter
from amalthea.data.pydataset import PyDataset, PyDatasetAdapter
from amalthea.data.weights import check_class_weight


def get_adapter(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = False,
    class_weight: Any = None,
    where: str = "fit",
) -> DataAdapter:
    """Choose the adapter for `x` and check the arguments that come with it.

    Args:
        x: arrays (in any nested structure), a `PyDataset`, a generator, or any iterable of batches.
        y: targets, for arrays only.
        sample_weight: weights, for arrays only.
        batch_size: samples a batch, for arrays only; None gives 32.
        steps: number of batches an epoch, where the caller asked for one.
        shuffle: whether to visit the samples in a new order each epoch; `"batch"` shuffles inside each batch only.
        class_weight: mapping from class index to weight.
        where: the method used in errors.

    Returns:
        A `DataAdapter`.

    Raises:
        ValueError: for data that cannot be read, sizes that disagree, or arguments that do not fit the kind of `x`.

    >>> import numpy as np
    >>> get_adapter(np.zeros((10, 2)), batch_size=4).num_batches
    3
    """
    if isinstance(x, DataAdapter):
        return x
    _check_counts(batch_size, steps, where)
    if class_weight is not None:
        class_weight = check_class_weight(class_weight, where)
    if x is None:
        fail(
            ArgumentError,
            "no data was given",
            where=where,
            received="x=None",
            fix="pass arrays, a PyDataset, a generator or an iterable of batches as x",
        )
    if isinstance(x, (str, bytes)):
        fail(
            ArgumentError,
            "text is no data that a model can compute with",
            where=where,
            received=f"x={x!r}"[:80],
            fix="pass numbers, such as an array of word indices",
        )
    if _is_structure_of_arrays(x):
        return ArrayAdapter(x, y, sample_weight, batch_size, steps, shuffle, class_weight, where)
    described = _describe(x)
    for name, value, meaning in (("y", y, "targets"), ("sample_weight", sample_weight, "sample weights")):
        if value is not None:
            fail(
                ArgumentError,
                f"x is {described}, which carries its own {meaning}, so `{name}` cannot be given besides",
                where=where,
                received=f"{name} of type {type(value).__name__}",
                fix="let each batch be (x, y) or (x, y, sample_weight)",
            )
    if isinstance(x, PyDataset) or (hasattr(x, "__getitem__") and hasattr(x, "__len__") and _is_sequence_like(x)):
        return PyDatasetAdapter(x, shuffle, class_weight, where)
    if isinstance(x, Iterator) or isinstance(x, Iterable):
        if shuffle == "batch":
            warnings.warn(f"shuffle='batch' has no effect: x is {described} and orders itself", stacklevel=3)
        return IterableAdapter(x, class_weight, where, described)
    return fail(
        ArgumentError,
        "this kind of data cannot be read",
        where=where,
        received=f"x of type {type(x).__name__}",
        fix="pass arrays, a PyDataset, a generator or an iterable of batches as x",
    )


def _check_counts(batch_size: Any, steps: Any, where: str) -> None:
    for name, value in (("batch_size", batch_size), ("steps_per_epoch" if where == "fit" else "steps", steps)):
        check_count(name, value, where)


def check_count(name: str, value: Any, where: str) -> None:
    """Refuse a number of samples or batches that is none.

    >>> check_count("batch_size", 32, "fit")
    """
    if value is None:
        return
    try:
        whole = int(value) == value and not isinstance(value, bool)
    except (TypeError, ValueError):
        whole = False
    if not whole or value <= 0:
        fail(
            ArgumentError,
            f"`{name}` must be a whole number of at least 1",
            where=where,
            received=f"{name}={value!r}",
            fix=f"leave {name} out or give a positive integer",
        )


def _is_structure_of_arrays(x: Any) -> bool:
    if is_arraylike(x) or _is_sparse(x):
        return True
    if not isinstance(x, (list, tuple, dict)):
        return False
    leaves = tree.flatten(x)
    # A list of plain numbers also lands here, so that the error can say what to do about it.
    return all(is_arraylike(leaf) or leaf is None or isinstance(leaf, (bool, int, float, str)) for leaf in leaves)


def _is_sparse(x: Any) -> bool:
    return type(x).__module__.startswith("scipy.sparse")


def _is_sequence_like(x: Any) -> bool:
    # Keras' older Sequence and classes written after it: indexed by batch, with hooks between epochs.
    return hasattr(x, "on_epoch_end")


def _describe(x: Any) -> str:
    module, name = type(x).__module__, type(x).__name__
    if name == "generator":
        return "a generator"
    if module.startswith("torch.utils.data"):
        return "a torch DataLoader"
    if module.startswith("tensorflow"):
        return "a tf.data.Dataset"
    if isinstance(x, PyDataset):
        return f"a PyDataset ({name})"
    if isinstance(x, Iterator):
        return f"an iterator ({name})"
    return f"an iterable of type {name}"
