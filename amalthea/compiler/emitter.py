"""`Emitter`: writes one LLVM function as text.

Values are strings, LLVM's own names (`%t3`) or literals (`1.0`, `7`). Nothing is checked here: LLVM's parser and
verifier read every function before it is compiled.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from amalthea.core import dtypes

TYPES = {
    "bool": "i8",
    "int8": "i8",
    "uint8": "i8",
    "int16": "i16",
    "uint16": "i16",
    "int32": "i32",
    "uint32": "i32",
    "int64": "i64",
    "uint64": "i64",
    "float16": "half",
    "bfloat16": "bfloat",
    "float32": "float",
    "float64": "double",
}
"""The LLVM type of each dtype in memory and in values; a bool is a byte, 0 or 1."""


def llvm_type(dtype: str, lanes: int = 1) -> str:
    """The LLVM type of one value, or of a vector of `lanes` values.

    >>> llvm_type("float32", 16)
    '<16 x float>'
    """
    scalar = TYPES[str(dtype)]
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def literal(value: float | int | bool, dtype: str) -> str:
    """A scalar constant of that dtype, exactly.

    >>> literal(0.1, "float32"), literal(True, "bool")
    ('0x3FB99999A0000000', '1')
    """
    if dtypes.is_floating(dtype):
        rounded = float(dtypes.to_numpy(dtype).type(value))
        bits = struct.unpack("<Q", struct.pack("<d", rounded))[0]
        if dtype in ("float16", "bfloat16"):
            short = int(dtypes.to_numpy(dtype).type(value).view("uint16"))
            return f"0x{'H' if dtype == 'float16' else 'R'}{short:04X}"
        return f"0x{bits:016X}"
    return str(int(value))


class Emitter:
    """One LLVM function in the making.

    Args:
        name: its name, without the `@`.
        parameters: (type, name) pairs, e.g. `("ptr noalias", "x")`; in the body the value is `%x`.
        returns: its return type.
        attributes: function attributes, e.g. `alwaysinline nounwind`.
        linkage: e.g. `internal`.

    >>> e = Emitter("double_it", [("float", "x")], "float")
    >>> e.ret("float", e.value("fadd float %x, %x"))
    >>> print(e.text())
    define float @double_it(float %x) {
    entry:
      %t1 = fadd float %x, %x
      ret float %t1
    }
    """

    def __init__(
        self,
        name: str,
        parameters: Sequence[tuple[str, str]],
        returns: str = "void",
        attributes: str = "",
        linkage: str = "",
    ) -> None:
        self.name, self.returns = name, returns
        self.head = (
            f"define {linkage + ' ' if linkage else ''}{returns} @{name}("
            + ", ".join(f"{kind} %{label}" for kind, label in parameters)
            + f"){' ' + attributes if attributes else ''} {{"
        )
        self.lines: list[str] = ["entry:"]
        self.current = "entry"
        self.declarations: set[str] = set()  # whole `declare` lines and definitions that the function needs
        self._count = 0

    def fresh(self, hint: str = "t") -> str:
        """A new name, `%t1`, `%t2`, ..."""
        self._count += 1
        return f"%{hint}{self._count}"

    def line(self, text: str) -> None:
        """An instruction without a result."""
        self.lines.append(f"  {text}")

    def value(self, text: str) -> str:
        """An instruction with a result; returns its name."""
        name = self.fresh()
        self.lines.append(f"  {name} = {text}")
        return name

    def need(self, declaration: str) -> None:
        """Something that must stand in the module once: a `declare` line or a whole function."""
        self.declarations.add(declaration)

    def call(self, returns: str, function: str, *arguments: tuple[str, str]) -> str:
        """Call `@function` with (type, value) arguments and declare it; returns the result's name."""
        self.need(f"declare {returns} @{function}({', '.join(kind for kind, _ in arguments)})")
        return self.value(f"call {returns} @{function}({', '.join(f'{kind} {value}' for kind, value in arguments)})")

    def label(self, name: str) -> None:
        """Begin the basic block of this name (without `%`)."""
        self.lines.append(f"{name}:")
        self.current = name

    def jump(self, name: str) -> None:
        """Go to a block."""
        self.line(f"br label %{name}")

    def branch(self, condition: str, then: str, otherwise: str) -> None:
        """Go to one of two blocks by an i1."""
        self.line(f"br i1 {condition}, label %{then}, label %{otherwise}")

    def ret(self, kind: str = "void", value: str = "") -> None:
        """Return."""
        self.line(f"ret {kind} {value}".rstrip())

    def loop(
        self,
        start: str,
        stop: str,
        step: int,
        body: Callable[[str, list[str]], Sequence[str]],
        carried: Sequence[tuple[str, str]] = (),
        metadata: str = "",
    ) -> list[str]:
        """A counted loop `for i in range(start, stop, step)` over i64, which may run zero times.

        Args:
            start, stop: i64 values.
            step: positive.
            body: given `i` and the carried values, emits the body and returns the new carried values.
            carried: (type, first value) of values that go from round to round.
            metadata: appended to the backward branch, e.g. `, !llvm.loop !0`.

        Returns:
            The carried values after the loop.
        """
        self._count += 1
        n = self._count
        head, inside, done, before = f"loop{n}", f"body{n}", f"done{n}", self.current
        i = self.fresh("i")
        names = [self.fresh("c") for _ in carried]
        self.jump(head)
        self.label(head)
        at = len(self.lines)
        self.branch(self.value(f"icmp slt i64 {i}, {stop}"), inside, done)
        self.label(inside)
        new = list(body(i, names))
        following = self.value(f"add nsw i64 {i}, {step}")
        back = self.current
        self.line(f"br label %{head}{metadata}")
        phis = [f"  {i} = phi i64 [ {start}, %{before} ], [ {following}, %{back} ]"]
        for name, (kind, first), last in zip(names, carried, new, strict=True):
            phis.append(f"  {name} = phi {kind} [ {first}, %{before} ], [ {last}, %{back} ]")
        self.lines[at:at] = phis
        self.label(done)
        return names

    def repeat(
        self,
        count: str | int,
        body: Callable[[str, list[str]], Sequence[str]],
        carried: Sequence[tuple[str, str]] = (),
        metadata: str = "",
    ) -> list[str]:
        """A loop `for i in range(count)` that runs at least once, tested at its end: the form for innermost loops.

        Args:
            count: i64 value, positive.
            body, carried, metadata: as for `loop`.

        Returns:
            The carried values after the last round.
        """
        self._count += 1
        n = self._count
        inside, done, before = f"repeat{n}", f"repeated{n}", self.current
        i = self.fresh("i")
        names = [self.fresh("c") for _ in carried]
        self.jump(inside)
        self.label(inside)
        at = len(self.lines)
        new = list(body(i, names))
        following = self.value(f"add nuw nsw i64 {i}, 1")
        again = self.value(f"icmp ult i64 {following}, {count}")
        back = self.current
        self.line(f"br i1 {again}, label %{inside}, label %{done}{metadata}")
        phis = [f"  {i} = phi i64 [ 0, %{before} ], [ {following}, %{back} ]"]
        for name, (kind, first), last in zip(names, carried, new, strict=True):
            phis.append(f"  {name} = phi {kind} [ {first}, %{before} ], [ {last}, %{back} ]")
        self.lines[at:at] = phis
        self.label(done)
        return new

    def block(self, hint: str = "block") -> str:
        """A new label for a basic block."""
        self._count += 1
        return f"{hint}{self._count}"

    def text(self) -> str:
        """The function's text (without its declarations)."""
        return "\n".join([self.head, *self.lines, "}"])
