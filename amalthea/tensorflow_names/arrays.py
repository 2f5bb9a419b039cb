"""Shapes, joining and cutting, under TensorFlow's names."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.errors import ShapeError, fail
from amalthea.core.tensor import Operand, Tensor, as_tensor
from amalthea.tensorflow_names.adapting import known_values, refuse, sizes_at_once


def shape(input: Any, out_type: Any = None, name: str | None = None) -> tuple[int | None, ...]:
    """The sizes of the axes, as Python numbers (which fit whatever `out_type` says).

    >>> import amalthea as tf
    >>> tf.shape(tf.zeros((2, 3)))
    (2, 3)
    """
    return ops.shape(as_tensor(input))


def size(input: Any, out_type: Any = None, name: str | None = None) -> int | None:
    """The number of elements, as a Python number."""
    return ops.size(as_tensor(input))


def rank(input: Any, name: str | None = None) -> int:
    """The number of axes, as a Python number."""
    return ops.ndim(as_tensor(input))


def reshape(tensor: Any, shape: Any, name: str | None = None) -> Tensor:
    """The elements in another shape; one size may be -1.

    >>> import amalthea as tf
    >>> tf.reshape(tensor=[[1, 2], [3, 4]], shape=[-1]).numpy().tolist()
    [1, 2, 3, 4]
    """
    return ops.reshape(tensor, _whole(shape))


def ensure_shape(x: Any, shape: Sequence[int | None], name: str | None = None) -> Tensor:
    """The same tensor; ShapeError if it does not have this shape (None fits any size)."""
    x = as_tensor(x)
    if len(x.shape) != len(shape) or any(None not in (a, b) and a != b for a, b in zip(x.shape, shape, strict=True)):
        fail(
            ShapeError, "the tensor has another shape", where="ensure_shape", received=f"{x.shape}, not {tuple(shape)}"
        )
    return x


def transpose(a: Any, perm: Any = None, conjugate: bool = False, name: str | None = "transpose") -> Tensor:
    """The axes in another order, by default the reverse.

    >>> import amalthea as tf
    >>> tf.transpose(tf.zeros((2, 3, 4)), perm=[0, 2, 1]).shape
    (2, 4, 3)
    """
    a = as_tensor(a)
    return ops.transpose(ops.conj(a) if conjugate else a, axes=None if perm is None else _whole(perm))


def expand_dims(input: Any, axis: int, name: str | None = None) -> Tensor:
    """A new axis of size 1."""
    with sizes_at_once(input):
        return ops.expand_dims(input, axis)


def squeeze(input: Any, axis: Any = None, name: str | None = None) -> Tensor:
    """Without axes of size 1: all of them, or those named."""
    return ops.squeeze(input, axis=_whole(axis) if isinstance(axis, list | tuple) else axis)


def broadcast_to(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """The tensor repeated to a larger shape, as broadcasting does."""
    return ops.broadcast_to(input, _whole(shape))


def tile(input: Any, multiples: Any, name: str | None = None) -> Tensor:
    """The tensor repeated so many times along each axis.

    >>> import amalthea as tf
    >>> tf.tile([1, 2], multiples=[2]).numpy().tolist()
    [1, 2, 1, 2]
    """
    input, multiples = as_tensor(input), _whole(multiples)
    if len(multiples) != len(input.shape):
        fail(
            ShapeError,
            "there must be one multiple for each axis",
            where="tile",
            received=f"input {input.shape}, multiples={list(multiples)}",
            fix="use 1 for axes that stay",
        )
    return ops.tile(input, multiples)


def repeat(input: Any, repeats: Any, axis: int | None = None, name: str | None = None) -> Tensor:
    """Each element repeated, along an axis or (by default) of the flat tensor."""
    return ops.repeat(input, repeats if not isinstance(repeats, Operand) else repeats.numpy().tolist(), axis=axis)


def concat(values: Any, axis: int, name: str | None = "concat") -> Tensor:
    """Join tensors along an axis.

    >>> import amalthea as tf
    >>> tf.concat([[1, 2], [3]], axis=0).numpy().tolist()
    [1, 2, 3]
    """
    with sizes_at_once(values):
        return ops.concatenate(values if isinstance(values, list | tuple) else [values], axis=axis)


def stack(values: Any, axis: int = 0, name: str | None = "stack") -> Tensor:
    """Join tensors of one shape along a new axis."""
    with sizes_at_once(values):
        return ops.stack(values, axis=axis)


def unstack(value: Any, num: int | None = None, axis: int = 0, name: str | None = "unstack") -> list[Tensor]:
    """The slices along an axis, as a list."""
    return ops.unstack(value, num=num, axis=axis)


def split(
    value: Any, num_or_size_splits: Any, axis: int = 0, num: int | None = None, name: str | None = "split"
) -> list[Tensor]:
    """Cut a tensor into so many equal parts, or into parts of the given sizes (one may be -1, for the rest).

    >>> import amalthea as tf
    >>> [part.shape for part in tf.split(tf.zeros((5, 2)), [2, -1])]
    [(2, 2), (3, 2)]
    """
    value = as_tensor(value)
    if isinstance(num_or_size_splits, int):
        return list(ops.split(value, num_or_size_splits, axis=axis))
    sizes, total = list(_whole(num_or_size_splits)), value.shape[axis]
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = total - sum(sizes) - 1
    if total != sum(sizes) or (num is not None and num != len(sizes)):
        fail(
            ShapeError,
            "the sizes of the parts must add up to the size of the axis",
            where="split",
            received=f"sizes {sizes}, value {value.shape}, axis={axis}, num={num}",
            fix="let one size be -1, which stands for the rest",
        )
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
    return list(ops.split(value, ends, axis=axis))


def reverse(tensor: Any, axis: Any, name: str | None = None) -> Tensor:
    """The elements in reverse order along axes."""
    return ops.flip(tensor, axis=_whole(axis) if isinstance(axis, list | tuple) else axis)


def roll(input: Any, shift: Any, axis: Any, name: str | None = None) -> Tensor:
    """The elements moved along axes; what leaves at one end comes in at the other."""
    return ops.roll(input, shift, axis=axis)


def meshgrid(*args: Any, indexing: str = "xy", name: str | None = None) -> list[Tensor]:
    """Coordinates of a grid, from the coordinates of its axes."""
    return list(ops.meshgrid(*args, indexing=indexing))


def pad(
    tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0, name: str | None = None
) -> Tensor:
    """Put values around a tensor; `paddings` is a pair (before, after) for each axis, `mode` says which values.

    >>> import amalthea as tf
    >>> tf.pad([1, 2], [[1, 1]], "REFLECT").numpy().tolist()
    [2, 1, 2, 1]
    """
    if isinstance(paddings, Operand):
        paddings = paddings.numpy().tolist()
    pairs = tuple(tuple(int(n) for n in pair) for pair in paddings)
    if mode.lower() == "constant":
        return ops.pad(tensor, pairs, mode="constant", constant_values=constant_values)
    return ops.pad(tensor, pairs, mode=mode.lower())


def slice(input_: Any, begin: Any, size: Any, name: str | None = None) -> Tensor:
    """A block that starts at `begin` and has this size; -1 means up to the end of the axis.

    >>> import amalthea as tf
    >>> tf.slice([1, 2, 3, 4], begin=[1], size=[-1]).numpy().tolist()
    [2, 3, 4]
    """
    x = as_tensor(input_)
    sizes = _whole(size)
    if -1 in sizes:
        start = _whole(begin)
        sizes = tuple(n - b if s == -1 else s for n, b, s in zip(x.shape, start, sizes, strict=True))
    return ops.slice(x, begin, sizes)


def strided_slice(
    input_: Any,
    begin: Any,
    end: Any,
    strides: Any = None,
    begin_mask: int = 0,
    end_mask: int = 0,
    ellipsis_mask: int = 0,
    new_axis_mask: int = 0,
    shrink_axis_mask: int = 0,
    var: Any = None,
    name: str | None = None,
) -> Tensor:
    """`input_[begin:end:strides]`; bit i of a mask changes what entry i means (no begin, no end, ..., new axis, index).

    >>> import amalthea as tf
    >>> tf.strided_slice([1, 2, 3, 4], [0], [4], [2]).numpy().tolist()
    [1, 3]
    """
    refuse("strided_slice", var=var)
    begin, end = _whole(begin), _whole(end)
    steps = _whole(strides) if strides is not None else (1,) * len(begin)
    key: list[Any] = []
    for i, (first, last, step) in enumerate(zip(begin, end, steps, strict=True)):
        bit = 1 << i
        if ellipsis_mask & bit:
            key.append(Ellipsis)
        elif new_axis_mask & bit:
            key.append(None)
        elif shrink_axis_mask & bit:
            key.append(first)
        else:
            start, stop = None if begin_mask & bit else first, None if end_mask & bit else last
            key.append(builtins.slice(start, stop, step))
    return as_tensor(input_)[tuple(key)]


def _whole(numbers: Any) -> tuple[int, ...]:
    """Sizes or axes given as a number, a sequence (of numbers or scalar tensors) or a tensor."""
    if isinstance(numbers, Operand):
        known_values("shapes and axes", numbers)
        numbers = numbers.numpy().tolist()
    if not isinstance(numbers, list | tuple):
        numbers = numbers.tolist() if hasattr(numbers, "tolist") else [numbers]
        numbers = numbers if isinstance(numbers, list) else [numbers]
    return tuple(None if n is None else int(n) for n in numbers)  # type: ignore[misc]
