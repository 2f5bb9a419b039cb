"""A kernel for `overlap_add`: every place of the result sums up the windows that cover it, so no two parts meet."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from amalthea.compiler.elementwise import emit
from amalthea.compiler.emitter import Emitter, literal, llvm_type
from amalthea.compiler.kernel_code import PLACEHOLDER, KernelCode, finished
from amalthea.core.dtypes import DType

Ints = Sequence[int]


def overlap_add_code(
    batch: int, places: Ints, channels: int, dtype: DType, *, input_size: Ints, size: Ints, strides: Ints
) -> KernelCode:
    """The kernel `(x, out)`; a part of its parallel index is one place of the result, with all channels.

    A place p of an axis is covered at `p % stride + m * stride` of window `p // stride - m`, for the m for which both
    exist. They are added up in the order of the places in the window, as the reference does.
    """
    e = Emitter(PLACEHOLDER, [("ptr noalias", "x"), ("ptr noalias", "y"), ("i64", "lo"), ("i64", "hi")])
    kind = llvm_type(dtype)

    def at(pointer: str, row: str, channel: str) -> str:
        place = e.value(f"add i64 {e.value(f'mul i64 {row}, {channels}')}, {channel}")
        return e.value(f"getelementptr inbounds {kind}, ptr %{pointer}, i64 {place}")

    def one(flat: str, _: list[str]) -> list[str]:
        indices, rest = [], flat
        for extent in reversed(input_size):
            indices.append(e.value(f"urem i64 {rest}, {extent}"))
            rest = e.value(f"udiv i64 {rest}, {extent}")
        indices.reverse()

        def clear(c: str, _: list[str]) -> list[str]:
            e.line(f"store {kind} {literal(0, dtype)}, ptr {at('y', flat, c)}")
            return []

        e.loop("0", str(channels), 1, clear)

        def axis(number: int, window: str, within: str) -> None:
            """Loop over the windows that cover the place along one axis, then along the following ones."""
            if number == len(size):
                source = e.value(f"add i64 {e.value(f'mul i64 {window}, {prod(size)}')}, {within}")

                def add(c: str, _: list[str]) -> list[str]:
                    goal = at("y", flat, c)
                    parts = [e.value(f"load {kind}, ptr {pointer}") for pointer in (goal, at("x", source, c))]
                    e.line(f"store {kind} {emit(e, 'add', parts, [dtype, dtype], dtype)}, ptr {goal}")
                    return []

                e.loop("0", str(channels), 1, add)
                return
            stride, count, width = strides[number], places[number], size[number]
            last, first = (e.value(f"{how} i64 {indices[number]}, {stride}") for how in ("udiv", "urem"))
            begin = e.call("i64", "llvm.smax.i64", ("i64", e.value(f"sub i64 {last}, {count - 1}")), ("i64", "0"))
            room = e.value(f"sdiv i64 {e.value(f'sub i64 {width + stride - 1}, {first}')}, {stride}")
            following = e.value(f"add i64 {last}, 1")
            end = e.call("i64", "llvm.smin.i64", ("i64", room), ("i64", following))

            def step(m: str, _: list[str]) -> list[str]:
                here = e.value(f"sub i64 {last}, {m}")
                inside = e.value(f"add i64 {first}, {e.value(f'mul i64 {m}, {stride}')}")
                axis(
                    number + 1,
                    e.value(f"add i64 {e.value(f'mul i64 {window}, {count}')}, {here}"),
                    e.value(f"add i64 {e.value(f'mul i64 {within}, {width}')}, {inside}"),
                )
                return []

            e.loop(begin, end, 1, step)

        axis(0, rest, "0")
        return []

    e.loop("%lo", "%hi", 1, one)
    e.ret()
    count = batch * prod(input_size)
    read = batch * prod(places) * prod(size) * channels
    bytes_ = dtype.itemsize * (read * 2 + count * channels)
    return finished("overlap_add", e, count, read, bytes_, f"windows {tuple(size)} every {tuple(strides)}")
