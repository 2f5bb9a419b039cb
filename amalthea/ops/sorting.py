"""Sorting, ranking and searching."""

from __future__ import annotations

from typing import Any

from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.op import composite, export, nondifferentiable, primitive
from amalthea.core.tensor import Tensor
from amalthea.ops.indexing import take_along_axis
from amalthea.ops.samples import integers, values
from amalthea.ops.shaping import expand_dims, flip, reshape, slice_axis
from amalthea.ops.specs import elementwise_spec, normal_axis, show


def _axis(x: Any, axis: int) -> dict[str, Any]:
    return {"axis": normal_axis(axis, x.ndim)}


@primitive(
    name="argsort",
    gradient=nondifferentiable,
    normalize=_axis,
    samples=lambda: [((values(3, 4), 1), {}), ((values(3, 4), 0), {}), (([2, 1, 2, 1], 0), {})],
)
def _argsort(x: Tensor, axis: int) -> Tensor:
    """The order that sorts along an axis."""
    return elementwise_spec(x, dtype=dtypes.int32)


def argsort(x: Any, axis: int | None = -1) -> Tensor:
    """The int32 indices that sort x along an axis (or flattened, with None), ascending.

    Equal elements keep their order and NaN comes last.

    >>> import amalthea as am
    >>> am.ops.argsort([30, 10, 20]).tolist()
    [1, 2, 0]
    """
    if axis is None or not getattr(x, "shape", (1,)):
        x, axis = reshape(x, (-1,)), 0
    return _argsort(x, axis)


@composite(samples=lambda: [((values(3, 4),), {}), ((values(3, 4),), {"axis": 0}), ((integers(5),), {})])
def sort(x: Tensor, axis: int | None = -1) -> Tensor:
    """x sorted along an axis (or flattened, with None), ascending; NaN comes last.

    >>> import amalthea as am
    >>> am.ops.sort([3, 1, 2]).tolist()
    [1, 2, 3]
    """
    if axis is None:
        x, axis = reshape(x, (x.size,)), 0
    return take_along_axis(x, _argsort(x, axis), axis)


@composite(gradient=nondifferentiable, samples=lambda: [((values(5), 2), {})])
def argpartition(x: Tensor, kth: int, axis: int | None = -1) -> Tensor:
    """Indices that put the kth smallest element in its place, smaller ones before it. They sort x altogether.

    >>> import amalthea as am
    >>> am.ops.argpartition([30, 10, 20], 1).tolist()
    [1, 2, 0]
    """
    if axis is None:
        x, axis = reshape(x, (x.size,)), 0
    return _argsort(x, axis)


@composite(samples=lambda: [((values(3, 5), 2), {}), (([1.0, 3.0, 3.0, 2.0], 3), {}), ((integers(6), 2), {})])
def top_k(x: Tensor, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """The k greatest elements along the last axis, in descending order, and their int32 indices.

    Of equal elements the first comes first. `sorted=False` would allow any order; they are sorted all the same.

    >>> import amalthea as am
    >>> [t.tolist() for t in am.ops.top_k([1, 5, 3], 2)]
    [[5, 3], [1, 2]]
    """
    size = x.shape[normal_axis(-1, x.ndim)]
    if not 0 <= k <= size:
        fail(
            ArgumentError,
            f"the last axis has {size} elements",
            received=f"k={k}, x of shape {show(x.shape)}",
            fix=f"use a k from 0 to {size}",
        )
    # Sorting the reversed axis makes the first of equals the last, so that it comes first once flipped back.
    ascending = _argsort(flip(x, -1), -1)
    indices = size - 1 - slice_axis(flip(ascending, -1), x.ndim - 1, 0, k)
    return take_along_axis(x, indices, -1), indices


@composite(
    gradient=nondifferentiable, samples=lambda: [(([2, 0, 1], values(3, 4), 2), {}), (([1], [[0.5, 0.5, 0.1]], 1), {})]
)
def in_top_k(targets: Tensor, predictions: Tensor, k: int) -> Tensor:
    """For each row of predictions, whether the target class is among the k greatest; classes that tie all count.

    >>> import amalthea as am
    >>> am.ops.in_top_k([1, 0], [[0.1, 0.9], [0.2, 0.8]], 1).tolist()
    [True, False]
    """
    mine = take_along_axis(predictions, expand_dims(targets, -1), -1)
    above = (predictions > mine).astype("int32").sum(axis=-1)
    known = reshape(mine == mine, targets.shape)  # NaN is nowhere near the top
    return (above < k) & known


def _sorted_vector(sorted_sequence: Any, values: Any, side: str) -> dict[str, Any]:
    if sorted_sequence.ndim != 1:
        fail(
            ShapeError,
            "the sorted sequence must be a vector",
            received=f"sorted_sequence of shape {show(sorted_sequence.shape)}",
            fix="use ops.vectorized_map for several",
        )
    if side not in ("left", "right"):
        fail(ArgumentError, "there is no such side", received=f"side={side!r}", fix="use 'left' or 'right'")
    return {"side": side}


@primitive(
    promote="common",
    gradient=nondifferentiable,
    normalize=_sorted_vector,
    samples=lambda: [
        (([1.0, 2.0, 3.0], [[0.5, 2.0], [9.0, 1.0]]), {}),
        (([1, 2, 2, 3], [2, 3]), {"side": "right"}),
    ],
)
def searchsorted(sorted_sequence: Tensor, values: Tensor, side: str = "left") -> Tensor:
    """The int32 places at which the values keep an ascending vector sorted: before equal ones, or after ("right").

    >>> import amalthea as am
    >>> am.ops.searchsorted([1, 3, 5], [3, 4]).tolist()
    [1, 2]
    """
    return elementwise_spec(values, dtype=dtypes.int32)


@composite(gradient=nondifferentiable, samples=lambda: [((values(2, 3), [-1.0, 0.0, 1.0]), {})])
def digitize(x: Tensor, bins: Tensor) -> Tensor:
    """For each element the index of its bin, where bins[i - 1] <= x < bins[i] gives i; int32.

    >>> import amalthea as am
    >>> am.ops.digitize([0.5, 2.0], [0.0, 1.0, 2.0]).tolist()
    [1, 3]
    """
    return searchsorted(bins, x, side="right")


export(__name__)
