"""Arithmetic, element by element."""

from __future__ import annotations

import math
from typing import Any

from amalthea.core import dtypes
from amalthea.core.op import composite, export, nondifferentiable, primitive
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.ops.samples import integers, values
from amalthea.ops.selection import where
from amalthea.ops.specs import elementwise_spec, float_dtype, not_bool, require


def _pair() -> list[Any]:
    a, b = values(2, 3), values(2, 3, seed=1)
    return [((a, b), {}), ((a, values(3, seed=2)), {}), ((values(2, 1), values(1, 3, seed=1)), {}), ((a, 2.5), {})]


@primitive(
    promote="common",
    broadcasts=True,
    gradient=(lambda g, out, x1, x2: g, lambda g, out, x1, x2: g),
    samples=_pair,
)
def add(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 + x2, element by element, with broadcasting. The sum of bools is their logical or.

    >>> import amalthea as am
    >>> am.ops.add([1, 2], 3).numpy()
    array([4, 5], dtype=int32)
    """
    return elementwise_spec(x1, x2)


@primitive(
    promote="common",
    broadcasts=True,
    gradient=(lambda g, out, x1, x2: g, lambda g, out, x1, x2: -g),
    samples=_pair,
)
def subtract(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 - x2, element by element, with broadcasting. Raises DTypeError for bools.

    >>> import amalthea as am
    >>> am.ops.subtract([3.0, 5.0], [1.0, 1.0]).numpy()
    array([2., 4.], dtype=float32)
    """
    require(x1, "integer", "floating", name="x1")
    return elementwise_spec(x1, x2)


@primitive(
    promote="common",
    broadcasts=True,
    gradient=(lambda g, out, x1, x2: g * x2, lambda g, out, x1, x2: g * x1),
    samples=_pair,
)
def multiply(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 * x2, element by element, with broadcasting. The product of bools is their logical and.

    >>> import amalthea as am
    >>> am.ops.multiply([1, 2], [3, 4]).numpy()
    array([3, 8], dtype=int32)
    """
    return elementwise_spec(x1, x2)


@primitive(
    promote="float",
    broadcasts=True,
    gradient=(lambda g, out, x1, x2: g / x2, lambda g, out, x1, x2: -(g * out / x2)),
    samples=lambda: [((values(2, 3), values(2, 3, low=0.5, seed=1)), {}), ((values(2, 1), values(3, low=1)), {})],
)
def divide(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 / x2, element by element, with broadcasting. Integers and bools divide as floatx.

    >>> import amalthea as am
    >>> am.ops.divide([1, 3], 2).numpy()
    array([0.5, 1.5], dtype=float32)
    """
    return elementwise_spec(x1, x2)


@composite(samples=lambda: [((values(2, 3), values(2, 3, low=0.5, seed=1)), {})])
def true_divide(x1: Tensor, x2: Tensor) -> Tensor:
    """Another name of `divide`.

    >>> import amalthea as am
    >>> am.ops.true_divide(1, 2).item()
    0.5
    """
    return divide(x1, x2)


@composite(samples=lambda: [((values(2, 3), values(2, 3, low=0.5, seed=1)), {}), (([1.0, 2.0], [0.0, 4.0]), {})])
def divide_no_nan(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 / x2, and 0 where x2 is 0; its gradient is 0 there too.

    >>> import amalthea as am
    >>> am.ops.divide_no_nan([1.0, 2.0], [0.0, 4.0]).numpy()
    array([0. , 0.5], dtype=float32)
    """
    nothing = x2 == 0
    return where(nothing, 0, x1 / where(nothing, 1, x2))


@primitive(
    promote=not_bool,
    broadcasts=True,
    gradient=nondifferentiable,
    samples=lambda: [((values(2, 3), values(3, low=0.5, seed=1)), {}), ((integers(4), integers(4, low=1)), {})],
)
def floor_divide(x1: Tensor, x2: Tensor) -> Tensor:
    """The greatest integer not above x1 / x2, in the common dtype. Its gradient is 0.

    >>> import amalthea as am
    >>> am.ops.floor_divide([7, -7], 2).numpy()
    array([ 3, -4], dtype=int32)
    """
    return elementwise_spec(x1, x2)


@primitive(
    promote=not_bool,
    broadcasts=True,
    gradient=(lambda g, out, x1, x2: g, lambda g, out, x1, x2: -(g * floor_divide(x1, x2))),
    samples=lambda: [((values(2, 3), values(3, low=0.7, seed=1)), {}), ((integers(4), integers(4, low=1)), {})],
)
def mod(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 - x2 * floor(x1 / x2): the remainder, with the sign of x2.

    >>> import amalthea as am
    >>> am.ops.mod([7, -7], 3).numpy()
    array([1, 2], dtype=int32)
    """
    return elementwise_spec(x1, x2)


@composite(samples=lambda: [((values(2, 3), values(3, low=0.7, seed=1)), {})])
def fmod(x1: Tensor, x2: Tensor) -> Tensor:
    """The remainder of a division towards zero, with the sign of x1.

    >>> import amalthea as am
    >>> am.ops.fmod([7.0, -7.0], 3.0).numpy()
    array([ 1., -1.], dtype=float32)
    """
    if x1.dtype == "bool":
        x1 = as_tensor(x1, "int32")
    return sign(x1) * mod(abs(x1), abs(x2))


def _share(wins: Tensor, ties_or_wins: Tensor, dtype: Any) -> Tensor:
    """1 where it wins, 1/2 where it ties, else 0."""
    return (wins.astype(dtype) + ties_or_wins.astype(dtype)) * 0.5


@primitive(
    promote="common",
    broadcasts=True,
    gradient=(
        lambda g, out, x1, x2: g * _share(x1 > x2, x1 >= x2, g.dtype),
        lambda g, out, x1, x2: g * _share(x2 > x1, x2 >= x1, g.dtype),
    ),
    samples=_pair,
)
def maximum(x1: Tensor, x2: Tensor) -> Tensor:
    """The greater of x1 and x2, element by element; NaN where either is. At a tie the gradient is shared evenly.

    >>> import amalthea as am
    >>> am.ops.maximum([1.0, 5.0], 2.0).numpy()
    array([2., 5.], dtype=float32)
    """
    return elementwise_spec(x1, x2)


@primitive(
    promote="common",
    broadcasts=True,
    gradient=(
        lambda g, out, x1, x2: g * _share(x1 < x2, x1 <= x2, g.dtype),
        lambda g, out, x1, x2: g * _share(x2 < x1, x2 <= x1, g.dtype),
    ),
    samples=_pair,
)
def minimum(x1: Tensor, x2: Tensor) -> Tensor:
    """The lesser of x1 and x2, element by element; NaN where either is. At a tie the gradient is shared evenly.

    >>> import amalthea as am
    >>> am.ops.minimum([1.0, 5.0], 2.0).numpy()
    array([1., 2.], dtype=float32)
    """
    return elementwise_spec(x1, x2)


@composite(samples=lambda: [((values(2, 3), values(2, 3, seed=1)), {}), (([1.0, math.nan], [math.nan, 2.0]), {})])
def fmax(x1: Tensor, x2: Tensor) -> Tensor:
    """The greater of x1 and x2, taking the other where one is NaN.

    >>> import amalthea as am
    >>> am.ops.fmax([1.0, float("nan")], 0.5).numpy()
    array([1. , 0.5], dtype=float32)
    """
    return where(x1 != x1, x2, where(x2 != x2, x1, maximum(x1, x2)))


@composite(samples=lambda: [((values(2, 3), values(2, 3, seed=1)), {}), (([1.0, math.nan], [math.nan, 2.0]), {})])
def fmin(x1: Tensor, x2: Tensor) -> Tensor:
    """The lesser of x1 and x2, taking the other where one is NaN.

    >>> import amalthea as am
    >>> am.ops.fmin([1.0, float("nan")], 0.5).numpy()
    array([0.5, 0.5], dtype=float32)
    """
    return where(x1 != x1, x2, where(x2 != x2, x1, minimum(x1, x2)))


@composite(samples=lambda: [((values(2, 3), -1.0, 1.0), {}), ((integers(5), 2, 7), {})])
def clip(x: Tensor, x_min: Tensor, x_max: Tensor) -> Tensor:
    """x with what is below x_min raised to it and what is above x_max lowered to it. bool counts as int32.

    >>> import amalthea as am
    >>> am.ops.clip([-1.0, 0.5, 9.0], 0, 1).numpy()
    array([0. , 0.5, 1. ], dtype=float32)
    """
    if x.dtype == "bool":
        x = x.astype("int32")
    return minimum(maximum(x, x_min), x_max)


@primitive(gradient=lambda g, out, x: -g, samples=lambda: [((values(2, 3),), {}), ((integers(3),), {})])
def negative(x: Tensor) -> Tensor:
    """-x. Raises DTypeError for bools.

    >>> import amalthea as am
    >>> am.ops.negative([1, -2]).numpy()
    array([-1,  2], dtype=int32)
    """
    require(x, "integer", "floating")
    return elementwise_spec(x)


@primitive(
    gradient=lambda g, out, x: g * sign(x), samples=lambda: [((values(2, 3),), {}), ((integers(3, low=-4),), {})]
)
def abs(x: Tensor) -> Tensor:
    """The absolute value. Its gradient at 0 is 0.

    >>> import amalthea as am
    >>> am.ops.abs([-1.5, 2.0]).numpy()
    array([1.5, 2. ], dtype=float32)
    """
    return elementwise_spec(x)


@composite(samples=lambda: [((values(2, 3),), {})])
def absolute(x: Tensor) -> Tensor:
    """Another name of `abs`.

    >>> import amalthea as am
    >>> am.ops.absolute(-3).item()
    3
    """
    return abs(x)


@composite(samples=lambda: [((values(2, 3),), {}), ((integers(3, low=-4),), {})])
def fabs(x: Tensor) -> Tensor:
    """The absolute value, as a floating-point number.

    >>> import amalthea as am
    >>> am.ops.fabs([-1, 2]).numpy()
    array([1., 2.], dtype=float32)
    """
    return abs(x.astype(float_dtype(x.dtype)))


@primitive(
    gradient=nondifferentiable, samples=lambda: [((values(2, 3),), {}), ((integers(5, low=-4),), {}), (([0.0],), {})]
)
def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1 as x is negative, zero or positive. Raises DTypeError for bools.

    >>> import amalthea as am
    >>> am.ops.sign([-3.0, 0.0, 2.0]).numpy()
    array([-1.,  0.,  1.], dtype=float32)
    """
    require(x, "integer", "floating")
    return elementwise_spec(x)


@composite(samples=lambda: [((values(2, 3),), {}), ((integers(3, low=-4),), {})])
def square(x: Tensor) -> Tensor:
    """x * x; bool counts as int32.

    >>> import amalthea as am
    >>> am.ops.square([1.0, -3.0]).numpy()
    array([1., 9.], dtype=float32)
    """
    if x.dtype == "bool":
        x = x.astype("int32")
    return multiply(x, x)


@composite(samples=lambda: [((values(2, 3, low=0.5),), {})])
def reciprocal(x: Tensor) -> Tensor:
    """1 / x.

    >>> import amalthea as am
    >>> am.ops.reciprocal([2.0, 4.0]).numpy()
    array([0.5 , 0.25], dtype=float32)
    """
    return 1 / x


@primitive(promote="float", gradient=nondifferentiable, samples=lambda: [((values(2, 3),), {}), ((integers(3),), {})])
def floor(x: Tensor) -> Tensor:
    """The greatest integer not above x, as a floating-point number. Its gradient is 0.

    >>> import amalthea as am
    >>> am.ops.floor([1.7, -1.2]).numpy()
    array([ 1., -2.], dtype=float32)
    """
    return elementwise_spec(x)


@composite(samples=lambda: [((values(2, 3),), {}), ((integers(3),), {})])
def ceil(x: Tensor) -> Tensor:
    """The least integer not below x, as a floating-point number. Its gradient is 0.

    >>> import amalthea as am
    >>> am.ops.ceil([1.2, -1.7]).numpy()
    array([ 2., -1.], dtype=float32)
    """
    return -floor(-x.astype(float_dtype(x.dtype)))


@composite(samples=lambda: [((values(2, 3),), {}), ((integers(3),), {})])
def trunc(x: Tensor) -> Tensor:
    """The integer next to x towards zero, in x's dtype. Its gradient is 0.

    >>> import amalthea as am
    >>> am.ops.trunc([1.7, -1.7]).numpy()
    array([ 1., -1.], dtype=float32)
    """
    if not dtypes.is_floating(x.dtype):
        return x
    return where(x < 0, ceil(x), floor(x))


@primitive(gradient=nondifferentiable, samples=lambda: [((values(2, 3),), {}), (([0.5, 1.5, -2.5],), {})])
def round_half_even(x: Tensor) -> Tensor:
    """The nearest integer, in x's dtype; halves go to the even one. Its gradient is 0.

    >>> import amalthea as am
    >>> am.ops.round_half_even([0.5, 1.5]).numpy()
    array([0., 2.], dtype=float32)
    """
    require(x, "floating")
    return elementwise_spec(x)


@composite(
    samples=lambda: [
        ((values(2, 3),), {}),
        ((values(2, 3),), {"decimals": 1}),
        ((integers(3, high=90),), {"decimals": -1}),
    ]
)
def round(x: Tensor, decimals: int = 0) -> Tensor:
    """x rounded to so many decimal places, halves to even, in x's dtype. Negative `decimals` count before the point.

    >>> import amalthea as am
    >>> am.ops.round([1.25, 2.71], decimals=1).numpy()
    array([1.2, 2.7], dtype=float32)
    """
    if not dtypes.is_floating(x.dtype):
        if decimals >= 0:
            return x
        factor = 10.0**decimals
        return (round_half_even(x.astype(dtypes.floatx()) * factor) / factor).astype(x.dtype)
    if decimals == 0:
        return round_half_even(x)
    factor = 10.0**decimals
    return round_half_even(x * factor) / factor


@composite(samples=lambda: [((values(2, 3), values(3, seed=1)), {}), (([-1.0, 0.0, 2.0], 0.5), {})])
def heaviside(x1: Tensor, x2: Tensor) -> Tensor:
    """0, x2 or 1 as x1 is negative, zero or positive; NaN where x1 is.

    >>> import amalthea as am
    >>> am.ops.heaviside([-1.0, 0.0, 2.0], 0.5).numpy()
    array([0. , 0.5, 1. ], dtype=float32)
    """
    dtype = float_dtype(x1.dtype, x2.dtype)
    x1, x2 = x1.astype(dtype), x2.astype(dtype)
    return where(x1 == 0, x2, where(x1 != x1, x1, (x1 > 0).astype(dtype)))


export(__name__)
