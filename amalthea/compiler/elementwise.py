"""`emit`: the LLVM code of every elementwise primitive, on scalars and on vectors.

Values keep their dtype's type in memory: bools are bytes 0 and 1. float16 and bfloat16 are computed in float32 and
rounded after every op. Results equal those of the NumPy kernels, with two exceptions: elementary functions differ from
NumPy's in the last digits (each states its error), and where a floating value does not fit the integer dtype it is cast
to, which NumPy leaves to the processor, the nearest integer of that dtype is taken (0 for NaN).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from amalthea.compiler import math as functions
from amalthea.compiler.emitter import TYPES, Emitter
from amalthea.compiler.half import narrowed, widened
from amalthea.compiler.math.powers import integer_power
from amalthea.compiler.math.value import MANTISSA, WIDTH, Value
from amalthea.core import config
from amalthea.core.errors import UnsupportedError, fail

Rule = Callable[..., Value]
"""Given the operands, computes; the keyword `signed` tells whether integers are signed, `boolean` whether bools."""


def emit(
    e: Emitter,
    op: str,
    arguments: Sequence[str],
    dtypes: Sequence[str],
    out: str,
    lanes: int = 1,
    attrs: Mapping[str, Any] = {},
) -> str:
    """Write one elementwise primitive on scalars or vectors; returns the name of its value.

    Args:
        e: the function being written.
        op: the primitive, one of `OPS`.
        arguments: LLVM values or scalar literals, already promoted as the op's record says.
        dtypes: the dtype of each argument.
        out: the dtype of the result.
        lanes: 1, or the length of the vectors that all arguments are.
        attrs: the op's static attributes. None is needed: `out` says it all.

    Raises:
        UnsupportedError: the op is not in `OPS`, or is a view of another width, or the dtype has no code.

    >>> e = Emitter("relu", [("float", "x")], "float")
    >>> e.ret("float", emit(e, "maximum", ["%x", "0.0"], ["float32", "float32"], "float32"))
    >>> print(e.text())
    define float @relu(float %x) {
    entry:
      %t1 = fcmp ogt float 0.0, %x
      %t2 = select i1 %t1, float 0.0, float %x
      ret float %t2
    }
    """
    for dtype in (*dtypes, out):
        if str(dtype) not in TYPES:
            _refuse(op, f"there is no code for dtype {dtype}", dtypes, out)
    values = [Value(e, name, TYPES[str(d)], lanes) for name, d in zip(arguments, dtypes, strict=True)]
    if op == "cast":
        return cast(values[0], str(dtypes[0]), str(out)).name
    if op == "view":
        if WIDTH[values[0].kind] != WIDTH[TYPES[str(out)]]:
            _refuse(op, "a view of another width is not elementwise", dtypes, out)
        return values[0].convert("bitcast", TYPES[str(out)]).name
    if op == "stop_gradient":
        return values[0].name
    if op == "where":
        return values[0].differs(0).select(values[1], values[2]).name
    rule = _FLOATING.get(op) if values[0].floating else _INTEGER.get(op)
    if rule is None:
        _refuse(op, "there is no code for this op and dtype", dtypes, out)
    if not values[0].floating:
        kind = str(dtypes[0])
        signed, boolean = kind.startswith("int"), kind == "bool"
        return _stored(rule(*values, signed=signed, boolean=boolean)).name
    result = rule(*(widened(v) for v in values))
    return (
        narrowed(result, values[0].kind, computed=True) if result.kind in ("float", "double") else _stored(result)
    ).name


def _refuse(op: str, message: str, dtypes: Sequence[str], out: str) -> NoReturn:
    fail(
        UnsupportedError,
        message,
        where=op,
        received=f"({', '.join(map(str, dtypes))}) -> {out}",
        fix="leave it to the NumPy kernel",
    )


def _stored(value: Value) -> Value:
    """A truth value as the byte it is in memory; other values as they are."""
    return value.convert("zext", "i8") if value.kind == "i1" else value


# --- conversions ---------------------------------------------------------------------------------------------------


def cast(x: Value, dtype: str, out: str) -> Value:
    """x of one dtype in another: to integers towards zero (saturating), to bool by being nonzero."""
    kind = TYPES[out]
    if dtype == out:
        return x
    if out == "bool":
        return _stored(x.differs(0) if not x.floating else widened(x).differs(0.0))
    if not x.floating:
        unsigned = dtype == "bool" or dtype.startswith("uint")
        if kind in ("half", "bfloat", "float", "double"):
            middle = "float" if kind in ("half", "bfloat") else kind
            return narrowed(x.convert("uitofp" if unsigned else "sitofp", middle), kind)
        if WIDTH[kind] == WIDTH[x.kind]:
            return x
        return x.convert("trunc" if WIDTH[kind] < WIDTH[x.kind] else "zext" if unsigned else "sext", kind)
    if kind in ("half", "bfloat", "float", "double"):
        return _between_floats(x, kind)
    return _to_integer(widened(x), out)


def _to_integer(x: Value, out: str) -> Value:
    """A float32 or float64 in an integer dtype, towards zero; the nearest one where it does not fit, and 0 for NaN.

    LLVM's own saturating conversion is taken apart into scalars on most targets.
    """
    kind, signed = TYPES[out], not out.startswith("uint")
    bits = WIDTH[kind] - signed
    least, greatest = -(1 << bits) if signed else 0, (1 << bits) - 1
    mantissa = MANTISSA[x.kind] + 1
    top = greatest if bits <= mantissa else (1 << bits) - (1 << (bits - mantissa))  # the greatest number that fits
    inside = x.at_most(float(top)).at_least(float(least))
    middle = kind if WIDTH[kind] >= 32 else "i32"
    whole = inside.convert("fptosi" if signed or middle != kind else "fptoui", middle)
    if top != greatest:
        whole = (x > float(top)).select(whole.constant(greatest), whole)
    return x.is_nan().select(whole.constant(0), whole).convert("trunc", kind)


def _between_floats(x: Value, kind: str) -> Value:
    if x.kind == "double" and kind in ("half", "bfloat"):
        if kind == "bfloat":  # as NumPy's bfloat16 does, by way of float32
            return narrowed(x.convert("fptrunc", "float"), kind)
        # Rounded to odd in float32 first, so that the second rounding sees what the first one dropped.
        near = x.convert("fptrunc", "float")
        back = near.convert("fpext", "double")
        bits = near.bits()
        over = (abs(back) > abs(x)).select(bits - 1, bits)
        odd = over | 1
        finite = abs(x) < 1e30
        inexact = back.differs(x) & finite
        return narrowed(inexact.select(odd, bits).floats(), kind)
    wide = widened(x)
    if wide.kind == "float" and kind == "double":
        return wide.convert("fpext", "double")
    if wide.kind == "double" and kind == "float":
        return wide.convert("fptrunc", "float")
    return narrowed(wide, kind)


# --- floating-point numbers ----------------------------------------------------------------------------------------


def _is_constant(value: Value) -> bool:
    return not value.name.startswith(("%", "@"))


FAST_MATH = "reassoc nsz arcp contract afn "
"""LLVM's flags under `am.config.set_fast_math(True)`: all but those for which infinities and NaN do not exist."""


