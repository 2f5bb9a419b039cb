"""A kernel for cumulative sums: lines are added up one after the other, or many side by side where they lie so."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from amalthea.compiler.elementwise import emit
from amalthea.compiler.emitter import literal, llvm_type
from amalthea.compiler.kernel_code import KernelCode, finished
from amalthea.compiler.lines import Lines
from amalthea.compiler.reductions import accumulator
from amalthea.core import dtypes
from amalthea.core.dtypes import DType

BLOCK = 64
"""Neighbouring lines that one part adds up together."""


def cumulative_sum_code(shape: Sequence[int], axis: int, dtype: DType) -> KernelCode:
    """The kernel `(x, out)` for running sums along an axis, each the one before plus an element.

    >>> cumulative_sum_code((8, 100), 1, DType("float32")).extent
    8
    >>> cumulative_sum_code((8, 100), 0, DType("float32")).extent
    2
    """
    lines = Lines(shape, axis, ("x", "y"))
    beside = lines.step > 1 and accumulator(dtype) == dtype
    extent = _beside(lines, dtype) if beside else _one_by_one(lines, dtype)
    lines.e.ret()
    total = prod(shape)
    note = f"{lines.count} lines of {lines.size}"
    return finished("cumulative_sum", lines.e, extent, total, 2 * total * dtype.itemsize, note)


def _one_by_one(lines: Lines, dtype: DType) -> int:
    e, wide = lines.e, accumulator(dtype)
    zero = literal(-0.0 if dtypes.is_floating(dtype) else 0, wide)  # -0.0 + x is x for every x

    def one_line(line: str, _: list[str]) -> list[str]:
        start = lines.start(line)

        def add(i: str, now: list[str]) -> list[str]:
            place = lines.place(start, i)
            x = lines.cast(lines.load(dtype, "%x", place), dtype, wide)
            total = emit(e, "add", [now[0], x], [wide, wide], wide)
            lines.store(dtype, "%y", place, lines.cast(total, wide, dtype))
            return [total]

        e.loop("0", str(lines.size), 1, add, [(llvm_type(wide), zero)])
        return []

    e.loop("%lo", "%hi", 1, one_line)
    return lines.count


def _beside(lines: Lines, dtype: DType) -> int:
    """A part is a block of neighbouring lines: element after element of all of them, each a row of memory."""
    e, step = lines.e, lines.step
    blocks = -(-step // BLOCK)
    groups = lines.count // step if step else 0

    def one_block(part: str, _: list[str]) -> list[str]:
        group, block = e.value(f"udiv i64 {part}, {blocks}"), e.value(f"urem i64 {part}, {blocks}")
        start = e.value(f"mul i64 {group}, {lines.size * step}")
        low = e.value(f"mul i64 {block}, {BLOCK}")
        high = e.call("i64", "llvm.smin.i64", ("i64", e.value(f"add i64 {low}, {BLOCK}")), ("i64", str(step)))

        def row(i: str, first: bool) -> list[str]:
            here = lines.place(start, i)

            def element(j: str, _: list[str]) -> list[str]:
                place = e.value(f"add i64 {here}, {j}")
                value = lines.load(dtype, "%x", place)
                if not first:
                    before = lines.load(dtype, "%y", e.value(f"sub i64 {place}, {step}"))
                    value = emit(e, "add", [before, value], [dtype, dtype], dtype)
                lines.store(dtype, "%y", place, value)
                return []

            e.loop(low, high, 1, element)
            return []

        if lines.size:
            row("0", True)
        e.loop("1", str(lines.size), 1, lambda i, _: row(i, False))
        return []

    e.loop("%lo", "%hi", 1, one_block)
    return groups * blocks
