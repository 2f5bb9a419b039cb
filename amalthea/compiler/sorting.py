"""Kernels for argsort, a merge sort that keeps the order of equals, and searchsorted, a binary search."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from amalthea.compiler.kernel_code import KernelCode, finished
from amalthea.compiler.lines import Lines
from amalthea.core import dtypes
from amalthea.core.dtypes import DType


def argsort_buffers(shape: Sequence[int], axis: int) -> list[int]:
    """The bytes of the scratch buffers: one line of places for each line, and another where lines are not compact."""
    compact = prod(shape[axis + 1 :]) == 1
    return [4 * prod(shape)] * (1 if compact else 2)


def argsort_code(shape: Sequence[int], axis: int, dtype: DType) -> KernelCode:
    """The kernel `(x, out, scratch...)` for the int32 order that sorts along an axis; NaN comes last.

    Runs of sorted places are merged two by two, from the output to the scratch buffer and back. A part of the parallel
    index is a line.

    >>> argsort_code((8, 100), 1, DType("float32")).extent
    8
    """
    buffers = [f"s{i}" for i in range(len(argsort_buffers(shape, axis)))]
    lines = Lines(shape, axis, ("x", "y", *buffers))
    e, n = lines.e, lines.size
    passes = max(n - 1, 0).bit_length()
    here, there = ("%y" if lines.step == 1 else "%s1"), "%s0"

    def one_line(line: str, _: list[str]) -> list[str]:
        start = lines.start(line)
        first = e.value(f"mul i64 {line}, {n}")
        result, other = (lines.at(dtypes.int32, name, first) for name in (here, there))
        begin, spare = (result, other) if passes % 2 == 0 else (other, result)

        def count(i: str, _: list[str]) -> list[str]:
            lines.store(dtypes.int32, begin, i, e.value(f"trunc i64 {i} to i32"))
            return []

        e.loop("0", str(n), 1, count)

        def merge_all(number: str, now: list[str]) -> list[str]:
            source, target = now
            _merge_runs(lines, dtype, start, source, target, e.value(f"shl i64 1, {number}"))
            return [target, source]

        e.loop("0", str(passes), 1, merge_all, [("ptr", begin), ("ptr", spare)])

        def copy(i: str, _: list[str]) -> list[str]:
            lines.store(dtypes.int32, "%y", lines.place(start, i), lines.load(dtypes.int32, result, i))
            return []

        if lines.step > 1:
            e.loop("0", str(n), 1, copy)
        return []

    e.loop("%lo", "%hi", 1, one_line)
    e.ret()
    total = prod(shape)
    size = total * (dtype.itemsize + 8) * max(passes, 1)
    return finished("argsort", e, lines.count, 8 * total * passes, size, f"{lines.count} lines of {n}")


def _merge_runs(lines: Lines, dtype: DType, start: str, source: str, target: str, width: str) -> None:
    """Merge all runs of `width` places of a line two by two."""
    e, n = lines.e, lines.size
    limit = ("i64", str(n))
    both = e.value(f"shl i64 {width}, 1")
    pairs = e.value(f"udiv i64 {e.value(f'add i64 {both}, {n - 1}')}, {both}")

    def merge(pair: str, _: list[str]) -> list[str]:
        left = e.value(f"mul i64 {pair}, {both}")
        middle = e.call("i64", "llvm.smin.i64", ("i64", e.value(f"add i64 {left}, {width}")), limit)
        end = e.call("i64", "llvm.smin.i64", ("i64", e.value(f"add i64 {left}, {both}")), limit)

        def take(k: str, now: list[str]) -> list[str]:
            i, j = now
            in_left, in_right = e.value(f"icmp slt i64 {i}, {middle}"), e.value(f"icmp slt i64 {j}, {end}")
            places = []
            for at in (i, j):  # a run that is used up is read at its last place, for nothing
                safe = e.call("i64", "llvm.smin.i64", ("i64", at), ("i64", str(n - 1)))
                places.append(lines.load(dtypes.int32, source, safe))
            a, b = (
                lines.load(dtype, "%x", lines.place(start, e.value(f"zext i32 {place} to i64"))) for place in places
            )
            before = e.value(f"or i1 {lines.less(dtype, b, a)}, {e.value(f'xor i1 {in_left}, true')}")
            right = e.value(f"and i1 {in_right}, {before}")
            lines.store(dtypes.int32, target, k, e.value(f"select i1 {right}, i32 {places[1]}, i32 {places[0]}"))
            step = e.value(f"zext i1 {right} to i64")
            other = e.value(f"xor i64 {step}, 1")
            return [e.value(f"add i64 {i}, {other}"), e.value(f"add i64 {j}, {step}")]

        e.loop(left, end, 1, take, [("i64", left), ("i64", middle)])
        return []

    e.loop("0", pairs, 1, merge)


def searchsorted_code(length: int, values: Sequence[int], dtype: DType, side: str) -> KernelCode:
    """The kernel `(sorted, values, out)` for the int32 place of each value in a sorted vector, left or right of equals.

    >>> searchsorted_code(100, (8, 3), DType("float32"), "left").extent
    24
    """
    lines = Lines((prod(values),), 0, ("x", "v", "y"))
    e = lines.e

    def one(n: str, _: list[str]) -> list[str]:
        value, low = lines.load(dtype, "%v", n), "0"
        for power in reversed(range(length.bit_length())):
            probe = e.value(f"add i64 {low}, {1 << power}")
            inside = e.value(f"icmp sle i64 {probe}, {length}")
            at = e.call("i64", "llvm.smin.i64", ("i64", e.value(f"sub i64 {probe}, 1")), ("i64", str(length - 1)))
            element = lines.load(dtype, "%x", at)
            if side == "left":
                before = lines.less(dtype, element, value)
            else:
                before = e.value(f"xor i1 {lines.less(dtype, value, element)}, true")
            low = e.value(f"select i1 {e.value(f'and i1 {inside}, {before}')}, i64 {probe}, i64 {low}")
        lines.store(dtypes.int32, "%y", n, e.value(f"trunc i64 {low} to i32"))
        return []

    e.loop("%lo", "%hi", 1, one)
    e.ret()
    count, steps = prod(values), length.bit_length()
    size = count * (dtype.itemsize * (1 + steps) + 4)
    return finished("searchsorted", e, count, 4 * count * steps, size, f"{count} values in {length}")
