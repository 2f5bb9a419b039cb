"""Reductions over axes: sums, products, extremes, means, and running sums."""

from __future__ import annotations

import builtins
import math
from typing import Any

from amalthea.core import dtypes
from amalthea.core.errors import ShapeError, fail
from amalthea.core.op import composite, export, nondifferentiable, primitive
from amalthea.core.tensor import Tensor
from amalthea.ops.core_ops import cast, stop_gradient
from amalthea.ops.elementary import exp, log, sqrt
from amalthea.ops.elementwise import multiply, square
from amalthea.ops.samples import integers, values
from amalthea.ops.selection import where
from amalthea.ops.shaping import constant_pad
from amalthea.ops.specs import float_dtype, normal_axes, normal_axis, reduced_shape, require, show, sum_dtype, tensor_of

Axis = Any


def _axes(x: Any, axis: Axis, keepdims: bool, **others: Any) -> dict[str, Any]:
    return {"axis": normal_axes(axis, x.ndim), "keepdims": bool(keepdims), **others}


def _one_axis(x: Any, axis: Axis, keepdims: bool) -> dict[str, Any]:
    return {"axis": None if axis is None else normal_axis(axis, x.ndim), "keepdims": bool(keepdims)}


def _reduced(x: Any, axis: tuple[int, ...], keepdims: bool, dtype: Any = None) -> Tensor:
    return tensor_of(reduced_shape(x.shape, axis, keepdims), dtype or x.dtype)


def _kept(reduced: Tensor, x: Tensor, axis: tuple[int, ...]) -> Tensor:
    """A reduced tensor with its axes back, of size 1, so that it broadcasts against x."""
    return reduced.reshape(reduced_shape(x.shape, axis, True))


def _spread(g: Tensor, x: Tensor, axis: tuple[int, ...]) -> Tensor:
    return _kept(g, x, axis).broadcast_to(x.shape)


def _samples() -> list[Any]:
    x = values(2, 3, 2)
    return [
        ((x,), {}),
        ((x,), {"axis": 1}),
        ((x,), {"axis": (0, -1), "keepdims": True}),
        ((integers(2, 3),), {"axis": 0}),
        ((values(),), {}),
    ]


@primitive(
    promote=lambda of: sum_dtype(*of),
    gradient=(lambda g, out, x, axis, keepdims: _spread(g, x, axis),),
    normalize=_axes,
    samples=lambda: [*_samples(), ((values(2, 3) > 0,), {})],
)
def sum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over an axis, several axes, or all of them. Small integers and bools are summed as 32-bit integers.

    `keepdims` keeps the axes with size 1.

    >>> import amalthea as am
    >>> am.ops.sum([[1, 2], [3, 4]], axis=0).tolist()
    [4, 6]
    """
    return _reduced(x, axis, keepdims)


def _others(x: Tensor, axis: tuple[int, ...]) -> Tensor:
    """For each element the product of the others along the axes, exact with zeros too."""
    rest = tuple(i for i in range(x.ndim) if i not in axis)
    order = (*rest, *axis)
    moved = x.transpose(order)
    flat = moved.reshape((*(x.shape[i] for i in rest), math.prod(x.shape[i] for i in axis)))
    before = _exclusive_product(flat)
    after = _exclusive_product(flat.flip(-1)).flip(-1)
    back = tuple(order.index(i) for i in range(x.ndim))
    return (before * after).reshape(moved.shape).transpose(back)


def _exclusive_product(x: Tensor) -> Tensor:
    """The products of all elements before each one along the last axis."""
    if x.shape[-1] == 0:
        return x
    none = (0,) * x.ndim
    return cumprod(constant_pad(x[..., :-1], (*none[:-1], 1), none, none, 1), axis=-1)


@primitive(
    name="prod",
    promote=lambda of: sum_dtype(*of),
    gradient=(lambda g, out, x, axis, keepdims: _spread(g, x, axis) * _others(x, axis),),
    normalize=_axes,
    samples=lambda: [*_samples(), (([[0.0, 2.0, 3.0], [0.0, 0.0, 1.0]],), {"axis": 1})],
)
def _prod(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The product over axes."""
    return _reduced(x, axis, keepdims)


