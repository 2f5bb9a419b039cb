"""Picking and placing elements, under TensorFlow's names."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from amalthea import ops
from amalthea.core.errors import ShapeError, fail
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.tensorflow_names.adapting import known_values, refuse


class Unique(NamedTuple):
    """What `tf.unique` gives: the values in the order in which they first occur, and which of them each element is."""

    y: Tensor
    idx: Tensor


class UniqueWithCounts(NamedTuple):
    """What `tf.unique_with_counts` gives: as `Unique`, and how often each value occurs."""

    y: Tensor
    idx: Tensor
    count: Tensor  # type: ignore[assignment]  # TensorFlow's name, which tuples have too


def gather(
    params: Any,
    indices: Any,
    validate_indices: Any = None,
    axis: int | None = None,
    batch_dims: int = 0,
    name: str | None = None,
) -> Tensor:
    """The slices of `params` at `indices` along an axis.

    Args:
        params: a tensor.
        indices: whole numbers, of any shape.
        validate_indices: has no effect, as in TensorFlow.
        axis: along which axis; by default the first after the batch axes.
        batch_dims: how many first axes `params` and `indices` share; each entry of the batch is picked from by itself.

    >>> import amalthea as tf
    >>> tf.gather([[1, 2], [3, 4]], [[1], [0]], batch_dims=1).numpy().tolist()
    [[2], [3]]
    """
    params, indices = as_tensor(params), as_tensor(indices)
    shared = batch_dims + len(indices.shape) if batch_dims < 0 else batch_dims
    axis = shared if axis is None else axis + len(params.shape) if axis < 0 else axis
    if shared == 0:
        return ops.take(params, indices, axis=axis)
    batch, picked = params.shape[:shared], indices.shape[shared:]
    if indices.shape[:shared] != batch or axis < shared:
        fail(
            ShapeError,
            f"the first {shared} axes of params and indices must be equal, and come before the axis",
            where="gather",
            received=f"params {params.shape}, indices {indices.shape}, axis={axis}, batch_dims={batch_dims}",
        )
    rows = math.prod(batch)
    front = ops.moveaxis(params, axis, shared)
    rest = front.shape[shared + 1 :]
    flat = ops.reshape(front, (rows * params.shape[axis], *rest))
    starts = ops.expand_dims(ops.arange(rows, dtype=indices.dtype) * params.shape[axis], -1)
    taken = ops.take(flat, ops.reshape(indices, (rows, math.prod(picked))) + starts, axis=0)
    taken = ops.reshape(taken, (*batch, *picked, *rest))
    moved = list(range(shared, shared + len(picked)))
    return ops.moveaxis(taken, moved, [axis + i for i in range(len(picked))])


def gather_nd(
    params: Any, indices: Any, batch_dims: int = 0, name: str | None = None, bad_indices_policy: str = ""
) -> Tensor:
    """The elements or slices of `params` at the coordinates in the last axis of `indices`.

    >>> import amalthea as tf
    >>> tf.gather_nd([[1, 2], [3, 4]], [[0, 1], [1, 0]]).numpy().tolist()
    [2, 3]
    """
    refuse("gather_nd", bad_indices_policy=bad_indices_policy or None)
    params, indices = as_tensor(params), as_tensor(indices)
    for i in range(batch_dims):  # the place in the batch becomes a further coordinate
        i = batch_dims - 1 - i
        shape = (*indices.shape[:-1], 1)
        ruler = ops.reshape(ops.arange(indices.shape[i], dtype=indices.dtype), (-1,) + (1,) * (len(shape) - i - 1))
        indices = ops.concatenate([ops.broadcast_to(ruler, shape), indices], axis=-1)
    last = indices.shape[-1]
    if last == 0:
        return ops.broadcast_to(params, (*indices.shape[:-1], *params.shape))
    return params[tuple(indices[..., i] for i in range(last))]


def boolean_mask(tensor: Any, mask: Any, axis: int | None = None, name: str | None = "boolean_mask") -> Tensor:
    """The entries where the mask is true. Its size depends on values, so it works eagerly only.

    >>> import amalthea as tf
    >>> tf.boolean_mask([1, 2, 3], [True, False, True]).numpy().tolist()
    [1, 3]
    """
    tensor, mask = as_tensor(tensor), as_tensor(mask)
    known_values("boolean_mask", mask)
    first = axis or 0
    masked = tensor.shape[first : first + len(mask.shape)]
    if masked != mask.shape or not mask.shape:
        fail(
            ShapeError,
            "the mask must have the sizes of the axes that it masks",
            where="boolean_mask",
            received=f"tensor {tensor.shape}, mask {mask.shape}, axis={axis}",
        )
    after = tensor.shape[first + len(mask.shape) :]
    flat = ops.reshape(tensor, (*tensor.shape[:first], math.prod(masked), *after))
    (places,) = ops.nonzero(ops.reshape(mask, (-1,)))
    return ops.take(flat, places, axis=first)


def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Tensor:
    """x where the condition holds and y elsewhere; without both, the coordinates of what is true, int64 (n, rank).

    >>> import amalthea as tf
    >>> tf.where([True, False], x=1.0, y=[2.0, 3.0]).numpy().tolist()
    [1.0, 3.0]
    >>> tf.where([[False, True]]).numpy().tolist()
    [[0, 1]]
    """
    if (x is None) != (y is None):
        fail(ValueError, "x and y must both be given, or neither", where="where", fix="give the missing one")
    if x is not None:
        return ops.where(condition, x, y)
    condition = as_tensor(condition)
    known_values("where", condition)
    return ops.stack([ops.cast(places, "int64") for places in ops.nonzero(condition)], axis=-1)


def scatter_nd(indices: Any, updates: Any, shape: Any, bad_indices_policy: str = "", name: str | None = None) -> Tensor:
    """Zeros of this shape with `updates` added at the coordinates in the last axis of `indices`.

    >>> import amalthea as tf
    >>> tf.scatter_nd([[1], [1]], [2.0, 3.0], [3]).numpy().tolist()
    [0.0, 5.0, 0.0]
    """
    refuse("scatter_nd", bad_indices_policy=bad_indices_policy or None)
    sizes = tuple(int(size) for size in (shape.numpy() if isinstance(shape, Tensor) else shape))
    return ops.scatter(indices, updates, sizes)


def tensor_scatter_nd_update(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Tensor:
    """The tensor with `updates` in place of what is at the coordinates in the last axis of `indices`.

    >>> import amalthea as tf
    >>> tf.tensor_scatter_nd_update([1, 2, 3], [[1]], [9]).numpy().tolist()
    [1, 9, 3]
    """
    return ops.scatter_update(tensor, indices, updates)


def tensor_scatter_nd_add(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Tensor:
    """The tensor with `updates` added at coordinates."""
    return ops.scatter_update(tensor, indices, updates, reduction="add")


def tensor_scatter_nd_sub(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Tensor:
    """The tensor with `updates` subtracted at coordinates."""
    return ops.scatter_update(tensor, indices, ops.negative(updates), reduction="add")


def tensor_scatter_nd_max(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Tensor:
    """The tensor with the larger of it and `updates` at coordinates."""
    return ops.scatter_update(tensor, indices, updates, reduction="max")


def tensor_scatter_nd_min(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Tensor:
    """The tensor with the smaller of it and `updates` at coordinates."""
    return ops.scatter_update(tensor, indices, updates, reduction="min")


def unique(x: Any, out_idx: Any = "int32", name: str | None = None) -> Unique:
    """The values of a vector without repeats, in the order in which they first occur (eagerly only).

    >>> import amalthea as tf
    >>> values, places = tf.unique([7, 3, 7])
    >>> values.numpy().tolist(), places.numpy().tolist()
    ([7, 3], [0, 1, 0])
    """
    found = unique_with_counts(x, out_idx)
    return Unique(found.y, found.idx)


def unique_with_counts(x: Any, out_idx: Any = "int32", name: str | None = None) -> UniqueWithCounts:
    """As `unique`, and how often each value occurs."""
    x = as_tensor(x)
    known_values("unique", x)
    if len(x.shape) != 1:
        fail(ShapeError, "only a vector has unique values here", where="unique", received=f"shape {x.shape}")
    values, first, inverse, counts = ops.unique(x, return_index=True, return_inverse=True, return_counts=True)
    order = ops.argsort(first)
    idx = ops.take(ops.argsort(order), ops.reshape(inverse, (-1,)))
    return UniqueWithCounts(ops.take(values, order), ops.cast(idx, out_idx), ops.cast(ops.take(counts, order), out_idx))


def unravel_index(indices: Any, dims: Any, name: str | None = None) -> Tensor:
    """Places in a flat tensor as coordinates: one row for each axis."""
    return ops.stack(ops.unravel_index(indices, tuple(int(n) for n in dims)), axis=0)


def dynamic_partition(data: Any, partitions: Any, num_partitions: int, name: str | None = None) -> list[Tensor]:
    """The entries of `data` sorted into lists by the number in `partitions` (eagerly only).

    >>> import amalthea as tf
    >>> [part.numpy().tolist() for part in tf.dynamic_partition([1, 2, 3], [0, 1, 0], 2)]
    [[1, 3], [2]]
    """
    return [boolean_mask(data, ops.equal(partitions, i)) for i in range(num_partitions)]


def searchsorted(
    sorted_sequence: Any, values: Any, side: str = "left", out_type: Any = "int32", name: str | None = None
) -> Tensor:
    """Where values would have to be put into a sorted vector."""
    return ops.cast(ops.searchsorted(sorted_sequence, values, side=side), out_type)


def invert_permutation(x: Any, name: str | None = None) -> Tensor:
    """The permutation that undoes this one.

    >>> import amalthea as tf
    >>> tf.math.invert_permutation([2, 0, 1]).numpy().tolist()
    [1, 2, 0]
    """
    x = as_tensor(x)
    return ops.cast(ops.argsort(x), x.dtype)
