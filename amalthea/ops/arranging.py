"""Composites that split, join, repeat, roll, rotate and pad."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.op import composite, export
from amalthea.core.spec import UnknownDim
from amalthea.core.tensor import Tensor, is_symbolic
from amalthea.ops.samples import values
from amalthea.ops.shaping import (
    broadcast_to,
    concatenate,
    constant_pad,
    flip,
    reshape,
    slice_axis,
    swapaxes,
    transpose,
)
from amalthea.ops.specs import count, normal_axes, normal_axis, show


def _cuts(x: Tensor, indices_or_sections: Any, axis: int, uneven: bool) -> list[tuple[int, int]]:
    """The (start, stop) of each piece."""
    size = x.shape[axis]
    if isinstance(indices_or_sections, (int, np.integer)):
        sections = int(indices_or_sections)
        if sections < 1 or (size % sections and not uneven):
            fail(
                ShapeError,
                f"axis {axis} of size {size} does not split into {sections} equal parts",
                received=f"x of shape {show(x.shape)}",
                fix="use a divisor of the size, give the indices to split at, or use array_split",
            )
        small, longer = divmod(size, sections)
        bounds = [0]
        for i in range(sections):
            bounds.append(bounds[-1] + small + (i < longer))
    else:
        inner = [int(i) for i in indices_or_sections]
        bounds = [0, *(min(max(i + size if i < 0 else i, 0), size) for i in inner), size]
    return [(a, max(a, b)) for a, b in itertools.pairwise(bounds)]


@composite(
    samples=lambda: [((values(4, 3), 2), {}), ((values(2, 5), [1, 3]), {"axis": 1}), ((values(4), (1, 1, 3)), {})]
)
def split(x: Tensor, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Pieces of x along an axis: so many equal ones, or cut at the given indices. A list.

    >>> import amalthea as am
    >>> [p.tolist() for p in am.ops.split([1, 2, 3, 4], [1, 3])]
    [[1], [2, 3], [4]]
    """
    axis = normal_axis(axis, x.ndim)
    return [slice_axis(x, axis, a, b) for a, b in _cuts(x, indices_or_sections, axis, uneven=False)]


