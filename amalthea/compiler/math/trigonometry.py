"""sin, cos and arctan2.

Angles of any size are reduced exactly enough (Payne and Hanek, *Radian reduction for trigonometric functions*, 1983):
the fraction of a whole turn is found with as many bits of 1 / (2 pi) as the argument's exponent asks for.
"""

from __future__ import annotations

import itertools
import math

from amalthea.compiler.math.value import NAN, Value, fast_two_sum, two_product

# (sin(r) - r) / r**3 and (cos(r) - 1 + r**2 / 2) / r**4 in r**2, |r| <= pi / 4
_SIN = {
    "float": (-0.16666655, 0.008332176, -0.00019516995),
    "double": (
        -0.16666666666666666, 0.008333333333333323, -0.00019841269841255074, 2.755731921419308e-06,
        -2.5052104912129003e-08, 1.6058366677324067e-10, -7.578699435292862e-13,
    ),
}  # fmt: skip
_COS = {
    "float": (0.041666646, -0.0013887364, 2.443808e-05),
    "double": (
        0.041666666666666664, -0.0013888888888888874, 2.4801587301571472e-05, -2.7557319215363924e-07,
        2.0876754363174125e-09, -1.1470292897554946e-11, 4.738091226977549e-14,
    ),
}  # fmt: skip
# (atan(q) - q) / q**3 in q**2: |q| <= 1 for float, |q| <= tan(pi / 8) for double
_ATAN = {
    "float": (
        -0.33333328, 0.19999671, -0.14279835, 0.11058237, -0.08811137, 0.06741697, -0.04469128, 0.022540946,
        -0.007318439, 0.0011138805,
    ),
    "double": (
        -0.33333333333333326, 0.19999999999997628, -0.14285714285383067, 0.11111111087888483, -0.09090908134685903,
        0.07692282548059318, -0.06666223804647377, 0.05876994261759087, -0.05218235103917465, 0.04502890338324764,
        -0.033459730198160294, 0.015180767435329034,
    ),
}  # fmt: skip
_TURN = (6.283185307179586, 2.4492935982947064e-16)
"""2 pi as a number and the rest."""
# 1 / (2 pi) in pieces of 29 bits, whose products with a float32 are exact in float64, and the rest
_PER_TURN = (
    0.15915494225919247, 8.327028684640414e-10, 5.69002511952534e-19, 6.317065083361892e-27, 5.595982707708916e-36,
    6.551007954373285e-45,
)  # fmt: skip
_LIMBS = 38


