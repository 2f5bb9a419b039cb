"""Kernels for max pooling and its gradient: channels innermost, so that windows are compared a vector at a time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod

from amalthea.compiler.elementwise import emit
from amalthea.compiler.emitter import Emitter, literal, llvm_type
from amalthea.compiler.kernel_code import PLACEHOLDER, KernelCode, finished
from amalthea.compiler.reductions import accumulator, combine, identity
from amalthea.core import dtypes
from amalthea.core.dtypes import DType

Ints = Sequence[int]
Pairs = Sequence[tuple[int, int]]


class _Windows:
    """The windows of one pooling: where they lie in the input."""

    def __init__(self, shape: Ints, places: Ints, size: Ints, strides: Ints, padding: Pairs, dtype: DType) -> None:
        self.shape, self.places, self.size, self.strides = shape, places, size, strides
        self.padding, self.dtype = padding, dtype
        self.wide = accumulator(dtype)  # what elements are compared in
        self.kind = llvm_type(dtype)
        self.inside_always = all(lo <= 0 and hi <= 0 for lo, hi in padding)

    def begin(self) -> Emitter:
        parameters = [*(("ptr noalias", name) for name in self.pointers), ("i64", "lo"), ("i64", "hi")]
        return Emitter(PLACEHOLDER, parameters, attributes="nounwind")

    pointers: tuple[str, ...] = ()

    def taken_apart(self, e: Emitter, flat: str, sizes: Ints) -> list[str]:
        """The indices of a flattened index."""
        indices, rest = [], flat
        for size in reversed(sizes[1:]):
            indices.append(e.value(f"urem i64 {rest}, {size}"))
            rest = e.value(f"udiv i64 {rest}, {size}")
        return [rest, *reversed(indices)]

    def members(self, e: Emitter, batch: str, place: Sequence[str]) -> list[tuple[str, str | None]]:
        """For each place of the window: where its channels begin, and whether it lies in the input (None: always)."""
        starts = [
            e.value(f"sub i64 {e.value(f'mul i64 {p}, {stride}')}, {low}")
            for p, stride, (low, _) in zip(place, self.strides, self.padding, strict=True)
        ]
        found: list[tuple[str, str | None]] = []
        for index in itertools.product(*(range(k) for k in self.size)):
            at, inside = batch, None
            for start, k, size in zip(starts, index, self.shape[1:-1], strict=True):
                here = e.value(f"add i64 {start}, {k}")
                if not self.inside_always:
                    within = e.value(f"icmp ult i64 {here}, {size}")
                    inside = within if inside is None else e.value(f"and i1 {inside}, {within}")
                at = e.value(f"add i64 {e.value(f'mul i64 {at}, {size}')}, {here}")
            at = e.value(f"mul i64 {at}, {self.shape[-1]}")
            if inside is not None:
                home = e.value(f"mul i64 {batch}, {prod(self.shape[1:])}")
                at = e.value(f"select i1 {inside}, i64 {at}, i64 {home}")
            found.append((at, inside))
        return found

    def load(self, e: Emitter, at: str, channel: str) -> str:
        """An element of the input, as it is compared."""
        value = e.value(f"load {self.kind}, ptr {address(e, self.kind, 'x', at, channel)}")
        return value if self.wide == self.dtype else emit(e, "cast", [value], [self.dtype], self.wide)

    def values(self, e: Emitter, members: list[tuple[str, str | None]], channel: str) -> list[str]:
        kind, lowest = llvm_type(self.wide), literal(identity("max", self.wide), self.wide)
        found = []
        for at, inside in members:
            value = self.load(e, at, channel)
            if inside is not None:
                value = e.value(f"select i1 {inside}, {kind} {value}, {kind} {lowest}")
            found.append(value)
        return found

    def largest(self, e: Emitter, values: list[str]) -> str:
        best = values[0]
        for value in values[1:]:
            best = combine(e, "max", self.wide, best, value)
        return best


def max_pooling(shape: Ints, places: Ints, dtype: DType, *, size: Ints, strides: Ints, padding: Pairs) -> KernelCode:
    """The kernel `(x, out)`; a part of its parallel index is one window of all channels."""
    w = _Windows(shape, places, size, strides, padding, dtype)
    w.pointers = ("x", "y")
    e = w.begin()

    def window(flat: str, _: list[str]) -> list[str]:
        batch, *place = w.taken_apart(e, flat, (shape[0], *places))
        members = w.members(e, batch, place)
        out = e.value(f"mul i64 {flat}, {shape[-1]}")

        def channel(c: str, _: list[str]) -> list[str]:
            best = w.largest(e, w.values(e, members, c))
            if w.wide != dtype:
                best = emit(e, "cast", [best], [w.wide], dtype)
            e.line(f"store {w.kind} {best}, ptr {address(e, w.kind, 'y', out, c)}")
            return []

        e.loop("0", str(shape[-1]), 1, channel)
        return []

    e.loop("%lo", "%hi", 1, window)
    e.ret()
    count = shape[0] * prod(places)
    size_bytes = dtype.itemsize * (prod(shape) + count * shape[-1])
    return finished("max_pooling", e, count, count * shape[-1] * prod(size), size_bytes, f"window {tuple(size)}")


def max_pooling_gradient(
    shape: Ints, places: Ints, dtype: DType, g_dtype: DType, *, size: Ints, strides: Ints, padding: Pairs
) -> KernelCode:
    """The kernel `(x, g, out)`; a part of its parallel index is one example of the batch."""
    w = _Windows(shape, places, size, strides, padding, dtype)
    w.pointers = ("x", "g", "y")
    e = w.begin()
    example, compare = prod(shape[1:]), "fcmp oeq" if dtypes.is_floating(dtype) else "icmp eq"
    wide, kind, zero = llvm_type(w.wide), llvm_type(g_dtype), literal(0, g_dtype)

    def one(batch: str, _: list[str]) -> list[str]:
        home = e.value(f"mul i64 {batch}, {example}")

        def clear(i: str, _: list[str]) -> list[str]:
            e.line(f"store {kind} {zero}, ptr {address(e, kind, 'y', home, i)}")
            return []

        e.loop("0", str(example), 1, clear)

        def window(flat: str, _: list[str]) -> list[str]:
            place = w.taken_apart(e, flat, places)
            members = w.members(e, batch, place)
            base = e.value(f"mul i64 {batch}, {prod(places)}")
            from_g = e.value(f"mul i64 {e.value(f'add i64 {base}, {flat}')}, {shape[-1]}")

            def channel(c: str, _: list[str]) -> list[str]:
                values = w.values(e, members, c)
                best = w.largest(e, values)
                unordered = e.value(f"fcmp uno {wide} {best}, {best}") if dtypes.is_floating(dtype) else "false"
                g = e.value(f"load {kind}, ptr {address(e, kind, 'g', from_g, c)}")
                left = "true"
                for value, (at, inside) in zip(values, members, strict=True):
                    here = e.value(f"or i1 {e.value(f'{compare} {wide} {value}, {best}')}, {unordered}")
                    here = e.value(f"and i1 {here}, {left}")
                    left = e.value(f"and i1 {left}, {e.value(f'xor i1 {here}, true')}")
                    if inside is not None:
                        here = e.value(f"and i1 {here}, {inside}")
                    pointer = address(e, kind, "y", at, c)
                    part = e.value(f"select i1 {here}, {kind} {g}, {kind} {zero}")
                    before = e.value(f"load {kind}, ptr {pointer}")
                    total = emit(e, "add", [before, part], [g_dtype, g_dtype], g_dtype)
                    e.line(f"store {kind} {total}, ptr {pointer}")
                return []

            e.loop("0", str(shape[-1]), 1, channel)
            return []

        e.loop("0", str(prod(places)), 1, window)
        return []

    e.loop("%lo", "%hi", 1, one)
    e.ret()
    count = prod(shape) + shape[0] * prod(places) * shape[-1]
    return finished(
        "max_pooling_gradient",
        e,
        shape[0],
        count * prod(size),
        dtype.itemsize * (count + prod(shape)),
        f"window {tuple(size)}",
    )


def address(e: Emitter, kind: str, pointer: str, at: str, channel: str) -> str:
    """Where a channel of the elements that begin at a place lies."""
    return e.value(f"getelementptr {kind}, ptr %{pointer}, i64 {e.value(f'add i64 {at}, {channel}')}")
