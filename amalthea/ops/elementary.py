"""Elementary and special functions: exponentials, logarithms, trigonometry, hyperbolic functions, erf.

All compute in the dtype of a floating input and in floatx for integers and bools.
"""

from __future__ import annotations

import math

from amalthea.core import dtypes
from amalthea.core.op import composite, export, primitive
from amalthea.core.tensor import Tensor
from amalthea.ops.elementwise import abs, divide_no_nan, floor_divide, maximum, minimum, sign
from amalthea.ops.samples import integers, values
from amalthea.ops.selection import where
from amalthea.ops.specs import as_floating, elementwise_spec, float_dtype, not_bool, require


@primitive(promote="float", gradient=(lambda g, out, x: g * out,), samples=lambda: [((values(2, 3, low=-2),), {})])
def exp(x: Tensor) -> Tensor:
    """e**x.

    >>> import amalthea as am
    >>> am.ops.exp(0.0).item()
    1.0
    """
    return elementwise_spec(x)


@primitive(
    promote="float", gradient=(lambda g, out, x: g * (out + 1),), samples=lambda: [((values(2, 3, low=-2),), {})]
)
def expm1(x: Tensor) -> Tensor:
    """exp(x) - 1, exact for small x too.

    >>> import amalthea as am
    >>> am.ops.expm1(0.0).item()
    0.0
    """
    return elementwise_spec(x)


@primitive(promote="float", gradient=(lambda g, out, x: g / x,), samples=lambda: [((values(2, 3, low=0.3),), {})])
def log(x: Tensor) -> Tensor:
    """The natural logarithm: NaN below 0, -inf at 0.

    >>> import amalthea as am
    >>> am.ops.log(1.0).item()
    0.0
    """
    return elementwise_spec(x)


@primitive(
    promote="float", gradient=(lambda g, out, x: g / (x + 1),), samples=lambda: [((values(2, 3, low=-0.7),), {})]
)
def log1p(x: Tensor) -> Tensor:
    """log(1 + x), exact for small x too.

    >>> import amalthea as am
    >>> am.ops.log1p(0.0).item()
    0.0
    """
    return elementwise_spec(x)


@primitive(
    promote="float", gradient=(lambda g, out, x: g * 0.5 / out,), samples=lambda: [((values(2, 3, low=0.3),), {})]
)
def sqrt(x: Tensor) -> Tensor:
    """The square root; NaN below 0.

    >>> import amalthea as am
    >>> am.ops.sqrt(4.0).item()
    2.0
    """
    return elementwise_spec(x)


@primitive(promote="float", gradient=(lambda g, out, x: g * cos(x),), samples=lambda: [((values(2, 3, low=-2),), {})])
def sin(x: Tensor) -> Tensor:
    """The sine of x radians.

    >>> import amalthea as am
    >>> am.ops.sin(0.0).item()
    0.0
    """
    return elementwise_spec(x)


@primitive(
    promote="float", gradient=(lambda g, out, x: -(g * sin(x)),), samples=lambda: [((values(2, 3, low=-2),), {})]
)
def cos(x: Tensor) -> Tensor:
    """The cosine of x radians.

    >>> import amalthea as am
    >>> am.ops.cos(0.0).item()
    1.0
    """
    return elementwise_spec(x)


@primitive(
    promote="float", gradient=(lambda g, out, x: g * (1 - out * out),), samples=lambda: [((values(2, 3, low=-2),), {})]
)
def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent.

    >>> import amalthea as am
    >>> am.ops.tanh(0.0).item()
    0.0
    """
    return elementwise_spec(x)


@primitive(
    promote="float", gradient=(lambda g, out, x: g * out * (1 - out),), samples=lambda: [((values(2, 3, low=-2),), {})]
)
def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), the logistic function, without overflow.

    >>> import amalthea as am
    >>> am.ops.sigmoid(0.0).item()
    0.5
    """
    return elementwise_spec(x)


