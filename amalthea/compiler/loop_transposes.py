"""Kernels that read some operands across their memory, as a transpose does: tile by tile.

Going along the result, each element of such an operand lies in another line of the cache, and lines a power of two
apart push each other out. So a tile of the operand is first copied, along its own memory, into a buffer where it lies
as the result does; the computation then reads everything in order.
"""

from __future__ import annotations

from collections.abc import Callable

from amalthea.compiler.affine import Affine, Index, offset
from amalthea.compiler.contraction_pack import turned_square
from amalthea.compiler.emitter import Emitter, llvm_type
from amalthea.compiler.indexing import is_choice, reads
from amalthea.compiler.kernel_code import KernelCode
from amalthea.compiler.loop_code import Base, Loop, LoopFunction, size_of
from amalthea.compiler.loops import LoopKernel
from amalthea.core.node import Constant
from amalthea.core.value import Value

ACROSS, ALONG = 64, 64
"""The sizes of a tile: along the operand's memory, and along the result's."""
PITCH = ALONG + 16
"""Elements between the lines of a tile's buffer; no power of two, so that they do not push each other out."""
STEEP = 8
"""A step of so many elements leaves the line of the cache, or will soon."""
TILES = 1 << 17
"""Bytes of all tiles together, which lie on a thread's stack."""
NONE: Loop = ("", 1)
SMALLEST = 4096
"""Elements of a result for which tiles pay."""


