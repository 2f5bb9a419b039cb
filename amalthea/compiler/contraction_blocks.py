"""Contractions of bfloat16 and int8 by instructions that multiply words: panels of both operands, blocks of sums.

One kernel writes the whole column operand as panels into scratch memory. The other shares out blocks of rows (and
groups of blocks of columns): it packs its rows, a piece of the depth at a time, and runs through the blocks of columns.
A block of sums is a few tiles or registers; it goes through memory, from where the epilogue takes it row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import lcm, prod

from amalthea.compiler.contraction_nest import Array, Axis, Nest
from amalthea.compiler.contraction_tile import Emit, TileCode, View, decode, linear, offset
from amalthea.compiler.contraction_units import STEP, Unit, units
from amalthea.compiler.contraction_words import Depth, Lines, Packer, if_else, lines_of
from amalthea.compiler.emitter import Emitter, llvm_type
from amalthea.compiler.kernel_code import PLACEHOLDER, KernelCode, finished
from amalthea.compiler.target import Target

PANEL_BYTES = 128 << 10
"""The most that a panel of rows, and the most that sums between pieces of the depth take on a thread's stack."""

PARTS = 16
"""Parts that a kernel should have, to be shared among threads."""

LINE = STEP * 4
"""Bytes of a line of a step: a row of a tile."""