@primitive(
    promote="float",
    gradient=lambda g, out, x: g * (2 / math.sqrt(math.pi)) * exp(-x * x),
    samples=lambda: [((values(2, 3, low=-2),), {})],
)
def erf(x: Tensor) -> Tensor:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x.

    >>> import amalthea as am
    >>> am.ops.erf(0.0).item()
    0.0
    """
    return elementwise_spec(x)


@primitive(
    promote="float",
    gradient=lambda g, out, x: g * (-2 / math.sqrt(math.pi)) * exp(-x * x),
    samples=lambda: [((values(2, 3, low=-2),), {})],
)
def erfc(x: Tensor) -> Tensor:
    """1 - erf(x), exact where that is tiny too.

    >>> import amalthea as am
    >>> am.ops.erfc(0.0).item()
    1.0
    """
    return elementwise_spec(x)


@primitive(
    promote="float",
    gradient=lambda g, out, x: g * (math.sqrt(math.pi) / 2) * exp(out * out),
    samples=lambda: [((values(2, 3, low=-0.8, high=0.8),), {})],
)
def erfinv(x: Tensor) -> Tensor:
    """The inverse of `erf` on [-1, 1]; infinite at the ends, NaN outside.

    >>> import amalthea as am
    >>> am.ops.erfinv(0.0).item()
    0.0
    """
    return elementwise_spec(x)


@primitive(
    promote="float",
    broadcasts=True,
    gradient=(
        lambda g, out, x1, x2: g * x2 / (x1 * x1 + x2 * x2),
        lambda g, out, x1, x2: -(g * x1 / (x1 * x1 + x2 * x2)),
    ),
    samples=lambda: [((values(2, 3), values(2, 3, seed=1)), {}), ((values(2, 1), values(3)), {})],
)
def arctan2(x1: Tensor, x2: Tensor) -> Tensor:
    """The angle in (-pi, pi] of the point with ordinate x1 and abscissa x2.

    >>> import amalthea as am
    >>> am.ops.arctan2(0.0, 1.0).item()
    0.0
    """
    return elementwise_spec(x1, x2)


@composite(gradient=(lambda g, out, x: g * -0.5 * out / x,), samples=lambda: [((values(2, 3, low=0.3),), {})])
def rsqrt(x: Tensor) -> Tensor:
    """1 / sqrt(x).

    >>> import amalthea as am
    >>> am.ops.rsqrt(4.0).item()
    0.5
    """
    return 1 / sqrt(x)


@composite(gradient=(lambda g, out, x: g * out * math.log(2),), samples=lambda: [((values(2, 3, low=-2),), {})])
def exp2(x: Tensor) -> Tensor:
    """2**x.

    >>> import amalthea as am
    >>> am.ops.exp2(3.0).item()
    8.0
    """
    return power(2.0, x.astype(float_dtype(x.dtype)))


@composite(gradient=(lambda g, out, x: g / (x * math.log(2)),), samples=lambda: [((values(2, 3, low=0.3),), {})])
def log2(x: Tensor) -> Tensor:
    """The logarithm to base 2.

    >>> import amalthea as am
    >>> am.ops.log2(8.0).item()
    3.0
    """
    return log(x) / math.log(2)


@composite(gradient=(lambda g, out, x: g / (x * math.log(10)),), samples=lambda: [((values(2, 3, low=0.3),), {})])
def log10(x: Tensor) -> Tensor:
    """The logarithm to base 10.

    >>> import amalthea as am
    >>> am.ops.log10(1.0).item()
    0.0
    """
    return log(x) / math.log(10)


@composite(gradient=(lambda g, out, x: g * out / (3 * x),), samples=lambda: [((values(2, 3, low=-2),), {})])
def cbrt(x: Tensor) -> Tensor:
    """The cube root, also of negative numbers.

    >>> import amalthea as am
    >>> am.ops.cbrt(8.0).item()
    2.0
    """
    x = x.astype(float_dtype(x.dtype))
    return sign(x) * power(abs(x), 1 / 3)


@composite(gradient=(lambda g, out, x: g * (1 + out * out),), samples=lambda: [((values(2, 3, low=-1, high=1),), {})])
def tan(x: Tensor) -> Tensor:
    """The tangent of x radians.

    >>> import amalthea as am
    >>> am.ops.tan(0.0).item()
    0.0
    """
    return sin(x) / cos(x)


@composite(gradient=(lambda g, out, x: g / (x * x + 1),), samples=lambda: [((values(2, 3, low=-2),), {})])
def arctan(x: Tensor) -> Tensor:
    """The angle in (-pi / 2, pi / 2) whose tangent is x.

    >>> import amalthea as am
    >>> am.ops.arctan(0.0).item()
    0.0
    """
    return arctan2(x, 1)


@composite(
    gradient=(lambda g, out, x: g / sqrt((1 - x) * (1 + x)),),
    samples=lambda: [((values(2, 3, low=-0.8, high=0.8),), {})],
)
def arcsin(x: Tensor) -> Tensor:
    """The angle in [-pi / 2, pi / 2] whose sine is x; NaN outside [-1, 1].

    >>> import amalthea as am
    >>> am.ops.arcsin(0.0).item()
    0.0
    """
    x = as_floating(x)
    return arctan2(x, sqrt((1 - x) * (1 + x)))


@composite(
    gradient=(lambda g, out, x: -(g / sqrt((1 - x) * (1 + x))),),
    samples=lambda: [((values(2, 3, low=-0.8, high=0.8),), {})],
)
def arccos(x: Tensor) -> Tensor:
    """The angle in [0, pi] whose cosine is x; NaN outside [-1, 1].

    >>> import amalthea as am
    >>> am.ops.arccos(1.0).item()
    0.0
    """
    x = as_floating(x)
    return arctan2(sqrt((1 - x) * (1 + x)), x)


@composite(gradient=(lambda g, out, x: g * cosh(x),), samples=lambda: [((values(2, 3, low=-2),), {})])
def sinh(x: Tensor) -> Tensor:
    """The hyperbolic sine.

    >>> import amalthea as am
    >>> am.ops.sinh(0.0).item()
    0.0
    """
    x = as_floating(x)
    size = abs(x)
    # Small arguments need expm1 for precision; large ones the square of exp(x / 2), because exp(x) overflows first.
    small = minimum(size, 1)
    e = expm1(small)
    h = exp(maximum(size, 1) / 2)
    return sign(x) * where(size < 1, (e + e / (e + 1)) / 2, h / 2 * h - 0.5 / h / h)


@composite(gradient=(lambda g, out, x: g * sinh(x),), samples=lambda: [((values(2, 3, low=-2),), {})])
def cosh(x: Tensor) -> Tensor:
    """The hyperbolic cosine.

    >>> import amalthea as am
    >>> am.ops.cosh(0.0).item()
    1.0
    """
    h = exp(abs(as_floating(x)) / 2)  # exp(x) itself overflows before its half does
    return h / 2 * h + 0.5 / h / h


def _where_log_is_exact(x: Tensor) -> float:
    """From where on log(2 x) is the inverse of cosh and sinh to the last digit (1 / x**2 is lost); x * x fits below."""
    return math.pow(dtypes.float_limits(float_dtype(x.dtype)).eps, -0.5)


@composite(gradient=(lambda g, out, x: g / sqrt(x * x + 1),), samples=lambda: [((values(2, 3, low=-2),), {})])
def arcsinh(x: Tensor) -> Tensor:
    """The inverse hyperbolic sine.

    >>> import amalthea as am
    >>> am.ops.arcsinh(0.0).item()
    0.0
    """
    x = as_floating(x)
    size = abs(x)
    large = size > _where_log_is_exact(x)
    small = where(large, 1, size)
    exact = log1p(small + small * small / (1 + sqrt(small * small + 1)))
    return sign(x) * where(large, log(maximum(size, 1)) + math.log(2), exact)


@composite(
    gradient=(lambda g, out, x: g / (sqrt(x - 1) * sqrt(x + 1)),),
    samples=lambda: [((values(2, 3, low=1.3, high=4),), {})],
)
def arccosh(x: Tensor) -> Tensor:
    """The inverse hyperbolic cosine; NaN below 1.

    >>> import amalthea as am
    >>> am.ops.arccosh(1.0).item()
    0.0
    """
    x = as_floating(x)
    large = x > _where_log_is_exact(x)
    small = where(large, 1, x) - 1
    return where(large, log(x) + math.log(2), log1p(small + sqrt(small) * sqrt(small + 2)))


@composite(
    gradient=(lambda g, out, x: g / ((1 - x) * (1 + x)),), samples=lambda: [((values(2, 3, low=-0.8, high=0.8),), {})]
)
def arctanh(x: Tensor) -> Tensor:
    """The inverse hyperbolic tangent; infinite at -1 and 1, NaN outside.

    >>> import amalthea as am
    >>> am.ops.arctanh(0.0).item()
    0.0
    """
    x = as_floating(x)
    return (log1p(x) - log1p(-x)) / 2


def _power_base(g: Tensor, out: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
    # Where the exponent is 0 the slope is 0; 0 * x1 ** -1 would be NaN at x1 = 0.
    return g * x2 * power(x1, where(x2 == 0, 1, x2 - 1))


def _power_exponent(g: Tensor, out: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
    # 0 ** x2 is constant in x2 > 0; log(0) * 0 would be NaN.
    return g * out * log(where(x1 == 0, 1, x1))


@primitive(
    promote=not_bool,
    broadcasts=True,
    gradient=(_power_base, _power_exponent),
    samples=lambda: [((values(2, 3, low=0.3), values(3, seed=1)), {}), ((integers(4), integers(4, high=3)), {})],
)
def power(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 ** x2, element by element, in the common dtype. Integers do not take negative exponents.

    >>> import amalthea as am
    >>> am.ops.power([2.0, 3.0], 2).numpy()
    array([4., 9.], dtype=float32)
    """
    return elementwise_spec(x1, x2)


