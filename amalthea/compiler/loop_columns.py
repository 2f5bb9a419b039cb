"""Kernels that reduce axes outside of others: sums over a batch, with all columns of a block side by side.

Each block of columns has its accumulators in memory of the function's own, which stays in the first-level cache. Some
rows are added at once, so that these are touched once for all of them; after some hundred rows they are added to a
second set, for precision. Where there are few columns the rows are cut into parts, shared among the threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from amalthea.compiler.kernel_code import KernelCode
from amalthea.compiler.loop_code import Base, Loop, LoopFunction, size_of
from amalthea.compiler.loops import COLUMNS, LoopKernel, Root
from amalthea.compiler.reductions import accumulator, combine_all
from amalthea.core.value import Value

RUN = 512
"""Rows that are added before their sum is added to another."""
MANY = 4
"""Sums whose accumulators for a whole block stay in the first-level cache; with more the blocks are narrower."""
AT_ONCE = ((4, 8), (12, 4), (32, 2))
"""(operations, rows): how many rows are taken at once where a row takes so many operations a column."""


class ColumnFunction(LoopFunction):
    """Reduces the inner axes, going down them; parts leave their sums in scratch buffers."""

    kind = "columns"

    def __init__(self, kernel: LoopKernel, stored: set[Value], base: Base) -> None:
        super().__init__(kernel, kernel.passing, stored, base)
        self.parts = kernel.parts
        self._divide(self.loops("r", kernel.rows), self.loops("i", kernel.inner), self.loops("c", kernel.columns))
        if self.parts == 1:
            self.begin(self.roots)
        else:
            self.begin(self.elements, len(self.sums))

    def _divide(self, outer: Sequence[Loop], inner: Sequence[Loop], columns: Sequence[Loop]) -> None:
        """Set the loops, and the blocks of columns."""
        self.sums = [root for root in self.roots if root.reduces]
        self.elements = [root for root in self.roots if root.kind == "each"]
        self.outer, self.inner, self.columns = outer, inner, columns
        turns = columns[0][1]
        self.wide = size_of(columns[1:])  # columns of one turn of their outermost loop
        narrower = max(1, self.wide) * -(-len(self.sums) // MANY)
        self.block = min(turns, max(1, COLUMNS // max(1, narrower)))
        self.blocks = -(-turns // max(1, self.block))

    def run(self) -> KernelCode:
        """The function."""
        e = self.e
        count = max(1, self.block * self.wide)
        kinds = [self.kept_as(root) for root in self.sums]
        self.near, self.far = ([e.value(f"alloca [{count} x {kind}], align 64") for kind in kinds] for _ in range(2))
        rows, depth = size_of(self.outer), size_of(self.inner)

        def unit(flat: str, _: list[str]) -> list[str]:
            rest, number = self.apart(flat, self.parts)
            row, block = self.apart(rest, self.blocks)
            self.place(row, self.outer)
            self._choose(block)
            self._clear(self.far)
            self._down(*self.part(number, self.parts, depth))
            if self.parts == 1:
                self._along(self._end)
            else:
                part = e.value(f"mul i64 {number}, {rows}")
                self._along(lambda place: self._leave(e.value(f"add i64 {part}, {row}"), place))
            return []

        e.loop("%lo", "%hi", 1, unit)
        return self.code(self.kind, rows * self.blocks * self.parts, rows * depth * size_of(self.columns))

    # Columns

    def _choose(self, block: str) -> None:
        turns = self.columns[0][1]
        if self.blocks == 1:
            self.start, self.length = "0", str(turns)
            return
        e = self.e
        self.start = e.value(f"mul i64 {block}, {self.block}")
        self.length = str(self.block)
        if turns % self.block:
            left = e.value(f"sub i64 {turns}, {self.start}")
            self.length = e.call("i64", "llvm.smin.i64", ("i64", left), ("i64", str(self.block)))

    def _along(self, body: Callable[[str], None]) -> None:
        """Loops over the columns of the block; the body is given the place among them."""
        e = self.e

        def turn(i: str, _: list[str]) -> list[str]:
            (name, _size), rest = self.columns[0], self.columns[1:]
            self.variables[name] = i if self.start == "0" else e.value(f"add nsw i64 {self.start}, {i}")
            within(rest, i)
            return []

        def within(loops: Sequence[Loop], place: str) -> None:
            if not loops:
                self.known, self.row_values, self.here = [{}], {}, place
                body(place)
                return
            (name, size), rest = loops[0], loops[1:]

            def inside(i: str, _: list[str]) -> list[str]:
                self.variables[name] = i
                within(rest, e.value(f"add nsw i64 {e.value(f'mul nsw i64 {place}, {size}')}, {i}"))
                return []

            e.loop("0", str(size), 1, inside)

        e.loop("0", self.length, 1, turn)

    def _at(self, memory: Sequence[str], place: str) -> list[tuple[Root, str, str]]:
        """Each reduction with its type and the address of its accumulator."""
        found = []
        for root, buffer in zip(self.sums, memory, strict=True):
            kind = self.kept_as(root)
            found.append((root, kind, self.pointer(kind, buffer, place)))
        return found

    def _clear(self, memory: Sequence[str]) -> None:
        def body(place: str) -> None:
            for root, kind, pointer in self._at(memory, place):
                self.e.line(f"store {kind} {self.first(root, inside=True)}, ptr {pointer}")

        self._along(body)

    # Rows

    def _down(self, start: str, stop: str) -> None:
        """All rows from start to stop, in runs."""
        if not self.sums:
            return
        if size_of(self.inner) <= RUN * self.parts:
            self._run(start, stop, self.far)
            return
        e = self.e

        def run(begin: str, _: list[str]) -> list[str]:
            end = e.value(f"add nsw i64 {begin}, {RUN}")
            self._clear(self.near)
            self._run(begin, e.call("i64", "llvm.smin.i64", ("i64", end), ("i64", stop)), self.near)
            self._along(self._gather)
            return []

        e.loop(start, stop, RUN, run)

    def _gather(self, place: str) -> None:
        for (root, kind, far), (_, _, near) in zip(self._at(self.far, place), self._at(self.near, place), strict=True):
            a, b = (self.e.value(f"load {kind}, ptr {pointer}") for pointer in (far, near))
            self.e.line(f"store {kind} {self.combine(root, a, b)}, ptr {far}")

    def _run(self, start: str, stop: str, memory: Sequence[str]) -> None:
        """Rows from start to stop, some at once, and then those left over one by one."""
        e = self.e
        at_once = next((rows for operations, rows in AT_ONCE if self.operations <= operations), 1)
        whole = stop
        if at_once > 1:
            count = e.value(f"sub nsw i64 {stop}, {start}")
            whole = e.value(f"sub nsw i64 {stop}, {e.value(f'urem i64 {count}, {at_once}')}")
            self._rows(start, whole, at_once, memory)
        self._rows(whole if at_once > 1 else start, stop, 1, memory)

    def _rows(self, start: str, stop: str, at_once: int, memory: Sequence[str]) -> None:
        e = self.e

        def some(row: str, _: list[str]) -> list[str]:
            variables = []
            for j in range(at_once):
                self.place(e.value(f"add nsw i64 {row}, {j}") if j else row, self.inner)
                variables.append({name: self.variables[name] for name, _ in self.inner})

            def body(place: str) -> None:
                terms: list[list[str]] = [[] for _ in self.sums]
                for found in variables:
                    self.variables.update(found)
                    self.known = [{}]
                    for root in self.elements:
                        self.each(root)
                    for root, list_ in zip(self.sums, terms, strict=True):
                        list_.append(self.term(root))
                for (root, kind, pointer), list_ in zip(self._at(memory, place), terms, strict=True):
                    value = combine_all(e, root.kind, accumulator(root.value.spec.dtype), list_)
                    before = e.value(f"load {kind}, ptr {pointer}")
                    e.line(f"store {kind} {self.combine(root, before, value)}, ptr {pointer}")

            self._along(body)
            return []

        e.loop(start, stop, at_once, some)

    # Results

    def _end(self, place: str) -> None:
        """The results of one column."""
        sums = {root.value: (kind, pointer) for root, kind, pointer in self._at(self.far, place)}
        for root in self.roots:
            if root.kind == "row":
                self.follow(root)
            elif root.reduces:
                kind, pointer = sums[root.value]
                value = self.e.value(f"load {kind}, ptr {pointer}")
                if root.value.node.attrs.get("initial") is not None:
                    value = self.combine(root, value, self.first(root))
                self.finish(root, value)

    def _leave(self, row: str, place: str) -> None:
        """Leave the sums of a part, one column of them, for the function that puts them together."""
        e = self.e
        column = self.column(place)
        at = e.value(f"add nsw i64 {e.value(f'mul nsw i64 {row}, {size_of(self.columns)}')}, {column}")
        for i, (_, kind, pointer) in enumerate(self._at(self.far, place)):
            value = e.value(f"load {kind}, ptr {pointer}")
            e.line(f"store {kind} {value}, ptr {self.pointer(kind, f'%s{i}', at)}")

    def column(self, place: str) -> str:
        """The column, counted from the first of all, at a place of the block."""
        if self.start == "0":
            return place
        e = self.e
        return e.value(f"add nsw i64 {e.value(f'mul nsw i64 {self.start}, {self.wide}')}, {place}")
