"""Order: sorting and the places of the largest, under TensorFlow's names."""

from __future__ import annotations

from typing import Any, NamedTuple

from amalthea import ops
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Tensor, as_tensor


class TopK(NamedTuple):
    """What `tf.math.top_k` gives."""

    values: Tensor
    indices: Tensor


def sort(values: Any, axis: int = -1, direction: str = "ASCENDING", name: str | None = None) -> Tensor:
    """The elements sorted along an axis, upwards or (`direction="DESCENDING"`) downwards.

    >>> import amalthea as tf
    >>> tf.sort([1, 3, 2], direction="DESCENDING").numpy().tolist()
    [3, 2, 1]
    """
    ordered = ops.sort(values, axis=axis)
    return ops.flip(ordered, axis) if _downwards("sort", direction) else ordered


def argsort(
    values: Any, axis: int = -1, direction: str = "ASCENDING", stable: bool = False, name: str | None = None
) -> Tensor:
    """The places of the elements in sorted order, int32; equal ones stay in order whatever `stable` says."""
    values = as_tensor(values)
    if not _downwards("argsort", direction):
        return ops.cast(ops.argsort(values, axis=axis), "int32")
    size = values.shape[axis]
    places = ops.argsort(ops.flip(values, axis), axis=axis)
    return ops.cast(size - 1 - ops.flip(places, axis), "int32")


def argmax(input: Any, axis: int | None = None, output_type: Any = "int64", name: str | None = None) -> Tensor:
    """The places of the largest elements along an axis, the first by default.

    >>> import amalthea as tf
    >>> tf.argmax([[1, 5], [4, 2]]).numpy().tolist()
    [1, 0]
    """
    return ops.cast(ops.argmax(input, axis=0 if axis is None else axis), output_type)


def argmin(input: Any, axis: int | None = None, output_type: Any = "int64", name: str | None = None) -> Tensor:
    """The places of the smallest elements along an axis, the first by default."""
    return ops.cast(ops.argmin(input, axis=0 if axis is None else axis), output_type)


def top_k(input: Any, k: int = 1, sorted: bool = True, index_type: Any = "int32", name: str | None = None) -> TopK:
    """The k largest elements of the last axis and their places.

    >>> import amalthea as tf
    >>> tf.math.top_k([1.0, 9.0, 5.0], k=2).indices.numpy().tolist()
    [1, 2]
    """
    values, indices = ops.top_k(input, int(k), sorted=sorted)
    return TopK(values, ops.cast(indices, index_type))


def in_top_k(targets: Any, predictions: Any, k: int, name: str | None = None) -> Tensor:
    """Whether each target is among the k largest predictions of its row."""
    return ops.in_top_k(targets, predictions, k)


def is_non_decreasing(x: Any, name: str | None = None) -> Tensor:
    """Whether no element is smaller than the one before it."""
    flat = ops.reshape(x, (-1,))
    return ops.all(ops.less_equal(flat[:-1], flat[1:]))


def is_strictly_increasing(x: Any, name: str | None = None) -> Tensor:
    """Whether every element is larger than the one before it."""
    flat = ops.reshape(x, (-1,))
    return ops.all(ops.less(flat[:-1], flat[1:]))


def _downwards(where: str, direction: str) -> bool:
    if direction not in ("ASCENDING", "DESCENDING"):
        fail(
            ArgumentError,
            'direction is "ASCENDING" or "DESCENDING"',
            where=where,
            received=f"direction={direction!r}",
        )
    return direction == "DESCENDING"
