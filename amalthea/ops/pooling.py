"""Pooling: the largest or the mean value of each window that slides along the axes between batch and channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from amalthea.core import dtypes
from amalthea.core.config import standardize_data_format
from amalthea.core.errors import ShapeError, fail
from amalthea.core.op import composite, export, primitive
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import Tensor
from amalthea.ops.arranging import pad
from amalthea.ops.contractions import tensordot
from amalthea.ops.core_ops import cast
from amalthea.ops.indexing import take, take_along_axis
from amalthea.ops.reductions import argmax
from amalthea.ops.reductions import max as reduce_max
from amalthea.ops.reductions import sum as reduce_sum
from amalthea.ops.samples import values
from amalthea.ops.shaping import moveaxis, reshape, squeeze
from amalthea.ops.specs import show, tensor_of
from amalthea.ops.windows import (
    Ints,
    Pairs,
    channels_to_first,
    channels_to_last,
    convolved_size,
    padding_pairs,
    per_axis,
)


def _places(x: Any, size: Ints, strides: Ints, padding: Pairs) -> Ints:
    n = len(x.shape) - 2
    if n < 1:
        fail(
            ShapeError,
            "pooling needs axes between batch and channels",
            received=f"inputs {show(x.shape)}",
            fix="give inputs of shape (batch, *sizes, channels)",
        )
    places = [convolved_size(*each, 1) for each in zip(x.shape[1:-1], size, strides, padding, strict=True)]
    if any(p <= 0 for p in places) and all(d > 0 for d in x.shape[1:-1]):
        fail(
            ShapeError,
            f"a window of size {size} does not fit into the input",
            received=f"inputs {show(x.shape)}",
            fix="use a smaller pool_size, or padding='same'",
        )
    return tuple(max(p, 0) for p in places)


_POOLS: list[tuple[Ints, dict[str, Any]]] = [
    ((2, 5, 2), {"size": (2,), "strides": (1,), "padding": ((0, 0),)}),
    ((1, 5, 4, 2), {"size": (3, 2), "strides": (2, 1), "padding": ((1, 1), (0, 1))}),
    ((1, 4, 4, 1), {"size": (2, 2), "strides": (2, 2), "padding": ((0, 0), (0, 0))}),
]


@primitive(
    gradient=(lambda g, out, x, **attrs: max_pooling_gradient(x, g, **attrs),),
    samples=lambda: [((values(*shape),), attrs) for shape, attrs in _POOLS],
)
def max_pooling(x: Tensor, size: Ints, strides: Ints, padding: Pairs) -> Tensor:
    """The largest value of each window, channels last; `ops.max_pool` is the one to call.

    Args:
        x: `(batch, *sizes, channels)`.
        size: The size of the window along each axis.
        strides: The step of the window along each axis.
        padding: How many places (before, after) each axis are added that never are the largest.

    Returns:
        A tensor of shape `(batch, *places, channels)`. Its gradient goes to the first largest value of each window.

    Example:

    >>> import amalthea as am
    >>> x = am.ops.reshape([1.0, 3.0, 2.0, 0.0], (1, 4, 1))
    >>> am.ops.max_pooling(x, size=(2,), strides=(2,), padding=((0, 0),)).numpy().ravel().tolist()
    [3.0, 2.0]
    """
    return tensor_of((x.shape[0], *_places(x, size, strides, padding), x.shape[-1]), x.dtype)


def _pooled_shape(shape: Ints, size: Ints, strides: Ints, padding: Pairs) -> Ints:
    return (shape[0], *_places(TensorSpec(shape), size, strides, padding), shape[-1])


@primitive(
    gradient=(None, lambda g, out, x, y, **attrs: _at_maximum(x, g, **attrs)),
    samples=lambda: [
        ((values(*shape), values(*_pooled_shape(shape, **attrs), seed=1)), attrs) for shape, attrs in _POOLS
    ],
)
def max_pooling_gradient(x: Tensor, y: Tensor, size: Ints, strides: Ints, padding: Pairs) -> Tensor:
    """Adds each element of `y` at the place of the first largest value of its window of `x`.

    Args:
        x: The input of `max_pooling`.
        y: A tensor of the shape that `max_pooling` returns.
        size: As for `max_pooling`.
        strides: As for `max_pooling`.
        padding: As for `max_pooling`.

    Returns:
        A tensor of the shape of `x`; it is piecewise constant in `x`, and linear in `y`.

    Example:

    >>> import amalthea as am
    >>> x = am.ops.reshape([1.0, 3.0, 2.0, 0.0], (1, 4, 1))
    >>> y = am.ops.reshape([5.0, 7.0], (1, 2, 1))
    >>> am.ops.max_pooling_gradient(x, y, size=(2,), strides=(2,), padding=((0, 0),)).numpy().ravel().tolist()
    [0.0, 5.0, 7.0, 0.0]
    """
    return tensor_of(x.shape, y.dtype)


def _padded(x: Tensor, padding: Pairs, value: float) -> Tensor:
    if not any(lo or hi for lo, hi in padding):
        return x
    return pad(x, ((0, 0), *padding, (0, 0)), mode="constant", constant_values=value)


def _lowest(dtype: Any) -> float:
    return -np.inf if dtypes.is_floating(dtype) else int(np.iinfo(dtypes.to_numpy(dtype)).min)


def _flat_windows(x: Tensor, size: Ints, strides: Ints) -> Tensor:
    """The windows of `x` with each window's places as one axis, the last but one."""
    found = extract_windows(x, size=size, strides=strides)
    n = len(size)
    return reshape(found, (*found.shape[: 1 + n], math.prod(size), found.shape[-1]))