@composite(samples=lambda: [((values(5, 3), 2), {}), ((values(2, 5), 3), {"axis": 1})])
def array_split(x: Tensor, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Like `split`, but the number of parts need not divide the size: the first ones are longer by one.

    >>> import amalthea as am
    >>> [p.tolist() for p in am.ops.array_split([1, 2, 3], 2)]
    [[1, 2], [3]]
    """
    axis = normal_axis(axis, x.ndim)
    return [slice_axis(x, axis, a, b) for a, b in _cuts(x, indices_or_sections, axis, uneven=True)]


@composite(samples=lambda: [((values(4, 3), 2), {})])
def vsplit(x: Tensor, indices_or_sections: Any) -> list[Tensor]:
    """`split` along axis 0.

    >>> import amalthea as am
    >>> [p.tolist() for p in am.ops.vsplit([[1], [2]], 2)]
    [[[1]], [[2]]]
    """
    return split(x, indices_or_sections, 0)


@composite(samples=lambda: [((values(4, 2), 2), {}), ((values(4), 2), {})])
def hsplit(x: Tensor, indices_or_sections: Any) -> list[Tensor]:
    """`split` along axis 1 (axis 0 of a vector).

    >>> import amalthea as am
    >>> [p.tolist() for p in am.ops.hsplit([[1, 2]], 2)]
    [[[1]], [[2]]]
    """
    return split(x, indices_or_sections, 1 if x.ndim > 1 else 0)


@composite(samples=lambda: [((values(2, 3, 2), 2), {})])
def dsplit(x: Tensor, indices_or_sections: Any) -> list[Tensor]:
    """`split` along axis 2.

    >>> import amalthea as am
    >>> len(am.ops.dsplit(am.ops.zeros((1, 2, 4)), 2))
    2
    """
    return split(x, indices_or_sections, 2)


@composite(samples=lambda: [((values(2, 3),), {}), ((values(2, 3),), {"axis": -1})])
def unstack(x: Tensor, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The slices of x along an axis, a list of tensors without that axis. `num`, if given, must be its size.

    >>> import amalthea as am
    >>> [p.tolist() for p in am.ops.unstack([[1, 2], [3, 4]])]
    [[1, 2], [3, 4]]
    """
    axis = normal_axis(axis, x.ndim)
    size = x.shape[axis]
    if isinstance(size, UnknownDim):
        if num is None:
            fail(
                ShapeError,
                f"the size of axis {axis} is not known yet, so it cannot be told how many tensors there are",
                received=f"x of shape {show(x.shape)}",
                fix="pass num, or give the Input this size (batch_size=... for axis 0)",
            )
        size = num
    elif num is not None and num != size:
        fail(
            ArgumentError,
            f"axis {axis} has size {size}, not {num}",
            received=f"x of shape {show(x.shape)}, num={num}",
            fix="leave num out",
        )
    rest = (*x.shape[:axis], *x.shape[axis + 1 :])
    return [reshape(slice_axis(x, axis, i, i + 1), rest) for i in range(size)]


def _at_least(x: Tensor, ndim: int) -> Tensor:
    if ndim == 3 and x.ndim < 3:
        return reshape(x, {0: (1, 1, 1), 1: (1, *x.shape, 1), 2: (*x.shape, 1)}[x.ndim])
    return reshape(x, (1,) * (ndim - x.ndim) + tuple(x.shape)) if x.ndim < ndim else x


@composite(samples=lambda: [(([values(2, 3), values(1, 3, seed=1)],), {}), (([values(3), values(3, seed=1)],), {})])
def vstack(xs: Sequence[Tensor]) -> Tensor:
    """The tensors joined along axis 0; vectors count as rows.

    >>> import amalthea as am
    >>> am.ops.vstack([[1, 2], [3, 4]]).tolist()
    [[1, 2], [3, 4]]
    """
    return concatenate([_at_least(x, 2) for x in xs], axis=0)


@composite(samples=lambda: [(([values(2, 3), values(2, 1, seed=1)],), {}), (([values(3), values(2, seed=1)],), {})])
def hstack(xs: Sequence[Tensor]) -> Tensor:
    """The tensors joined along axis 1 (vectors along axis 0).

    >>> import amalthea as am
    >>> am.ops.hstack([[1, 2], [3]]).tolist()
    [1, 2, 3]
    """
    xs = [_at_least(x, 1) for x in xs]
    return concatenate(xs, axis=0 if xs and xs[0].ndim == 1 else 1)


@composite(samples=lambda: [(([values(2, 3), values(2, 3, seed=1)],), {}), (([values(3), values(3, seed=1)],), {})])
def dstack(xs: Sequence[Tensor]) -> Tensor:
    """The tensors joined along axis 2, after giving them three axes.

    >>> import amalthea as am
    >>> am.ops.dstack([[1, 2], [3, 4]]).tolist()
    [[[1, 3], [2, 4]]]
    """
    return concatenate([_at_least(x, 3) for x in xs], axis=2)


@composite(
    samples=lambda: [((values(2, 3), values(3, seed=1)), {}), ((values(2, 3), values(1, 3, seed=1)), {"axis": 0})]
)
def append(x1: Tensor, x2: Tensor, axis: int | None = None) -> Tensor:
    """x1 and x2 joined along an axis, or both flattened without one.

    >>> import amalthea as am
    >>> am.ops.append([1, 2], [3]).tolist()
    [1, 2, 3]
    """
    if axis is None:
        return concatenate([reshape(x1, (x1.size,)), reshape(x2, (x2.size,))])
    return concatenate([x1, x2], axis=axis)


def _counts(repeats: Any) -> tuple[int, ...]:
    """How often to repeat, one number or several."""
    return tuple(count(r, "repeats") for r in (repeats if hasattr(repeats, "__len__") else (repeats,)))


@composite(samples=lambda: [((values(2, 3), 2), {}), ((values(2, 3), (2, 1, 2)), {}), ((values(), (2, 2)), {})])
def tile(x: Tensor, repeats: Any) -> Tensor:
    """x repeated as a whole, so many times along each axis (missing axes are added in front).

    >>> import amalthea as am
    >>> am.ops.tile([1, 2], 2).tolist()
    [1, 2, 1, 2]
    """
    counts = _counts(repeats)
    ndim = max(len(counts), x.ndim)
    counts = (1,) * (ndim - len(counts)) + counts
    shape = (1,) * (ndim - x.ndim) + tuple(x.shape)
    spread = broadcast_to(
        reshape(x, tuple(d for size in shape for d in (1, size))),
        tuple(d for times, size in zip(counts, shape, strict=True) for d in (times, size)),
    )
    return reshape(spread, tuple(times * size for times, size in zip(counts, shape, strict=True)))


@composite(
    samples=lambda: [
        ((values(2, 3), 2), {}),
        ((values(2, 3), 2), {"axis": 1}),
        ((values(2, 3), np.array([1, 0, 2])), {"axis": 1}),
    ]
)
def repeat(x: Tensor, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element (or slice along an axis) repeated in place, so many times, or as often as `repeats` says for each.

    Without an axis, x is flattened first. `repeats` must be known when the op is called.

    >>> import amalthea as am
    >>> am.ops.repeat([1, 2], 2).tolist()
    [1, 1, 2, 2]
    """
    from amalthea.ops.indexing import take

    if axis is None:
        x, axis = reshape(x, (x.size,)), 0
    axis = normal_axis(axis, x.ndim)
    counts = _counts(repeats)
    before, size, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    if len(counts) == 1:
        spread = broadcast_to(reshape(x, (*before, size, 1, *after)), (*before, size, counts[0], *after))
        return reshape(spread, (*before, size * counts[0], *after))
    if len(counts) != size:
        fail(
            ShapeError,
            f"axis {axis} has {size} elements",
            received=f"{len(counts)} repeats",
            fix="give one number of repeats, or one for each element",
        )
    return take(x, np.repeat(np.arange(size, dtype=np.int32), counts), axis=axis)


@composite(
    samples=lambda: [
        ((values(2, 3), 1), {}),
        ((values(2, 3), -1), {"axis": 1}),
        ((values(2, 3), (1, 2)), {"axis": (0, 1)}),
    ]
)
def roll(x: Tensor, shift: Any, axis: Any = None) -> Tensor:
    """x with its elements moved along axes, those that fall off one end coming in at the other.

    Without an axis, x is rolled as if it were flat.

    >>> import amalthea as am
    >>> am.ops.roll([1, 2, 3], 1).tolist()
    [3, 1, 2]
    """
    if axis is None:
        return reshape(roll(reshape(x, (x.size,)), shift, 0), x.shape)
    many = isinstance(axis, (tuple, list))
    axes = [normal_axis(a, x.ndim) for a in (axis if many else (axis,))]
    shifts = list(shift) if isinstance(shift, (tuple, list)) else [shift] * len(axes)
    for a, s in zip(axes, shifts, strict=True):
        size = x.shape[a]
        cut = (size - s) % size if size else 0
        if cut:
            x = concatenate([slice_axis(x, a, cut, size), slice_axis(x, a, 0, cut)], axis=a)
    return x


@composite(samples=lambda: [((values(2, 3),), {}), ((values(2, 3, 2),), {"k": 3, "axes": (1, 2)})])
def rot90(array: Tensor, k: int = 1, axes: Sequence[int] = (0, 1)) -> Tensor:
    """The tensor turned by 90 degrees k times in the plane of two axes, from the first towards the second.

    >>> import amalthea as am
    >>> am.ops.rot90([[1, 2], [3, 4]]).tolist()
    [[2, 4], [1, 3]]
    """
    if len(axes) != 2 or array.ndim < 2 or len(set(normal_axes(list(axes), array.ndim))) != 2:
        fail(
            ShapeError,
            "a rotation needs two different axes",
            received=f"axes={tuple(axes)} for a tensor of shape {show(array.shape)}",
            fix="name two of its axes",
        )
    a, b = (normal_axis(axis, array.ndim) for axis in axes)
    turns = k % 4
    if turns == 0:
        return array
    if turns == 2:
        return flip(array, (a, b))
    return swapaxes(flip(array, b), a, b) if turns == 1 else flip(swapaxes(array, a, b), b)


@composite(samples=lambda: [((values(2, 3),), {})])
def flipud(x: Tensor) -> Tensor:
    """x reversed along axis 0.

    >>> import amalthea as am
    >>> am.ops.flipud([1, 2]).tolist()
    [2, 1]
    """
    return flip(x, 0)


@composite(samples=lambda: [((values(2, 3),), {})])
def fliplr(x: Tensor) -> Tensor:
    """x reversed along axis 1.

    >>> import amalthea as am
    >>> am.ops.fliplr([[1, 2]]).tolist()
    [[2, 1]]
    """
    return flip(x, 1)


def _pad_sources(size: int, before: int, after: int, mode: str) -> np.ndarray:
    """Which element along an axis each element of the padded axis repeats."""
    places = np.arange(-before, size + after)
    if mode == "edge":
        return np.clip(places, 0, size - 1).astype(np.int32)
    if mode == "wrap":
        return (places % size).astype(np.int32)
    if mode == "reflect" and size == 1:
        return np.zeros_like(places, np.int32)
    period = 2 * (size - 1) if mode == "reflect" else 2 * size
    places = places % period
    mirrored = period - places if mode == "reflect" else period - 1 - places
    return np.where(places < size, places, mirrored).astype(np.int32)


@composite(
    samples=lambda: [
        ((values(2, 3), 1), {}),
        ((values(2, 3), ((0, 1), (2, 0))), {"constant_values": 1.5}),
        ((values(2, 3), ((0, 1), (2, 2))), {"mode": "reflect"}),
        ((values(2, 3), ((1, 1), (2, 0))), {"mode": "symmetric"}),
        ((values(2, 3), (1, 2)), {"mode": "edge"}),
        ((values(3), (4, 5)), {"mode": "wrap"}),
    ]
)
def pad(x: Tensor, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Tensor:
    """x with elements added before and after each axis.

    `pad_width` is an int, a pair (before, after) for all axes, or a pair for each axis. `mode` is "constant" (with
    `constant_values`, 0 by default), "reflect" (mirrored, without the edge), "symmetric" (mirrored, with the edge),
    "edge" (the edge repeated) or "wrap" (as if periodic).

    >>> import amalthea as am
    >>> am.ops.pad([1, 2, 3], (1, 2), mode="edge").tolist()
    [1, 1, 2, 3, 3, 3]
    """
    from amalthea.ops.indexing import take

    widths = _pad_widths(x, pad_width)
    if mode not in ("constant", "reflect", "symmetric", "edge", "wrap"):
        fail(
            ArgumentError,
            "there is no such mode",
            received=f"mode={mode!r}",
            fix="use 'constant', 'reflect', 'symmetric', 'edge' or 'wrap'",
        )
    if mode == "constant":
        low, high = tuple(a for a, _ in widths), tuple(b for _, b in widths)
        return constant_pad(x, low, high, (0,) * x.ndim, 0.0 if constant_values is None else _number(constant_values))
    if constant_values is not None:
        fail(
            ArgumentError,
            "constant_values goes with mode='constant' only",
            received=f"mode={mode!r}, constant_values={constant_values!r}",
            fix="leave one of them out",
        )
    for axis, (before, after) in enumerate(widths):
        if before or after:
            x = take(x, _pad_sources(x.shape[axis], before, after, mode), axis=axis)
    return x


def _number(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float)) or is_symbolic(value) else np.asarray(value).item()


def _pad_widths(x: Tensor, pad_width: Any) -> list[tuple[int, int]]:
    try:
        given = np.asarray(pad_width, dtype=np.int64)
        pairs = np.broadcast_to(given, (x.ndim, 2))
    except (ValueError, TypeError):
        pairs = None
    if pairs is None or (pairs < 0).any():
        fail(
            ShapeError,
            "pad_width must be an int, a pair, or a pair of ints for each axis, none of them negative",
            received=f"pad_width={pad_width!r} for x of shape {show(x.shape)}",
            fix=f"give {x.ndim} pairs (before, after)",
        )
    return [(int(a), int(b)) for a, b in pairs]


@composite(samples=lambda: [((values(3, 3),), {}), ((values(2, 3, 4),), {"offset": 1, "axis1": 1, "axis2": 2})])
def diagonal(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The elements on a diagonal of the planes of two axes, as the last axis; a positive offset is above the main one.

    >>> import amalthea as am
    >>> am.ops.diagonal([[1, 2], [3, 4]]).tolist()
    [1, 4]
    """
    from amalthea.ops.indexing import take

    a, b = normal_axis(axis1, x.ndim, "axis1"), normal_axis(axis2, x.ndim, "axis2")
    rest = [i for i in range(x.ndim) if i not in (a, b)]
    rows, columns = x.shape[a], x.shape[b]
    count = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    flat = reshape(transpose(x, (*rest, a, b)), (*(x.shape[i] for i in rest), rows * columns))
    first = max(offset, 0) + max(-offset, 0) * columns
    return take(flat, first + np.arange(count, dtype=np.int32) * (columns + 1), axis=-1)


@composite(samples=lambda: [((values(3, 3),), {}), ((values(2, 3),), {"offset": 1})])
def trace(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum along a diagonal of the planes of two axes.

    >>> import amalthea as am
    >>> am.ops.trace([[1, 2], [3, 4]]).item()
    5
    """
    return diagonal(x, offset, axis1, axis2).sum(axis=-1)


@composite(samples=lambda: [((values(3),), {}), ((values(3),), {"k": -1}), ((values(3, 4),), {"k": 1})])
def diag(x: Tensor, k: int = 0) -> Tensor:
    """The k-th diagonal of a matrix, or a matrix with the vector on its k-th diagonal.

    >>> import amalthea as am
    >>> am.ops.diag([1, 2]).tolist()
    [[1, 0], [0, 2]]
    """
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        fail(ShapeError, "x must be a vector or a matrix", received=f"x of shape {show(x.shape)}", fix="use diagonal")
    # A row-major n x n matrix has its diagonal n + 1 apart: n zeros between elements, then the shape.
    size, shift = x.shape[0], abs(k)
    side = size + shift
    if not size:
        return constant_pad(reshape(x, (0, 0)), (0, 0), (shift, shift), (0, 0))
    first = shift if k > 0 else shift * side
    last = first + (size - 1) * (side + 1)
    return reshape(constant_pad(x, (first,), (side * side - 1 - last,), (side,)), (side, side))


@composite(samples=lambda: [((values(2, 2),), {"k": 1})])
def diagflat(x: Tensor, k: int = 0) -> Tensor:
    """A matrix with all elements of x, flattened, on its k-th diagonal.

    >>> import amalthea as am
    >>> am.ops.diagflat([[1, 2]]).tolist()
    [[1, 0], [0, 2]]
    """
    return diag(reshape(x, (math.prod(x.shape),)), k)


export(__name__)
