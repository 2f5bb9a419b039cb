"""`x[...]` by NumPy's rules, taken apart into slices, reshapes and gathers."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from amalthea.core import dtypes
from amalthea.core.context import context
from amalthea.core.errors import ArgumentError, DTypeError, ShapeError, fail
from amalthea.core.op import composite, export
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.ops.indexing import flat_index, gather
from amalthea.ops.samples import integers, values
from amalthea.ops.selection import nonzero
from amalthea.ops.shaping import broadcast_to, flip, moveaxis, reshape, strided_slice, transpose
from amalthea.ops.specs import Ints, broadcast_shapes, show

# A key is taken apart into one entry for each axis of x or of the result: an int, a (start, stop, step) tuple
# of a slice, None for a new axis, Ellipsis, or "tensor" for an index that is an array and travels as an input.


def get_item(x: Any, key: Any) -> Tensor:
    """x[key], by NumPy's rules: ints, slices, None, Ellipsis, integer tensors and arrays, and boolean masks.

    Masks must be known when the op is called, because the size of the result depends on them.

    >>> import amalthea as am
    >>> am.ops.get_item(am.ops.reshape(am.ops.arange(6), (2, 3)), (slice(None), -1)).tolist()
    [2, 5]
    """
    x = as_tensor(x)
    entries: list[Any] = []
    arrays: list[Tensor] = []
    for part in key if type(key) is tuple else (key,):
        if type(part) is slice:
            entries.append((_bound(part.start), _bound(part.stop), _bound(part.step)))
        elif part is None or part is Ellipsis or type(part) is int:
            entries.append(part)
        elif isinstance(part, (bool, np.bool_)):
            fail(DTypeError, "a bool is not an index", where="get_item", received=repr(part), fix="use a mask tensor")
        elif isinstance(part, np.integer):
            entries.append(int(part))
        else:
            _add_array(part, entries, arrays)
    if not arrays and type(x) is Tensor and context.trace is None:
        return _apply(x, _plan_of(x.shape, tuple(entries)))
    return _get_item(x, arrays, tuple(entries))


def _bound(part: Any) -> int | None:
    return None if part is None else operator.index(part)


def _add_array(part: Any, entries: list[Any], arrays: list[Tensor]) -> None:
    index = as_tensor(part)
    if isinstance(part, (list, tuple)) and not part:
        index = index.astype("int32")
    if index.dtype == "bool":
        for places in nonzero(index):
            entries.append("tensor")
            arrays.append(places)
    elif dtypes.is_integer(index.dtype):
        entries.append("tensor")
        arrays.append(index)
    else:
        fail(
            DTypeError,
            "an index must be an integer or a bool mask",
            where="get_item",
            received=f"an index of dtype {index.dtype}",
            fix="convert it with ops.cast(index, 'int32')",
        )


def _whole_key(key: tuple[Any, ...], shape: Ints) -> list[Any]:
    """The key with the Ellipsis, or the missing end, filled in with whole slices."""
    used = sum(1 for entry in key if entry is not None and entry is not Ellipsis)
    whole: list[Any] = [(None, None, None)] * (len(shape) - used)
    if used > len(shape) or key.count(Ellipsis) > 1:
        fail(
            ShapeError,
            f"{used} indices for a tensor of {len(shape)} dimensions"
            if used > len(shape)
            else "an index can have one Ellipsis only",
            where="get_item",
            received=f"x of shape {show(shape)}",
            fix=f"use at most {len(shape)} indices and one Ellipsis",
        )
    if Ellipsis in key:
        place = key.index(Ellipsis)
        return [*key[:place], *whole, *key[place + 1 :]]
    return [*key, *whole]


@composite(
    name="get_item",
    samples=lambda: [
        ((values(3, 4), [], (1,)), {}),
        ((values(3, 4), [], (None, (None, None, -2), (1, 3, None))), {}),
        ((values(3, 4), [], (Ellipsis, -1)), {}),
        ((values(3, 4), [integers(2, 2, high=3)], ("tensor",)), {}),
        ((values(3, 4, 2), [integers(3, high=3), integers(3, high=2)], ("tensor", (None, None, None), "tensor")), {}),
        ((values(3, 4, 2), [integers(3, high=4)], (0, "tensor", None)), {}),
    ],
)
def _get_item(x: Tensor, indices: Sequence[Tensor], key: tuple[Any, ...]) -> Tensor:
    """x[key], with the tensors of the key apart."""
    plan = _make_plan(tuple(x.shape), key)
    out = _apply(x, plan)
    return _gather_axes(out, list(indices), *plan.gathered) if plan.gathered is not None else out


class _Plan(NamedTuple):
    """What x[key] does to a shape: attributes for each step, None for steps that are not needed.

    `gathered` is (axes that index tensors stand for, where their common axes go).
    """

    sliced: dict[str, Any] | None
    flipped: dict[str, Any] | None
    reshaped: dict[str, Any] | None
    gathered: tuple[list[int], int] | None


def _apply(x: Tensor, plan: _Plan) -> Tensor:
    if plan.sliced is not None:
        x = strided_slice.op.dispatch((x,), plan.sliced)
    if plan.flipped is not None:
        x = flip.op.dispatch((x,), plan.flipped)
    return x if plan.reshaped is None else reshape.op.dispatch((x,), plan.reshaped)


def _make_plan(x_shape: Ints, key: tuple[Any, ...]) -> _Plan:
    start, stop, strides, reverse = [], [], [], []
    shape: list[int] = []  # after slicing, with axes added but none dropped
    fate: list[str] = []  # for each axis of `shape`: "keep", "drop" (an int took it), or "tensor"
    axis = 0
    for entry in _whole_key(key, x_shape):
        if entry is None:
            fate.append("keep")
            shape.append(1)
            continue
        size = x_shape[axis]
        if entry == "tensor" or entry == (None, None, None):
            first, last, step = 0, size, 1
            fate.append("tensor" if entry == "tensor" else "keep")
            shape.append(size)
        elif isinstance(entry, tuple):
            first, last, step = slice(*entry).indices(size)
            count = len(range(first, last, step))
            if step < 0:  # the same elements forwards, then flipped
                reverse.append(axis)
                first, last, step = first + (count - 1) * step, first + 1, -step
            if not count:
                first, last, step = 0, 0, 1
            fate.append("keep")
            shape.append(count)
        else:
            if not -size <= entry < size:
                fail(
                    ArgumentError,
                    f"index {entry} is out of range for axis {axis}, which has {size} elements",
                    where="get_item",
                    received=f"x of shape {show(x_shape)}",
                    fix=f"use an index from {-size} to {size - 1}" if size else "check for empty input first",
                )
            first, step = entry % size, 1
            last = first + 1
            fate.append("drop")
            shape.append(1)
        start.append(first)
        stop.append(last)
        strides.append(step)
        axis += 1
    whole = not any(start) and tuple(stop) == x_shape and all(s == 1 for s in strides)
    kept = tuple(d for d, what in zip(shape, fate, strict=True) if what != "drop")
    gathered = None
    if "tensor" in fate:
        # NumPy puts the axes of the index arrays where they stood if those were neighbours, else in front; an int
        # beside them counts as one of them.
        advanced = [i for i, what in enumerate(fate) if what != "keep"]
        adjacent = advanced == list(range(advanced[0], advanced[-1] + 1))
        places = [i for i, what in enumerate([w for w in fate if w != "drop"]) if what == "tensor"]
        gathered = (places, fate[: advanced[0]].count("keep") if adjacent else 0)
    return _Plan(
        None if whole else {"start": tuple(start), "stop": tuple(stop), "strides": tuple(strides)},
        {"axis": tuple(reverse)} if reverse else None,
        None if None not in key and "drop" not in fate else {"newshape": kept},
        gathered,
    )


_plan_of = functools.lru_cache(maxsize=4096)(_make_plan)


def _gather_axes(x: Tensor, indices: list[Tensor], axes: list[int], place: int) -> Tensor:
    """x indexed by broadcast index tensors along axes; their common axes go to `place` in the result."""
    if len(axes) == 1:
        if place == axes[0]:
            return gather(x, indices[0], place)
        out = gather(x, indices[0], axes[0])
        count = indices[0].ndim
        return moveaxis(out, list(range(axes[0], axes[0] + count)), list(range(place, place + count)))
    common = broadcast_shapes(*(i.shape for i in indices))
    spread = [broadcast_to(i.astype("int32"), common) for i in indices]
    rest = [i for i in range(x.ndim) if i not in axes]
    moved = transpose(x, (*axes, *rest))
    sizes = tuple(x.shape[a] for a in axes)
    flat = reshape(moved, (math.prod(sizes), *(x.shape[i] for i in rest)))
    out = gather(flat, flat_index(spread, sizes), 0)
    count = len(common)
    return moveaxis(out, list(range(count)), list(range(place, place + count))) if place else out


export(__name__)
