"""Comparisons, logic and tests of floating-point values. All give bool and none has a gradient."""

from __future__ import annotations

import math

from amalthea.core import dtypes
from amalthea.core.op import composite, export, nondifferentiable, primitive
from amalthea.core.tensor import Tensor
from amalthea.ops.elementwise import abs
from amalthea.ops.reductions import all, any
from amalthea.ops.samples import integers, values
from amalthea.ops.specs import elementwise_spec, float_dtype


def _pair() -> list[tuple[tuple[object, ...], dict[str, object]]]:
    return [
        ((values(2, 3), values(3, seed=1)), {}),
        ((integers(5, high=3), integers(5, high=3, seed=1)), {}),
        (([1.0, math.nan, math.inf], [1.0, math.nan, 2.0]), {}),
    ]


def _truths() -> list[tuple[tuple[object, ...], dict[str, object]]]:
    return [((values(2, 3) > 0, values(3, seed=1) > 0), {}), ((integers(5, high=2), integers(5, high=2, seed=1)), {})]


def _bool(x: Tensor) -> Tensor:
    return x if x.dtype == "bool" else x.astype("bool")


@primitive(promote="common", broadcasts=True, gradient=nondifferentiable, samples=_pair)
def equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether x1 == x2; NaN equals nothing. Element by element, with broadcasting.

    >>> import amalthea as am
    >>> am.ops.equal([1, 2], [1, 3]).tolist()
    [True, False]
    """
    return elementwise_spec(x1, x2, dtype=dtypes.bool_)


@primitive(promote="common", broadcasts=True, gradient=nondifferentiable, samples=_pair)
def less(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether x1 < x2. Element by element, with broadcasting.

    >>> import amalthea as am
    >>> am.ops.less([1, 2], [1, 3]).tolist()
    [False, True]
    """
    return elementwise_spec(x1, x2, dtype=dtypes.bool_)


@primitive(promote="common", broadcasts=True, gradient=nondifferentiable, samples=_pair)
def less_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether x1 <= x2. Element by element, with broadcasting.

    >>> import amalthea as am
    >>> am.ops.less_equal([1, 4], [1, 3]).tolist()
    [True, False]
    """
    return elementwise_spec(x1, x2, dtype=dtypes.bool_)


@composite(gradient=nondifferentiable, samples=_pair)
def not_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether x1 != x2; NaN differs from everything. Element by element, with broadcasting.

    >>> import amalthea as am
    >>> am.ops.not_equal([1, 2], [1, 3]).tolist()
    [False, True]
    """
    return ~equal(x1, x2)


