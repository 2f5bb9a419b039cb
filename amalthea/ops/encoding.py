"""Classes as vectors, ranks of classes, and sums over segments."""

from __future__ import annotations

from typing import Any

import numpy as np

from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, DTypeError, ShapeError, fail
from amalthea.core.op import composite, exported
from amalthea.core.tensor import Tensor, as_tensor, is_symbolic
from amalthea.ops.comparison import greater, isnan
from amalthea.ops.creation import arange, cast, full
from amalthea.ops.indexing import scatter_add, take_along_axis
from amalthea.ops.reductions import max as reduce_max
from amalthea.ops.reductions import min as reduce_min
from amalthea.ops.reductions import prod as reduce_prod
from amalthea.ops.reductions import sum as reduce_sum
from amalthea.ops.samples import integers, values
from amalthea.ops.selection import where
from amalthea.ops.shaping import expand_dims, reshape
from amalthea.ops.specs import normal_axis, show


def _whole(x: Tensor, name: str) -> Tensor:
    if dtypes.is_floating(x.dtype):
        fail(
            DTypeError,
            f"`{name}` must be whole numbers",
            received=f"{name} of dtype {x.dtype}",
            fix="cast to 'int32' first",
        )
    return x


def _no_sparse(sparse: bool) -> None:
    if sparse:
        fail(ArgumentError, "sparse tensors are not supported", received="sparse=True", fix="leave `sparse` out")