class TransposeFunction(LoopFunction):
    """Computes element by element in tiles over the last loop and the one that goes along the operands' memory."""

    def __init__(self, kernel: LoopKernel, stored: set[Value], base: Base) -> None:
        super().__init__(kernel, kernel.roots, stored, base)
        rows = [(f"r{i}", size) for i, size in enumerate(kernel.rows)]
        inner = [(f"i{i}", size) for i, size in enumerate(kernel.inner)]
        loops = self.merged([*rows, *inner])
        operands = self._operands()
        self.across = self._across(loops, [offset(index, value.spec.sizes) for value, index in operands])
        self.along = loops[-1] if loops else NONE
        self.outer = [loop for loop in loops[:-1] if loop != self.across]
        self.turned = [
            (value, index)
            for value, index in operands
            if self._is_turned(offset(index, value.spec.sizes), self.along[0], self.across[0])
        ]
        tiles = sum(value.spec.dtype.itemsize for value, _ in self.turned) * ACROSS * PITCH
        self.pays = bool(self.turned) and size_of(loops) >= SMALLEST and tiles <= TILES
        self.begin(self.roots)

    def _operands(self) -> list[tuple[Value, Index]]:
        """The elements that are read in any case, and where in plain sums of loop variables."""
        found: dict[tuple[Value, Index], None] = {}
        stack = [(root.value, self.index(root)) for root in self.roots]
        roots, seen = set(stack), set()
        while stack:
            value, index = stack.pop()
            if (value, index) in seen:
                continue
            seen.add((value, index))
            if isinstance(value, Constant) or value.node is None or (value in self.stored and value not in self.made):
                if all(isinstance(atom, str) for part in index for atom, _ in part.terms):
                    found[value, index] = None
            elif not is_choice(value.node) and ((value, index) in roots or value not in self.made):
                stack.extend(reads(value.node, index))
        return list(found)

    def _across(self, loops: list[Loop], addresses: list[Affine]) -> Loop:
        """The loop that goes along the memory of operands which the last loop crosses."""
        if len(loops) < 2:
            return NONE
        last = loops[-1]
        counts = {loop: sum(self._is_turned(address, last[0], loop[0]) for address in addresses) for loop in loops[:-1]}
        best = max(counts, key=lambda loop: counts[loop])
        return best if counts[best] and best[1] >= STEEP and last[1] >= STEEP else NONE

    @staticmethod
    def _is_turned(address: Affine, along: str, across: str) -> bool:
        factors = dict(address.terms)
        return abs(factors.get(along, 0)) >= STEEP and abs(factors.get(across, 0)) == 1

    def run(self) -> KernelCode:
        """The function."""
        e = self.e
        kinds = [llvm_type(value.spec.dtype) for value, _ in self.turned]
        tiles = [e.value(f"alloca [{ACROSS * PITCH} x {kind}], align 64") for kind in kinds]
        self.tiles = dict(zip(self.turned, tiles, strict=True))
        counts = [-(-self.across[1] // ACROSS), -(-self.along[1] // ALONG)]

        def unit(flat: str, _: list[str]) -> list[str]:
            rest, second = self.apart(flat, counts[1])
            row, first = self.apart(rest, counts[0])
            self.place(row, self.outer)
            across = self._tile(first, ACROSS, self.across[1])
            along = self._tile(second, ALONG, self.along[1])
            self._fill(across, along)
            self._nest((self.across[0], *across), (self.along[0], *along), self._compute_all)
            return []

        e.loop("%lo", "%hi", 1, unit)
        rows = size_of(self.outer)
        return self.code("turned", rows * counts[0] * counts[1], rows * self.across[1] * self.along[1])

    def _tile(self, number: str, size: int, whole: int) -> tuple[str, str]:
        """Where a tile begins, and how long it is."""
        e = self.e
        start = e.value(f"mul i64 {number}, {size}")
        if whole % size == 0:
            return start, str(size)
        left = e.value(f"sub i64 {whole}, {start}")
        return start, e.call("i64", "llvm.smin.i64", ("i64", left), ("i64", str(size)))

    def _nest(self, first: tuple[str, str, str], second: tuple[str, str, str], body: Callable[[], None]) -> None:
        """Two loops over a tile; sets the variables of addresses and the places within the tile."""
        self.within: dict[str, str] = {}

        def level(loop: tuple[str, str, str], inside: Callable[[], None]) -> None:
            name, start, length = loop

            def turn(i: str, _: list[str]) -> list[str]:
                self.within[name] = i
                self.variables[name] = self.e.value(f"add nsw i64 {start}, {i}")
                inside()
                return []

            self.e.loop("0", length, 1, turn)

        level(first, lambda: level(second, body))

    def _place(self) -> str:
        e = self.e
        line = e.value(f"mul nsw i64 {self.within[self.across[0]]}, {PITCH}")
        return e.value(f"add nsw i64 {line}, {self.within[self.along[0]]}")

    def _fill(self, across: tuple[str, str], along: tuple[str, str]) -> None:
        """Copy the tile of every operand: in registers by squares, where these fill it, else one by one."""
        e = self.e
        for (value, index), tile in self.tiles.items():
            factors = dict(offset(index, value.spec.sizes).terms)

            def single(value: Value = value, index: Index = index, tile: str = tile) -> None:
                kind = llvm_type(value.spec.dtype)
                element = super(TransposeFunction, self)._load(value, self.base(value), index)
                e.line(f"store {kind} {element}, ptr {self.pointer(kind, tile, self._place())}")

            def one_by_one(single: Callable[[], None] = single) -> None:
                self.known = [{}]
                self._nest((self.along[0], *along), (self.across[0], *across), single)

            if factors[self.across[0]] != 1:
                one_by_one()
                continue
            whole, rest, done = e.block("whole"), e.block("rest"), e.block("filled")
            size = value.spec.dtype.itemsize
            both = e.value(f"or i64 {across[1]}, {along[1]}")
            e.branch(e.value(f"icmp eq i64 {e.value(f'and i64 {both}, {_lanes(size) - 1}')}, 0"), whole, rest)
            e.label(whole)
            self.variables[self.across[0]], self.variables[self.along[0]] = across[0], along[0]
            self.known = [{}]
            corner = self._address(value, self.base(value), index)
            helper = _turn(size)
            e.need(helper.text())
            sizes = f"i64 {across[1]}, i64 {along[1]}"
            e.line(f"call void @{helper.name}(ptr {corner}, i64 {factors[self.along[0]]}, ptr {tile}, {sizes})")
            e.jump(done)
            e.label(rest)
            one_by_one()
            e.jump(done)
            e.label(done)

    def _compute_all(self) -> None:
        self.known = [{}]
        for root in self.roots:
            self.each(root)

    def _load(self, value: Value, memory: Value, index: Index) -> str:
        tile = self.tiles.get((value, index))
        if tile is None:
            return super()._load(value, memory, index)
        kind = llvm_type(value.spec.dtype)
        return self.e.value(f"load {kind}, ptr {self.pointer(kind, tile, self._place())}")


def _lanes(size: int) -> int:
    """Elements of so many bytes in a vector of 32 bytes, or 16 of single bytes: what processors shuffle best."""
    return 16 if size == 1 else 32 // size


def _turn(size: int) -> Emitter:
    """`void turn(ptr from, i64 step, ptr to, i64 across, i64 along)`: squares of elements of so many bytes."""
    lanes, kind = _lanes(size), f"i{8 * size}"
    vector = f"<{lanes} x {kind}>"
    parameters = [("ptr noalias", "from"), ("i64", "step"), ("ptr noalias", "to"), ("i64", "across"), ("i64", "along")]
    e = Emitter(f"am_turn_{kind}", parameters, attributes="noinline nounwind", linkage="internal")

    def at(base: str, line: str, step: str, column: str) -> str:
        place = e.value(f"add nsw i64 {e.value(f'mul nsw i64 {line}, {step}')}, {column}")
        return e.value(f"getelementptr inbounds {kind}, ptr {base}, i64 {place}")

    def square(along: str, across: str) -> None:
        rows = []
        for i in range(lanes):
            source = at("%from", e.value(f"add nsw i64 {along}, {i}"), "%step", across)
            rows.append(e.value(f"load {vector}, ptr {source}, align {size}"))
        for i, row in enumerate(turned_square(e, vector, rows)):
            goal = at("%to", e.value(f"add nsw i64 {across}, {i}"), str(PITCH), along)
            e.line(f"store {vector} {row}, ptr {goal}, align {size}")

    def squares(along: str, _: list[str]) -> list[str]:
        def one(across: str, _: list[str]) -> list[str]:
            square(along, across)
            return []

        e.loop("0", "%across", lanes, one)
        return []

    e.loop("0", "%along", lanes, squares)
    e.ret()
    return e
