"""Reductions of the slices of a tensor that carry the same id."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.op import composite, export
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.core.tracing import has_values
from amalthea.ops.indexing import scatter_update
from amalthea.ops.samples import values
from amalthea.ops.shaping import broadcast_to, reshape


@composite(
    samples=lambda: [
        ((values(5, 2), [0, 2, 2, 0, 1], 3), {}),
        ((values(5), [0, 2, 2, 0, 1], 4), {}),
    ]
)
def segment_sum(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """The sums of the slices of data that have the same id: row i of the result is the sum where segment_ids == i.

    Without `num_segments` the ids must be known when the op is called. `sorted` promises ascending ids.

    >>> import amalthea as am
    >>> am.ops.segment_sum([1, 2, 3], [0, 1, 0], 2).tolist()
    [4, 2]
    """
    return _segments(data, segment_ids, num_segments, 0, "add")


@composite(samples=lambda: [((values(5, 2), [0, 2, 2, 0, 1], 3), {})])
def segment_prod(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """The products of the slices of data that have the same id; 1 for an id that is missing. See `segment_sum`.

    >>> import amalthea as am
    >>> am.ops.segment_prod([1, 2, 3], [0, 1, 0], 2).tolist()
    [3, 2]
    """
    return _segments(data, segment_ids, num_segments, 1, "mul")


def _limits(dtype: Any) -> tuple[Any, Any]:
    if dtypes.is_floating(dtype):
        return -math.inf, math.inf
    if dtype == "bool":
        return False, True
    info = np.iinfo(dtypes.to_numpy(dtype))
    return info.min, info.max


@composite(samples=lambda: [((values(5, 2), [0, 2, 2, 0, 1], 3), {})])
def segment_max(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """The greatest of the slices of data that have the same id; the least value of the dtype for a missing one.

    >>> import amalthea as am
    >>> am.ops.segment_max([1, 2, 3], [0, 1, 0], 2).tolist()
    [3, 2]
    """
    return _segments(data, segment_ids, num_segments, _limits(data.dtype)[0], "max")


@composite(samples=lambda: [((values(5, 2), [0, 2, 2, 0, 1], 3), {})])
def segment_min(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """The least of the slices of data that have the same id; the greatest value of the dtype for a missing one.

    >>> import amalthea as am
    >>> am.ops.segment_min([1, 2, 3], [0, 1, 0], 2).tolist()
    [1, 2]
    """
    return _segments(data, segment_ids, num_segments, _limits(data.dtype)[1], "min")


def _segments(data: Tensor, ids: Tensor, count: int | None, start: Any, reduction: str) -> Tensor:
    if count is None:
        if not has_values(ids):
            fail(
                ArgumentError,
                "the number of segments depends on the values of a symbolic tensor",
                fix="give num_segments",
            )
        count = int(ids.numpy().max()) + 1 if ids.size else 0
    base = broadcast_to(as_tensor(start, data.dtype), (count, *data.shape[1:]))
    return scatter_update(base, reshape(ids, (*ids.shape, 1)), data, reduction)


export(__name__)