def _per_turn_bits() -> list[int]:
    """1 / (2 pi) as overlapping pairs of 32-bit limbs, highest first, after two limbs of zeros.

    pi by Machin's formula in integers: pi / 4 = 4 atan(1 / 5) - atan(1 / 239).
    """
    places = 32 * _LIMBS + 64

    def inverse_tangent(n: int) -> int:
        term = total = (1 << places) // n
        k = 1
        while term:
            term //= -n * n
            k += 2
            total += term // k if term > 0 else -(-term // k)
        return total

    pi = 4 * (4 * inverse_tangent(5) - inverse_tangent(239))
    bits = ((1 << 2 * places) // (2 * pi)) >> (places - 32 * (_LIMBS - 2))
    limbs = [0, 0, *((bits >> 32 * k) & 0xFFFFFFFF for k in reversed(range(_LIMBS - 2)))]
    return [high << 32 | low for high, low in itertools.pairwise(limbs)]


def _reduced_float(size: Value) -> tuple[Value, Value]:
    """A float32 as an angle in [-pi / 4, pi / 4] and the number of quarter turns (mod 4 in its low bits, i32).

    In float64: the whole turns are taken from each exact product with a piece of 1 / (2 pi), then the nearest quarter.
    """
    x = size.convert("fpext", "double")
    parts = []
    for piece in _PER_TURN[:-1]:
        product = x * piece
        parts.append(product - product.round())
    parts.append(x * _PER_TURN[-1])
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    magic = 1.5 * 2.0**52
    shifted = total * 4.0 + magic
    # The quarters go first, so that what follows is exact where little remains of the sum.
    left = (shifted - magic) * -0.25 + parts[0]
    for part in parts[1:]:
        left = left + part
    return (left * _TURN[0]).convert("fptrunc", "float"), shifted.bits().convert("trunc", "i32")


def _integer_to_double(value: Value) -> Value:
    """A signed i64 below 2**51 as a double, without a conversion instruction, which few targets have for vectors."""
    magic = 1.5 * 2.0**52
    return (value + value.constant(magic, "double").bits()).floats() - magic


def _reduced_double(size: Value) -> tuple[Value, Value, Value]:
    """A float64 as an angle in [-pi / 4, pi / 4] of two parts and the number of quarter turns (mod 4, i64).

    In integers: the mantissa times 160 bits of 1 / (2 pi), taken from where they count, gives 128 bits of the fraction
    of a turn.
    """
    tiny = size < math.pi / 4
    x = tiny.select(1.0, size)
    bits = x.bits()
    offset = (bits.logical_shift(52)) - 1011  # of the first bit that counts, in the table
    place, within = offset.logical_shift(5), offset & 31
    table = _per_turn_bits()
    words = [((place + k).lookup("am_per_turn", table) << within).logical_shift(32) for k in range(5)]
    mantissa = (bits & ((1 << 52) - 1)) | (1 << 52)
    mask = 0xFFFFFFFF
    upper, lower = mantissa.logical_shift(32), mantissa & mask
    low = [lower * word for word in words]
    high = [upper * word for word in words]
    column3 = (low[3] & mask) + (high[4] & mask) + low[4].logical_shift(32)
    column2 = low[3].logical_shift(32) + high[4].logical_shift(32) + (low[2] & mask) + (high[3] & mask)
    column2 = column2 + column3.logical_shift(32)
    top = low[1] + high[2] + ((low[0] + high[1]) << 32)
    top = top + low[2].logical_shift(32) + high[3].logical_shift(32) + column2.logical_shift(32)
    quarters = (top + (1 << 61)).logical_shift(62)
    top = top - (quarters << 62)
    pieces = (top >> 32, top & mask, column2 & mask, column3 & mask)
    a, b, c, d = (_integer_to_double(p) * 2.0 ** (-32 * (k + 1)) for k, p in enumerate(pieces))
    turn, rest = fast_two_sum(a, b)
    turn, rest = fast_two_sum(turn, rest + (c + d))
    angle, more = two_product(turn, turn.constant(_TURN[0]))
    more = more + (turn * _TURN[1] + rest * _TURN[0])
    return tiny.select(size, angle), tiny.select(0.0, more), tiny.select(0, quarters)


def _wave(x: Value, quarter: int) -> Value:
    """sin(|x| + quarter * pi / 2)."""
    size = abs(x)
    if x.kind == "float":
        r, n = _reduced_float(size)
        rest = None
    else:
        r, rest, n = _reduced_double(size)
    n = n + quarter if quarter else n
    z = r * r
    cubic = r * z * z.polynomial(_SIN[x.kind])
    quartic = z * z * z.polynomial(_COS[x.kind])
    if rest is None:
        sine, cosine = r + cubic, z.times_plus(-0.5, quartic) + 1.0
    else:
        half = 0.5 * z
        base = 1.0 - half
        sine = r + (cubic + rest * base)
        cosine = base + (((1.0 - base) - half) + (quartic - r * rest))
    wave = (n & 1).differs(0).select(cosine, sine)
    turned = (wave.bits() ^ ((n & 2) << (30 if x.kind == "float" else 62))).floats()
    return (size < math.inf).select(turned, NAN)


def sin(x: Value) -> Value:
    """The sine of an angle of any size; largest error measured 1.55 ulp in float32, 0.82 in float64."""
    wave = _wave(x, 0)
    kind = x.bits_kind
    sign = x.bits() & (1 << (31 if kind == "i32" else 63))
    return (wave.bits() ^ sign).floats()


def cos(x: Value) -> Value:
    """The cosine of an angle of any size; largest error measured 1.54 ulp in float32, 0.82 in float64."""
    return _wave(x, 1)


def arctan2(y: Value, x: Value) -> Value:
    """The angle of (x, y), as IEEE says; largest error measured 1.47 ulp in float32, 1.91 in float64."""
    kind = y.kind
    ordinate, abscissa = abs(y), abs(x)
    steep = ordinate > abscissa
    large, small = steep.select(ordinate, abscissa), steep.select(abscissa, ordinate)
    # 0 / 0 shall be 0 and inf / inf 1.
    both = small.equals(math.inf)
    small, large = both.select(1.0, small), (both.select(1.0, large))
    large = large.equals(0.0).select(1.0, large)
    half_pi = (1.5707963267948966, 6.123233995736766e-17) if kind == "double" else (1.5707964, -4.371139e-08)
    if kind == "double":
        # atan(q) = pi / 4 + atan((q - 1) / (q + 1)): the two numbers are scaled so that their sum does not overflow.
        wide = small > large * 0.41421356237309503
        scale = (large > 1e300).select(large.constant(2.0**-10), large.constant(1.0))
        a, b = small * scale, large * scale
        q = wide.select(a - b, small) / wide.select(a + b, large)
        low = wide.select(q.constant(half_pi[1] / 2), q.constant(0.0))
        z = q * q
        angle = wide.select(q.constant(half_pi[0] / 2), q.constant(0.0)) + (
            (q * z).times_plus(z.polynomial(_ATAN[kind]), low) + q
        )
    else:
        q = small / large
        z = q * q
        angle = (q * z).times_plus(z.polynomial(_ATAN[kind]), q)
    angle = steep.select((half_pi[0] - angle) + half_pi[1], angle)
    behind = x.bits() < 0
    angle = behind.select((2 * half_pi[0] - angle) + 2 * half_pi[1], angle)
    unordered = y.compare("uno", "", x)
    return unordered.select(NAN, angle).with_sign_of(y)