def _arithmetic(instruction: str) -> Rule:
    """The user's own arithmetic, which fast math may relax; the formulas of `math` need every rounding as written."""

    def rule(x: Value, y: Value) -> Value:
        flags = FAST_MATH if config.fast_math() else ""
        return x._new(f"{instruction} {flags}{x.type} {x.name}, {y.name}")

    return rule


def _maximum(x: Value, y: Value, predicate: str = "ogt") -> Value:
    """The greater; NaN where either is. One instruction on x86 when one of them is a constant, or with fast math."""
    if _is_constant(x):
        x, y = y, x
    chosen = y.compare(predicate, "", x).select(y, x)  # x where it is NaN
    if config.fast_math():
        return chosen
    return chosen if _is_constant(y) and "7FF8" not in y.name else y.is_nan().select(y, chosen)


def _sign(x: Value) -> Value:
    one = x.constant(1.0).with_sign_of(x)
    return x.differs(0.0).select(x.is_nan().select(x, one), 0.0)


def _remainder(x: Value, y: Value) -> Value:
    """x - y * floor(x / y), exactly; libm's fmod is the only function called from here."""
    rest = x._new(f"frem {x.type} {x.name}, {y.name}")
    other_side = rest.differs(0.0) & ((rest < 0.0).compare("", "ne", y < 0.0))
    shifted = other_side.select(rest + y, rest)
    return shifted.equals(0.0).select(shifted.constant(0.0).with_sign_of(y), shifted)


def _floor_divide(x: Value, y: Value) -> Value:
    """The floor of the exact quotient, as Python and NumPy find it: by the remainder, which is exact."""
    rest = x._new(f"frem {x.type} {x.name}, {y.name}")
    quotient = (x - rest) / y
    other_side = rest.differs(0.0) & ((rest < 0.0).compare("", "ne", y < 0.0))
    quotient = other_side.select(quotient - 1.0, quotient)
    floor = quotient.intrinsic("floor")
    floor = (quotient - floor > 0.5).select(floor + 1.0, floor)
    plain = x / y
    floor = quotient.equals(0.0).select(plain.constant(0.0).with_sign_of(plain), floor)
    return y.equals(0.0).select(plain, floor)


def _function(name: str) -> Rule:
    return lambda *values: functions.call(name, *values)


