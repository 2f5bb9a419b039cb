"""`Value`: a scalar or a vector in LLVM text, with Python's operators, so that formulas read like formulas.

Every operator writes one instruction through an `Emitter`. Nothing here branches or calls a library, so scalar code
written with it stands in loops that LLVM turns into vector loops, and the same code works on vectors of any width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from amalthea.compiler.emitter import Emitter, literal

WIDTH = {"i1": 1, "i8": 8, "i16": 16, "i32": 32, "i64": 64, "half": 16, "bfloat": 16, "float": 32, "double": 64}
"""Bits of each LLVM scalar type that values have."""
FLOATING = frozenset({"half", "bfloat", "float", "double"})
_DTYPE = {"half": "float16", "bfloat": "bfloat16", "float": "float32", "double": "float64"}
_SUFFIX = {"half": "f16", "bfloat": "bf16", "float": "f32", "double": "f64"}
MANTISSA = {"float": 23, "double": 52}
"""Stored bits of the mantissa."""
BIAS = {"float": 127, "double": 1023}
"""What is added to the exponent of two in the stored number."""


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """One LLVM value, or a constant, that operators compute with.

    Comparisons (`<`, `<=`, `>`, `>=`, `equals`, `differs`) give `i1` values; on floating-point numbers they are false
    where a NaN takes part, except `differs`. Operands may be Python numbers.

    Attributes:
        e: where instructions go.
        name: LLVM's name of the value, or a literal.
        kind: the LLVM type of one element, e.g. "float" or "i32".
        lanes: 1 for a scalar, else the number of elements of the vector.

    >>> e = Emitter("f", [("float", "x")], "float")
    >>> x = Value(e, "%x", "float")
    >>> e.ret("float", (x * x + 1.0).name)
    >>> print(e.text())
    define float @f(float %x) {
    entry:
      %t1 = fmul float %x, %x
      %t2 = fadd float %t1, 0x3FF0000000000000
      ret float %t2
    }
    """

    e: Emitter
    name: str
    kind: str
    lanes: int = 1

    @property
    def type(self) -> str:
        """The LLVM type, e.g. `<8 x float>`."""
        return self._typed(self.kind)

    @property
    def floating(self) -> bool:
        return self.kind in FLOATING

    @property
    def bits_kind(self) -> str:
        """The integer type of the same width."""
        return f"i{WIDTH[self.kind]}"

    def _typed(self, kind: str) -> str:
        return kind if self.lanes == 1 else f"<{self.lanes} x {kind}>"

    def _new(self, text: str, kind: str | None = None) -> Value:
        return Value(self.e, self.e.value(text), kind or self.kind, self.lanes)

    def constant(self, number: float | int, kind: str | None = None) -> Value:
        """A constant of as many lanes, of this type or another."""
        kind = kind or self.kind
        text = literal(number, _DTYPE[kind]) if kind in FLOATING else _integer(int(number), WIDTH[kind])
        return Value(self.e, text if self.lanes == 1 else f"splat ({kind} {text})", kind, self.lanes)

    def of(self, other: Value | float | int) -> Value:
        """The operand as a value: numbers become constants of this type."""
        return other if isinstance(other, Value) else self.constant(other)

    def _binary(self, other: Value | float | int, floating: str, integer: str) -> Value:
        return self._new(f"{floating if self.floating else integer} {self.type} {self.name}, {self.of(other).name}")

    def __add__(self, other: Value | float | int) -> Value:
        return self._binary(other, "fadd", "add")

    def __radd__(self, other: float | int) -> Value:
        return self.of(other) + self

    def __sub__(self, other: Value | float | int) -> Value:
        return self._binary(other, "fsub", "sub")

    def __rsub__(self, other: float | int) -> Value:
        return self.of(other) - self

    def __mul__(self, other: Value | float | int) -> Value:
        return self._binary(other, "fmul", "mul")

    def __rmul__(self, other: float | int) -> Value:
        return self.of(other) * self

    def __truediv__(self, other: Value | float | int) -> Value:
        return self._new(f"fdiv {self.type} {self.name}, {self.of(other).name}")

    def __rtruediv__(self, other: float | int) -> Value:
        return self.of(other) / self

    def __neg__(self) -> Value:
        return self._new(f"fneg {self.type} {self.name}") if self.floating else 0 - self

    def __and__(self, other: Value | float | int) -> Value:
        return self._new(f"and {self.type} {self.name}, {self.of(other).name}")

    def __or__(self, other: Value | float | int) -> Value:
        return self._new(f"or {self.type} {self.name}, {self.of(other).name}")

    def __xor__(self, other: Value | float | int) -> Value:
        return self._new(f"xor {self.type} {self.name}, {self.of(other).name}")

    def __invert__(self) -> Value:
        return self ^ (1 if self.kind == "i1" else -1)

    def __lshift__(self, other: Value | float | int) -> Value:
        return self._new(f"shl {self.type} {self.name}, {self.of(other).name}")

    def __rshift__(self, other: Value | float | int) -> Value:
        """The arithmetic shift; see `logical_shift` for the other."""
        return self._new(f"ashr {self.type} {self.name}, {self.of(other).name}")

    def logical_shift(self, other: Value | float | int) -> Value:
        """Down by `other` bits, zeros coming in."""
        return self._new(f"lshr {self.type} {self.name}, {self.of(other).name}")

    def compare(self, floating: str, integer: str, other: Value | float | int) -> Value:
        """LLVM's `fcmp` or `icmp` with one of these predicates."""
        word = f"fcmp {floating}" if self.floating else f"icmp {integer}"
        return self._new(f"{word} {self.type} {self.name}, {self.of(other).name}", "i1")

    def __lt__(self, other: Value | float | int) -> Value:
        return self.compare("olt", "slt", other)

    def __le__(self, other: Value | float | int) -> Value:
        return self.compare("ole", "sle", other)

    def __gt__(self, other: Value | float | int) -> Value:
        return self.compare("ogt", "sgt", other)

    def __ge__(self, other: Value | float | int) -> Value:
        return self.compare("oge", "sge", other)

    def equals(self, other: Value | float | int) -> Value:
        return self.compare("oeq", "eq", other)

    def differs(self, other: Value | float | int) -> Value:
        return self.compare("une", "ne", other)

    def is_nan(self) -> Value:
        return self.compare("uno", "", self)

    def select(self, yes: Value | float | int, no: Value | float | int) -> Value:
        """`yes` where this `i1` holds and `no` elsewhere; at least one of them is a `Value`."""
        model = yes if isinstance(yes, Value) else no
        assert isinstance(model, Value)
        chosen, other = model.of(yes), model.of(no)
        return model._new(f"select {self.type} {self.name}, {chosen.type} {chosen.name}, {chosen.type} {other.name}")

    def convert(self, instruction: str, kind: str) -> Value:
        """A conversion instruction: `bitcast`, `zext`, `sext`, `trunc`, `fpext`, `fptrunc`, `sitofp`, ..."""
        if kind == self.kind:
            return self
        return self._new(f"{instruction} {self.type} {self.name} to {self._typed(kind)}", kind)

    def bits(self) -> Value:
        """The bits of a floating-point number as an integer."""
        return self.convert("bitcast", self.bits_kind)

    def floats(self) -> Value:
        """The bits of an i32 or i64 as a float or double."""
        return self.convert("bitcast", {32: "float", 64: "double"}[WIDTH[self.kind]])

    def intrinsic(self, name: str, *others: Value | float | int) -> Value:
        """`llvm.<name>` of this value and others of the same type."""
        suffix = _SUFFIX.get(self.kind, self.kind)
        full = f"llvm.{name}.{'' if self.lanes == 1 else f'v{self.lanes}'}{suffix}"
        operands = [self, *(self.of(other) for other in others)]
        return self._like(self.e.call(self.type, full, *((self.type, operand.name) for operand in operands)))

    def _like(self, name: str) -> Value:
        return Value(self.e, name, self.kind, self.lanes)

    def times_plus(self, factor: Value | float | int, term: Value | float | int) -> Value:
        """self * factor + term: fused where the target has the instruction, else a product and a sum."""
        return self.intrinsic("fmuladd", factor, term)

    def __abs__(self) -> Value:
        return self.intrinsic("fabs")

    def with_sign_of(self, other: Value) -> Value:
        return self.intrinsic("copysign", other)

    def round(self) -> Value:
        """The nearest integer, halves to even."""
        return self.intrinsic("roundeven")

    def at_most(self, limit: float) -> Value:
        """The lesser of this and a constant; NaN stays NaN. One instruction on x86."""
        return (self > limit).select(limit, self)

    def at_least(self, limit: float) -> Value:
        """The greater of this and a constant; NaN stays NaN. One instruction on x86."""
        return (self < limit).select(limit, self)

    def masked(self, low: int) -> Value:
        """The number with its lowest `low` bits cleared: the high part for exact products without a fused one."""
        return (self.bits() & -(1 << low)).floats()

    def polynomial(self, coefficients: Sequence[float]) -> Value:
        """The polynomial with these coefficients, lowest first, by Horner's rule."""
        total = self.constant(coefficients[-1])
        for coefficient in reversed(coefficients[:-1]):
            total = total.times_plus(self, coefficient)
        return total

    def lookup(self, table: str, entries: Sequence[int]) -> Value:
        """The entries of a constant i64 table at these i64 indices."""
        whole = f"[{len(entries)} x i64]"
        items = ", ".join(f"i64 {_integer(entry, 64)}" for entry in entries)
        self.e.need(f"@{table} = internal unnamed_addr constant {whole} [{items}]")
        if self.lanes == 1:
            place = self.e.value(f"getelementptr inbounds {whole}, ptr @{table}, i64 0, i64 {self.name}")
            return Value(self.e, self.e.value(f"load i64, ptr {place}"), "i64")
        found = "poison"
        for lane in range(self.lanes):
            index = self.e.value(f"extractelement {self.type} {self.name}, i32 {lane}")
            place = self.e.value(f"getelementptr inbounds {whole}, ptr @{table}, i64 0, i64 {index}")
            entry = self.e.value(f"load i64, ptr {place}")
            found = self.e.value(f"insertelement {self.type} {found}, i64 {entry}, i32 {lane}")
        return self._like(found)


def _integer(number: int, width: int) -> str:
    """An integer constant as LLVM writes it, wrapped to its width and signed."""
    if width == 1:
        return "true" if number else "false"
    number &= (1 << width) - 1
    return str(number - (1 << width) if number >> (width - 1) else number)


def two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """a + b as a rounded sum and its exact error (Knuth)."""
    total = a + b
    moved = total - a
    return total, (a - (total - moved)) + (b - moved)


def fast_two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """a + b as a rounded sum and its exact error, for |a| >= |b| or a = 0 (Dekker)."""
    total = a + b
    return total, b - (total - a)


def two_product(a: Value, b: Value) -> tuple[Value, Value]:
    """a * b as a rounded product and its error, exact but for a last bit (halves by masking: no fused multiply)."""
    low = (MANTISSA[a.kind] + 1) // 2 + 1
    product = a * b
    ah, bh = a.masked(low), b.masked(low)
    al, bl = a - ah, b - bh
    return product, ((ah * bh - product) + (ah * bl + al * bh)) + al * bl


NAN, INF = math.nan, math.inf