@composite(
    samples=lambda: [
        ((integers(3, low=0, high=4), 4), {}),
        ((integers(2, 3, low=-1, high=4), 3), {"axis": 1, "dtype": "int32"}),
    ]
)
def one_hot(x: Tensor, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Tensor:
    """Vectors with 1 at the place of the class and 0 elsewhere.

    Args:
        x: Classes, whole numbers; one that is not in [0, num_classes) gives zeros only.
        num_classes: The number of classes.
        axis: Where the new axis goes, the last by default.
        dtype: The dtype of the result; None: `am.config.floatx()`.
        sparse: Only False is supported.

    Returns:
        A tensor with an axis of size `num_classes` more than `x`.

    Raises:
        DTypeError: If `x` is floating.

    Example:

    >>> import amalthea as am
    >>> am.ops.one_hot([0, 2], 3).numpy().tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    _no_sparse(sparse)
    x = cast(_whole(x, "x"), "int32") if x.dtype == "bool" else _whole(x, "x")
    axis = normal_axis(axis, len(x.shape) + 1)
    classes = reshape(arange(num_classes, dtype=x.dtype), (num_classes, *(1,) * (len(x.shape) - axis)))
    return cast(expand_dims(x, axis) == classes, dtypes.standardize(dtype))


@composite(
    name="multi_hot",
    samples=lambda: [((integers(3, low=0, high=4), 4), {}), ((integers(2, 3, low=-1, high=4), 4), {})],
)
def _multi_hot(inputs: Tensor, num_classes: int, axis: int = -1, dtype: Any = None) -> Tensor:
    """`ops.multi_hot`, without the arguments that Keras keeps from its past."""
    inputs = _whole(inputs, "inputs")
    rank = len(inputs.shape)
    # Keras takes the maximum over axis 1 of the one-hot vectors, whichever axis the classes are on
    return reduce_max(one_hot(inputs, num_classes, axis=axis, dtype=dtype), axis=1 if rank > 1 else 0)


def multi_hot(
    inputs: Any,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: Any = None,
    sparse: bool = False,
    **kwargs: Any,
) -> Tensor:
    """One vector for each row of classes, with 1 at the place of each class in it.

    Args:
        inputs: Classes, whole numbers, `(batch, classes)` or `(classes,)`; those outside [0, num_classes) count not.
        num_classes: The number of classes.
        axis: Where the axis of classes goes, the last by default.
        dtype: The dtype of the result; None: `am.config.floatx()`.
        sparse: Only False is supported.
        **kwargs: `num_tokens`, a former name of `num_classes`.

    Returns:
        A tensor `(batch, num_classes)` or `(num_classes,)`.

    Raises:
        ArgumentError: If `num_classes` is missing.

    Example:

    >>> import amalthea as am
    >>> am.ops.multi_hot([[0, 2], [1, 1]], 3).numpy().tolist()
    [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    _no_sparse(sparse)
    if num_classes is None:
        num_classes = kwargs.pop("num_tokens", None)
    if num_classes is None or kwargs:
        received = ", ".join(sorted(kwargs)) or "num_classes=None"
        fail(ArgumentError, "`num_classes` is needed", where="multi_hot", received=received, fix="pass num_classes")
    return _multi_hot(inputs, num_classes, axis=axis, dtype=dtype)


@composite(samples=lambda: [((integers(3, low=0, high=4), values(3, 4), 2), {})])
def in_top_k(targets: Tensor, predictions: Tensor, k: int) -> Tensor:
    """Whether each target class is among the k classes of the largest predictions.

    Args:
        targets: Classes, whole numbers, `(batch,)`.
        predictions: A number for each class, `(batch, classes)`.
        k: How many of the largest count. Classes that tie at the edge all count.

    Returns:
        Bools, `(batch,)`; False where the target's own prediction is NaN.

    Raises:
        ShapeError: If the shapes do not match.

    Example:

    >>> import amalthea as am
    >>> am.ops.in_top_k([2, 0], [[0.1, 0.3, 0.6], [0.1, 0.3, 0.6]], k=2).numpy().tolist()
    [True, False]
    """
    if len(predictions.shape) != len(targets.shape) + 1:
        fail(
            ShapeError,
            "predictions need one axis more than targets",
            received=f"targets {show(targets.shape)}, predictions {show(predictions.shape)}",
            fix="give targets as classes, not as one-hot vectors",
        )
    own = take_along_axis(predictions, expand_dims(_whole(targets, "targets"), -1), axis=-1)
    own = where(isnan(own), -np.inf, own)
    return reduce_sum(cast(greater(predictions, own), "int32"), axis=-1) < k


def _segments(data: Any, segment_ids: Any, num_segments: int | None) -> tuple[Any, Any, int]:
    data, segment_ids = as_tensor(data), as_tensor(segment_ids)
    if len(segment_ids.shape) != 1 or not data.shape or data.shape[0] != segment_ids.shape[0]:
        fail(
            ShapeError,
            "`segment_ids` must have one number for each row of `data`",
            received=f"data {show(data.shape)}, segment_ids {show(segment_ids.shape)}",
            fix="give segment_ids the shape (data.shape[0],)",
        )
    if num_segments is None:
        if is_symbolic(segment_ids):
            fail(
                ArgumentError,
                "the number of segments must be known in a traced function",
                received="num_segments=None",
                fix="pass num_segments",
            )
        ids = segment_ids.numpy()
        num_segments = int(ids.max()) + 1 if ids.size else 0
    return data, segment_ids, num_segments


def _segment_samples() -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    ids = np.array([0, 1, 1, 3, 0], "int32")
    return [((values(5), ids), {"num_segments": 4}), ((values(5, 2, seed=1), ids), {"num_segments": 4})]


@composite(samples=_segment_samples)
def segment_sum(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """The sum of the rows of each segment; 0 for a segment without rows.

    Args:
        data: A tensor `(rows, ...)`.
        segment_ids: The segment of each row, whole numbers `(rows,)`; rows outside [0, num_segments) are left out.
        num_segments: The number of segments; None: one more than the largest id.
        sorted: Whether the ids are sorted: a hint, on which the result does not depend.

    Returns:
        A tensor `(num_segments, ...)`.

    Raises:
        ShapeError: If there is not one id for each row.

    Example:

    >>> import amalthea as am
    >>> am.ops.segment_sum([1.0, 2.0, 4.0], [0, 0, 2]).numpy().tolist()
    [3.0, 0.0, 4.0]
    """
    data, ids, n = _segments(data, segment_ids, num_segments)
    inside = (ids >= 0) & (ids < n)
    # one segment more takes the rows that belong nowhere
    place = expand_dims(where(inside, cast(ids, "int32"), n), -1)
    return scatter_add(full((n + 1, *data.shape[1:]), 0, dtype=data.dtype), place, data)[:n]


def _over_segments(reduce: Any, data: Any, segment_ids: Any, num_segments: int | None, empty: Any) -> Tensor:
    data, ids, n = _segments(data, segment_ids, num_segments)
    belongs = expand_dims(cast(ids, "int32"), 0) == expand_dims(arange(n, dtype="int32"), -1)  # (segments, rows)
    belongs = reshape(belongs, (*belongs.shape, *(1,) * (len(data.shape) - 1)))
    return reduce(where(belongs, expand_dims(data, 0), empty), axis=1)


def _bound(dtype: Any, low: bool) -> float:
    if dtypes.is_floating(dtype):
        return -np.inf if low else np.inf
    info = np.iinfo(dtypes.to_numpy(dtype))
    return int(info.min if low else info.max)


@composite(samples=_segment_samples)
def segment_max(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """The largest row of each segment, element by element; the dtype's lowest value for a segment without rows.

    Args:
        data: A tensor `(rows, ...)`.
        segment_ids: The segment of each row, whole numbers `(rows,)`; rows outside [0, num_segments) are left out.
        num_segments: The number of segments; None: one more than the largest id.
        sorted: Whether the ids are sorted: a hint, on which the result does not depend.

    Returns:
        A tensor `(num_segments, ...)`.

    Raises:
        ShapeError: If there is not one id for each row.

    Example:

    >>> import amalthea as am
    >>> am.ops.segment_max([1.0, 2.0, 4.0], [0, 0, 1]).numpy().tolist()
    [2.0, 4.0]
    """
    return _over_segments(reduce_max, data, segment_ids, num_segments, _bound(data.dtype, low=True))


@composite(samples=_segment_samples)
def segment_min(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """The smallest row of each segment, element by element; the dtype's highest value for a segment without rows.

    Args:
        data: A tensor `(rows, ...)`.
        segment_ids: The segment of each row, whole numbers `(rows,)`; rows outside [0, num_segments) are left out.
        num_segments: The number of segments; None: one more than the largest id.
        sorted: Whether the ids are sorted: a hint, on which the result does not depend.

    Returns:
        A tensor `(num_segments, ...)`.

    Raises:
        ShapeError: If there is not one id for each row.

    Example:

    >>> import amalthea as am
    >>> am.ops.segment_min([1.0, 2.0, 4.0], [0, 0, 1]).numpy().tolist()
    [1.0, 4.0]
    """
    return _over_segments(reduce_min, data, segment_ids, num_segments, _bound(data.dtype, low=False))


@composite(samples=_segment_samples)
def segment_prod(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """The product of the rows of each segment; 1 for a segment without rows.

    Args:
        data: A tensor `(rows, ...)`.
        segment_ids: The segment of each row, whole numbers `(rows,)`; rows outside [0, num_segments) are left out.
        num_segments: The number of segments; None: one more than the largest id.
        sorted: Whether the ids are sorted: a hint, on which the result does not depend.

    Returns:
        A tensor `(num_segments, ...)`.

    Raises:
        ShapeError: If there is not one id for each row.

    Example:

    >>> import amalthea as am
    >>> am.ops.segment_prod([3.0, 2.0, 4.0], [0, 0, 1]).numpy().tolist()
    [6.0, 4.0]
    """
    return _over_segments(reduce_prod, data, segment_ids, num_segments, 1)


__all__ = exported(__name__)