def _at_maximum(x: Tensor, y: Tensor, size: Ints, strides: Ints, padding: Pairs) -> Tensor:
    """The elements of `y` at the place of the first largest value of each window of `x`."""
    seen = _flat_windows(_padded(x, padding, _lowest(x.dtype)), size, strides)
    place = argmax(seen, axis=-2, keepdims=True)
    return squeeze(take_along_axis(_flat_windows(_padded(y, padding, 0), size, strides), place, axis=-2), axis=-2)


_WINDOWS: list[tuple[Ints, Ints, Ints]] = [((2, 5, 2), (2,), (1,)), ((1, 5, 4, 2), (3, 2), (2, 1))]


@primitive(
    gradient=(
        lambda g, out, x, size, strides: overlap_add(g, input_size=tuple(x.shape[1:-1]), size=size, strides=strides),
    ),
    samples=lambda: [((values(*shape),), {"size": size, "strides": strides}) for shape, size, strides in _WINDOWS],
)
def extract_windows(x: Tensor, size: Ints, strides: Ints) -> Tensor:
    """All windows of a tensor, channels last.

    Args:
        x: `(batch, *sizes, channels)`.
        size: The size of the window along each axis.
        strides: The step of the window along each axis.

    Returns:
        A tensor of shape `(batch, *places, *size, channels)`.

    Example:

    >>> import amalthea as am
    >>> x = am.ops.reshape([1.0, 2.0, 3.0], (1, 3, 1))
    >>> am.ops.extract_windows(x, size=(2,), strides=(1,)).numpy().reshape(2, 2).tolist()
    [[1.0, 2.0], [2.0, 3.0]]
    """
    return tensor_of((x.shape[0], *_places(x, size, strides, ((0, 0),) * len(size)), *size, x.shape[-1]), x.dtype)


@primitive(
    gradient=(lambda g, out, x, input_size, size, strides: extract_windows(g, size=size, strides=strides),),
    samples=lambda: [
        (
            (values(shape[0], *_places(TensorSpec(shape), size, strides, ((0, 0),) * len(size)), *size, shape[-1]),),
            {"input_size": shape[1:-1], "size": size, "strides": strides},
        )
        for shape, size, strides in _WINDOWS
    ],
)
def overlap_add(x: Tensor, input_size: Ints, size: Ints, strides: Ints) -> Tensor:
    """Adds windows up at the places they were taken from: the adjoint of `extract_windows`.

    Args:
        x: `(batch, *places, *size, channels)`.
        input_size: The sizes of the result between batch and channels.
        size: The size of the window along each axis.
        strides: The step of the window along each axis.

    Returns:
        A tensor of shape `(batch, *input_size, channels)`.

    Example:

    >>> import amalthea as am
    >>> am.ops.overlap_add(am.ops.ones((1, 2, 2, 1)), input_size=(3,), size=(2,), strides=(1,)).numpy().ravel().tolist()
    [1.0, 2.0, 1.0]
    """
    return tensor_of((x.shape[0], *input_size, x.shape[-1]), x.dtype)


