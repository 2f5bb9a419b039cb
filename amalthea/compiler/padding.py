"""A kernel that copies an array into one with a border of zeros, or with less of a border, as convolutions want it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from amalthea.compiler.emitter import Emitter, literal, llvm_type
from amalthea.compiler.kernel_code import PLACEHOLDER, KernelCode, finished
from amalthea.core.dtypes import DType


def padded_shape(shape: Sequence[int], padding: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """The shape with (before, after) added to the axes between the first and the last, or taken away where negative.

    >>> padded_shape((8, 32, 32, 3), ((1, 1), (1, 1)))
    (8, 34, 34, 3)
    """
    middle = (size + a + b for size, (a, b) in zip(shape[1:-1], padding, strict=True))
    return (shape[0], *middle, shape[-1])


def pad_code(shape: Sequence[int], padding: Sequence[tuple[int, int]], dtype: DType) -> KernelCode:
    """The kernel `(source, target)` for a channels-last array; a part of its parallel index is one row of the target.

    >>> pad_code((8, 32, 32, 3), ((1, 1), (1, 1)), DType("float32")).extent
    272
    """
    kind = llvm_type(dtype)
    zero = literal(0, dtype)
    outer, goal = [shape[0], *shape[1:-2]], padded_shape(shape, padding)
    row, full = shape[-2] * shape[-1], goal[-2] * goal[-1]
    left, right = padding[-1]
    before = min(max(left, 0) * shape[-1], full)
    skipped = max(-left, 0) * shape[-1]
    kept = max(shape[-2] + min(left, 0) + min(right, 0), 0) * shape[-1]
    e = Emitter(PLACEHOLDER, [("ptr noalias", "x"), ("ptr noalias", "y"), ("i64", "lo"), ("i64", "hi")])

    def fill(pointer: str, start: int, count: int) -> None:
        def one(i: str, _: list[str]) -> list[str]:
            e.line(f"store {kind} {zero}, ptr {e.value(f'getelementptr {kind}, ptr {pointer}, i64 {i}')}")
            return []

        if count:
            e.loop(str(start), str(start + count), 1, one)

    def one_row(flat: str, _: list[str]) -> list[str]:
        target = e.value(f"getelementptr {kind}, ptr %y, i64 {e.value(f'mul i64 {flat}, {full}')}")
        rest, place, inside = flat, "0", "true"
        row_steps = [prod(outer[i + 1 :]) for i in range(len(outer))]
        borders = [(0, 0), *padding[:-1]]
        for size, wide, (low, _high), step in reversed(list(zip(outer, goal[:-2], borders, row_steps, strict=True))):
            index = e.value(f"urem i64 {rest}, {wide}")
            rest = e.value(f"udiv i64 {rest}, {wide}")
            index = e.value(f"sub i64 {index}, {low}")
            within = e.value(f"icmp ult i64 {index}, {size}")
            inside = e.value(f"and i1 {inside}, {within}")
            place = e.value(f"add i64 {place}, {e.value(f'mul i64 {index}, {step}')}")
        n = e.fresh("b")[1:]
        e.branch(inside, f"copy{n}", f"clear{n}")
        e.label(f"copy{n}")
        begin = e.value(f"add i64 {e.value(f'mul i64 {place}, {row}')}, {skipped}")
        source = e.value(f"getelementptr {kind}, ptr %x, i64 {begin}")
        fill(target, 0, before)
        begin = e.value(f"getelementptr {kind}, ptr {target}, i64 {before}")

        def copy(i: str, _: list[str]) -> list[str]:
            got = e.value(f"load {kind}, ptr {e.value(f'getelementptr {kind}, ptr {source}, i64 {i}')}")
            e.line(f"store {kind} {got}, ptr {e.value(f'getelementptr {kind}, ptr {begin}, i64 {i}')}")
            return []

        e.loop("0", str(kept), 1, copy)
        fill(target, before + kept, full - before - kept)
        e.jump(f"next{n}")
        e.label(f"clear{n}")
        fill(target, 0, full)
        e.jump(f"next{n}")
        e.label(f"next{n}")
        return []

    e.loop("%lo", "%hi", 1, one_row)
    e.ret()
    size = dtype.itemsize * (prod(shape) + prod(goal))
    return finished("pad", e, prod(goal[:-2]), 0, size, f"{tuple(shape)} to {goal}")
