"""Shape and dtype rules that several ops share."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, cast

from amalthea.core import dtypes
from amalthea.core.dtypes import DType
from amalthea.core.errors import ArgumentError, DTypeError, ShapeError, fail
from amalthea.core.spec import TensorSpec, UnknownDim
from amalthea.core.tensor import Tensor, as_tensor

Ints = tuple[int, ...]


def broadcast_shapes(*shapes: Sequence[int], names: Sequence[str] = ()) -> Ints:
    """The shape that arrays of these shapes broadcast to, by NumPy's rule.

    A dimension whose size is not known yet (`UnknownDim`) goes with any other and gives way to it, unless that is 1.
    Raises ShapeError when the shapes do not broadcast.

    >>> from amalthea.ops.specs import broadcast_shapes
    >>> broadcast_shapes((3, 1), (4,))
    (3, 4)
    """
    first = tuple(shapes[0])
    if all(tuple(shape) == first for shape in shapes[1:]):
        return first
    ndim = max(map(len, shapes))
    result = [1] * ndim
    for shape in shapes:
        for place, size in enumerate(shape, ndim - len(shape)):
            merged = _merge(result[place], size)
            if merged is None:
                fail(
                    ShapeError,
                    f"shapes {' and '.join(str(show(s)) for s in shapes)} do not broadcast",
                    received=", ".join(f"{n} of shape {show(s)}" for n, s in zip(names, shapes, strict=False)) or None,
                    fix="make the sizes equal, or 1, counting dimensions from the last",
                )
            result[place] = merged
    return tuple(result)


def _merge(a: int, b: int) -> int | None:
    """The size that two sizes broadcast to, or None."""
    if isinstance(a, UnknownDim) or isinstance(b, UnknownDim):
        known = b if isinstance(a, UnknownDim) else a
        unknown = a if isinstance(a, UnknownDim) else b
        return unknown if known == 1 and not isinstance(known, UnknownDim) else known
    if a == b or b == 1:
        return a
    return b if a == 1 else None


def show(shape: Sequence[int | None]) -> tuple[int | None, ...]:
    """The shape as people write it: None for a dimension of unknown size."""
    return tuple(None if d is None or isinstance(d, UnknownDim) else int(d) for d in shape)


def tensor_of(shape: Sequence[int], dtype: Any) -> Tensor:
    """The spec of a primitive's result, typed as the tensor that callers of the primitive get.

    The body of a primitive computes with specs, and its signature is the one for its callers, who pass and get tensors.
    This function is where the two meet.

    >>> from amalthea.ops.specs import tensor_of
    >>> tensor_of((2, 3), "float32")
    float32[2,3]
    """
    return cast(Tensor, TensorSpec(shape, dtype))


def elementwise_spec(*specs: Any, dtype: Any = None, names: Sequence[str] = ("x1", "x2")) -> Tensor:
    """The spec of an elementwise op: the broadcast shape, in the dtype of the first input unless `dtype` is given."""
    shape = specs[0].shape if len(specs) == 1 else broadcast_shapes(*(s.shape for s in specs), names=names)
    return tensor_of(shape, specs[0].dtype if dtype is None else dtype)


def require(spec: Any, *kinds: str, name: str = "x") -> None:
    """Raise DTypeError unless the dtype is of one of the kinds: "bool", "integer", "floating"."""
    dtype = spec.dtype
    kind = "bool" if dtype == "bool" else "integer" if dtypes.is_integer(dtype) else "floating"
    if kind not in kinds:
        fail(
            DTypeError,
            f"{name} must be {' or '.join(kinds)}, and it is {dtype}",
            received=f"{name} of dtype {dtype} and shape {show(spec.shape)}",
            fix="convert it first with ops.cast",
        )


def normal_axis(axis: Any, ndim: int, name: str = "axis") -> int:
    """An axis as a non-negative int; raises ShapeError when there is no such axis."""
    try:
        number = operator.index(axis)
    except TypeError:
        fail(ArgumentError, f"{name} must be an int", received=f"{name}={axis!r}", fix="pass a Python int")
    if not -ndim <= number < ndim:
        fail(
            ShapeError,
            f"there is no axis {number} in a tensor of {ndim} dimensions",
            received=f"{name}={axis!r}",
            fix=f"use an axis from {-ndim} to {ndim - 1}" if ndim else "a scalar has no axes: leave the axis out",
        )
    return number + ndim if number < 0 else number


def normal_axes(axis: Any, ndim: int, name: str = "axis") -> Ints:
    """Axes as sorted non-negative ints: None means all. Raises ShapeError for one that is missing or given twice."""
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, (tuple, list)):
        return (normal_axis(axis, ndim, name),)
    axes = tuple(sorted(normal_axis(a, ndim, name) for a in axis))
    if len(set(axes)) < len(axes):
        fail(ShapeError, f"{name} names an axis twice", received=f"{name}={tuple(axis)}", fix="name each axis once")
    return axes


def normal_shape(shape: Any, name: str = "shape") -> Ints:
    """A shape as a tuple of ints, from an int, a sequence of ints or an integer array."""
    try:
        sizes = (operator.index(shape),) if not hasattr(shape, "__len__") else tuple(map(_index, shape))
    except TypeError:
        fail(
            ArgumentError,
            f"{name} must be a tuple of ints",
            received=f"{name}={shape!r}",
            fix="pass Python ints; sizes must be known when an op is called",
        )
    return sizes


def normal_sizes(shape: Any, name: str = "shape", where: str | None = None) -> Ints:
    """The shape of a new tensor as a tuple of ints, none of them negative."""
    try:
        sizes = normal_shape(shape, name)
    except ArgumentError as error:
        error.where = where
        raise
    if any(size < 0 for size in sizes):
        fail(
            ShapeError,
            "a tensor has no axis of negative size",
            where=where,
            received=f"{name}={show(sizes)}",
            fix="give the number of elements of each axis; only reshape works out a size that is given as -1",
        )
    return sizes


def count(value: Any, name: str, where: str | None = None) -> int:
    """A number of rows, repeats, samples: a whole number from 0; raises ArgumentError for anything else."""
    try:
        number = _index(value)
    except TypeError:
        number = -1
    if number < 0:
        fail(
            ArgumentError,
            f"{name} must be a whole number, 0 or more",
            where=where,
            received=f"{name}={value!r}",
            fix=f"for example {name}=3",
        )
    return number


def _index(size: Any) -> int:
    return size if isinstance(size, UnknownDim) else operator.index(size)


def reduced_shape(shape: Sequence[int], axes: Ints, keepdims: bool) -> Ints:
    """The shape after reducing the (normal) axes."""
    if keepdims:
        return tuple(1 if i in axes else d for i, d in enumerate(shape))
    return tuple(d for i, d in enumerate(shape) if i not in axes)


def sum_dtype(dtype: Any) -> DType:
    """The dtype sums are taken in: at least 32 bits for integers, and bool counts as int32."""
    name = dtypes.standardize(dtype)
    if name in ("bool", "int8", "int16"):
        return dtypes.int32
    return dtypes.uint32 if name in ("uint8", "uint16") else name


def float_dtype(*of: Any) -> DType:
    """The floating dtype that values of these dtypes are computed in: their common one, or floatx for ints and bools.

    >>> from amalthea.ops.specs import float_dtype
    >>> float_dtype("int64"), float_dtype("float64", "int32")
    (amalthea.float32, amalthea.float64)
    """
    return dtypes.result_type(*of, float)


def as_floating(x: Tensor) -> Tensor:
    """x if it is floating; integers and bools, in which formulas would wrap around, as floatx.

    >>> from amalthea.ops.specs import as_floating
    >>> import amalthea as am
    >>> as_floating(am.ops.convert_to_tensor([1, 2])).dtype
    amalthea.float32
    """
    return x if dtypes.is_floating(x.dtype) else as_tensor(x, dtypes.floatx())


def not_bool(of: Sequence[Any]) -> DType:
    """The common dtype, where bool counts as int32."""
    common = dtypes.result_type(*of)
    return dtypes.int32 if common == "bool" else common