def prod(x: Any, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Tensor:
    """The product over an axis, several axes, or all of them, in `dtype` if given.

    Small integers and bools are multiplied as 32-bit integers. The gradient is exact where elements are zero.

    >>> import amalthea as am
    >>> am.ops.prod([[1, 2], [3, 4]], axis=1).tolist()
    [2, 12]
    """
    if dtype is None:
        return _prod(x, axis, keepdims)
    return cast(_prod(cast(x, dtype), axis, keepdims), dtype)


def _extreme(x: Any, axis: Axis, keepdims: bool, initial: Any) -> dict[str, Any]:
    axes = normal_axes(axis, x.ndim)
    if initial is None and builtins.any(x.shape[i] == 0 for i in axes):
        fail(
            ShapeError,
            "there is no greatest or least of no elements",
            received=f"x of shape {show(x.shape)}, axis={axis!r}",
            fix="pass `initial`, the result for no elements",
        )
    return {"axis": axes, "keepdims": bool(keepdims), "initial": initial}


def _extreme_gradient(g: Tensor, out: Tensor, x: Tensor, axis: tuple[int, ...], keepdims: bool, initial: Any) -> Tensor:
    reached = (x == _kept(out, x, axis)).astype(g.dtype)
    count = sum(reached, axis=axis, keepdims=True)
    if initial is not None:  # it may have won against all elements
        count = where(count == 0, 1, count)
    return _kept(g, x, axis) * (reached / count)


_EXTREMES = [((values(2, 3),), {"axis": 1, "initial": 0.5}), (([[1.0, 2.0, 2.0]],), {"axis": 1})]


@primitive(gradient=(_extreme_gradient,), normalize=_extreme, samples=lambda: _samples() + _EXTREMES[:1])
def max(x: Tensor, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The greatest element over an axis, several axes, or all of them; at least `initial` where that is given.

    NaN if there is one. Elements that tie share the gradient evenly. Raises ShapeError for no elements, unless
    `initial` is given.

    >>> import amalthea as am
    >>> am.ops.max([[1, 5], [3, 4]], axis=0).tolist()
    [3, 5]
    """
    return _reduced(x, axis, keepdims)


@primitive(gradient=(_extreme_gradient,), normalize=_extreme, samples=lambda: _samples() + _EXTREMES[:1])
def min(x: Tensor, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The least element over an axis, several axes, or all of them; at most `initial` where that is given.

    NaN if there is one. Elements that tie share the gradient evenly. Raises ShapeError for no elements, unless
    `initial` is given.

    >>> import amalthea as am
    >>> am.ops.min([[1, 5], [3, 4]], axis=0).tolist()
    [1, 4]
    """
    return _reduced(x, axis, keepdims)


@composite(samples=_samples)
def amax(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Another name of `max`.

    >>> import amalthea as am
    >>> am.ops.amax([1, 5]).item()
    5
    """
    return max(x, axis, keepdims)


@composite(samples=_samples)
def amin(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Another name of `min`.

    >>> import amalthea as am
    >>> am.ops.amin([1, 5]).item()
    1
    """
    return min(x, axis, keepdims)


@composite(samples=_samples)
def ptp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The greatest element less the least ("peak to peak").

    >>> import amalthea as am
    >>> am.ops.ptp([1, 5]).item()
    4
    """
    return max(x, axis, keepdims) - min(x, axis, keepdims)


def _truths() -> list[Any]:
    x = values(2, 3) > 0
    return [((x,), {}), ((x,), {"axis": 1, "keepdims": True}), ((integers(2, 3, high=2),), {"axis": 0})]


@composite(gradient=nondifferentiable, samples=_truths)
def all(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all elements hold (are not 0) over an axis, several axes, or all of them; True for no elements.

    >>> import amalthea as am
    >>> am.ops.all([[True, True], [True, False]], axis=1).tolist()
    [True, False]
    """
    return min(x.astype("bool"), axis, keepdims, initial=True)


@composite(gradient=nondifferentiable, samples=_truths)
def any(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether any element holds (is not 0) over an axis, several axes, or all of them; False for no elements.

    >>> import amalthea as am
    >>> am.ops.any([[False, True], [False, False]], axis=1).tolist()
    [True, False]
    """
    return max(x.astype("bool"), axis, keepdims, initial=False)


@composite(
    gradient=nondifferentiable, samples=lambda: [((integers(2, 3, high=2),), {}), ((values(2, 3),), {"axis": 0})]
)
def count_nonzero(x: Tensor, axis: Axis = None) -> Tensor:
    """How many elements are not 0, int32.

    >>> import amalthea as am
    >>> am.ops.count_nonzero([[0, 1], [2, 3]]).item()
    3
    """
    return sum(x.astype("bool"), axis)


def _index_samples() -> list[Any]:
    x = values(2, 3, 2)
    return [((x,), {}), ((x,), {"axis": 1}), ((x,), {"axis": -1, "keepdims": True}), (([3, 5, 5],), {})]


def _index_spec(x: Any, axis: int | None, keepdims: bool) -> Tensor:
    axes = normal_axes(axis, x.ndim)
    if builtins.any(x.shape[i] == 0 for i in axes):
        fail(
            ShapeError,
            "there is no greatest or least of no elements",
            received=f"x of shape {show(x.shape)}, axis={axis}",
            fix="check for empty input first",
        )
    return tensor_of(reduced_shape(x.shape, axes, keepdims), dtypes.int32)


@primitive(gradient=nondifferentiable, normalize=_one_axis, samples=_index_samples)
def argmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The int32 index of the greatest element along an axis, or in the flattened tensor; the first of equals.

    >>> import amalthea as am
    >>> am.ops.argmax([[1, 5], [4, 3]], axis=1).tolist()
    [1, 0]
    """
    return _index_spec(x, axis, keepdims)


@primitive(gradient=nondifferentiable, normalize=_one_axis, samples=_index_samples)
def argmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The int32 index of the least element along an axis, or in the flattened tensor; the first of equals.

    >>> import amalthea as am
    >>> am.ops.argmin([[1, 5], [4, 3]], axis=1).tolist()
    [0, 1]
    """
    return _index_spec(x, axis, keepdims)


@composite(samples=_samples)
def mean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over an axis, several axes, or all of them; of integers and bools, in floatx.

    16-bit floats are averaged in float32, so that the sum does not overflow.

    >>> import amalthea as am
    >>> am.ops.mean([[1, 2], [3, 4]], axis=0).tolist()
    [2.0, 3.0]
    """
    axes = normal_axes(axis, x.ndim)
    wide, dtype = dtypes.result_type(x.dtype, "float32"), float_dtype(x.dtype)
    total: Tensor = sum(x if x.dtype == wide else x.astype(wide), axes, keepdims) / math.prod(x.shape[i] for i in axes)
    return total if dtype == wide else total.astype(dtype)


@composite(samples=_samples)
def var(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean squared distance from the mean over an axis, several axes, or all of them.

    16-bit floats are computed in float32.

    >>> import amalthea as am
    >>> am.ops.var([1.0, 3.0]).item()
    1.0
    """
    wide = x.astype(dtypes.result_type(x.dtype, "float32"))
    return mean(square(wide - mean(wide, axis, keepdims=True)), axis, keepdims).astype(float_dtype(x.dtype))


@composite(samples=lambda: _samples()[:4])
def std(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The standard deviation, the square root of `var`.

    >>> import amalthea as am
    >>> am.ops.std([1.0, 3.0]).item()
    1.0
    """
    return sqrt(var(x, axis, keepdims))


@composite(
    samples=lambda: [
        ((values(2, 3),), {}),
        ((values(2, 3),), {"axis": 1}),
        ((values(2, 3),), {"weights": values(2, 3, low=0.5, seed=1)}),
        ((values(2, 3),), {"axis": 1, "weights": values(3, low=0.5, seed=1)}),
    ]
)
def average(x: Tensor, axis: Axis = None, weights: Tensor | None = None) -> Tensor:
    """The mean, or the weighted mean sum(x * weights) / sum(weights).

    `weights` has the shape of x, or is a vector along the one axis.

    >>> import amalthea as am
    >>> am.ops.average([1.0, 3.0], weights=[3.0, 1.0]).item()
    1.5
    """
    if weights is None:
        return mean(x, axis)
    dtype = float_dtype(x.dtype, weights.dtype)
    x, weights = x.astype(dtype), weights.astype(dtype)
    if weights.shape != x.shape:
        if weights.ndim != 1 or axis is None or weights.shape[0] != x.shape[axis]:
            fail(
                ShapeError,
                "weights must have the shape of x, or be a vector along the axis",
                received=f"x of shape {show(x.shape)}, weights of shape {show(weights.shape)}, axis={axis!r}",
                fix="pass weights of the same shape as x",
            )
        place = normal_axis(axis, x.ndim)
        weights = weights.reshape(tuple(d if i == place else 1 for i, d in enumerate(x.shape))).broadcast_to(x.shape)
    return sum(x * weights, axis) / sum(weights, axis)


@composite(samples=_samples)
def logsumexp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) over an axis, several axes, or all of them, without overflow; -inf for no elements.

    >>> import amalthea as am
    >>> am.ops.logsumexp([1000.0]).item()
    1000.0
    """
    x = x.astype(float_dtype(x.dtype))
    axes = normal_axes(axis, x.ndim)
    top = stop_gradient(max(x, axes, keepdims=True, initial=-math.inf))
    top = where((top == math.inf) | (top == -math.inf), 0, top)  # inf - inf would be NaN
    out = log(sum(exp(x - top), axes, keepdims=True)) + top
    return out if keepdims else out.reshape(reduced_shape(x.shape, axes, False))


@primitive(
    gradient=(lambda g, out, x, axis: cumulative_sum(g.flip(axis), axis).flip(axis),),
    normalize=lambda x, axis: {"axis": normal_axis(axis, x.ndim)},
    samples=lambda: [((values(2, 3), 1), {}), ((values(2, 3), 0), {}), ((integers(3), -1), {})],
)
def cumulative_sum(x: Tensor, axis: int) -> Tensor:
    """The running sum along an axis, in x's dtype.

    >>> import amalthea as am
    >>> am.ops.cumulative_sum([[1, 2], [3, 4]], axis=0).tolist()
    [[1, 2], [4, 6]]
    """
    require(x, "integer", "floating")
    return tensor_of(x.shape, x.dtype)


@composite(
    samples=lambda: [
        ((values(2, 3),), {}),
        ((values(2, 3),), {"axis": 1}),
        ((integers(3),), {"dtype": "float32"}),
        ((values(3) > 0,), {}),
    ]
)
def cumsum(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The running sum along an axis, or of the flattened tensor, in `dtype` if given. bool counts as int32.

    >>> import amalthea as am
    >>> am.ops.cumsum([1, 2, 3]).tolist()
    [1, 3, 6]
    """
    if dtype is not None:
        x = x.astype(dtype)
    elif x.dtype == "bool":
        x = x.astype("int32")
    return cumulative_sum(x.reshape(-1), 0) if axis is None else cumulative_sum(x, axis)


@composite(
    samples=lambda: [
        ((values(2, 3),), {}),
        ((values(2, 5),), {"axis": 1}),
        (([2.0, 0.0, 3.0, 0.0],), {}),
        (([3, 2],), {}),
    ]
)
def cumprod(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The running product along an axis, or of the flattened tensor, in `dtype` if given. bool counts as int32.

    Computed in log2(n) steps, each of which multiplies by the products that end 1, 2, 4, ... elements earlier
    (Hillis and Steele, 1986); so the gradient is exact where elements are zero.

    >>> import amalthea as am
    >>> am.ops.cumprod([1, 2, 3]).tolist()
    [1, 2, 6]
    """
    if dtype is not None:
        x = x.astype(dtype)
    elif x.dtype == "bool":
        x = x.astype("int32")
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = normal_axis(axis, x.ndim)
    size, step = x.shape[axis], 1
    none = (0,) * x.ndim
    while step < size:
        whole = tuple(slice(None, size - step) if i == axis else slice(None) for i in range(x.ndim))
        shift = tuple(step if i == axis else 0 for i in range(x.ndim))
        x = multiply(x, constant_pad(x[whole], shift, none, none, 1))
        step *= 2
    return x


export(__name__)
