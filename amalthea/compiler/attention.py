"""Attention in tiles of queries and keys, so that the matrix of all scores is never in memory.

Vectors lie along the queries. A block of queries is turned around once; then scores are sums over the head's size of
scalars of keys times vectors of queries, the softmax is elementwise with a running maximum and sum for each lane (Dao
et al. 2022, arXiv:2205.14135), and the output is sums over keys of scalars of values times vectors of weights. Keys and
values are read where they are. `attention_forward` and `attention_backward` write the two kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from amalthea.compiler import elementwise
from amalthea.compiler.contraction_nest import Axis, Nest
from amalthea.compiler.contraction_pack import pack, turned_square
from amalthea.compiler.contraction_tile import TileCode, View, convert, linear, offset
from amalthea.compiler.emitter import Emitter, literal, llvm_type
from amalthea.compiler.kernel_code import PLACEHOLDER
from amalthea.compiler.target import Target
from amalthea.core import dtypes
from amalthea.core.dtypes import DType

KEYS = 64
"""The most keys of a block: its scores and the block's keys and values lie in the first cache together."""

SHORT = 512
"""Queries below which blocks are half as large where keys after a query are left out: smaller blocks leave out more."""

LOW = -3.4028234663852886e38
"""The lowest float32: finite, so that as a first maximum it does no harm to keys at minus infinity."""

Index = str | int


@dataclass(frozen=True)
class Attention:
    """What is computed: shapes as in `ops.attention`.

    Attributes:
        batch, heads, queries, keys: sizes.
        size, width: of a query or key, and of a value.
        dtype: of query, key, value and the result.
        scale: of the products.
        causal: whether query i looks at keys 0 to i only.
        mask: dtype of the mask, and its steps along batch, heads, keys and queries (0 where it repeats); None for none.
    """

    batch: int
    heads: int
    queries: int
    keys: int
    size: int
    width: int
    dtype: DType
    scale: float
    causal: bool
    mask: tuple[DType, tuple[int, int, int, int]] | None = None

    @property
    def wide(self) -> DType:
        """The dtype of scores and sums."""
        return dtypes.float32 if self.dtype.itemsize < 4 else self.dtype

    @property
    def skips(self) -> bool:
        """Whether blocks of keys after the last query are left out: only where every query sees a key."""
        return self.causal and self.mask is None

    @property
    def lowest(self) -> float:
        """The logit of what is hidden, as in the composite's body."""
        return 0.7 * LOW


@dataclass(frozen=True)
class Matrix:
    """An operand of a product: an address, and steps along its rows (scalars; lanes where None) and the depth."""

    pointer: str
    dtype: DType
    row: int
    depth: int
    padded: bool = False


@dataclass(frozen=True)
class Place:
    """A head of one sample: its numbers in the batch and among the heads."""

    batch: str
    head: str


