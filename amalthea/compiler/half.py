"""float16 and bfloat16: stored in 16 bits, computed in float32."""

from __future__ import annotations

from amalthea.compiler.emitter import Emitter
from amalthea.compiler.math.value import Value


def widened(x: Value) -> Value:
    """A float16 or bfloat16 in float32; other values as they are."""
    if x.kind == "half":
        return x.convert("fpext", "float")
    if x.kind == "bfloat":
        return (x.convert("bitcast", "i16").convert("zext", "i32") << 16).floats()
    return x


def narrowed(x: Value, kind: str, computed: bool = False) -> Value:
    """A float32 rounded to float16 or bfloat16, to nearest even; for other kinds the value itself.

    bfloat16 is rounded with integer arithmetic: the processors' instruction takes subnormal numbers for zero, and where
    there is none LLVM would call a function. A NaN with bits among those that go could become a number; one `computed`
    from bfloat16 has none there, since arithmetic hands an operand's on or makes one with a single bit.
    """
    if kind == "half" and x.kind == "float":
        return x.convert("fptrunc", "half")
    if kind != "bfloat" or x.kind != "float":
        return x
    bits = x.bits()
    rounded = bits + 0x7FFF + (bits.logical_shift(16) & 1)
    kept = rounded if computed else x.is_nan().select(bits | 0x400000, rounded)
    return kept.logical_shift(16).convert("trunc", "i16").convert("bitcast", "bfloat")


def support(has_instructions: bool) -> list[str]:
    """Functions that a module with float16 needs on processors without instructions for the conversions.

    LLVM then calls two functions of the compiler's runtime library, which a process need not have: `__extendhfsf2` and
    `__truncsfhf2`. These are they, in integer arithmetic.

    >>> support(True), len(support(False))
    ([], 2)
    """
    return [] if has_instructions else [_extend(), _truncate()]


def _extend() -> str:
    e = Emitter("__extendhfsf2", [("half", "x")], "float", "nounwind")
    bits = Value(e, "%x", "half").bits().convert("zext", "i32")
    # Shifted into place the exponent is 112 too small; the product makes subnormal numbers normal, too.
    size = (((bits & 0x7FFF) << 13).floats() * 2.0**112).bits()
    special = (bits & 0x7C00).equals(0x7C00)
    size = special.select(size | 0x7F800000, size)
    e.ret("float", (size | ((bits & 0x8000) << 16)).floats().name)
    return e.text()


def _truncate() -> str:
    e = Emitter("__truncsfhf2", [("float", "x")], "half", "nounwind")
    bits = Value(e, "%x", "float").bits()
    size = bits & 0x7FFFFFFF
    normal = (size + (0xFFF - (112 << 23)) + (size.logical_shift(13) & 1)).logical_shift(13)
    # The last place of 0.5 is that of the subnormal numbers: the sum rounds.
    subnormal = (size.floats() + 0.5).bits() - 0x3F000000
    infinite = (size > 0x7F800000).select(size.logical_shift(13) & 0x3FF | 0x7E00, 0x7C00)
    result = (size < 0x38800000).select(subnormal, (size < 0x47800000).select(normal, infinite))
    result = result | (bits.logical_shift(16) & 0x8000)
    e.ret("half", result.convert("trunc", "i16").convert("bitcast", "half").name)
    return e.text()
