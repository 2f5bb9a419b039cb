"""`Lines`: a kernel whose parts are the lines of an array along one axis, as searching, summing up and sorting want."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from amalthea.compiler.elementwise import emit
from amalthea.compiler.emitter import Emitter, llvm_type
from amalthea.compiler.half import widened
from amalthea.compiler.kernel_code import PLACEHOLDER
from amalthea.compiler.math.value import Value
from amalthea.core import dtypes
from amalthea.core.dtypes import DType


class Lines:
    """A kernel in the making over the lines of an array.

    Args:
        shape: of the array.
        axis: along which its lines run; None: the flattened array is one line.
        pointers: the names of the kernel's parameters.

    Attributes:
        count, size, step: how many lines there are, how long each is, and how far apart in memory its elements lie.
    """

    def __init__(self, shape: Sequence[int], axis: int | None, pointers: Sequence[str]) -> None:
        before, self.size, after = (
            (1, prod(shape), 1) if axis is None else (prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]))
        )
        self.count, self.step = before * after, after
        self.e = Emitter(
            PLACEHOLDER,
            [*(("ptr noalias", name) for name in pointers), ("i64", "lo"), ("i64", "hi")],
            attributes="nounwind",
        )

    def start(self, line: str) -> str:
        """The place of a line's first element."""
        e = self.e
        if self.step == 1:
            return e.value(f"mul i64 {line}, {self.size}")
        group, within = e.value(f"udiv i64 {line}, {self.step}"), e.value(f"urem i64 {line}, {self.step}")
        return e.value(f"add i64 {e.value(f'mul i64 {group}, {self.size * self.step}')}, {within}")

    def place(self, start: str, number: str) -> str:
        """The place of an element of a line."""
        far = number if self.step == 1 else self.e.value(f"mul i64 {number}, {self.step}")
        return self.e.value(f"add i64 {start}, {far}")

    def at(self, dtype: DType, pointer: str, place: str) -> str:
        """The address of an element."""
        return self.e.value(f"getelementptr inbounds {llvm_type(dtype)}, ptr {pointer}, i64 {place}")

    def load(self, dtype: DType, pointer: str, place: str) -> str:
        """An element."""
        return self.e.value(f"load {llvm_type(dtype)}, ptr {self.at(dtype, pointer, place)}")

    def store(self, dtype: DType, pointer: str, place: str, value: str) -> None:
        """Write an element."""
        self.e.line(f"store {llvm_type(dtype)} {value}, ptr {self.at(dtype, pointer, place)}")

    def cast(self, value: str, source: DType, target: DType) -> str:
        """A value in another dtype."""
        return value if source == target else emit(self.e, "cast", [value], [source], target)

    def less(self, dtype: DType, a: str, b: str) -> str:
        """An i1: whether a sorts before b; NaN sorts last."""
        kind = llvm_type(dtype)
        x, y = (widened(Value(self.e, name, kind)) for name in (a, b))
        if x.floating:
            return ((x < y) | (y.is_nan() & (x.compare("ord", "", x)))).name
        sign = "u" if dtype.startswith("u") or dtypes.is_bool(dtype) else "s"
        return x.compare("", f"{sign}lt", y).name
