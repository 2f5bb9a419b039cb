"""A kernel for argmax and argmin: first the extreme of a line, then where it is first met; both loops widen."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from amalthea.compiler.emitter import literal, llvm_type
from amalthea.compiler.kernel_code import KernelCode, finished
from amalthea.compiler.lines import Lines
from amalthea.compiler.reductions import accumulator, combine, identity
from amalthea.core import dtypes
from amalthea.core.dtypes import DType


def extreme_code(kind: str, shape: Sequence[int], axis: int | None, dtype: DType) -> KernelCode:
    """The kernel `(x, out)` for the int32 place of the first "max" or "min" along an axis; of NaN where there is one.

    >>> extreme_code("max", (32, 10), 1, DType("float32")).extent
    32
    """
    lines = Lines(shape, axis, ("x", "y"))
    e, wide = lines.e, accumulator(dtype)
    t, floating = llvm_type(wide), dtypes.is_floating(dtype)

    def one_line(line: str, _: list[str]) -> list[str]:
        start = lines.start(line)

        def element(i: str) -> str:
            return lines.cast(lines.load(dtype, "%x", lines.place(start, i)), dtype, wide)

        def extreme(i: str, now: list[str]) -> list[str]:
            return [combine(e, kind, wide, now[0], element(i), True)]

        (best,) = e.loop("0", str(lines.size), 1, extreme, [(t, literal(identity(kind, wide), wide))])

        def first(i: str, now: list[str]) -> list[str]:
            # An element that is not ordered with the extreme is NaN, or all are wanted because the extreme is NaN.
            x = element(i)
            here = e.value(f"{'fcmp oeq' if floating else 'icmp eq'} {t} {x}, {best}")
            if floating:
                here = e.value(f"or i1 {here}, {e.value(f'fcmp uno {t} {x}, {x}')}")
            number = e.value(f"trunc i64 {i} to i32")
            place = e.value(f"select i1 {here}, i32 {number}, i32 {lines.size}")
            return [e.call("i32", "llvm.smin.i32", ("i32", now[0]), ("i32", place))]

        (place,) = e.loop("0", str(lines.size), 1, first, [("i32", str(lines.size))])
        lines.store(dtypes.int32, "%y", line, place)
        return []

    e.loop("%lo", "%hi", 1, one_line)
    e.ret()
    total = prod(shape)
    size = dtype.itemsize * total + 4 * lines.count
    return finished(f"arg{kind}", e, lines.count, 2 * total, size, f"{lines.count} lines of {lines.size}")
