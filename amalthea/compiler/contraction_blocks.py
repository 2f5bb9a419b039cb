"""How a contraction of bfloat16 or int8 is cut for an instruction that multiplies words, and what that costs.

One kernel writes the whole column operand as panels into scratch memory. The other shares out blocks of rows (and
groups of blocks of columns): it packs its rows, a piece of the depth at a time, and runs through the blocks of columns.
A block of sums is a few tiles or registers; it goes through memory, from where the epilogue takes it row by row.
`contraction_blocks_kernel` writes both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import lcm, prod

from amalthea.compiler.contraction_nest import Axis, Nest
from amalthea.compiler.contraction_units import STEP, Unit, units
from amalthea.compiler.contraction_words import Depth, Lines, depth_of, lines_of
from amalthea.compiler.target import Target

PANEL_BYTES = 128 << 10
"""The most that a panel of rows, and the most that sums between pieces of the depth take on a thread's stack."""

PIECE = 32
"""Steps of the depth in a piece, at least: rather many rows than long pieces, since all rows use the same columns."""

PARTS = 16
"""Parts that a kernel should have, to be shared among threads."""

PAGE = 4096
"""Bytes of a page."""

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
        most = max(PANEL_BYTES // (LINE * min(self.depth.steps, PIECE)), least)
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
        """(groups of rounds of the outer depth, steps of the inner axis) that are packed at a time."""
        most = max(PANEL_BYTES // (LINE * self.part_rows), 1)
        if self.depth.inner_steps > most:
            return 1, most
        return min(most // self.depth.inner_steps, self.depth.groups), self.depth.inner_steps

    @cached_property
    def pieces(self) -> int:
        """Pieces of the depth."""
        rounds, steps = self.piece
        return -(-self.depth.groups // rounds) * -(-self.depth.inner_steps // steps)

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
        for inner in nest.depth:
            rows = lines_of(_with_last(nest.rows, row, inner.steps[row] != 1), row, inner, unit.lanes)
            read = lines_of(columns, column, inner, unit.lanes)
            if rows is not None and read is not None:
                outer = tuple(axis for axis in nest.depth if axis is not inner)
                depth = depth_of(outer, inner, unit.group, not rows.along and not read.along)
                found.append(Blocks(nest, unit, depth, rows, read, target.registers, target.l2 // 2))
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
    packing = batch * b.column_parts * (row_words * _word_cycles(b, b.rows, 2.0) + b.rows.count * b.depth.rounds * 6)
    packing += column_words * _word_cycles(b, b.columns, 12.0) * prod(axis.size for axis in b.packed_batch)
    ends = b.rows.count * b.column_blocks * (20 + b.block_vectors * (4.0 * len(b.nest.steps) + 5.0 * (b.pieces - 1)))
    return batch * (multiply + ends + 300.0 * b.row_parts * b.column_parts) + packing + 2000.0


def _word_cycles(b: Blocks, lines: Lines, along: float) -> float:
    """Cycles to pack a vector of words, more where each element of the depth lies on another page."""
    if lines.along:
        return along
    step = abs(b.depth.inner.steps[lines.factor]) * b.nest.arrays[lines.factor].dtype.itemsize
    return 30.0 if step >= PAGE else 12.0
