"""Kernels that go along rows: element by element, or reducing each row in stages."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from amalthea.compiler.affine import Index, Quotient, offset, within
from amalthea.compiler.emitter import llvm_type
from amalthea.compiler.kernel_code import KernelCode
from amalthea.compiler.loop_code import Base, Loop, LoopFunction, size_of
from amalthea.compiler.loop_elements import turn_of
from amalthea.compiler.loops import FEW_ROWS, LoopKernel, Root, parts_of
from amalthea.core.value import Value

NONE: Loop = ("", 1)
MOST_CODE = 256
"""Pieces of a loop times the values made in it: where there are more, elements are told apart one by one."""
RUN, TURNS = 4096, 512
"""How many elements of an innermost loop, and how many turns of one around it, are summed before the sum is added to
another one: so the error of a long sum grows with the length of these and with the number of them, not with its own."""


class EachFunction(LoopFunction):
    """Computes element by element; all axes are one index where the addresses allow it.

    A value of `replaced` is stored in the memory of the value that it replaces, if that is read only where it is
    stored: the element is read, and then written.
    """

    def __init__(
        self, kernel: LoopKernel, stored: set[Value], base: Base, replaced: Mapping[Value, Value] | None = None
    ) -> None:
        super().__init__(kernel, kernel.roots, stored, base)
        for root in kernel.roots:
            old = (replaced or {}).get(root.value)
            place = offset(self.index(root), root.value.spec.sizes)
            if old in self.reads and all(read == place for read in self.reads[old]):
                self.in_place[root.value] = old
        rows = [(f"r{i}", size) for i, size in enumerate(kernel.rows)]
        inner = [(f"i{i}", size) for i, size in enumerate(kernel.inner)]
        loops = self.merged([*rows, *inner])
        self.outer, self.last = loops[:-1], loops[-1] if loops else NONE
        self.pieces = self._pieces(self.last)
        self.steps = self._steps()
        self.begin(self.roots)

    def _pieces(self, loop: Loop) -> list[tuple[int, int]]:
        """The stretches of a loop in each of which elements are made alike: one part of a concatenation each."""
        name, size = loop
        ends = {0, size}
        for test in self.tests:
            terms = [term for term in test.index.terms if term[0] not in self.replaced]
            if terms == [(name, 1)]:
                ends |= {min(max(bound - test.index.constant, 0), size) for bound in (test.low, test.high)}
        bounds = sorted(ends)
        if len(bounds) * len(self.roots) > MOST_CODE:
            return [(0, size)]
        return list(itertools.pairwise(bounds)) or [(0, size)]

    def _steps(self) -> int:
        """How many elements of the last loop one turn computes: two where they share something, as random words do."""
        name, size = self.last
        halves = any(
            isinstance(atom, Quotient) and atom.by == 2 and dict(atom.index.terms).get(name, 0) % 2
            for index in self.indices
            for part in within(index)
            for atom, _ in part.terms
        )
        return 2 if halves and size % 2 == 0 and len(self.pieces) == 1 else 1

    def run(self) -> KernelCode:
        """The function."""
        rows, length = size_of(self.outer), self.last[1] // self.steps
        if not self.outer:
            self._along("%lo", "%hi")
            return self.code("each", length, self.last[1])
        parts = parts_of(rows, length) if rows < FEW_ROWS else 1

        def unit(flat: str, _: list[str]) -> list[str]:
            row, number = self.apart(flat, parts)
            self.place(row, self.outer)
            self._along(*self.part(number, parts, length))
            return []

        self.e.loop("%lo", "%hi", 1, unit)
        return self.code("each", rows * parts, rows * self.last[1])

    def _along(self, start: str, stop: str) -> None:
        """The last loop, from some of its steps to others."""
        e = self.e
        for low, high in self.pieces:
            begin, end = start, stop
            if len(self.pieces) > 1:
                self.ranges = {self.last[0]: (low, high)}
                whole = start == "0" and stop == str(self.last[1])
                begin = str(low) if whole else e.call("i64", "llvm.smax.i64", ("i64", start), ("i64", str(low)))
                end = str(high) if whole else e.call("i64", "llvm.smin.i64", ("i64", stop), ("i64", str(high)))
            self.innermost(begin, end, self._step)

    def _step(self, turn: str, _: list[str]) -> list[str]:
        """The elements of one turn of the last loop."""
        made = []
        for rest in range(self.steps):
            self._stand(turn, rest)
            self.known = [{}]
            made.append([self.element(root.value, self.index(root)) for root in self.roots])
        for rest, values in enumerate(made):  # what is stored in place of something else must not be read after that
            self._stand(turn, rest)
            for root, value in zip(self.roots, values, strict=True):
                self._store_root(root, value)
        return []

    def _stand(self, turn: str, rest: int) -> None:
        """Set the last loop's variable for one of the steps of a turn."""
        name = self.last[0]
        self.variables[name] = turn
        if self.steps > 1:
            double = self.e.value(f"mul nuw nsw i64 {turn}, {self.steps}")
            self.variables |= {turn_of(name): turn, name: self.e.value(f"add nuw nsw i64 {double}, {rest}")}
            self.residue = name, self.steps, rest