_FLOATING: dict[str, Rule] = {
    "negative": lambda x: -x,
    "abs": abs,
    "sign": _sign,
    "sqrt": lambda x: x.intrinsic("sqrt"),
    "floor": lambda x: x.intrinsic("floor"),
    "round_half_even": lambda x: x.round(),
    "isfinite": lambda x: abs(x) < math.inf,
    "add": _arithmetic("fadd"),
    "subtract": _arithmetic("fsub"),
    "multiply": _arithmetic("fmul"),
    "divide": _arithmetic("fdiv"),
    "floor_divide": _floor_divide,
    "mod": _remainder,
    "maximum": _maximum,
    "minimum": lambda x, y: _maximum(x, y, "olt"),
    "equal": lambda x, y: x.equals(y),
    "less": lambda x, y: x < y,
    "less_equal": lambda x, y: x <= y,
    **{name: _function(name) for name in functions.FUNCTIONS},
}


# --- integers and bools --------------------------------------------------------------------------------------------


def _divided(x: Value, y: Value, signed: bool) -> tuple[Value, Value]:
    """Quotient and remainder towards zero; x and 0 where y is 0 or the quotient would overflow."""
    word = "s" if signed else "u"
    bad = y.equals(0)
    if signed:
        bad = bad | (x.equals(1 << (WIDTH[x.kind] - 1)) & y.equals(-1))
    safe = bad.select(1, y)
    return x._new(f"{word}div {x.type} {x.name}, {safe.name}"), x._new(f"{word}rem {x.type} {x.name}, {safe.name}")


def _integer_floor_divide(x: Value, y: Value, signed: bool, boolean: bool) -> Value:
    quotient, rest = _divided(x, y, signed)
    if signed:
        below = rest.differs(0) & ((rest ^ y) < 0)
        quotient = quotient + below.convert("sext", x.kind)
    return y.equals(0).select(0, quotient)


def _integer_remainder(x: Value, y: Value, signed: bool, boolean: bool) -> Value:
    _, rest = _divided(x, y, signed)
    if signed:
        rest = (rest.differs(0) & ((rest ^ y) < 0)).select(rest + y, rest)
    return y.equals(0).select(0, rest)


def _integer_power(x: Value, y: Value, signed: bool, boolean: bool) -> Value:
    name = f"am_power_{'s' if signed else 'u'}"
    return functions.shared(name, lambda a, b: integer_power(a, b, signed), x, y)


def _shift(x: Value, y: Value, signed: bool, left: bool) -> Value:
    """A shift; by the width or more (or by less than 0) all bits go out."""
    width = WIDTH[x.kind]
    inside = y.compare("", "ult", width)
    amount = inside.select(y, 0)
    if left:
        return inside.select(x << amount, 0)
    if not signed:
        return inside.select(x.logical_shift(amount), 0)
    return x >> inside.select(y, width - 1)


def _order(predicate: str) -> Rule:
    return lambda x, y, signed, boolean: x.compare("", ("s" if signed else "u") + predicate, y)


def _extreme(name: str) -> Rule:
    return lambda x, y, signed, boolean: x.intrinsic(("s" if signed else "u") + name, y)


def _integer_abs(x: Value, signed: bool, boolean: bool) -> Value:
    return (x < 0).select(-x, x) if signed else x


def _integer_sign(x: Value, signed: bool, boolean: bool) -> Value:
    positive = x.differs(0).convert("zext", x.kind)
    return (x < 0).select(-1, positive) if signed else positive


_INTEGER: dict[str, Rule] = {
    "negative": lambda x, signed, boolean: -x,
    "abs": _integer_abs,
    "sign": _integer_sign,
    "isfinite": lambda x, signed, boolean: x.constant(1, "i8"),
    "bitwise_not": lambda x, signed, boolean: x ^ 1 if boolean else ~x,
    "add": lambda x, y, signed, boolean: x | y if boolean else x + y,
    "subtract": lambda x, y, signed, boolean: x - y,
    "multiply": lambda x, y, signed, boolean: x & y if boolean else x * y,
    "floor_divide": _integer_floor_divide,
    "mod": _integer_remainder,
    "power": _integer_power,
    "maximum": _extreme("max"),
    "minimum": _extreme("min"),
    "equal": lambda x, y, signed, boolean: x.equals(y),
    "less": _order("lt"),
    "less_equal": _order("le"),
    "bitwise_and": lambda x, y, signed, boolean: x & y,
    "bitwise_or": lambda x, y, signed, boolean: x | y,
    "bitwise_xor": lambda x, y, signed, boolean: x ^ y,
    "left_shift": lambda x, y, signed, boolean: _shift(x, y, signed, True),
    "right_shift": lambda x, y, signed, boolean: _shift(x, y, signed, False),
}

OPS: frozenset[str] = frozenset({"cast", "view", "stop_gradient", "where", *_FLOATING, *_INTEGER})
"""The primitives that `emit` knows."""
