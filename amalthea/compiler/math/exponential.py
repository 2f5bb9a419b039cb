"""exp, expm1, tanh and sigmoid.

All rest on exp(x) = 2**n exp(r) with n the integer next to x / ln 2 and |r| <= ln 2 / 2 (Cody and Waite, *Software
Manual for the Elementary Functions*, 1980). The polynomials are minimax fits (Remez, 60 digits).
"""

from __future__ import annotations

from dataclasses import dataclass

from amalthea.compiler.math.value import BIAS, MANTISSA, Value

LOG2_E = 1.4426950408889634
"""1 / ln 2."""


@dataclass(frozen=True)
class _Constants:
    ln2_high: float  # with enough zero bits below that n * ln2_high is exact
    ln2_low: float
    exp: tuple[float, ...]  # (exp(r) - 1 - r) / r**2, for the least error relative to exp(r)
    expm1: tuple[float, ...]  # the same, for the least error relative to exp(r) - 1
    least: float  # exp is 0 below
    small: float  # results near the subnormal numbers below: scaled in two steps
    greatest: float  # exp is infinite above
    minus_one: float  # expm1 is -1 below
    one: float  # tanh is 1 above


CONSTANTS = {
    "float": _Constants(
        ln2_high=0.693359375,
        ln2_low=-2.12194440e-4,
        exp=(0.5, 0.16666518, 0.041666213, 0.008368889, 0.0013950138),
        expm1=(0.49999997, 0.16666543, 0.041667197, 0.0083665205, 0.0013882649),
        least=-105.0,
        small=-86.0,
        greatest=89.0,
        minus_one=-18.0,
        one=9.02,
    ),
    "double": _Constants(
        ln2_high=6.93147180369123816490e-01,
        ln2_low=1.90821492927058770002e-10,
        exp=(
            0.5, 0.16666666666666685, 0.04166666666666673, 0.008333333333316734, 0.0013888888888858115,
            0.00019841269897071678, 2.4801587374082856e-05, 2.755723422471752e-06, 2.7557233213130256e-07,
            2.5112243807239348e-08, 2.0926961401690362e-09,
        ),
        expm1=(
            0.5, 0.16666666666666677, 0.041666666666666505, 0.008333333333321712, 0.0013888888888963329,
            0.00019841269885931221, 2.4801587171275633e-05, 2.7557244395431844e-06, 2.755740327069986e-07,
            2.510897514161878e-08, 2.0875248998473357e-09,
        ),
        least=-746.0,
        small=-707.0,
        greatest=710.0,
        minus_one=-38.0,
        one=19.1,
    ),
}  # fmt: skip


def _split(x: Value) -> tuple[Value, Value, Value]:
    """x as n ln 2 + r: the bits of n in the low bits of an integer, n itself, and r.

    Adding 1.5 * 2**mantissa rounds to an integer and leaves it in the lowest bits: no conversion is needed.
    """
    magic = 1.5 * 2.0 ** MANTISSA[x.kind]
    shifted = x.times_plus(LOG2_E, magic)
    n = shifted - magic
    constants = CONSTANTS[x.kind]
    r = n.times_plus(-constants.ln2_low, n.times_plus(-constants.ln2_high, x))
    return shifted.bits(), n, r


def _power_of_two(n: Value, plus: int = 0) -> Value:
    """2**(n + plus), for the bits of n and a result that is a normal number."""
    kind = "float" if n.kind == "i32" else "double"
    mantissa = MANTISSA[kind]
    return ((n << mantissa) + ((BIAS[kind] + plus) << mantissa)).floats()


def exp_moderate(x: Value) -> Value:
    """exp(x) where neither x nor the result is near the ends of the range: |x| < 80 in float32, 700 in float64."""
    n, _, r = _split(x)
    return r.polynomial((1.0, 1.0, *CONSTANTS[x.kind].exp)) * _power_of_two(n)


def exp(x: Value, tail: Value | None = None) -> Value:
    """exp(x), or exp(x + tail) for a tail below 0.1; largest error measured 0.92 ulp in float32, 0.88 in float64.

    2 exp(r) is scaled by 2**(n - 1), because 2**n overflows before the result does; results near the subnormal
    numbers are scaled by 2**(n + 63) first, then by 2**-64, so that they are rounded once.
    """
    constants = CONSTANTS[x.kind]
    x = x.at_most(constants.greatest).at_least(constants.least)
    n, _, r = _split(x)
    if tail is not None:
        r = r + tail
    twice = r.polynomial(tuple(2 * c for c in (1.0, 1.0, *constants.exp)))
    small = x < constants.small
    step = 64 << MANTISSA[x.kind]
    bits = _power_of_two(n, plus=-1).bits()
    scale = (bits + small.select(bits.constant(step), bits.constant(0))).floats()
    # Zero comes of a zero: a product that underflows takes a processor some hundred cycles.
    down = (x > constants.least).select(x.constant(2.0**-64), x.constant(0.0))
    return twice * scale * small.select(down, x.constant(1.0))


def _expm1_reduced(r: Value) -> Value:
    """exp(r) - 1 for |r| <= ln 2 / 2."""
    return (r * r).times_plus(r.polynomial(CONSTANTS[r.kind].expm1), r)


def expm1(x: Value) -> Value:
    """exp(x) - 1; largest error measured 1.60 ulp in float32, 1.82 in float64.

    It is 2**n (exp(r) - 1) + (2**n - 1), in halves because 2**n overflows before the result does.
    """
    constants = CONSTANTS[x.kind]
    n, number, r = _split(x.at_most(constants.greatest).at_least(constants.minus_one))
    p = _expm1_reduced(r)
    half = _power_of_two(n, plus=-1)
    y = half.times_plus(p, half - 0.5) * 2.0
    return number.equals(0.0).select(p, y).with_sign_of(x)  # halves of subnormal numbers would be rounded


def tanh(x: Value) -> Value:
    """The hyperbolic tangent; largest error measured 2.57 ulp in float32, 2.59 in float64.

    With m = exp(2 |x|) - 1 it is m / (m + 2), which keeps its precision at 0.
    """
    size = abs(x).at_most(CONSTANTS[x.kind].one)
    n, _, r = _split(size + size)
    power = _power_of_two(n)
    m = power.times_plus(_expm1_reduced(r), power - 1.0)
    return (m / (m + 2.0)).with_sign_of(x)


def sigmoid(x: Value) -> Value:
    """1 / (1 + exp(-x)); largest error measured 2.41 ulp in float32, 2.33 in float64.

    Computed with exp(-|x|), which never overflows and gives the left tail its full relative precision.
    """
    e = exp(-abs(x))
    return (x >= 0.0).select(1.0, e) / (e + 1.0)