@composite(gradient=nondifferentiable, samples=_pair)
def greater(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether x1 > x2. Element by element, with broadcasting.

    >>> import amalthea as am
    >>> am.ops.greater([1, 4], [1, 3]).tolist()
    [False, True]
    """
    return less(x2, x1)


@composite(gradient=nondifferentiable, samples=_pair)
def greater_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether x1 >= x2. Element by element, with broadcasting.

    >>> import amalthea as am
    >>> am.ops.greater_equal([1, 2], [1, 3]).tolist()
    [True, False]
    """
    return less_equal(x2, x1)


@composite(gradient=nondifferentiable, samples=_truths)
def logical_and(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether both hold; numbers hold where they are not 0. Element by element, with broadcasting.

    >>> import amalthea as am
    >>> am.ops.logical_and([True, False], True).tolist()
    [True, False]
    """
    return _bool(x1) & _bool(x2)


@composite(gradient=nondifferentiable, samples=_truths)
def logical_or(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether one holds at least; numbers hold where they are not 0. Element by element, with broadcasting.

    >>> import amalthea as am
    >>> am.ops.logical_or([True, False], True).tolist()
    [True, True]
    """
    return _bool(x1) | _bool(x2)


@composite(gradient=nondifferentiable, samples=_truths)
def logical_xor(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether exactly one holds; numbers hold where they are not 0. Element by element, with broadcasting.

    >>> import amalthea as am
    >>> am.ops.logical_xor([True, False], True).tolist()
    [False, True]
    """
    return _bool(x1) ^ _bool(x2)


@composite(gradient=nondifferentiable, samples=lambda: [((values(2, 3) > 0,), {}), ((integers(5, high=2),), {})])
def logical_not(x: Tensor) -> Tensor:
    """Whether x does not hold; numbers hold where they are not 0.

    >>> import amalthea as am
    >>> am.ops.logical_not([True, False]).tolist()
    [False, True]
    """
    return ~_bool(x)


def _special() -> list[tuple[tuple[object, ...], dict[str, object]]]:
    return [(([0.0, -1.5, math.nan, math.inf, -math.inf],), {}), ((integers(3),), {})]


@primitive(gradient=nondifferentiable, samples=_special)
def isfinite(x: Tensor) -> Tensor:
    """Whether x is a number other than the infinities and NaN.

    >>> import amalthea as am
    >>> am.ops.isfinite([1.0, float("inf"), float("nan")]).tolist()
    [True, False, False]
    """
    return elementwise_spec(x, dtype=dtypes.bool_)


@composite(gradient=nondifferentiable, samples=_special)
def isnan(x: Tensor) -> Tensor:
    """Whether x is NaN (not a number).

    >>> import amalthea as am
    >>> am.ops.isnan([1.0, float("inf"), float("nan")]).tolist()
    [False, False, True]
    """
    return x != x


@composite(gradient=nondifferentiable, samples=_special)
def isinf(x: Tensor) -> Tensor:
    """Whether x is infinite, of either sign.

    >>> import amalthea as am
    >>> am.ops.isinf([1.0, float("inf"), float("nan")]).tolist()
    [False, True, False]
    """
    return ~(isfinite(x) | isnan(x))


@composite(gradient=nondifferentiable, samples=_special)
def isposinf(x: Tensor) -> Tensor:
    """Whether x is plus infinity.

    >>> import amalthea as am
    >>> am.ops.isposinf([1.0, float("inf"), float("nan")]).tolist()
    [False, True, False]
    """
    return isinf(x) & (x > 0)


@composite(gradient=nondifferentiable, samples=_special)
def isneginf(x: Tensor) -> Tensor:
    """Whether x is minus infinity.

    >>> import amalthea as am
    >>> am.ops.isneginf([1.0, float("inf"), float("nan")]).tolist()
    [False, False, False]
    """
    return isinf(x) & (x < 0)


@composite(gradient=nondifferentiable, samples=_special)
def isreal(x: Tensor) -> Tensor:
    """Whether x has no imaginary part, which holds for all dtypes here.

    >>> import amalthea as am
    >>> am.ops.isreal([1.0, float("inf"), float("nan")]).tolist()
    [True, True, True]
    """
    return x.astype("bool") | True


@composite(gradient=nondifferentiable, samples=lambda: [(([0.0, -0.0, -2.0, 3.0, -math.inf],), {})])
def signbit(x: Tensor) -> Tensor:
    """Whether the sign bit of x is set: x is negative or -0.0.

    >>> import amalthea as am
    >>> am.ops.signbit([0.0, -0.0, -2.0]).tolist()
    [False, True, True]
    """
    if not dtypes.is_floating(x.dtype):
        return x < 0
    return (x < 0) | (1 / x == -math.inf)


def _close() -> list[tuple[tuple[object, ...], dict[str, object]]]:
    a, b = [1.0, 2.0, math.nan, math.inf, math.inf], [1.000001, 2.1, math.nan, math.inf, 3.0]
    return [((a, b), {}), ((a, b), {"equal_nan": True}), ((a, b), {"rtol": 0.1})]


@composite(gradient=nondifferentiable, samples=_close)
def isclose(x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether |x1 - x2| <= atol + rtol * |x2|; infinities are close to themselves, and NaN too with `equal_nan`.

    >>> import amalthea as am
    >>> am.ops.isclose([1.0, 2.0], [1.0, 2.1]).tolist()
    [True, False]
    """
    dtype = float_dtype(x1.dtype, x2.dtype)
    x1, x2 = x1.astype(dtype), x2.astype(dtype)
    close = (abs(x1 - x2) <= atol + rtol * abs(x2)) & isfinite(x2) | (x1 == x2)
    return close | isnan(x1) & isnan(x2) if equal_nan else close


@composite(gradient=nondifferentiable, samples=_close)
def allclose(x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether `isclose` holds for all elements, a bool scalar.

    >>> import amalthea as am
    >>> bool(am.ops.allclose([1.0, 2.0], [1.0, 2.0]))
    True
    """
    return all(isclose(x1, x2, rtol, atol, equal_nan))


@composite(
    gradient=nondifferentiable,
    samples=lambda: [
        ((integers(2, 3), integers(4, seed=1)), {}),
        ((integers(2, 3), integers(4, seed=1)), {"invert": True}),
    ],
)
def isin(x1: Tensor, x2: Tensor, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """For each element of x1 whether it is among those of x2 (or with `invert` whether it is not).

    `assume_unique` promises that neither repeats an element; nothing here needs it.

    >>> import amalthea as am
    >>> am.ops.isin([1, 2, 3], [2, 5]).tolist()
    [False, True, False]
    """
    found = any(x1.reshape((*x1.shape, 1)) == x2.reshape(-1), axis=-1)
    return ~found if invert else found


export(__name__)