class RowFunction(LoopFunction):
    """Reduces rows in stages. Rows that are cut into parts leave the sums of the parts in scratch buffers."""

    def __init__(self, kernel: LoopKernel, stored: set[Value], base: Base) -> None:
        self.parts = kernel.parts
        super().__init__(kernel, kernel.passing, stored, base)
        self.sums = [root for root in self.roots if root.reduces]
        self.buffers: dict[Value, str] = {}
        self.outer, self.inner = self.loops("r", kernel.rows), self.loops("i", kernel.inner)
        if self.parts == 1:
            self.begin(self.roots)
        else:
            self.begin([root for root in self.roots if not root.reduces], len(self.sums))

    def run(self) -> KernelCode:
        """The function."""
        rows, length = size_of(self.outer), max(1, size_of(self.inner))
        for root in self.roots:
            if root.buffered:
                kind = llvm_type(root.value.spec.dtype)
                self.buffers[root.value] = self.e.value(f"alloca [{length} x {kind}], align 64")

        def unit(flat: str, _: list[str]) -> list[str]:
            row, number = self.apart(flat, self.parts)
            self.place(row, self.outer)
            self.known, self.row_values = [{}], {}
            if self.parts == 1:
                self._row()
            else:
                place = self.e.value(f"add i64 {self.e.value(f'mul i64 {number}, {rows}')}, {row}")
                self._part(number, place)
            return []

        self.e.loop("%lo", "%hi", 1, unit)
        return self.code("rows", rows * self.parts, rows * size_of(self.inner))

    def _row(self) -> None:
        for stage in range(self.kernel.stages):
            self.stage = stage
            made = [root for root in self.roots if root.stage == stage]
            sums = [root for root in made if root.reduces]
            if any(root.kind != "row" for root in made):
                starts = [self.first(root) for root in sums]
                for root, value in zip(sums, self._nest(self.inner, sums, starts), strict=True):
                    self.finish(root, value)
            for root in made:
                if root.kind == "row":
                    self.follow(root)

    def _part(self, number: str, place: str) -> None:
        """One part of a row, cut along the outermost loops."""
        outer = 1
        while outer < len(self.inner) and size_of(self.inner[:outer]) < 4 * self.parts:
            outer += 1
        cut, rest = self.inner[:outer], self.inner[outer:]
        bounds = self.part(number, self.parts, size_of(cut))
        starts = [self.first(root, inside=True) for root in self.sums]
        for i, (root, value) in enumerate(
            zip(self.sums, self._level(cut, bounds, rest, self.sums, starts), strict=True)
        ):
            kind = self.kept_as(root)
            self.e.line(f"store {kind} {value}, ptr {self.pointer(kind, f'%s{i}', place)}")

    def _nest(self, loops: Sequence[Loop], sums: Sequence[Root], carried: list[str]) -> list[str]:
        if not loops:
            return self._element(sums, carried)
        return self._level(loops[:1], ("0", str(loops[0][1])), loops[1:], sums, carried)

    def _level(
        self,
        cut: Sequence[Loop],
        bounds: tuple[str, str],
        rest: Sequence[Loop],
        sums: Sequence[Root],
        carried: list[str],
    ) -> list[str]:
        """A loop over the common index of some loops, and the rest within it; long ones are summed in runs."""
        e = self.e
        length = TURNS if rest else RUN

        def turn(i: str, now: list[str]) -> list[str]:
            self.place(i, cut)
            if not rest:
                return self._element(sums, now)
            inside = self._nest(rest, sums, [self.first(root, inside=True) for root in sums])
            return [self.combine(root, a, b) for root, a, b in zip(sums, now, inside, strict=True)]

        def along(start: str, stop: str, starts: list[str]) -> list[str]:
            kinds = [self.kept_as(root) for root in sums]
            carry = list(zip(kinds, starts, strict=True))
            return e.loop(start, stop, 1, turn, carry) if rest else self.innermost(start, stop, turn, carry)

        if size_of(cut) <= length or not sums:
            return along(*bounds, carried)

        def run(start: str, now: list[str]) -> list[str]:
            end = e.value(f"add nsw i64 {start}, {length}")
            stop = e.call("i64", "llvm.smin.i64", ("i64", end), ("i64", bounds[1]))
            inside = along(start, stop, [self.first(root, inside=True) for root in sums])
            return [self.combine(root, a, b) for root, a, b in zip(sums, now, inside, strict=True)]

        kinds = [self.kept_as(root) for root in sums]
        return e.loop(*bounds, length, run, list(zip(kinds, carried, strict=True)))

    def _element(self, sums: Sequence[Root], now: list[str]) -> list[str]:
        self.known.append({})
        following = dict(zip([root.value for root in sums], now, strict=True))
        for root in self.roots:
            if root.stage == self.stage and root.kind == "each":
                self.each(root)
            elif root.value in following:
                following[root.value] = self.combine(root, following[root.value], self.term(root), any_order=True)
        self.known.pop()
        return list(following.values())

    # Values of one row

    def each(self, root: Root) -> None:
        """Compute a root per element."""
        super().each(root)
        if root.buffered:
            value, kind = self.element(root.value, self.index(root)), llvm_type(root.value.spec.dtype)
            self.e.line(f"store {kind} {value}, ptr {self._buffered(root.value)}")

    def _load(self, value: Value, memory: Value, index: Index) -> str:
        if value in self.buffers:
            return self.e.value(f"load {llvm_type(value.spec.dtype)}, ptr {self._buffered(value)}")
        return super()._load(value, memory, index)

    def _buffered(self, value: Value) -> str:
        e, place = self.e, "0"
        for name, size in self.inner:
            scaled = "0" if place == "0" else e.value(f"mul nsw i64 {place}, {size}")
            place = e.value(f"add nsw i64 {scaled}, {self.variables[name]}")
        return self.pointer(llvm_type(value.spec.dtype), self.buffers[value], place)