@dataclass(frozen=True)
class Blocks:
    """A contraction cut into blocks for one instruction.

    Attributes:
        nest: turned so that the outputs are contiguous along the columns, if along anything.
        unit: the instruction.
        depth, rows, columns: how the operands are read.
        registers: vector registers of the target.
        cache: bytes of its second cache that the panels of a group of columns may take.
    """

    nest: Nest
    unit: Unit
    depth: Depth
    rows: Lines
    columns: Lines
    registers: int
    cache: int

    @cached_property
    def block_vectors(self) -> int:
        """Vectors (tiles) of columns of a block of sums."""
        return 1 if self.columns.count <= self.unit.lanes else 2

    @property
    def block_columns(self) -> int:
        """Columns of a block of sums."""
        return self.block_vectors * self.unit.lanes

    @cached_property
    def block_rows(self) -> int:
        """Rows of a block of sums: two tiles, or what the registers hold beside the words of a step."""
        if self.unit.tiles:
            return 16 if self.rows.count <= 16 else 32
        beside = self.block_vectors * (2 if self.unit.offset else 1) + (1 if self.unit.adds else 2)
        return min((self.registers - beside - 1) // self.block_vectors, 12)

    @cached_property
    def part_rows(self) -> int:
        """Rows that are packed together: whole blocks and whole vectors."""
        least = lcm(self.block_rows, self.unit.lanes)
        others = prod(axis.size for axis in self.nest.batch) * self.column_blocks
        most = max(PANEL_BYTES // (LINE * min(self.depth.steps, 64)), least)
        wanted = max(min(128, most, self.rows.count * others // PARTS), min(32, most))
        return max(wanted // least, 1) * least

    @property
    def panel_rows(self) -> int:
        """Rows of a block of the panel: those of a block of sums, where whole vectors of rows fit into that."""
        return self.block_rows if self.unit.tiles else self.part_rows

    @cached_property
    def row_parts(self) -> int:
        """Parts of the rows."""
        return -(-self.rows.count // self.part_rows)

    @cached_property
    def column_blocks(self) -> int:
        """Blocks of columns."""
        return -(-self.columns.count // self.block_columns)

    @cached_property
    def piece(self) -> tuple[int, int]:
        """(rounds of the outer depth, steps of the inner axis) that are packed at a time."""
        most = max(PANEL_BYTES // (LINE * self.part_rows), 1)
        if self.depth.inner_steps > most:
            return 1, most
        return min(most // self.depth.inner_steps, self.depth.rounds), self.depth.inner_steps

    @cached_property
    def pieces(self) -> int:
        """Pieces of the depth."""
        rounds, steps = self.piece
        return -(-self.depth.rounds // rounds) * -(-self.depth.inner_steps // steps)

    @cached_property
    def group(self) -> int:
        """Blocks of columns of a part."""
        parts = prod(axis.size for axis in self.nest.batch) * self.row_parts
        group = -(-self.column_blocks // max(PARTS // parts, 1))
        panel = prod(self.piece) * LINE * self.block_columns
        group = min(group, max(self.cache // panel, 1))  # they stay in the cache from one part of the rows to the next
        if self.pieces > 1:
            group = min(group, max(PANEL_BYTES // (self.part_rows * self.block_columns * 4), 1))
        return group

    @cached_property
    def column_parts(self) -> int:
        """Groups of blocks of columns."""
        return -(-self.column_blocks // self.group)

    @cached_property
    def packed_batch(self) -> tuple[Axis, ...]:
        """The batch axes that the column operand has."""
        return tuple(axis for axis in self.nest.batch if axis.steps[self.columns.factor])

    @cached_property
    def panel_words(self) -> int:
        """Words of the panels of one index of the batch."""
        return self.column_blocks * self.depth.steps * STEP * self.block_columns

    @property
    def scratch(self) -> int:
        """Bytes of the packed column operand."""
        return prod(axis.size for axis in self.packed_batch) * self.panel_words * 4

    def __str__(self) -> str:
        name = self.unit.intrinsic.removeprefix("llvm.").partition(".v")[0]
        return f"{name} {self.block_rows} x {self.block_columns}, {self.part_rows} rows a part"


def blocks_of(nest: Nest, target: Target) -> list[Blocks]:
    """The ways to compute a contraction by instructions that multiply words.

    >>> from amalthea.compiler.contraction import from_subscripts, nest_of
    >>> from amalthea.core.dtypes import bfloat16
    >>> nest = nest_of(from_subscripts("ij,jk->ik", (256, 512), (512, 1024), bfloat16))
    >>> [str(blocks) for blocks in blocks_of(nest, Target.named("sapphirerapids"))][0]
    'x86.tdpbf16ps 32 x 32, 128 rows a part'
    """
    if len(nest.factors) != 2 or not (nest.rows and nest.columns and nest.depth):
        return []
    if not all(nest.count(role) for role in ("batch", "rows", "columns", "depth")):
        return []
    result = nest.results[0][0]
    if any(axis.steps[result] == 1 for axis in nest.rows):
        nest = nest.swapped()
    found = []
    row, column = nest.factors
    for unit in units(nest.arrays[row].dtype, nest.arrays[column].dtype, nest.accumulate, target):
        columns = _with_last(nest.columns, result, True)
        if len(columns) > 1 and columns[-1].size % unit.lanes:
            continue
        # An inner axis that is contiguous in both operands is read fastest; then one that is in either.
        by_use = sorted(nest.depth, key=lambda a: sum(a.steps[f] == 1 for f in nest.factors), reverse=True)
        for inner in by_use:
            rows = lines_of(_with_last(nest.rows, row, inner.steps[row] != 1), row, inner, unit.lanes)
            read = lines_of(columns, column, inner, unit.lanes)
            if rows is not None and read is not None:
                outer = tuple(axis for axis in nest.depth if axis is not inner)
                depth = Depth(outer, inner, unit.group)
                found.append(Blocks(nest, unit, depth, rows, read, target.registers, target.l2 // 2))
                break
    return found


def _with_last(axes: tuple[Axis, ...], array: int, wanted: bool) -> tuple[Axis, ...]:
    """The axes, where wanted with one that is contiguous in an array at the end."""
    found = [axis for axis in axes if wanted and axis.steps[array] == 1][:1]
    return (*(axis for axis in axes if axis not in found), *found)


def cycles(b: Blocks) -> float:
    """Estimated cycles, in the terms of `contraction_tiles.cost`; its numbers were fitted to measurements."""
    unit, steps, lanes = b.unit, b.depth.steps, b.unit.lanes
    batch = prod(axis.size for axis in b.nest.batch)
    if unit.tiles:  # they wait for the second cache
        rows = b.row_parts * b.part_rows if b.rows.count > b.part_rows else -(-b.rows.count // 32) * 32
        multiply = rows // 16 * b.column_blocks * b.block_vectors * steps * unit.cycles * 3.0
    else:
        vectors = -(-b.rows.count // b.block_rows) * (b.block_rows + unit.offset) * b.column_blocks * b.block_vectors
        multiply = vectors * steps * STEP * unit.cycles * 1.15
    row_words = b.rows.count * steps * STEP / lanes
    column_words = b.column_blocks * b.block_columns * steps * STEP / lanes
    packing = batch * b.column_parts * (row_words * (2.0 if b.rows.along else 10.0) + b.rows.count * b.depth.rounds * 6)
    packing += 12.0 * column_words * prod(axis.size for axis in b.packed_batch)
    ends = b.rows.count * b.column_blocks * (20 + b.block_vectors * (4.0 * len(b.nest.steps) + 5.0 * (b.pieces - 1)))
    return batch * (multiply + ends + 300.0 * b.row_parts * b.column_parts) + packing + 2000.0


def write_kernels(
    b: Blocks, target: Target, pointwise: Emit | None
) -> tuple[tuple[KernelCode, KernelCode], tuple[tuple[str, ...], tuple[str, ...]]]:
    """The kernel that packs the column operand and the one that computes, and the names of their arrays."""
    writer = _Writer(b, target, pointwise)
    names = (b.nest.arrays[b.columns.factor].name, "scratch0"), tuple(array.name for array in writer.arrays)
    return (_packing_kernel(b, target), writer.write()), names


def _attributes(target: Target) -> str:
    return 'nounwind "prefer-vector-width"="512"' if target.vector_bytes >= 64 else "nounwind"


def _packing_kernel(b: Blocks, target: Target) -> KernelCode:
    array = b.nest.arrays[b.columns.factor]
    parameters = [("ptr noalias nonnull readonly", array.name), ("ptr noalias nonnull", "scratch0")]
    e = Emitter(PLACEHOLDER, [*parameters, ("i64", "lo"), ("i64", "hi")], "void", _attributes(target))
    packer = Packer(e, b.unit, array.dtype, b.columns, b.depth, b.block_columns, b.depth.steps, True)
    # What is contiguous in memory stays together: whole columns, or all columns of a step.
    sizes = [b.column_blocks] if b.columns.along else [b.depth.rounds, b.depth.inner_steps]

    def part(index: str, carried: list[str]) -> list[str]:
        indices = decode(e, index, [*(axis.size for axis in b.packed_batch), *sizes])
        batch = indices[: len(b.packed_batch)]
        terms = [(i, axis.steps[b.columns.factor]) for i, axis in zip(batch, b.packed_batch, strict=True)]
        source = offset(e, f"%{array.name}", linear(e, terms, array.offset), array.dtype)
        if not b.columns.along:
            flat = [prod(axis.size for axis in b.packed_batch[i + 1 :]) for i in range(len(batch))]
            place = linear(e, [(i, step * b.panel_words) for i, step in zip(batch, flat, strict=True)])
            packer.pack_words(source, offset(e, "%scratch0", place, b.nest.accumulate), *indices[len(batch) :])
            return []
        goal = offset(e, "%scratch0", linear(e, [(index, b.panel_words // b.column_blocks)]), b.nest.accumulate)
        first = e.value(f"mul nuw nsw i64 {indices[-1]}, {b.block_columns}")
        left = e.value(f"sub nsw i64 {b.columns.count}, {first}")
        count = e.call("i64", "llvm.smin.i64", ("i64", left), ("i64", str(b.block_columns)))
        packer.pack(source, goal, first, count, b.depth.whole)
        return []

    e.loop("%lo", "%hi", 1, part)
    e.ret()
    extent = prod([*(axis.size for axis in b.packed_batch), *sizes])
    traffic = b.scratch + b.columns.count * b.depth.inner.size * b.depth.rounds * array.dtype.itemsize
    return finished("words", e, extent, 0, traffic, f"words of {b.unit.group}, {b.block_columns} columns a block")


class _Writer:
    """Writes the kernel that computes."""

    def __init__(self, b: Blocks, target: Target, pointwise: Emit | None) -> None:
        self.b, self.nest = b, b.nest
        self.array = self.nest.arrays[b.rows.factor]
        arrays = list(self.nest.arrays)
        arrays[b.columns.factor] = Array("scratch0", self.nest.accumulate, 0)
        self.arrays = arrays
        written = {a for a, _ in self.nest.results}
        parameters = [
            (f"ptr noalias nonnull{'' if i in written else ' readonly'}", array.name) for i, array in enumerate(arrays)
        ]
        self.e = e = Emitter(PLACEHOLDER, [*parameters, ("i64", "lo"), ("i64", "hi")], "void", _attributes(target))
        self.code = TileCode(e, replace(self.nest, arrays=tuple(arrays)), b.unit.lanes, False, 1, pointwise)
        self.packer = Packer(e, b.unit, self.array.dtype, b.rows, b.depth, b.panel_rows, prod(b.piece), False)
        self.kind = llvm_type(self.nest.accumulate, b.unit.lanes)
        self.block = b.block_rows * b.block_columns  # sums

    def write(self) -> KernelCode:
        e, b = self.e, self.b
        words = b.part_rows * b.piece[0] * b.piece[1] * STEP
        blocks = b.group * (b.part_rows // b.block_rows) if b.pieces > 1 else 1
        self.panel = e.value(f"alloca i32, i64 {words}, align 64")
        self.sums = e.value(f"alloca i32, i64 {blocks * self.block}, align 64")
        if b.unit.tiles:
            self._configure()

        def part(index: str, carried: list[str]) -> list[str]:
            sizes = [*(axis.size for axis in self.nest.batch), b.column_parts, b.row_parts]
            *batch, column_part, row_part = decode(e, index, sizes)
            bases = []
            for a, array in enumerate(self.arrays):
                terms = [(i, axis.steps[a]) for i, axis in zip(batch, self.nest.batch, strict=True)]
                if a == b.columns.factor:
                    packed, step = [], b.panel_words
                    for i, axis in reversed(list(zip(batch, self.nest.batch, strict=True))):
                        if axis in b.packed_batch:
                            packed.append((i, step))
                            step *= axis.size
                    terms = packed
                bases.append(offset(e, f"%{array.name}", linear(e, terms, array.offset), array.dtype))
            first = e.value(f"mul nuw nsw i64 {row_part}, {b.part_rows}")
            left = e.value(f"sub nsw i64 {b.rows.count}, {first}")
            count = e.call("i64", "llvm.smin.i64", ("i64", left), ("i64", str(b.part_rows)))
            begin = e.value(f"mul nuw nsw i64 {column_part}, {b.group}")
            end = e.value(f"add nuw nsw i64 {begin}, {b.group}")
            end = e.call("i64", "llvm.smin.i64", ("i64", end), ("i64", str(b.column_blocks)))
            self._part(bases, first, count, begin, end)
            return []

        e.loop("%lo", "%hi", 1, part)
        if b.unit.tiles:
            self._call("llvm.x86.tilerelease")
        e.ret()
        extent = prod(axis.size for axis in self.nest.batch) * b.row_parts * b.column_parts
        return finished("blocks", e, extent, self.nest.flops, self.nest.bytes, str(b))

    def _part(self, bases: Sequence[str], first: str, count: str, begin: str, end: str) -> None:
        """`count` rows from `first` on, times the blocks of columns from `begin` to `end`."""
        e, b = self.e, self.b
        rounds, steps = b.piece
        inner_pieces = -(-b.depth.inner_steps // steps)

        def piece(p: str, carried: list[str]) -> list[str]:
            q, s = decode(e, p, [b.pieces // inner_pieces, inner_pieces])
            from_round = e.value(f"mul nuw nsw i64 {q}, {rounds}")
            from_step = e.value(f"mul nuw nsw i64 {s}, {steps}")
            to_round = self._least(e.value(f"add nuw nsw i64 {from_round}, {rounds}"), b.depth.rounds)
            to_step = self._least(e.value(f"add nuw nsw i64 {from_step}, {steps}"), b.depth.inner_steps)
            self.packer.pack(bases[b.rows.factor], self.panel, first, count, (from_round, to_round, from_step, to_step))
            start = e.value(
                f"add nuw nsw i64 {e.value(f'mul nuw nsw i64 {from_round}, {b.depth.inner_steps}')}, {from_step}"
            )
            some = e.value(f"sub nsw i64 {to_round}, {from_round}")
            some = e.value(f"mul nuw nsw i64 {some}, {e.value(f'sub nsw i64 {to_step}, {from_step}')}")

            def column_block(c: str, carried: list[str]) -> list[str]:
                place = linear(e, [(c, b.depth.steps * STEP * b.block_columns), (start, STEP * b.block_columns)])
                columns = e.value(f"getelementptr i32, ptr {bases[b.columns.factor]}, i64 {place}")

                def row_block(r: str, carried: list[str]) -> list[str]:
                    words = STEP * (prod(b.piece) if b.unit.tiles else 1)  # of the panel, for each row of sums
                    rows = offset(e, self.panel, linear(e, [(r, words)]), self.nest.accumulate)
                    if b.pieces == 1:
                        self._sum(rows, columns, some, self.sums, None)
                        self._finish(bases, first, count, r, c, self.sums)
                        return []
                    behind = e.value(f"mul nuw nsw i64 {e.value(f'sub nsw i64 {c}, {begin}')}, {b.part_rows}")
                    behind = e.value(f"mul nuw nsw i64 {e.value(f'add nuw nsw i64 {behind}, {r}')}, {b.block_columns}")
                    sums = e.value(f"getelementptr i32, ptr {self.sums}, i64 {behind}")
                    self._sum(rows, columns, some, sums, e.value(f"icmp eq i64 {p}, 0"))
                    last = e.value(f"icmp eq i64 {p}, {b.pieces - 1}")
                    if_else(e, last, lambda: self._finish(bases, first, count, r, c, sums))
                    return []

                e.loop("0", count, b.block_rows, row_block)
                return []

            e.loop(begin, end, 1, column_block)
            return []

        e.repeat(b.pieces, piece)

    def _least(self, value: str, limit: int) -> str:
        return self.e.call("i64", "llvm.smin.i64", ("i64", value), ("i64", str(limit)))

    # -- sums ----------------------------------------------------------------------------------------------------------

    def _sum(self, rows: str, columns: str, steps: str, sums: str, fresh: str | None) -> None:
        """Add the products over some steps to the sums in memory, or store them there where `fresh` (None: always)."""
        (self._sum_tiles if self.b.unit.tiles else self._sum_vectors)(rows, columns, steps, sums, fresh)

    def _sum_vectors(self, rows: str, columns: str, steps: str, sums: str, fresh: str | None) -> None:
        e, b, unit = self.e, self.b, self.b.unit
        lanes, vectors, scalar = unit.lanes, b.block_vectors, llvm_type(self.nest.accumulate)
        points = [(r, v) for r in range(b.block_rows) for v in range(vectors)]
        lifted = [f"splat (i32 {-0x7F7F7F80})"] * vectors if unit.offset else []  # 128 in each byte

        def at(r: int, v: int) -> str:
            return e.value(f"getelementptr i32, ptr {sums}, i64 {r * b.block_columns + v * lanes}")

        def word(step: str, w: str, carried: list[str]) -> list[str]:
            place = linear(e, [(step, STEP), (w, 1)])
            found = e.value(
                f"getelementptr i32, ptr {columns}, i64 {e.value(f'mul nuw nsw i64 {place}, {b.block_columns}')}"
            )
            column = []
            for v in range(vectors):
                here = e.value(f"getelementptr i32, ptr {found}, i64 {v * lanes}")
                column.append(e.value(f"load {unit.words}, ptr {here}, align 4"))
            place = linear(e, [(step, STEP * b.panel_rows), (w, 1)])
            begin = e.value(f"getelementptr i32, ptr {rows}, i64 {place}")
            new = []
            for r in range(b.block_rows):
                here = e.value(f"getelementptr i32, ptr {begin}, i64 {r * STEP}")
                one = e.value(f"load i32, ptr {here}, align 4")
                one = e.value(f"insertelement {unit.words} poison, i32 {one}, i64 0")
                one = e.value(f"shufflevector {unit.words} {one}, {unit.words} poison, <{lanes} x i32> zeroinitializer")
                for v in range(vectors):
                    new.append(unit.multiply_add(e, carried[r * vectors + v], one, column[v]))
            for v, value in enumerate(lifted):
                new.append(unit.multiply_add(e, carried[len(points) + v], value, column[v]))
            return new

        unrolled = 2

        def step(t: str, carried: list[str]) -> list[str]:
            def some(i: str, carried: list[str]) -> list[str]:
                base = e.value(f"mul nuw nsw i64 {i}, {unrolled}")
                for u in range(unrolled):
                    carried = word(t, e.value(f"add nuw nsw i64 {base}, {u}"), carried)
                return carried

            return e.repeat(STEP // unrolled, some, [(self.kind, value) for value in carried])

        zero = [(self.kind, "zeroinitializer")] * (len(points) + len(lifted))
        totals = e.repeat(steps, step, zero)
        for i, (r, v) in enumerate(points):
            total = totals[i]
            if lifted:
                total = e.value(f"sub {self.kind} {total}, {totals[len(points) + v]}")
            if fresh is not None:
                before = e.value(f"load {self.kind}, ptr {at(r, v)}, align 4")
                before = e.value(f"select i1 {fresh}, {self.kind} zeroinitializer, {self.kind} {before}")
                word_ = "fadd" if scalar == "float" else "add"
                total = e.value(f"{word_} {self.kind} {total}, {before}")
            e.line(f"store {self.kind} {total}, ptr {at(r, v)}, align 4")

    def _sum_tiles(self, rows: str, columns: str, steps: str, sums: str, fresh: str | None) -> None:
        """Tiles 0 to 3 are sums, 4 and 5 rows, 6 and 7 columns."""
        e, b = self.e, self.b
        down, across = b.block_rows // 16, b.block_vectors
        points = [(2 * i + j, i, j) for i in range(down) for j in range(across)]

        def place(i: int, j: int) -> str:
            return e.value(f"getelementptr i32, ptr {sums}, i64 {i * 16 * b.block_columns + j * 16}")

        def clear() -> None:
            for tile, _, _ in points:
                self._call("llvm.x86.tilezero", ("i8", tile))

        def resume() -> None:
            for tile, i, j in points:
                self._move("llvm.x86.tileloadd64", tile, place(i, j), 4 * b.block_columns)

        if fresh is None:
            clear()
        else:
            if_else(e, fresh, clear, resume)

        def step(t: str, carried: list[str]) -> list[str]:
            x = e.value(f"getelementptr i32, ptr {rows}, i64 {e.value(f'mul nuw nsw i64 {t}, {STEP * b.panel_rows}')}")
            y = e.value(
                f"getelementptr i32, ptr {columns}, i64 {e.value(f'mul nuw nsw i64 {t}, {STEP * b.block_columns}')}"
            )
            for j in range(across):
                self._move(
                    "llvm.x86.tileloadd64",
                    6 + j,
                    e.value(f"getelementptr i32, ptr {y}, i64 {16 * j}"),
                    4 * b.block_columns,
                )
            for i in range(down):
                self._move(
                    "llvm.x86.tileloadd64", 4 + i, e.value(f"getelementptr i32, ptr {x}, i64 {16 * STEP * i}"), LINE
                )
                for j in range(across):
                    self._call(b.unit.intrinsic, ("i8", 2 * i + j), ("i8", 4 + i), ("i8", 6 + j))
            return []

        e.repeat(steps, step)
        for tile, i, j in points:
            self._move("llvm.x86.tilestored64", tile, place(i, j), 4 * b.block_columns)

    def _configure(self) -> None:
        """All eight tiles have 16 rows of 64 bytes: https://cdrdv2.intel.com/v1/dl/getContent/671200, chapter 18."""
        e = self.e
        sizes = [1, 0, *[0] * 14, *[64, 0] * 8, *[0] * 16, *[16] * 8, *[0] * 8]
        place = e.value("alloca [64 x i8], align 64")
        e.line(f"store <64 x i8> <{', '.join(f'i8 {n}' for n in sizes)}>, ptr {place}, align 64")
        self._call("llvm.x86.ldtilecfg", ("ptr", place))

    def _move(self, name: str, tile: int, pointer: str, stride: int) -> None:
        self._call(name, ("i8", tile), ("ptr", pointer), ("i64", stride))

    def _call(self, name: str, *arguments: tuple[str, object]) -> None:
        self.e.need(f"declare void @{name}({', '.join(kind for kind, _ in arguments)})")
        self.e.line(f"call void @{name}({', '.join(f'{kind} {value}' for kind, value in arguments)})")

    # -- the end -------------------------------------------------------------------------------------------------------

    def _finish(self, bases: Sequence[str], first: str, count: str, r: str, c: str, sums: str) -> None:
        """Apply the epilogue to a block of sums that begins in row `r` of the part, in block `c` of the columns."""
        e, b = self.e, self.b
        whole, rest = divmod(b.columns.count, b.block_columns)
        left = e.value(f"sub nsw i64 {count}, {r}")
        rows = self._least(left, b.block_rows)
        outer = [a for a in range(len(self.arrays)) if a not in self.nest.factors]
        begin = e.value(f"mul nuw nsw i64 {c}, {b.block_columns}")
        top = e.value(f"add nuw nsw i64 {first}, {r}")

        def some(width: int) -> Callable[[], None]:
            def emit() -> None:
                lanes = b.unit.lanes
                pieces = [(v, min(width - v * lanes, lanes)) for v in range(-(-width // lanes))]
                places = []
                for v, _ in pieces:
                    at = e.value(f"add nuw nsw i64 {begin}, {v * lanes}")
                    indices = decode(e, at, [axis.size for axis in b.columns.axes])
                    places.append([(i, axis) for i, axis in zip(indices, b.columns.axes, strict=True)])
                shifts = {
                    (a, v): linear(e, [(i, axis.steps[a]) for i, axis in places[v]]) for v, _ in pieces for a in outer
                }

                def row(k: str, carried: list[str]) -> list[str]:
                    indices = decode(e, e.value(f"add nuw nsw i64 {top}, {k}"), [axis.size for axis in b.rows.axes])
                    at = {
                        a: offset(
                            e, bases[a],
                            linear(e, [(i, axis.steps[a]) for i, axis in zip(indices, b.rows.axes, strict=True)]),
                            self.arrays[a].dtype,
                        )
                        for a in outer
                    }  # fmt: skip
                    begin = e.value(f"mul nuw nsw i64 {k}, {b.block_columns}")
                    for v, valid in pieces:
                        here = e.value(
                            f"getelementptr i32, ptr {sums}, i64 {e.value(f'add nuw nsw i64 {begin}, {v * lanes}')}"
                        )
                        total = e.value(f"load {self.kind}, ptr {here}, align 4")
                        pointers = {a: offset(e, at[a], shifts[a, v], self.arrays[a].dtype) for a in outer}
                        views = {a: View(self.arrays[a].dtype, b.columns.axes[-1].steps[a], 0, (0,)) for a in outer}
                        self.code.finish(views, pointers, 1, valid, [total])
                    return []

                e.loop("0", rows, 1, row)

            return emit

        if whole and rest:
            if_else(e, e.value(f"icmp slt i64 {c}, {whole}"), some(b.block_columns), some(rest))
        else:
            some(b.block_columns if whole else rest)()