def _prepare(
    inputs: Tensor, pool_size: Any, strides: Any, padding: str, data_format: str | None
) -> tuple[Tensor, bool, Ints, Ints, Pairs]:
    first = standardize_data_format(data_format) == "channels_first"
    x = channels_to_last(inputs) if first else inputs
    n = len(x.shape) - 2
    size = per_axis(pool_size, n, "pool_size")
    step = size if strides is None else per_axis(strides, n, "strides")
    return x, first, size, step, padding_pairs(padding, x.shape[1:-1], size, step, (1,) * n)


@composite(
    samples=lambda: [
        ((values(1, 5, 4, 2), 2), {}),
        ((values(1, 5, 4, 2), (3, 2)), {"strides": (2, 1), "padding": "same"}),
        ((values(2, 2, 5), 3), {"strides": 2, "data_format": "channels_first"}),
    ]
)
def max_pool(
    inputs: Tensor,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The largest value of each window.

    Args:
        inputs: `(batch, *sizes, channels)`, or `(batch, channels, *sizes)` for "channels_first".
        pool_size: The size of the window, one int or one for each axis.
        strides: The step of the window, one int or one for each axis; None: `pool_size`.
        padding: "valid" (none) or "same" (windows may hang over; what is outside is not looked at).
        data_format: "channels_last" or "channels_first"; None: `am.config.image_data_format()`.

    Returns:
        A tensor of the same dtype and layout with one place for each window. Where a window has several largest
        values, its gradient goes to the first.

    Raises:
        ShapeError: If the window does not fit into the input.

    Example:

    >>> import amalthea as am
    >>> am.ops.max_pool(am.ops.reshape([1.0, 4.0, 2.0, 3.0], (1, 2, 2, 1)), 2).numpy().ravel().tolist()
    [4.0]
    """
    x, first, size, step, pairs = _prepare(inputs, pool_size, strides, padding, data_format)
    y = max_pooling(x, size=size, strides=step, padding=pairs)
    return channels_to_first(y) if first else y


def _window_counts(size: int, window: int, stride: int, padding: tuple[int, int]) -> np.ndarray:
    """How many elements of an axis each window has."""
    starts = np.arange(convolved_size(size, window, stride, padding, 1)) * stride - padding[0]
    return np.minimum(starts + window, size) - np.maximum(starts, 0)


@composite(
    samples=lambda: [
        ((values(1, 5, 4, 2), 2), {}),
        ((values(1, 5, 4, 2), (3, 2)), {"strides": (2, 1), "padding": "same"}),
        ((values(2, 2, 5), 3), {"strides": 2, "data_format": "channels_first"}),
    ]
)
def average_pool(
    inputs: Tensor,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The mean of each window.

    Args:
        inputs: `(batch, *sizes, channels)`, or `(batch, channels, *sizes)` for "channels_first".
        pool_size: The size of the window, one int or one for each axis.
        strides: The step of the window, one int or one for each axis; None: `pool_size`.
        padding: "valid" (none) or "same" (windows may hang over; the mean is of what is inside).
        data_format: "channels_last" or "channels_first"; None: `am.config.image_data_format()`.

    Returns:
        A floating tensor of the same layout with one place for each window.

    Raises:
        ShapeError: If the window does not fit into the input.

    Example:

    >>> import amalthea as am
    >>> am.ops.average_pool(am.ops.reshape([1.0, 4.0, 2.0, 3.0], (1, 2, 2, 1)), 2).numpy().ravel().tolist()
    [2.5]
    """
    x, first, size, step, pairs = _prepare(inputs, pool_size, strides, padding, data_format)
    x = x if dtypes.is_floating(x.dtype) else cast(x, dtypes.floatx())
    n = len(size)
    found = extract_windows(_padded(x, pairs, 0), size=size, strides=step)
    total = reduce_sum(found, axis=tuple(range(1 + n, 1 + 2 * n)))
    y = total / math.prod(window for window, pair in zip(size, pairs, strict=True) if pair == (0, 0))
    # the others one axis after another: all counts at once would be as large as an image
    for axis, (window, stride, pair) in enumerate(zip(size, step, pairs, strict=True), 1):
        if pair != (0, 0):
            counts = cast(_window_counts(x.shape[axis], window, stride, pair), x.dtype)
            y = y / reshape(counts, (-1, *(1,) * (n + 1 - axis)))
    return channels_to_first(y) if first else y


def _bins(size: int, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """The starts and ends of `bins` parts of an axis that cover it and may overlap by one."""
    index = np.arange(bins)
    return index * size // bins, -((-(index + 1) * size) // bins)


def _adaptive(inputs: Tensor, output_size: Any, data_format: str | None) -> tuple[Tensor, bool, Ints]:
    first = standardize_data_format(data_format) == "channels_first"
    x = channels_to_last(inputs) if first else inputs
    return x, first, per_axis(output_size, len(x.shape) - 2, "output_size")


@composite(
    samples=lambda: [
        ((values(1, 5, 4, 2), (2, 3)), {}),
        ((values(2, 2, 5), 2), {"data_format": "channels_first"}),
    ]
)
def adaptive_average_pool(inputs: Tensor, output_size: int | Sequence[int], data_format: str | None = None) -> Tensor:
    """The means of windows chosen so that the result has a given size.

    Args:
        inputs: `(batch, *sizes, channels)`, or `(batch, channels, *sizes)` for "channels_first".
        output_size: How many windows, one int or one for each axis; window i of n along an axis of size s goes from
            floor(i s / n) to ceil((i + 1) s / n).
        data_format: "channels_last" or "channels_first"; None: `am.config.image_data_format()`.

    Returns:
        A floating tensor of the same layout.

    Example:

    >>> import amalthea as am
    >>> am.ops.adaptive_average_pool(am.ops.reshape([1.0, 2.0, 6.0], (1, 3, 1)), 2).numpy().ravel().tolist()
    [1.5, 4.0]
    """
    x, first, sizes = _adaptive(inputs, output_size, data_format)
    x = x if dtypes.is_floating(x.dtype) else cast(x, dtypes.floatx())
    for axis, bins in enumerate(sizes, 1):
        starts, ends = _bins(x.shape[axis], bins)
        place = np.arange(x.shape[axis])[:, None]
        weights = ((place >= starts) & (place < ends)) / (ends - starts)
        x = moveaxis(tensordot(x, cast(weights, x.dtype), axes=((axis,), (0,))), -1, axis)
    return channels_to_first(x) if first else x


@composite(
    samples=lambda: [
        ((values(1, 5, 4, 2), (2, 3)), {}),
        ((values(2, 2, 5), 2), {"data_format": "channels_first"}),
    ]
)
def adaptive_max_pool(inputs: Tensor, output_size: int | Sequence[int], data_format: str | None = None) -> Tensor:
    """The largest values of windows chosen so that the result has a given size.

    Args:
        inputs: `(batch, *sizes, channels)`, or `(batch, channels, *sizes)` for "channels_first".
        output_size: How many windows, one int or one for each axis, cut as by `adaptive_average_pool`.
        data_format: "channels_last" or "channels_first"; None: `am.config.image_data_format()`.

    Returns:
        A tensor of the same dtype and layout.

    Example:

    >>> import amalthea as am
    >>> am.ops.adaptive_max_pool(am.ops.reshape([1.0, 2.0, 6.0], (1, 3, 1)), 2).numpy().ravel().tolist()
    [2.0, 6.0]
    """
    x, first, sizes = _adaptive(inputs, output_size, data_format)
    for axis, bins in enumerate(sizes, 1):
        starts, ends = _bins(x.shape[axis], bins)
        width = int((ends - starts).max())
        # windows that are shorter than the widest look at their last element again
        index = np.minimum(starts[:, None] + np.arange(width), ends[:, None] - 1).astype(np.int32)
        x = reduce_max(take(x, index, axis=axis), axis=axis + 1)
    return channels_to_first(x) if first else x


export(__name__)
