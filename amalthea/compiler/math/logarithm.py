"""log and log1p.

Both take x = 2**e m with m in [sqrt(1/2), sqrt(2)) and add e ln 2 to log(m). The polynomials are minimax fits (Remez,
60 digits).
"""

from __future__ import annotations

from amalthea.compiler.math.exponential import CONSTANTS
from amalthea.compiler.math.value import BIAS, INF, MANTISSA, NAN, Value

_SQRT_HALF = {"float": 0x3F3504F3, "double": 0x3FE6A09E667F3BCD}
_LEAST_NORMAL = {"float": 2.0**-126, "double": 2.0**-1022}
# (log(1 + f) - f + f**2 / 2) / f**3
_LOG_FLOAT = (
    0.3333331, -0.24999987, 0.20002225, -0.1666926, 0.14218679, -0.12384215, 0.11872735, -0.11790417, 0.069165066,
)  # fmt: skip
# (2 atanh(s) - 2 s) / s**3 in s**2, where log(1 + f) = 2 atanh(f / (2 + f))
_LOG_DOUBLE = (
    0.6666666666666666, 0.40000000000006275, 0.285714285690761, 0.22222222648323284, 0.1818177553907093,
    0.1538709646516854, 0.13249985662692684, 0.13252565382763384,
)  # fmt: skip


def split(x: Value) -> tuple[Value, Value, Value]:
    """A positive normal x as 2**e m, m in [sqrt(1/2), sqrt(2)): the bits of e, e as a number, and m."""
    mantissa, root = MANTISSA[x.kind], _SQRT_HALF[x.kind]
    bits = x.bits() - root
    e = bits >> mantissa
    # A small integer in the low bits of 1.5 * 2**mantissa is a number without a conversion.
    magic = 1.5 * 2.0**mantissa
    number = (e + x.constant(magic).bits()).floats() - magic
    return e, number, ((bits & ((1 << mantissa) - 1)) + root).floats()


def scaled_to_normal(x: Value) -> tuple[Value, Value]:
    """x times a power of two that makes it normal (1 if it is), and the exponent of that power as a number."""
    power = 2.0 ** (MANTISSA[x.kind] + 1)
    small = x < _LEAST_NORMAL[x.kind]
    return small.select(x * power, x), small.select(x.constant(MANTISSA[x.kind] + 1.0), x.constant(0.0))


def _log_of(f: Value, e: Value) -> Value:
    """log(1 + f) + e ln 2."""
    constants = CONSTANTS[f.kind]
    square = f * f
    if f.kind == "float":
        small = e.times_plus(constants.ln2_low, f * square * f.polynomial(_LOG_FLOAT))
        return e.times_plus(constants.ln2_high, f + square.times_plus(-0.5, small))
    half = 0.5 * square
    s = f / (f + 2.0)
    z = s * s
    small = e.times_plus(constants.ln2_low, s * (half + z * z.polynomial(_LOG_DOUBLE)))
    return e.times_plus(constants.ln2_high, f - (half - small))


def _with_ends(y: Value, x: Value) -> Value:
    """The logarithm y of x, made right where x is negative, zero, infinite or NaN."""
    y = (x < INF).select(y, x)
    y = (x < 0.0).select(NAN, y)
    return x.equals(0.0).select(-INF, y)


def log(x: Value) -> Value:
    """The natural logarithm; largest error measured 0.83 ulp in float32, 0.84 in float64."""
    normal, shift = scaled_to_normal(x)
    _, e, m = split(normal)
    return _with_ends(_log_of(m - 1.0, e - shift), x)


def log1p(x: Value) -> Value:
    """log(1 + x); largest error measured 1.39 ulp in float32, 1.38 in float64.

    What rounding took from u = 1 + x is given back to the reduced argument, which next to 0 is then x itself.
    """
    u = x + 1.0
    moved = u - 1.0
    lost = (1.0 - (u - moved)) + (x - moved)
    exponent, e, m = split(u)
    mantissa, bias = MANTISSA[x.kind], BIAS[x.kind]
    bounded = (exponent > bias - 1).select(bias - 1, exponent)  # up there nothing lost counts
    back = (bounded.constant(bias) - bounded << mantissa).floats()
    return _with_ends(_log_of((m - 1.0) + lost * back, e), u).with_sign_of(x)
