"""The two kernels of a contraction by an instruction that multiplies words, see `contraction_blocks`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

from amalthea.compiler.contraction_blocks import LINE, Blocks
from amalthea.compiler.contraction_nest import Array
from amalthea.compiler.contraction_tile import Emit, TileCode, View, decode, linear, offset
from amalthea.compiler.contraction_units import STEP
from amalthea.compiler.contraction_words import Packer, if_else
from amalthea.compiler.emitter import Emitter, llvm_type
from amalthea.compiler.kernel_code import PLACEHOLDER, KernelCode, finished
from amalthea.compiler.target import Target


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
    sizes = [b.column_blocks] if b.columns.along else [b.depth.groups, b.depth.inner_steps]

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
            to_round = self._least(e.value(f"add nuw nsw i64 {from_round}, {rounds}"), b.depth.groups)
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
