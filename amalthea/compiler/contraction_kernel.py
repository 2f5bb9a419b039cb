"""The kernel around the tiles of a contraction: the parallel index, blocks of the depth, panels and partial sums.

The flattened parallel index runs over (outer axes, blocks of rows, chunks of columns, tiles of rows), so that the
tiles of one *group* (all but the last) share a piece of the column operand. Each call packs that piece once for all of
its tiles of the group, on its own stack; any split of the index gives the same results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TypeVar

from amalthea.compiler.contraction_nest import Axis, Nest
from amalthea.compiler.contraction_pack import pack
from amalthea.compiler.contraction_tile import Emit, TileCode, View, decode, linear, offset
from amalthea.compiler.emitter import Emitter, llvm_type
from amalthea.compiler.kernel_code import PLACEHOLDER, KernelCode, finished
from amalthea.compiler.target import Target

LONG = 128
"""Ops, loads and stores of an epilogue in one tile above which it becomes a loop over the rows of the tile."""

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Tiling:
    """How a nest is cut into register tiles and blocks.

    Attributes:
        form: where vectors lie: "outer" along a column axis (the row operand is spread, as in an outer product),
            "lanes" along a batch axis, "dot" along the depth (sums are reduced at the end).
        swap: whether rows and columns change places first.
        axis: which axis of that role; -1 for none (scalars).
        lanes: elements of a vector.
        columns: vectors (in the dot form: columns) of a tile.
        row_axis: the row axis that is cut; those after it are whole in a tile. -1 where there are no rows.
        rows: of that axis in a tile.
        depth_axis: the depth axis that is cut into blocks; -1: the depth is one block.
        depth: of that axis in a block.
        outside: whether the blocks of the depth are the outermost loop, so that both operands' parts of a block stay
            in the second cache while all of a small output is added to; otherwise each group runs through all blocks.
        packed: whether the column operand is copied into panels.
        tiles: of rows in a block of rows.
        unroll: steps of the depth written out.
    """

    form: str
    swap: bool
    axis: int
    lanes: int
    columns: int
    row_axis: int
    rows: int
    depth_axis: int = -1
    depth: int = 0
    outside: bool = False
    packed: bool = False
    tiles: int = 1 << 30
    unroll: int = 4

    def __str__(self) -> str:
        blocks = f", depth by {self.depth}{' outside' if self.outside else ''}" if self.depth_axis >= 0 else ""
        return (
            f"{self.form}{' (swapped)' if self.swap else ''} {self.rows} x {self.columns} of {self.lanes} lanes{blocks}"
            f"{', packed' if self.packed else ''}, unrolled {self.unroll}"
        )


@dataclass(frozen=True)
class Chunk:
    """The columns of a tile: how many (vectors), and how many lanes of the last one exist."""

    columns: int
    valid: int


@dataclass(frozen=True)
class Cut:
    """A nest with a tiling, and the numbers that follow."""

    nest: Nest  # swapped already
    tiling: Tiling

    @cached_property
    def vector_axis(self) -> Axis | None:
        """The axis along which vectors lie."""
        role = {"outer": self.nest.columns, "lanes": self.nest.batch, "dot": self.nest.depth}[self.tiling.form]
        return role[self.tiling.axis] if self.tiling.axis >= 0 else None

    @cached_property
    def chunk_axis(self) -> Axis | None:
        """The axis that is cut into chunks of columns."""
        if self.tiling.form == "dot":
            return self.nest.columns[-1] if self.nest.columns else None
        return self.vector_axis

    @cached_property
    def depth(self) -> tuple[Axis, ...]:
        """The depth axes, in the order of the loops."""
        if self.tiling.form == "dot" and self.vector_axis is not None:
            i = self.tiling.axis
            return (*self.nest.depth[:i], *self.nest.depth[i + 1 :], self.vector_axis)
        return self.nest.depth

    @cached_property
    def outer(self) -> tuple[Axis, ...]:
        """The axes of which every index is a group of its own."""
        return tuple(axis for axis in (*self.nest.batch, *self.nest.columns) if axis is not self.chunk_axis)

    @cached_property
    def chunk_width(self) -> int:
        """Elements of the chunk axis in a full chunk."""
        return self.tiling.columns * (1 if self.tiling.form == "dot" else self.tiling.lanes)

    @cached_property
    def chunks(self) -> tuple[int, list[Chunk]]:
        """How many chunks there are, and their kinds: the full one, then (where the axis does not divide) the last."""
        size = self.chunk_axis.size if self.chunk_axis is not None else 1
        lanes = 1 if self.tiling.form == "dot" else self.tiling.lanes
        whole, rest = divmod(size, self.chunk_width)
        kinds = [Chunk(self.tiling.columns, lanes)] if whole else []
        if rest:
            vectors = -(-rest // lanes)
            kinds.append(Chunk(vectors, rest - (vectors - 1) * lanes))
        return whole + bool(rest), kinds

    @cached_property
    def row_counts(self) -> list[int]:
        """The sizes of tiles along the row axis: the full one, then (where the axis does not divide) the last."""
        if self.tiling.row_axis < 0:
            return [1]
        whole, rest = divmod(self.nest.rows[self.tiling.row_axis].size, self.tiling.rows)
        return ([self.tiling.rows] if whole else []) + ([rest] if rest else [])

    @cached_property
    def row_sizes(self) -> list[int]:
        """What a tile's index flattens: the row axes before the cut one, and the tiles along that."""
        if self.tiling.row_axis < 0:
            return [1]
        before = [axis.size for axis in self.nest.rows[: self.tiling.row_axis]]
        return [*before, -(-self.nest.rows[self.tiling.row_axis].size // self.tiling.rows)]

    @cached_property
    def row_blocks(self) -> tuple[int, int]:
        """(blocks of rows, tiles in one); the last block may have fewer."""
        total = prod(self.row_sizes)
        blocks = max(-(-total // self.tiling.tiles), 1)
        return blocks, max(-(-total // blocks), 1)

    @cached_property
    def depth_sizes(self) -> list[int]:
        """What a depth block's index flattens: the depth axes before the cut one, and the blocks along that."""
        if self.tiling.depth_axis < 0:
            return [1]
        before = [axis.size for axis in self.depth[: self.tiling.depth_axis]]
        return [*before, -(-self.depth[self.tiling.depth_axis].size // self.tiling.depth)]

    @cached_property
    def inner_depth(self) -> list[tuple[Axis, int]]:
        """The depth axes inside a block, with how much of each a full block has."""
        cut = self.tiling.depth_axis
        return [(axis, self.tiling.depth if i == cut else axis.size) for i, axis in enumerate(self.depth) if i >= cut]

    @cached_property
    def row_box(self) -> tuple[int, ...]:
        """The sizes of the row axes that are whole in a tile."""
        return tuple(axis.size for axis in self.nest.rows[self.tiling.row_axis + 1 :])

    @cached_property
    def groups(self) -> int:
        """Groups of tiles that share a piece of the column operand."""
        return prod(axis.size for axis in self.outer) * self.row_blocks[0] * self.chunks[0]

    def row_offsets(self, array: int, count: int) -> tuple[int, ...]:
        """The displacement of each row of a tile in one array."""
        if self.tiling.row_axis < 0:
            return (0,)
        found = [i * self.nest.rows[self.tiling.row_axis].steps[array] for i in range(count)]
        for axis in self.nest.rows[self.tiling.row_axis + 1 :]:
            found = [start + i * axis.steps[array] for start in found for i in range(axis.size)]
        return tuple(found)


def parts_of(nest: Nest, tiling: Tiling) -> int:
    """How many parts the parallel index has."""
    cut = Cut(nest.swapped() if tiling.swap else nest, tiling)
    return cut.groups * cut.row_blocks[1]


def write_kernel(nest: Nest, tiling: Tiling, target: Target, pointwise: Emit | None = None) -> KernelCode:
    """The kernel of a nest, cut as the tiling says.

    Args:
        nest: what to compute.
        tiling: how.
        target: for which machine.
        pointwise: `elementwise.emit`, where the nest has an epilogue.
    """
    return _KernelWriter(Cut(nest.swapped() if tiling.swap else nest, tiling), target, pointwise).write()


class _KernelWriter:
    def __init__(self, cut: Cut, target: Target, pointwise: Emit | None) -> None:
        self.cut, self.nest, self.tiling = cut, cut.nest, cut.tiling
        written = {a for a, _ in self.nest.results}
        parameters = [
            (f"ptr noalias nonnull{'' if i in written else ' readonly'}", array.name)
            for i, array in enumerate(self.nest.arrays)
        ]
        attributes = "nounwind"
        if target.vector_bytes >= 64:
            attributes += ' "prefer-vector-width"="512"'
        self.e = Emitter(PLACEHOLDER, [*parameters, ("i64", "lo"), ("i64", "hi")], "void", attributes)
        self.code = TileCode(
            self.e, self.nest, self.tiling.lanes, self.tiling.form == "dot", self.tiling.unroll, pointwise
        )
        self.blocks = prod(cut.depth_sizes)
        self.panel = self.partial = self.outer_block = ""

    # -- the parallel index -----------------------------------------------------------------------------------------

    def write(self) -> KernelCode:
        e, cut, nest = self.e, self.cut, self.nest
        blocks, tiles = cut.row_blocks
        chunks, kinds = cut.chunks
        total = prod(cut.row_sizes)
        self._allocate(tiles)

        def group(g: str, carried: list[str]) -> list[str]:
            indices = decode(e, g, [*(axis.size for axis in cut.outer), blocks, chunks])
            start = e.value(f"mul nuw nsw i64 {g}, {tiles}")
            first = e.call("i64", "llvm.smax.i64", ("i64", e.value(f"sub nsw i64 %lo, {start}")), ("i64", "0"))
            last = e.call("i64", "llvm.smin.i64", ("i64", e.value(f"sub nsw i64 %hi, {start}")), ("i64", str(tiles)))
            if blocks > 1:
                before = e.value(f"mul nuw nsw i64 {indices[-2]}, {tiles}")
                first = e.value(f"add nuw nsw i64 {first}, {before}")
                last = e.value(f"add nuw nsw i64 {last}, {before}")
                last = e.call("i64", "llvm.smin.i64", ("i64", last), ("i64", str(total)))
            else:
                before = "0"
            pointers = []
            for a, array in enumerate(nest.arrays):
                terms = [(i, axis.steps[a]) for i, axis in zip(indices, cut.outer, strict=False)]
                if cut.chunk_axis is not None and chunks > 1:
                    terms.append((indices[-1], cut.chunk_axis.steps[a] * cut.chunk_width))
                pointers.append(offset(e, f"%{array.name}", linear(e, terms, array.offset), array.dtype))
            self._either(indices[-1], chunks, kinds, lambda k: self._group(k, pointers, first, last, before))
            return []

        if nest.count("batch") * nest.count("rows") * nest.count("columns"):
            first_group = e.value(f"udiv i64 %lo, {tiles}")
            stop = e.value(f"udiv i64 {e.value(f'add i64 %hi, {tiles - 1}')}, {tiles}")

            def block(b: str, carried: list[str]) -> list[str]:
                self.outer_block = b
                e.loop(first_group, stop, 1, group)
                return []

            if self.tiling.outside and self.blocks > 1:
                e.repeat(self.blocks, block)
            else:
                e.loop(first_group, stop, 1, group)
        e.ret()
        extent = cut.groups * tiles if nest.count("batch") * nest.count("rows") * nest.count("columns") else 0
        return finished("contract", e, extent, nest.flops, nest.bytes, str(self.tiling))

    def _either(self, index: str, count: int, kinds: Sequence[Kind], emit: Callable[[Kind], None]) -> None:
        """Emit code for the first kind at all indices, or (of two) for the second at the last index."""
        if len(kinds) == 1:
            emit(kinds[0])
            return
        e = self.e
        usual, special, joined = e.block("usual"), e.block("last"), e.block("joined")
        e.branch(e.value(f"icmp eq i64 {index}, {count - 1}"), special, usual)
        e.label(usual)
        emit(kinds[0])
        e.jump(joined)
        e.label(special)
        emit(kinds[1])
        e.jump(joined)
        e.label(joined)

    # -- one group: blocks of the depth ------------------------------------------------------------------------------

    def _allocate(self, tiles: int) -> None:
        kind = llvm_type(self.nest.accumulate)
        if self.tiling.packed:
            rows = prod(count for _, count in self.cut.inner_depth)
            self.panel = self.e.value(f"alloca {kind}, i64 {rows * self.cut.chunk_width}, align 64")
        if self.blocks > 1 and self.nest.holder is None:
            points = (
                max(self.cut.row_counts)
                * prod(axis.size for axis in self.nest.rows[self.tiling.row_axis + 1 :] if self.tiling.row_axis >= 0)
                * self.tiling.columns
            )
            self.partial = self.e.value(f"alloca {kind}, i64 {tiles * points * self.tiling.lanes}, align 64")
            self.partial_step = points * self.tiling.lanes
        points = len(self.cut.row_offsets(0, max(self.cut.row_counts))) * self.tiling.columns
        if len(self.nest.steps) + len(self.nest.operands) + len(self.nest.results) > LONG // points:
            lanes = 1 if self.tiling.form == "dot" else self.tiling.lanes
            self.code.spill = self.e.value(f"alloca {kind}, i64 {points * lanes}, align 64")

    def _group(self, chunk: Chunk, pointers: Sequence[str], first: str, last: str, before: str) -> None:
        e, cut = self.e, self.cut
        if self.blocks == 1:
            self._block(chunk, list(pointers), None, None, first, last, before, [n for _, n in cut.inner_depth])
            return

        def block(b: str, carried: list[str]) -> list[str]:
            indices = decode(e, b, cut.depth_sizes)
            cut_at = cut.tiling.depth_axis
            moved = list(pointers)
            for f in self.nest.factors:
                terms = [(i, axis.steps[f]) for i, axis in zip(indices, cut.depth, strict=False)]
                terms[-1] = (indices[-1], cut.depth[cut_at].steps[f] * cut.tiling.depth)
                moved[f] = offset(e, pointers[f], linear(e, terms), self.nest.arrays[f].dtype)
            counts: list[int | str] = [n for _, n in cut.inner_depth]
            size = cut.depth[cut_at].size
            if size % cut.tiling.depth:
                done = e.value(f"mul nuw nsw i64 {indices[-1]}, {cut.tiling.depth}")
                left = e.value(f"sub nsw i64 {size}, {done}")
                counts[0] = e.call("i64", "llvm.smin.i64", ("i64", left), ("i64", str(cut.tiling.depth)))
            fresh = e.value(f"icmp eq i64 {b}, 0")
            done_now = e.value(f"icmp eq i64 {b}, {self.blocks - 1}")
            self._block(chunk, moved, fresh, done_now, first, last, before, counts)
            return []

        if self.outer_block:
            block(self.outer_block, [])
        else:
            e.repeat(self.blocks, block)

    def _block(
        self,
        chunk: Chunk,
        pointers: list[str],
        fresh: str | None,
        done: str | None,
        first: str,
        last: str,
        before: str,
        counts: Sequence[int | str],
    ) -> None:
        """One block of the depth for the tiles [first, last) of a group."""
        e, cut, nest = self.e, self.cut, self.nest
        column_factor = nest.factors[-1]
        if self.tiling.packed:
            self._pack(chunk, pointers[column_factor], counts)

        def tile(t: str, carried: list[str]) -> list[str]:
            moved = list(pointers)
            indices = decode(e, t, cut.row_sizes)
            if self.tiling.row_axis >= 0:
                for a, array in enumerate(nest.arrays):
                    if self.tiling.packed and a == column_factor:
                        continue
                    terms = [(i, axis.steps[a]) for i, axis in zip(indices, nest.rows, strict=False)]
                    terms[-1] = (indices[-1], nest.rows[self.tiling.row_axis].steps[a] * self.tiling.rows)
                    moved[a] = offset(e, moved[a], linear(e, terms), array.dtype)
            partial = ""
            if self.partial:
                at = e.value(f"mul nsw i64 {e.value(f'sub nsw i64 {t}, {before}')}, {self.partial_step}")
                partial = offset(e, self.partial, at, nest.accumulate)
            self._either(
                indices[-1],
                cut.row_sizes[-1],
                cut.row_counts,
                lambda rows: self._tile(rows, chunk, moved, partial, fresh, done, counts),
            )
            return []

        e.loop(first, last, 1, tile)

    def _pack(self, chunk: Chunk, pointer: str, counts: Sequence[int | str]) -> None:
        nest, cut, column_factor = self.nest, self.cut, self.nest.factors[-1]
        assert cut.chunk_axis is not None
        pack(
            self.code,
            nest.arrays[column_factor].dtype,
            pointer,
            self.panel,
            [(axis.steps[column_factor], count) for (axis, _), count in zip(cut.inner_depth, counts, strict=True)],
            self._packed_steps(),
            cut.chunk_axis.steps[column_factor],
            (chunk.columns - 1) * self.tiling.lanes + chunk.valid,
            chunk.columns,
        )

    def _packed_steps(self) -> list[int]:
        steps, step = [], self.cut.chunk_width
        for _, count in reversed(self.cut.inner_depth):
            steps.append(step)
            step *= count
        return steps[::-1]

    # -- one tile ---------------------------------------------------------------------------------------------------

    def _view(self, a: int, rows: int) -> View:
        """How a tile sees an array where it is."""
        cut = self.cut
        vector = cut.vector_axis.steps[a] if cut.vector_axis is not None else 0
        column = cut.chunk_axis.steps[a] if cut.chunk_axis is not None else 0
        if self.tiling.form != "dot":
            column *= self.tiling.lanes
        depth = tuple(axis.steps[a] for axis, _ in cut.inner_depth)
        return View(self.nest.arrays[a].dtype, vector, column, cut.row_offsets(a, rows), depth)

    def _tile(
        self,
        rows: int,
        chunk: Chunk,
        pointers: Sequence[str],
        partial: str,
        fresh: str | None,
        done: str | None,
        counts: Sequence[int | str],
    ) -> None:
        e, nest, code = self.e, self.nest, self.code
        views = {a: self._view(a, rows) for a in range(len(nest.arrays))}
        box = (rows, *self.cut.row_box) if self.tiling.row_axis >= 0 else ()
        factors = [views[f] for f in nest.factors]
        at = [pointers[f] for f in nest.factors]
        if self.tiling.packed:
            lanes = self.tiling.lanes
            zeros = (0,) * len(factors[0].rows)
            factors[-1] = View(nest.accumulate, 1, lanes, zeros, tuple(self._packed_steps()), padded=True)
            at[-1] = self.panel
        points = len(factors[0].rows) * chunk.columns
        holder = nest.holder
        sums = [code.zero(nest.accumulate)] * points
        raw = View(
            nest.accumulate,
            1,
            self.tiling.lanes,
            tuple(i * chunk.columns * self.tiling.lanes for i in range(len(factors[0].rows))),
            padded=True,
        )
        where, pointer = (raw, partial) if holder is None else (views[holder], pointers[holder])
        if fresh is not None:
            sums = self._resume(fresh, where, pointer, chunk, sums)
        axes = [(axis, count) for (axis, _), count in zip(self.cut.inner_depth, counts, strict=True)]
        if all(count for _, count in axes):
            sums = code.accumulate(factors, at, axes, chunk.columns, chunk.valid, sums)
        outer = {a: pointers[a] for a in range(len(nest.arrays)) if a not in nest.factors}
        if done is None or nest.plain:
            code.finish(views, outer, chunk.columns, chunk.valid, sums, box)
            return
        final, more, joined = e.block("final"), e.block("more"), e.block("stored")
        e.branch(done, final, more)
        e.label(final)
        code.finish(views, outer, chunk.columns, chunk.valid, sums, box)
        e.jump(joined)
        e.label(more)
        self._each(
            where,
            chunk,
            lambda p, displacement, valid: code.store(where, pointer, displacement, valid, sums[p], self.tiling.lanes),
        )
        e.jump(joined)
        e.label(joined)

    def _each(self, view: View, chunk: Chunk, do: Callable[[int, int, int], None]) -> None:
        """Call `do(point, displacement, valid lanes)` for each point."""
        for row, start in enumerate(view.rows):
            for column in range(chunk.columns):
                valid = chunk.valid if column == chunk.columns - 1 and not view.padded else self.tiling.lanes
                do(row * chunk.columns + column, start + column * view.column, valid)

    def _resume(self, fresh: str, view: View, pointer: str, chunk: Chunk, zeros: list[str]) -> list[str]:
        """The sums so far: zeros in the first block of the depth, later those that the block before has stored."""
        e, code, dtype = self.e, self.code, self.nest.accumulate
        resume, begin, before = e.block("resume"), e.block("begin"), e.current
        e.branch(fresh, begin, resume)
        e.label(resume)
        loaded: list[str] = []
        self._each(
            view,
            chunk,
            lambda p, displacement, valid: loaded.append(
                code.load(view, pointer, displacement, valid, dtype, self.tiling.lanes)
            ),
        )
        e.jump(begin)
        e.label(begin)
        kind = code.vector_type(dtype)
        return [
            e.value(f"phi {kind} [ {zero}, %{before} ], [ {some}, %{resume} ]")
            for zero, some in zip(zeros, loaded, strict=True)
        ]
