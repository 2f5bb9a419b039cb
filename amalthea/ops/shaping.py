"""Ops that move elements to other places without computing with them: the primitives and the commonest composites."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.op import OpFunction, composite, export, nondifferentiable, primitive, registry
from amalthea.core.spec import UnknownDim
from amalthea.core.tensor import Tensor
from amalthea.ops.samples import values
from amalthea.ops.specs import (
    Ints,
    broadcast_shapes,
    normal_axes,
    normal_axis,
    normal_shape,
    normal_sizes,
    show,
    tensor_of,
)


def _new_shape(x: Any, newshape: Any) -> dict[str, Any]:
    shape = normal_shape(newshape, "newshape")
    known = math.prod(d for d in shape if d != -1)
    free = shape.count(-1)
    if free > 1 or any(d < -1 for d in shape):
        fail(ArgumentError, "at most one size may be -1", received=f"newshape={shape}", fix="give the other sizes")
    if free and known and x.size % known == 0:
        shape = tuple(x.size // known if d == -1 else d for d in shape)
    if math.prod(shape) != x.size or -1 in shape:
        fail(
            ShapeError,
            f"{x.size} elements do not fill the shape {shape}",
            received=f"x of shape {show(x.shape)}",
            fix="keep the number of elements, or use -1 for one size",
        )
    return {"newshape": shape}


@primitive(
    gradient=(lambda g, out, x, newshape: reshape(g, x.shape),),
    normalize=_new_shape,
    samples=lambda: [((values(2, 3), (3, 2)), {}), ((values(2, 3), (-1,)), {}), ((values(2, 3), (2, -1, 1)), {})],
)
def reshape(x: Tensor, newshape: Any) -> Tensor:
    """The same elements in row-major order under another shape, of which one size may be -1 (what is left).

    >>> import amalthea as am
    >>> am.ops.reshape([1, 2, 3, 4], (2, -1)).tolist()
    [[1, 2], [3, 4]]
    """
    return tensor_of(newshape, x.dtype)


def _order(x: Any, axes: Any) -> dict[str, Any]:
    if axes is None:
        return {"axes": tuple(reversed(range(x.ndim)))}
    order = tuple(normal_axis(a, x.ndim, "axes") for a in axes)
    if sorted(order) != list(range(x.ndim)):
        fail(
            ShapeError,
            "axes must name each axis once",
            received=f"axes={tuple(axes)} for x of shape {show(x.shape)}",
            fix=f"use a permutation of {tuple(range(x.ndim))}",
        )
    return {"axes": order}


@primitive(
    gradient=(lambda g, out, x, axes: transpose(g, tuple(axes.index(i) for i in range(len(axes)))),),
    normalize=_order,
    samples=lambda: [((values(2, 3),), {}), ((values(2, 3, 4), (1, 2, 0)), {}), ((values(3),), {})],
)
def transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """x with its axes in another order: axis i of the result is axis axes[i] of x. Without `axes`, reversed.

    >>> import amalthea as am
    >>> am.ops.transpose([[1, 2], [3, 4]]).tolist()
    [[1, 3], [2, 4]]
    """
    return tensor_of(tuple(x.shape[a] for a in axes or ()), x.dtype)


def _target(x: Any, shape: Any) -> dict[str, Any]:
    wanted = normal_sizes(shape)
    if broadcast_shapes(x.shape, wanted, names=("x", "the result")) != wanted:
        fail(
            ShapeError,
            f"a tensor of shape {show(x.shape)} does not broadcast to {show(wanted)}",
            received=f"x of shape {show(x.shape)}",
            fix="broadcasting only adds axes in front and stretches those of size 1",
        )
    return {"shape": wanted}


def _summed_back(g: Tensor, out: Tensor, x: Tensor, shape: Ints) -> Tensor:
    extra = len(shape) - x.ndim
    stretched = [extra + i for i, d in enumerate(x.shape) if d == 1 and shape[extra + i] != 1]
    return g.sum(axis=(*range(extra), *stretched)).reshape(x.shape)


@primitive(
    gradient=(_summed_back,),
    normalize=_target,
    samples=lambda: [((values(3), (2, 3)), {}), ((values(2, 1), (4, 2, 3)), {}), ((values(), (2,)), {})],
)
def broadcast_to(x: Tensor, shape: Any) -> Tensor:
    """x repeated along new leading axes, and along axes where it has size 1, to reach the shape.

    >>> import amalthea as am
    >>> am.ops.broadcast_to([1, 2], (2, 2)).tolist()
    [[1, 2], [1, 2]]
    """
    return tensor_of(shape, x.dtype)


def _join_axis(xs: Sequence[Any], axis: int) -> dict[str, Any]:
    if not xs:
        fail(ArgumentError, "there is nothing to join", received="an empty list", fix="pass at least one tensor")
    axis = normal_axis(axis, xs[0].ndim)
    for other in xs[1:]:
        if other.ndim != xs[0].ndim or any(
            i != axis and a != b and not isinstance(a, UnknownDim) and not isinstance(b, UnknownDim)
            for i, (a, b) in enumerate(zip(xs[0].shape, other.shape, strict=True))
        ):
            fail(
                ShapeError,
                f"shapes must agree on all axes but {axis}",
                received=f"shapes {', '.join(str(show(x.shape)) for x in xs)}",
                fix="reshape or pad them, or join along another axis",
            )
    return {"axis": axis}


def _pieces(g: Tensor, out: Tensor, *xs: Tensor, axis: int) -> list[Tensor]:
    pieces, start = [], 0
    for x in xs:
        pieces.append(slice_axis(g, axis, start, start + x.shape[axis]))
        start += x.shape[axis]
    return pieces


@primitive(
    promote="common",
    gradient=_pieces,
    normalize=_join_axis,
    samples=lambda: [
        (([values(2, 3), values(1, 3, seed=1)],), {}),
        (([values(2, 3), values(2, 2, seed=1), values(2, 0)],), {"axis": -1}),
    ],
)
def concatenate(xs: Sequence[Tensor], axis: int = 0) -> Tensor:
    """The tensors one after another along an axis, in their common dtype; flattened first if `axis` is None.

    >>> import amalthea as am
    >>> am.ops.concatenate([[1, 2], [3]]).tolist()
    [1, 2, 3]
    """
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    return tensor_of(shape, xs[0].dtype)


def _flattening(join: OpFunction[Tensor]) -> OpFunction[Tensor]:
    """`join` for `axis=None` too, of which the primitive (and each backend) knows nothing."""

    @functools.wraps(join)
    def flattened(xs: Any, axis: int | None = 0) -> Tensor:
        if axis is None:
            return join([reshape(x, (-1,)) for x in xs])
        return join(xs, axis)

    registry[join.op.name] = flattened
    return flattened  # type: ignore[return-value]


concatenate = _flattening(concatenate)


def _pad_gradient(g: Tensor, out: Tensor, x: Tensor, low: Ints, high: Ints, interior: Ints, value: float) -> Tensor:
    stop = tuple(d - h for d, h in zip(out.shape, high, strict=True))
    return strided_slice(g, low, stop, tuple(i + 1 for i in interior))


@primitive(
    gradient=(_pad_gradient,),
    normalize=lambda x, **attrs: {k: v if k == "value" else normal_shape(v, k) for k, v in attrs.items()},
    samples=lambda: [((values(2, 3), (1, 0), (0, 2), (0, 1), 0.5), {}), ((values(2), (1,), (1,), (0,)), {})],
)
def constant_pad(x: Tensor, low: Ints, high: Ints, interior: Ints, value: float = 0.0) -> Tensor:
    """x with `low` and `high` constant elements before and after each axis and `interior` ones between its elements.

    The transpose of `strided_slice`. See `pad` for the other ways to pad.

    >>> import amalthea as am
    >>> am.ops.constant_pad([1, 2], (1,), (0,), (1,)).tolist()
    [0, 1, 0, 2]
    """
    if not len(low) == len(high) == len(interior) == x.ndim or min((*low, *high, *interior), default=0) < 0:
        fail(
            ShapeError,
            "low, high and interior must each give a size of 0 or more for every axis",
            received=f"low={low}, high={high}, interior={interior} for x of shape {show(x.shape)}",
            fix="give one number for each axis",
        )
    sizes = zip(x.shape, low, high, interior, strict=True)
    return tensor_of(tuple(a + (d + max(d - 1, 0) * i) + b for d, a, b, i in sizes), x.dtype)


@primitive(
    gradient=(lambda g, out, x, axis: flip(g, axis),),
    normalize=lambda x, axis: {"axis": normal_axes(axis, x.ndim)},
    samples=lambda: [((values(2, 3),), {}), ((values(2, 3), 1), {}), ((values(2, 3), (0, 1)), {})],
)
def flip(x: Tensor, axis: Any = None) -> Tensor:
    """x with its elements in reverse order along an axis, several axes, or all of them.

    >>> import amalthea as am
    >>> am.ops.flip([1, 2, 3]).tolist()
    [3, 2, 1]
    """
    return tensor_of(x.shape, x.dtype)


def _slice_gradient(g: Tensor, out: Tensor, x: Tensor, start: Ints, stop: Ints, strides: Ints) -> Tensor:
    reach = [a + (n - 1) * s + 1 if n else a for a, n, s in zip(start, out.shape, strides, strict=True)]
    high = tuple(d - r for d, r in zip(x.shape, reach, strict=True))
    return constant_pad(g, start, high, tuple(s - 1 for s in strides))


def _slice_attrs(x: Any, start: Any, stop: Any, strides: Any) -> dict[str, Any]:
    first, last = normal_shape(start, "start"), normal_shape(stop, "stop")
    steps = (1,) * x.ndim if strides is None else normal_shape(strides, "strides")
    if not len(first) == len(last) == len(steps) == x.ndim or any(
        not (0 <= a <= b <= d and s > 0) for a, b, s, d in zip(first, last, steps, x.shape, strict=False)
    ):
        fail(
            ShapeError,
            "every axis needs 0 <= start <= stop <= size and a positive stride",
            received=f"start={first}, stop={last}, strides={steps} for x of shape {show(x.shape)}",
            fix="use x[...] for Python's slices with negative numbers",
        )
    return {"start": first, "stop": last, "strides": steps}


@primitive(
    gradient=(_slice_gradient,),
    normalize=_slice_attrs,
    samples=lambda: [
        ((values(4, 5), (1, 0), (3, 5), (1, 2)), {}),
        ((values(4), (4,), (4,)), {}),
        ((values(), (), ()), {}),
    ],
)
def strided_slice(x: Tensor, start: Ints, stop: Ints, strides: Ints | None = None) -> Tensor:
    """x[start:stop:strides] along every axis, with non-negative bounds inside x and positive strides.

    >>> import amalthea as am
    >>> am.ops.strided_slice([1, 2, 3, 4], (0,), (4,), (2,)).tolist()
    [1, 3]
    """
    shape = tuple(
        d if b - a == d and s == 1 else -(-(b - a) // s)
        for a, b, s, d in zip(start, stop, strides or (), x.shape, strict=True)
    )
    return tensor_of(shape, x.dtype)


def slice_axis(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    """x[start:stop] along one axis.

    >>> import amalthea as am
    >>> am.ops.slice_axis(am.ops.arange(5), 0, 1, 3).tolist()
    [1, 2]
    """
    starts = tuple(start if i == axis else 0 for i in range(x.ndim))
    return strided_slice(x, starts, tuple(stop if i == axis else d for i, d in enumerate(x.shape)))


@primitive(
    gradient=nondifferentiable,
    normalize=lambda size, dtype: {"size": int(size), "dtype": dtypes.standardize(dtype)},
    samples=lambda: [((3,), {}), ((0, "float32"), {}), ((5, "bfloat16"), {})],
)
def iota(size: int, dtype: Any = "int32") -> Tensor:
    """The vector 0, 1, ..., size - 1.

    >>> import amalthea as am
    >>> am.ops.iota(3).tolist()
    [0, 1, 2]
    """
    return tensor_of((size,), dtype)


@composite(samples=lambda: [((values(2, 3),), {}), ((values(),), {})])
def ravel(x: Tensor) -> Tensor:
    """All elements in row-major order, a vector.

    >>> import amalthea as am
    >>> am.ops.ravel([[1, 2], [3, 4]]).tolist()
    [1, 2, 3, 4]
    """
    return reshape(x, (-1,)) if x.size else reshape(x, (0,))


@composite(samples=lambda: [((values(2, 3), 1), {}), ((values(2, 3), (0, -1)), {}), ((values(), 0), {})])
def expand_dims(x: Tensor, axis: Any) -> Tensor:
    """x with new axes of size 1 at these places of the result.

    >>> import amalthea as am
    >>> am.ops.expand_dims([1, 2], axis=0).shape
    (1, 2)
    """
    count = len(axis) if isinstance(axis, (tuple, list)) else 1
    places = normal_axes(axis, x.ndim + count)
    sizes = iter(x.shape)
    return reshape(x, tuple(1 if i in places else next(sizes) for i in range(x.ndim + count)))


@composite(
    samples=lambda: [((values(1, 3, 1),), {}), ((values(1, 3, 1),), {"axis": 0}), ((values(1, 1),), {"axis": (0, -1)})]
)
def squeeze(x: Tensor, axis: Any = None) -> Tensor:
    """x without axes of size 1: those given, or all. Raises ShapeError where a given axis has another size.

    >>> import amalthea as am
    >>> am.ops.squeeze([[[1], [2]]]).tolist()
    [1, 2]
    """
    if axis is None:
        return reshape(x, tuple(d for d in x.shape if d != 1))
    axes = normal_axes(axis, x.ndim)
    for a in axes:
        if x.shape[a] != 1:
            fail(
                ShapeError,
                f"axis {a} has size {show(x.shape)[a]}, not 1",
                received=f"x of shape {show(x.shape)}, axis={axis!r}",
                fix="squeeze only axes of size 1, or use reshape",
            )
    return reshape(x, tuple(d for i, d in enumerate(x.shape) if i not in axes))


@composite(samples=lambda: [((values(2, 3, 4), 0, -1), {})])
def swapaxes(x: Tensor, axis1: int, axis2: int) -> Tensor:
    """x with two axes exchanged.

    >>> import amalthea as am
    >>> am.ops.swapaxes([[1, 2, 3]], 0, 1).shape
    (3, 1)
    """
    order = list(range(x.ndim))
    a, b = normal_axis(axis1, x.ndim, "axis1"), normal_axis(axis2, x.ndim, "axis2")
    order[a], order[b] = order[b], order[a]
    return transpose(x, tuple(order))


@composite(samples=lambda: [((values(2, 3, 4), 0, -1), {}), ((values(2, 3, 4), (0, 1), (1, 2)), {})])
def moveaxis(x: Tensor, source: Any, destination: Any) -> Tensor:
    """x with some axes moved to other places; the others keep their order.

    >>> import amalthea as am
    >>> am.ops.moveaxis(am.ops.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    many = (tuple, list)
    sources = [normal_axis(a, x.ndim, "source") for a in (source if isinstance(source, many) else (source,))]
    places = [
        normal_axis(a, x.ndim, "destination")
        for a in (destination if isinstance(destination, many) else (destination,))
    ]
    if len(sources) != len(places):
        fail(
            ArgumentError,
            "source and destination must name as many axes",
            received=f"source={source!r}, destination={destination!r}",
            fix="give one destination for each source",
        )
    order = [i for i in range(x.ndim) if i not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return transpose(x, tuple(order))


@composite(
    samples=lambda: [
        (([values(2, 3), values(2, 3, seed=1)],), {}),
        (([values(2, 3), values(2, 3, seed=1)],), {"axis": -1}),
    ]
)
def stack(x: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis, in their common dtype.

    >>> import amalthea as am
    >>> am.ops.stack([[1, 2], [3, 4]], axis=1).tolist()
    [[1, 3], [2, 4]]
    """
    if not len(x):
        fail(ArgumentError, "there is nothing to stack", received="an empty list", fix="pass at least one tensor")
    shapes = [t.shape for t in x]
    if any(shape != shapes[0] for shape in shapes):
        fail(
            ShapeError,
            "tensors that are stacked must have one shape",
            received=f"shapes {', '.join(str(show(s)) for s in shapes)}",
            fix="reshape or pad them, or use concatenate",
        )
    return concatenate([expand_dims(t, axis) for t in x], axis=axis)


export(__name__)