@composite(samples=lambda: [((values(2, 3), values(2, 3, seed=1)), {})])
def hypot(x1: Tensor, x2: Tensor) -> Tensor:
    """sqrt(x1**2 + x2**2) without overflow on the way.

    >>> import amalthea as am
    >>> am.ops.hypot(3.0, 4.0).item()
    5.0
    """
    large, small = maximum(abs(x1), abs(x2)), minimum(abs(x1), abs(x2))
    ratio = divide_no_nan(small, large)
    return where(small == math.inf, math.inf, large * sqrt(1 + ratio * ratio))


@composite(samples=lambda: [((values(2, 3), integers(2, 3, high=4)), {})])
def ldexp(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 * 2**x2 for integers x2. Raises DTypeError for an x2 that is not an integer.

    >>> import amalthea as am
    >>> am.ops.ldexp([1.0, 3.0], [2, 3]).numpy()
    array([ 4., 24.], dtype=float32)
    """
    require(x2, "integer", name="x2")
    dtype = float_dtype(x1.dtype)
    # In two halves, because 2**x2 alone may overflow where the product does not.
    half = floor_divide(x2, 2)
    return x1.astype(dtype) * power(2.0, half.astype(dtype)) * power(2.0, (x2 - half).astype(dtype))


@composite(
    gradient=(
        lambda g, out, x1, x2: g * sigmoid(x1 - x2),
        lambda g, out, x1, x2: g * sigmoid(x2 - x1),
    ),
    samples=lambda: [((values(2, 3), values(2, 3, seed=1)), {})],
)
def logaddexp(x1: Tensor, x2: Tensor) -> Tensor:
    """log(exp(x1) + exp(x2)) without overflow.

    >>> import amalthea as am
    >>> am.ops.logaddexp(0.0, float("-inf")).item()
    0.0
    """
    dtype = float_dtype(x1.dtype, x2.dtype)
    x1, x2 = x1.astype(dtype), x2.astype(dtype)
    top = maximum(x1, x2)
    gap = where(x1 == x2, 0, x1 - x2)  # equal infinities too
    return top + log1p(exp(-abs(gap)))


@composite(samples=lambda: [((values(2, 3), values(2, 3, seed=1)), {})])
def logaddexp2(x1: Tensor, x2: Tensor) -> Tensor:
    """log2(2**x1 + 2**x2) without overflow.

    >>> import amalthea as am
    >>> am.ops.logaddexp2(1.0, 1.0).item()
    2.0
    """
    dtype = float_dtype(x1.dtype, x2.dtype)
    x1, x2 = x1.astype(dtype), x2.astype(dtype)
    return maximum(x1, x2) + log1p(exp2(-abs(where(x1 == x2, 0, x1 - x2)))) / math.log(2)


@composite(samples=lambda: [((values(2, 3),), {})])
def sinc(x: Tensor) -> Tensor:
    """sin(pi x) / (pi x), and 1 at 0.

    >>> import amalthea as am
    >>> am.ops.sinc(0.0).item()
    1.0
    """
    x = x.astype(float_dtype(x.dtype))
    angle = where(x == 0, 1, x) * math.pi
    return where(x == 0, 1, sin(angle) / angle)


@composite(samples=lambda: [((values(2, 3),), {})])
def deg2rad(x: Tensor) -> Tensor:
    """Degrees as radians.

    >>> import amalthea as am
    >>> am.ops.deg2rad(0.0).item()
    0.0
    """
    return x.astype(float_dtype(x.dtype)) * (math.pi / 180)


@composite(samples=lambda: [((values(2, 3),), {})])
def rad2deg(x: Tensor) -> Tensor:
    """Radians as degrees.

    >>> import amalthea as am
    >>> am.ops.rad2deg(0.0).item()
    0.0
    """
    return x.astype(float_dtype(x.dtype)) * (180 / math.pi)


export(__name__)
