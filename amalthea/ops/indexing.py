"""Reading and writing at computed places: gather, scatter, slices at computed starts, and `x[...]`."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.op import composite, export, primitive
from amalthea.core.tensor import Operand, Tensor, as_tensor
from amalthea.core.tracing import has_values
from amalthea.ops.samples import integers, values
from amalthea.ops.selection import where
from amalthea.ops.shaping import (
    broadcast_to,
    iota,
    moveaxis,
    reshape,
    stack,
    transpose,
)
from amalthea.ops.specs import Ints, broadcast_shapes, normal_axis, normal_shape, normal_sizes, require, show, tensor_of
from amalthea.ops.whole_numbers import as_whole_numbers


def _zeros(shape: Ints, dtype: Any) -> Tensor:
    return broadcast_to(as_tensor(0, dtype), shape)


def _taken_back(g: Tensor, out: Tensor, x: Tensor, indices: Tensor, axis: int) -> Tensor:
    """Add the slices of g back at the indices along the axis."""
    order = (axis, *(i for i in range(x.ndim) if i != axis))
    taken = range(axis, axis + indices.ndim)
    updates = transpose(g, (*taken, *(i for i in range(g.ndim) if i not in taken)))
    zeros = _zeros(tuple(x.shape[i] for i in order), g.dtype)
    total = scatter_update(zeros, reshape(indices, (*indices.shape, 1)), updates, "add")
    return transpose(total, tuple(order.index(i) for i in range(x.ndim)))


def _gather_attrs(x: Any, indices: Any, axis: int) -> dict[str, Any]:
    require(indices, "integer", name="indices")
    axis = normal_axis(axis, x.ndim)
    if not x.shape[axis] and indices.size:
        fail(
            ShapeError,
            f"nothing can be taken from axis {axis}, which is empty",
            received=f"x of shape {show(x.shape)}, indices of shape {show(indices.shape)}",
            fix="check for empty input first",
        )
    return {"axis": axis}


@primitive(
    gradient=(_taken_back, None),
    normalize=_gather_attrs,
    samples=lambda: [
        ((values(4, 3), [2, 0, 2], 0), {}),
        ((values(2, 4, 3), [[1, 3], [0, -1]], 1), {}),
        ((values(4), 2, 0), {}),
        ((values(4, 2), np.zeros((0,), "int32"), 1), {}),
    ],
)
def gather(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    """The slices of x along an axis at integer indices, whose axes stand in the place of that axis.

    Negative indices count from the end. The numpy and native backends raise ArgumentError for indices out of range; a
    compiled program does so after it has run.

    >>> import amalthea as am
    >>> am.ops.gather([10, 20, 30], [2, 0], 0).tolist()
    [30, 10]
    """
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    return tensor_of(shape, x.dtype)


@composite(
    samples=lambda: [
        ((values(4, 3), [2, 0, 2]), {"axis": 0}),
        ((values(4, 3), [2, 0, 11]), {}),
        ((values(4, 3), [[0, 2], [1, 1]]), {"axis": -1}),
        ((values(4, 3), 1), {"axis": 1}),
    ]
)
def take(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    """The slices of x along an axis at the indices, or the elements of the flattened tensor without one.

    The axes of `indices` stand in the place of the axis. Negative indices count from the end.

    >>> import amalthea as am
    >>> am.ops.take([10, 20, 30], [2, 0]).tolist()
    [30, 10]
    """
    indices = as_whole_numbers(indices, "indices")
    return gather(reshape(x, (x.size,)), indices, 0) if axis is None else gather(x, indices, axis)


@composite(
    samples=lambda: [
        ((values(3, 4), integers(3, 2, high=4)), {"axis": 1}),
        ((values(3, 4), integers(2, 4, high=3)), {"axis": 0}),
        ((values(3, 4), integers(1, 2, high=4)), {"axis": -1}),
        ((values(3, 4), [0, 11, 5]), {}),
    ]
)
def take_along_axis(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    """For each place of `indices`, the element of x that it points to along the axis, in the same row.

    The other axes of x and `indices` broadcast. Without an axis, x is flattened and `indices` is a vector.

    >>> import amalthea as am
    >>> am.ops.take_along_axis([[10, 20], [30, 40]], [[1], [0]], axis=1).tolist()
    [[20], [30]]
    """
    require(indices, "integer", name="indices")
    if axis is None:
        return gather(reshape(x, (x.size,)), indices, 0)
    if indices.ndim != x.ndim:
        fail(
            ShapeError,
            "x and indices must have as many axes",
            received=f"x of shape {show(x.shape)}, indices of shape {show(indices.shape)}",
            fix="give indices an axis of size 1 where they are the same for all",
        )
    axis = normal_axis(axis, x.ndim)
    rest = [i for i in range(x.ndim) if i != axis]
    lead = broadcast_shapes(
        tuple(x.shape[i] for i in rest), tuple(indices.shape[i] for i in rest), names=("x", "indices")
    )
    size, count = x.shape[axis], indices.shape[axis]
    rows = reshape(broadcast_to(moveaxis(x, axis, -1), (*lead, size)), (math.prod(lead) * size,))
    wanted = reshape(broadcast_to(moveaxis(indices, axis, -1), (*lead, count)), (math.prod(lead), count))
    wanted = wanted.astype("int32")
    wanted = where(wanted < 0, wanted + size, wanted)
    flat = wanted + reshape(iota(math.prod(lead)) * size, (math.prod(lead), 1))
    return moveaxis(reshape(gather(rows, flat, 0), (*lead, count)), -1, axis)


@composite(samples=lambda: [((values(3, 4), [[0, 1], [2, -1]]), {}), ((values(3, 4), [[0], [2], [0]]), {})])
def gather_nd(x: Tensor, indices: Tensor) -> Tensor:
    """The elements or slices x[indices[..., 0], indices[..., 1], ...].

    >>> import amalthea as am
    >>> am.ops.gather_nd([[1, 2], [3, 4]], [[0, 1], [1, 0]]).tolist()
    [2, 3]
    """
    depth = indices.shape[-1]
    flat = flat_index([indices[..., i] for i in range(depth)], x.shape[:depth])
    return gather(reshape(x, (math.prod(x.shape[:depth]), *x.shape[depth:])), flat, 0)


def flat_index(indices: Sequence[Tensor], shape: Ints) -> Tensor:
    """The row-major place of each multi-index; negative indices count from the end, known ones are checked.

    >>> import amalthea as am
    >>> am.ops.flat_index([am.ops.array([0, -1]), am.ops.array([2, 1])], (2, 3)).tolist()
    [2, 4]
    """
    flat: Any = None
    for axis, (index, size) in enumerate(zip(indices, shape, strict=True)):
        if has_values(index):
            known = index.numpy()
            if known.size and (known.min() < -size or known.max() >= size):
                fail(
                    ArgumentError,
                    f"an index is out of range for axis {axis}, which has {size} elements",
                    received=f"indices from {known.min()} to {known.max()}",
                    fix=f"use indices from {-size} to {size - 1}",
                )
        index = where(index < 0, index + size, index)
        flat = index if flat is None else flat * size + index
    return as_tensor(flat)


_REDUCTIONS = (None, "add", "max", "min", "mul")


def _scatter_attrs(inputs: Any, indices: Any, updates: Any, reduction: str | None) -> dict[str, Any]:
    require(indices, "integer", name="indices")
    if reduction not in _REDUCTIONS:
        fail(
            ArgumentError,
            "there is no such reduction",
            received=f"reduction={reduction!r}",
            fix="use None, 'add', 'max', 'min' or 'mul'",
        )
    depth = indices.shape[-1] if indices.ndim else 0
    if not 0 < depth <= inputs.ndim or tuple(updates.shape) != (*indices.shape[:-1], *inputs.shape[depth:]):
        fail(
            ShapeError,
            "indices must have shape (..., k) and updates the shape of inputs at those indices",
            received=f"inputs of shape {show(inputs.shape)}, indices of shape {show(indices.shape)}, "
            f"updates of shape {show(updates.shape)}",
            fix=f"give updates the shape {show((*indices.shape[:-1], *inputs.shape[depth:]))}",
        )
    return {"reduction": reduction}


def _to_inputs(
    g: Tensor, out: Tensor, inputs: Tensor, indices: Tensor, updates: Tensor, reduction: str | None
) -> Tensor:
    if reduction == "add":
        return g
    if reduction == "mul":
        return g * scatter_update(_zeros(inputs.shape, inputs.dtype) + 1, indices, updates, "mul")
    if reduction is None:
        return scatter_update(g, indices, _zeros(updates.shape, g.dtype), None)
    return g * (inputs == out).astype(g.dtype) / _winners(out, inputs, indices, updates, g.dtype)


def _to_updates(
    g: Tensor, out: Tensor, inputs: Tensor, indices: Tensor, updates: Tensor, reduction: str | None
) -> Tensor:
    if reduction == "mul":
        # Exact unless a factor is zero or an index is repeated with zeros.
        return gather_nd(g * out, indices) / updates
    if reduction in ("add", None):
        taken = gather_nd(g, indices)
        if reduction is None:  # an update that was overwritten by a later one has no influence
            taken = taken * reshape(
                _survives(indices, inputs), (*indices.shape[:-1], *(1,) * (g.ndim - indices.shape[-1]))
            ).astype(g.dtype)
        return taken
    won = (updates == gather_nd(out, indices)).astype(g.dtype)
    return gather_nd(g / _winners(out, inputs, indices, updates, g.dtype), indices) * won


def _survives(indices: Tensor, inputs: Tensor) -> Tensor:
    """Whether each update is the last one at its place."""
    depth = indices.shape[-1]
    flat = reshape(flat_index([indices[..., i] for i in range(depth)], inputs.shape[:depth]), (-1,))
    order = iota(flat.shape[0]) + 1
    last = scatter_update(
        _zeros((math.prod(inputs.shape[:depth]),), "int32"), reshape(flat, (*flat.shape, 1)), order, "max"
    )
    return reshape(gather(last, flat, 0) == order, indices.shape[:-1])


def _winners(out: Tensor, inputs: Tensor, indices: Tensor, updates: Tensor, dtype: Any) -> Tensor:
    """How many candidates reached each extreme."""
    won = (updates == gather_nd(out, indices)).astype(dtype)
    return scatter_update((inputs == out).astype(dtype), indices, won, "add")


@primitive(
    promote=lambda of: (
        dtypes.result_type(of[0]),
        dtypes.int32 if of[1] is int else of[1],
        dtypes.result_type(of[0]),
    ),
    gradient=(_to_inputs, None, _to_updates),
    normalize=_scatter_attrs,
    samples=lambda: [
        ((values(4), [[1], [3], [1]], values(3, seed=1)), {}),
        ((values(4), [[1], [3], [1]], values(3, seed=1)), {"reduction": "add"}),
        ((values(3, 2), [[0], [2], [0]], values(3, 2, seed=1)), {"reduction": "max"}),
        ((values(3, 2), [[0, 1], [2, 0]], values(2, seed=1)), {"reduction": "min"}),
        ((values(3, 2), [[0, 1], [-1, 0]], values(2, seed=1)), {"reduction": "mul"}),
        ((values(3, 2), [[0], [2], [0]], values(3, 2, seed=1)), {"reduction": "add"}),
    ],
)
def scatter_update(inputs: Tensor, indices: Tensor, updates: Tensor, reduction: str | None = None) -> Tensor:
    """The inputs with `updates[i]` written to, or combined with, the element or slice at `indices[i]`.

    `indices` has shape (..., k): k indices into the first k axes. `reduction` is None (write; of several updates of
    one place the last stays), "add", "max", "min" or "mul".

    >>> import amalthea as am
    >>> am.ops.scatter_update([0, 0, 0], [[1], [1]], [5, 6], "add").tolist()
    [0, 11, 0]
    """
    return tensor_of(inputs.shape, inputs.dtype)


@composite(samples=lambda: [(([[1], [3], [1]], values(3), (5,)), {}), (([[0, 1], [1, 0]], values(2), (2, 3)), {})])
def scatter(indices: Tensor, values: Tensor, shape: Any) -> Tensor:
    """Zeros of a shape with the values added at the indices, which have shape (..., k) as in `scatter_update`.

    >>> import amalthea as am
    >>> am.ops.scatter([[1], [1]], [5, 6], (3,)).tolist()
    [0, 11, 0]
    """
    return scatter_update(_zeros(normal_sizes(shape), values.dtype), indices, values, "add")


def _starts(name: str, x: Any, start: Any, sizes: Ints) -> None:
    require(start, "integer", name="start_indices")
    if (
        tuple(start.shape) != (x.ndim,)
        or len(sizes) != x.ndim
        or any(s > d for s, d in zip(sizes, x.shape, strict=True))
    ):
        fail(
            ShapeError,
            "there must be a start and a size for each axis, and the block must fit",
            received=f"{name} of shape {show(x.shape)}, start_indices of shape {show(start.shape)}, "
            f"block of shape {show(sizes)}",
            fix=f"give {x.ndim} start indices and a block no larger than {name}",
        )


def _block_attrs(inputs: Any, start_indices: Any, shape: Any) -> dict[str, Any]:
    sizes = normal_shape(shape)
    _starts("inputs", inputs, start_indices, sizes)
    return {"shape": sizes}


@primitive(
    gradient=(
        lambda g, out, inputs, start_indices, shape: dynamic_update_slice(
            _zeros(inputs.shape, g.dtype), g, start_indices
        ),
        None,
    ),
    normalize=_block_attrs,
    samples=lambda: [((values(3, 4), [1, 2], (2, 1)), {}), ((values(3, 4), [2, -1], (2, 2)), {})],
)
def dynamic_slice(inputs: Tensor, start_indices: Tensor, shape: Any) -> Tensor:
    """The block of a static shape that begins at computed indices; it is moved inside where it would stick out.

    Negative starts count from the end.

    >>> import amalthea as am
    >>> am.ops.dynamic_slice([1, 2, 3, 4], [1], (2,)).tolist()
    [2, 3]
    """
    return tensor_of(shape, inputs.dtype)


@primitive(
    promote=lambda of: (dtypes.result_type(of[0]), dtypes.result_type(of[0]), dtypes.result_type(of[2])),
    gradient=(
        lambda g, out, inputs, updates, start_indices: dynamic_update_slice(
            g, _zeros(updates.shape, g.dtype), start_indices
        ),
        lambda g, out, inputs, updates, start_indices: dynamic_slice(g, start_indices, updates.shape),
        None,
    ),
    samples=lambda: [((values(3, 4), values(2, 1, seed=1), [1, 2]), {}), ((values(4), values(2, seed=1), [9]), {})],
)
def dynamic_update_slice(inputs: Tensor, updates: Tensor, start_indices: Tensor) -> Tensor:
    """The inputs with the block that begins at computed indices replaced by the updates; see `dynamic_slice`.

    >>> import amalthea as am
    >>> am.ops.dynamic_update_slice([1, 2, 3, 4], [8, 9], [1]).tolist()
    [1, 8, 9, 4]
    """
    _starts("inputs", inputs, start_indices, tuple(updates.shape))
    return tensor_of(inputs.shape, inputs.dtype)


def _start_vector(start_indices: Any) -> Tensor:
    """Start indices as an int32 vector, from a tensor or a sequence of ints and scalar tensors."""
    if isinstance(start_indices, (list, tuple)) and any(isinstance(i, Operand) for i in start_indices):
        return stack([reshape(as_tensor(i), ()).astype("int32") for i in start_indices])
    found = as_tensor(start_indices)
    if not found.ndim:
        found = reshape(found, (1,))
    return found if dtypes.is_integer(found.dtype) else found.astype("int32")


def slice(inputs: Any, start_indices: Any, shape: Any) -> Tensor:
    """The block of the given shape that begins at `start_indices`, which may be computed.

    A size of -1 takes all that is left, which needs that start to be a Python int.

    >>> import amalthea as am
    >>> am.ops.slice([1, 2, 3, 4], [1], (2,)).tolist()
    [2, 3]
    """
    inputs = as_tensor(inputs)
    sizes = normal_shape(shape)
    if -1 in sizes:
        sizes = tuple(inputs.shape[i] - operator.index(start_indices[i]) if s == -1 else s for i, s in enumerate(sizes))
    return dynamic_slice(inputs, _start_vector(start_indices), sizes)


def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Tensor:
    """The inputs with the block that begins at `start_indices` replaced by the updates.

    >>> import amalthea as am
    >>> am.ops.slice_update([1, 2, 3, 4], [1], [8, 9]).tolist()
    [1, 8, 9, 4]
    """
    return dynamic_update_slice(inputs, updates, _start_vector(start_indices))


export(__name__)
