"""Packing: a piece of the column operand copied into a panel, rows of the depth one after another.

In a panel the vectors that a tile needs next lie next to each other, in the dtype of the sums, padded with zeros to
whole vectors. It pays where the operand does not have unit steps along the columns, where its rows fall on the same
cache sets, or where conversion would otherwise be repeated for every tile.
"""

from __future__ import annotations

from collections.abc import Sequence

from amalthea.compiler.contraction_tile import TileCode, View, convert
from amalthea.compiler.emitter import Emitter, literal, llvm_type
from amalthea.core.dtypes import DType


def pack(
    code: TileCode,
    dtype: DType,
    pointer: str,
    panel: str,
    depth: Sequence[tuple[int, int | str]],
    packed: Sequence[int],
    step: int,
    valid: int,
    vectors: int,
) -> None:
    """Copy one piece of an operand into a panel.

    Args:
        code: the writer of tiles, for its emitter and lanes.
        dtype: of the operand; the panel has the dtype of the sums.
        pointer: the piece's first element.
        panel: where it goes.
        depth: step and count of each depth axis.
        packed: the panel's step for each depth axis.
        step: from column to column.
        valid: columns that exist; the others, up to whole vectors, become zeros.
        vectors: of a row of the panel.
    """
    e = code.e
    if not depth:
        _rows(code, dtype, pointer, panel, step, valid, vectors)
        return

    def level(i: int, source: str, goal: str) -> None:
        (source_step, count), goal_step = depth[i], packed[i]
        inner = i == len(depth) - 1
        if inner and source_step == 1 and step not in (0, 1) and code.lanes > 1:
            _transpose(code, dtype, source, goal, count, goal_step, step, valid, vectors)
            return

        def body(k: str, carried: list[str]) -> list[str]:
            view, to = View(dtype, 1, 0, ()), View(code.nest.accumulate, 1, 0, ())
            a = code.opaque(code.at(view, source, e.value(f"mul nsw i64 {k}, {source_step}")))
            b = code.opaque(code.at(to, goal, e.value(f"mul nsw i64 {k}, {goal_step}")))
            if inner:
                _rows(code, dtype, a, b, step, valid, vectors)
            else:
                level(i + 1, a, b)
            return []

        e.loop("0", str(count), 1, body)

    level(0, pointer, panel)


def _rows(code: TileCode, dtype: DType, source: str, goal: str, step: int, valid: int, vectors: int) -> None:
    """One row of the panel."""
    lanes, accumulate = code.lanes, code.nest.accumulate
    view = View(dtype, step, step * lanes, ())
    to = View(accumulate, 1, lanes, (), padded=True)
    for j in range(vectors):
        here = min(valid - j * lanes, lanes)
        value = code.load(view, source, j * view.column, here, accumulate, lanes)
        code.store(to, goal, j * lanes, lanes, value, lanes)


def _transpose(
    code: TileCode,
    dtype: DType,
    source: str,
    goal: str,
    count: int | str,
    goal_step: int,
    step: int,
    valid: int,
    vectors: int,
) -> None:
    """Rows of the panel from an operand that is contiguous along the depth: squares of lanes x lanes are turned."""
    e, lanes, accumulate = code.e, code.lanes, code.nest.accumulate
    kind, zero = code.vector_type(accumulate), code.zero(accumulate)
    along, to = View(dtype, 1, 0, ()), View(accumulate, 1, 0, (), padded=True)
    squares = count // lanes if isinstance(count, int) else e.value(f"udiv i64 {count}, {lanes}")

    def vector(j: str | None, here: int) -> None:
        """Columns `j * lanes` and on (None: of the last, incomplete vector), of which `here` exist."""
        last = valid // lanes * lanes
        first = last * step if j is None else e.value(f"mul nuw nsw i64 {j}, {lanes * step}")
        first_out = last if j is None else e.value(f"mul nuw nsw i64 {j}, {lanes}")
        begin, end = code.at(along, source, first), code.at(to, goal, first_out)

        def square(k: str, carried: list[str]) -> list[str]:
            start = e.value(f"mul nuw nsw i64 {k}, {lanes}")
            a = code.opaque(code.at(along, begin, start))
            b = code.opaque(code.at(to, end, e.value(f"mul nuw nsw i64 {start}, {goal_step}")))
            rows = [code.load(along, a, c * step, lanes, accumulate, lanes) if c < here else zero for c in range(lanes)]
            for i, row in enumerate(turned_square(e, kind, rows)):
                code.store(to, b, i * goal_step, lanes, row, lanes)
            return []

        if squares:
            e.loop("0", str(squares), 1, square)
        if isinstance(count, int) and count % lanes == 0:
            return
        done = str(count // lanes * lanes) if isinstance(count, int) else e.value(f"mul i64 {squares}, {lanes}")

        def rest(k: str, carried: list[str]) -> list[str]:
            b = code.opaque(code.at(to, end, e.value(f"mul nuw nsw i64 {k}, {goal_step}")))
            a = code.opaque(code.at(along, begin, k))
            for c in range(lanes):
                value = literal(0, accumulate)
                if c < here:
                    address = code.at(along, a, c * step)
                    one = e.value(f"load {llvm_type(dtype)}, ptr {address}, align {dtype.itemsize}")
                    value = convert(e, one, dtype, accumulate)
                address = code.at(to, b, c)
                e.line(f"store {llvm_type(accumulate)} {value}, ptr {address}, align {accumulate.itemsize}")
            return []

        e.loop(done, str(count), 1, rest)

    def whole(j: str, carried: list[str]) -> list[str]:
        vector(j, lanes)
        return []

    if valid >= lanes:
        e.loop("0", str(valid // lanes), 1, whole)
    if valid % lanes:
        vector(None, valid % lanes)


def turned_square(e: Emitter, kind: str, rows: Sequence[str]) -> list[str]:
    """The columns of a square of vectors, by exchanging halves, quarters and so on: log2(lanes) rounds of shuffles."""
    lanes, half, rows = len(rows), 1, list(rows)
    while half < lanes:
        low = ", ".join(f"i32 {p if not p & half else (p ^ half) + lanes}" for p in range(lanes))
        high = ", ".join(f"i32 {p | half if not p & half else p + lanes}" for p in range(lanes))
        for i in range(lanes):
            if not i & half:
                pair = f"{kind} {rows[i]}, {kind} {rows[i | half]}"
                first = e.value(f"shufflevector {pair}, <{lanes} x i32> <{low}>")
                second = e.value(f"shufflevector {pair}, <{lanes} x i32> <{high}>")
                rows[i], rows[i | half] = first, second
        half *= 2
    return rows
