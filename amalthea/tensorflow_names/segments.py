"""Reductions over groups of rows, under TensorFlow's names (all in `tf.math`)."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.tensorflow_names.adapting import known_values


def unsorted_segment_sum(data: Any, segment_ids: Any, num_segments: int, name: str | None = None) -> Tensor:
    """The sum of the rows of each group; `segment_ids` says to which group a row belongs."""
    return ops.segment_sum(data, segment_ids, num_segments=int(num_segments))


def unsorted_segment_max(data: Any, segment_ids: Any, num_segments: int, name: str | None = None) -> Tensor:
    """The maximum of the rows of each group; `segment_ids` says to which group a row belongs."""
    return ops.segment_max(data, segment_ids, num_segments=int(num_segments))


def unsorted_segment_min(data: Any, segment_ids: Any, num_segments: int, name: str | None = None) -> Tensor:
    """The minimum of the rows of each group; `segment_ids` says to which group a row belongs."""
    return ops.segment_min(data, segment_ids, num_segments=int(num_segments))


def unsorted_segment_prod(data: Any, segment_ids: Any, num_segments: int, name: str | None = None) -> Tensor:
    """The product of the rows of each group; `segment_ids` says to which group a row belongs."""
    return ops.segment_prod(data, segment_ids, num_segments=int(num_segments))


def unsorted_segment_mean(data: Any, segment_ids: Any, num_segments: int, name: str | None = None) -> Tensor:
    """The mean of the rows of each group, 0 for a group without rows."""
    return _over_counts(data, segment_ids, num_segments, lambda counts: counts)


def unsorted_segment_sqrt_n(data: Any, segment_ids: Any, num_segments: int, name: str | None = None) -> Tensor:
    """The sum of the rows of each group over the root of their number."""
    return _over_counts(data, segment_ids, num_segments, ops.sqrt)


def _over_counts(data: Any, segment_ids: Any, num_segments: int, of_count: Any) -> Tensor:
    data = as_tensor(data)
    sums = ops.segment_sum(data, segment_ids, num_segments=int(num_segments))
    ones = ops.ones_like(segment_ids, dtype=data.dtype)
    counts = ops.maximum(ops.segment_sum(ones, segment_ids, num_segments=int(num_segments)), 1)
    return sums / ops.reshape(of_count(counts), (-1,) + (1,) * (len(sums.shape) - 1))


def _number_of(segment_ids: Any) -> int:
    known_values("math.segment_*", segment_ids := as_tensor(segment_ids))
    return int(segment_ids[-1]) + 1 if segment_ids.size else 0


def segment_sum(data: Any, segment_ids: Any, name: str | None = None) -> Tensor:
    """The sum of the rows of each group; `segment_ids` is sorted (eagerly only: its last is their number)."""
    return unsorted_segment_sum(data, segment_ids, _number_of(segment_ids))


def segment_max(data: Any, segment_ids: Any, name: str | None = None) -> Tensor:
    """The maximum of the rows of each group; `segment_ids` is sorted (eagerly only: its last is their number)."""
    return unsorted_segment_max(data, segment_ids, _number_of(segment_ids))


def segment_min(data: Any, segment_ids: Any, name: str | None = None) -> Tensor:
    """The minimum of the rows of each group; `segment_ids` is sorted (eagerly only: its last is their number)."""
    return unsorted_segment_min(data, segment_ids, _number_of(segment_ids))


def segment_prod(data: Any, segment_ids: Any, name: str | None = None) -> Tensor:
    """The product of the rows of each group; `segment_ids` is sorted (eagerly only: its last is their number)."""
    return unsorted_segment_prod(data, segment_ids, _number_of(segment_ids))


def segment_mean(data: Any, segment_ids: Any, name: str | None = None) -> Tensor:
    """The mean of the rows of each group; `segment_ids` is sorted (eagerly only: its last is their number)."""
    return unsorted_segment_mean(data, segment_ids, _number_of(segment_ids))