class AttentionWriter:
    """What the two kernels have in common."""

    def __init__(self, attention: Attention, target: Target, names: Sequence[str], written: Sequence[str]) -> None:
        self.a = attention
        self.wide = attention.wide
        self.lanes = target.lanes(self.wide)
        small = attention.skips and attention.queries < SHORT
        most = 4 if target.registers >= 32 and not small else 2
        self.columns = min(most, -(-attention.queries // self.lanes))
        self.most_rows = max((target.registers - most - (1 if target.fma else 3)) // most, 1)
        self.panel = self.columns * self.lanes  # queries of a block
        blocks = max(-(-attention.keys // (KEYS // 2 if small else KEYS)), 1)
        self.block = -(-attention.keys // blocks)  # keys of a block
        attributes = 'nounwind "prefer-vector-width"="512"' if target.vector_bytes >= 64 else "nounwind"
        parameters = [(f"ptr noalias nonnull{'' if n in written else ' readonly'}", n) for n in names]
        self.e = Emitter(PLACEHOLDER, [*parameters, ("i64", "lo"), ("i64", "hi")], "void", attributes)
        nest = Nest((), (), (), (), (), (), (), (), (), self.wide)
        self.code = TileCode(self.e, nest, self.lanes, False, 2)
        self.stacked = View(self.wide, 1, self.lanes, (), padded=True)

    # -- values --------------------------------------------------------------------------------

    def stack(self, elements: int) -> str:
        """Memory of the thread for that many numbers; to be asked for in the entry block."""
        return self.e.value(f"alloca {llvm_type(self.wide)}, i64 {elements}, align 64")

    def op(self, name: str, *values: str) -> str:
        """A pointwise op on vectors."""
        return elementwise.emit(self.e, name, values, [self.wide] * len(values), self.wide, self.lanes)

    def number(self, value: float) -> str:
        """A vector of one number."""
        return self.code.splat(literal(value, self.wide), self.wide, self.lanes)

    def at(self, pointer: str, dtype: DType, *terms: tuple[Index, int]) -> str:
        """The address `sum(index * step)` elements further."""
        constant = sum(i * step for i, step in terms if isinstance(i, int))
        total = linear(self.e, [(i, step) for i, step in terms if isinstance(i, str)], constant)
        return offset(self.e, pointer, total, dtype)

    def load(self, pointer: str, displacement: int = 0) -> str:
        """A vector of the thread's own memory."""
        return self.code.load(self.stacked, pointer, displacement, self.lanes, self.wide, self.lanes)

    def store(self, pointer: str, displacement: int, value: str) -> None:
        """A vector to the thread's own memory."""
        self.code.store(self.stacked, pointer, displacement, self.lanes, value, self.lanes)

    def fill(self, pointer: str, rows: int, columns: int, value: str) -> None:
        """The first columns of each row of a panel."""

        def row(i: str, carried: list[str]) -> list[str]:
            here = self.at(pointer, self.wide, (i, self.panel))
            for c in range(columns):
                self.store(here, c * self.lanes, value)
            return []

        if rows:
            self.e.repeat(rows, row)

    # -- blocks --------------------------------------------------------------------------------

    def blocks(self, total: int, size: int, body: Callable[[str, int], None], most: str = "") -> None:
        """`body(start, count)` for every block of a range; with `most`, for those that begin before that index."""
        e = self.e
        full, rest = divmod(total, size)

        def block(b: str, carried: list[str]) -> list[str]:
            body(e.value(f"mul nuw nsw i64 {b}, {size}"), size)
            return []

        if full and most:
            needed = e.value(f"udiv i64 {e.value(f'add nuw nsw i64 {most}, {size - 1}')}, {size}")
            e.loop("0", e.call("i64", "llvm.umin.i64", ("i64", needed), ("i64", str(full))), 1, block)
        elif full:
            e.repeat(full, block)
        if rest and most:
            inside, after = e.block("rest"), e.block("after")
            e.branch(e.value(f"icmp ugt i64 {most}, {full * size}"), inside, after)
            e.label(inside)
            body(str(full * size), rest)
            e.jump(after)
            e.label(after)
        elif rest:
            body(str(full * size), rest)

    def product(
        self,
        rows: int,
        left: Matrix,
        depth: int,
        right: Matrix,
        columns: int,
        valid: int,
        begin: Callable[[str, int], list[str]],
        end: Callable[[str, int, list[str]], None],
    ) -> None:
        """Tiles of `left @ right`: scalars of the left times vectors of the right.

        Args:
            rows, depth, columns: how many of each; columns are vectors, of which the last has `valid` lanes.
            left, right: the factors.
            begin: given a tile's first row and its number of rows, the values to add to, row by row.
            end: given those and the sums, what to do with them.
        """

        def tile(row: str, count: int) -> None:
            views = [
                View(left.dtype, 0, 0, tuple(i * left.row for i in range(count)), (left.depth,)),
                View(right.dtype, 1, self.lanes, (0,) * count, (right.depth,), padded=right.padded),
            ]
            pointers = [self.at(left.pointer, left.dtype, (row, left.row)), right.pointer]
            sums = begin(row, count)
            end(row, count, self.code.accumulate(views, pointers, [(Axis(depth, ()), depth)], columns, valid, sums))

        most = self.most_rows
        even = [n for n in range(min(most, rows), most * 2 // 3, -1) if rows % n == 0]
        self.blocks(rows, even[0] if even else most, tile)

    def zeros(self, columns: int) -> Callable[[str, int], list[str]]:
        """Sums that begin with nothing."""
        return lambda row, count: [self.code.zero(self.wide)] * (count * columns)

    def from_panel(self, panel: str, columns: int, factors: Sequence[str] = ()) -> Callable[[str, int], list[str]]:
        """Sums that begin with rows of a panel, each column times its factor."""

        def begin(row: str, count: int) -> list[str]:
            here = self.at(panel, self.wide, (row, self.panel))
            found = [self.load(here, i * self.panel + c * self.lanes) for i in range(count) for c in range(columns)]
            return [self.op("multiply", v, factors[i % columns]) for i, v in enumerate(found)] if factors else found

        return begin

    def to_panel(self, panel: str, columns: int) -> Callable[[str, int, list[str]], None]:
        """Sums that become rows of a panel."""

        def end(row: str, count: int, sums: list[str]) -> None:
            here = self.at(panel, self.wide, (row, self.panel))
            for i, value in enumerate(sums):
                self.store(here, i // columns * self.panel + i % columns * self.lanes, value)

        return end

    # -- queries --------------------------------------------------------------------------------

    def pack(self, pointer: str, panel: str, size: int, step: int, valid: int) -> None:
        """Turn rows of queries, `step` apart, into a panel with vectors along the queries."""
        columns = -(-valid // self.lanes)
        pack(self.code, self.a.dtype, pointer, panel, [(1, size)], [self.panel], step, valid, columns)

    def unpack(self, panel: str, pointer: str, size: int, step: int, valid: int, factors: Sequence[str] = ()) -> None:
        """Turn a panel back into rows, each column times its factor."""
        kind, zero, dtype = self.code.vector_type(self.wide), self.code.zero(self.wide), self.a.dtype
        goal = View(dtype, 1, self.lanes, ())

        def square(start: str, count: int) -> None:
            source, to = self.at(panel, self.wide, (start, self.panel)), self.at(pointer, dtype, (start, 1))
            for c in range(-(-valid // self.lanes)):
                rows = [self.load(source, i * self.panel + c * self.lanes) for i in range(count)]
                if factors:
                    rows = [self.op("multiply", row, factors[c]) for row in rows]
                rows = turned_square(self.e, kind, rows + [zero] * (self.lanes - count))
                for q in range(min(valid - c * self.lanes, self.lanes)):
                    value = convert(self.e, rows[q], self.wide, dtype, self.lanes)
                    self.code.store(goal, to, (c * self.lanes + q) * step, count, value, self.lanes)

        self.blocks(size, self.lanes, square)

    def lane_numbers(self, start: str, columns: int) -> list[str]:
        """For each column the numbers of its queries, as vectors of i32."""
        e, kind = self.e, f"<{self.lanes} x i32>"
        first = self.code.splat(e.value(f"trunc i64 {start} to i32"), dtypes.int32, self.lanes)
        found = []
        for c in range(columns):
            numbers = ", ".join(f"i32 {c * self.lanes + lane}" for lane in range(self.lanes))
            found.append(e.value(f"add {kind} {first}, <{numbers}>"))
        return found

    # -- scores --------------------------------------------------------------------------------

    def mask_at(self, place: Place, query: str) -> str:
        """The mask's address for the first key and a query."""
        if self.a.mask is None:
            return ""
        dtype, (batch, head, _, step) = self.a.mask
        return self.at("%mask", dtype, (place.batch, batch), (place.head, head), (query, step))

    def logit(self, product: str, seen: str | None, added: str | None) -> str:
        """The logits of a product, given which are seen (i1) and what is added."""
        value = self.op("multiply", product, self.number(self.a.scale))
        if added is not None:
            value = self.op("add", value, added)
        if seen is None:
            return value
        kind = self.code.vector_type(self.wide)
        lowest = self.number(self.a.lowest)
        return self.e.value(f"select <{self.lanes} x i1> {seen}, {kind} {value}, {kind} {lowest}")

    def sight(
        self, key: str, row: int, column: int, valid: int, mask: str, numbers: Sequence[str]
    ) -> tuple[str | None, str | None]:
        """For one vector of queries and key `key + row`: which are seen (None: all), and what is added (None)."""
        e, seen, added = self.e, None, None
        if self.a.mask is not None:
            dtype, (_, _, key_step, step) = self.a.mask
            view = View(dtype, step, self.lanes * step, ())
            here = self.at(mask, dtype, (key, key_step))
            boolean = dtypes.is_bool(dtype)
            to = dtype if boolean else self.wide
            value = self.code.load(view, here, row * key_step + column * view.column, valid, to, self.lanes)
            if boolean:
                seen = e.value(f"icmp ne <{self.lanes} x i8> {value}, zeroinitializer")
            else:
                added = value
        if self.a.causal:
            number = e.value(f"trunc i64 {e.value(f'add nuw nsw i64 {key}, {row}')} to i32")
            keys = self.code.splat(number, dtypes.int32, self.lanes)
            causal = e.value(f"icmp sge <{self.lanes} x i32> {numbers[column]}, {keys}")
            seen = causal if seen is None else e.value(f"and <{self.lanes} x i1> {seen}, {causal}")
        return seen, added
