"""The choice of a tiling: every sensible one is priced in processor cycles by a small model of the target.

The model knows what a superscalar processor does in a cycle (two vector multiply-adds and two loads, with a latency of
four), how many registers there are, and what it costs to find the column operand beyond the first cache. It was fitted
to measurements, but holds no table of shapes or processors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import gcd, prod

from amalthea.compiler.contraction_kernel import Cut, Tiling
from amalthea.compiler.contraction_nest import Axis, Nest
from amalthea.compiler.target import Target

LINE = 64
"""Bytes of a cache line."""

PANEL_BYTES = 128 << 10
"""The most that a panel, and the most that partial sums take on a thread's stack."""

LATENCY = 4
PORTS = 2
CACHE_PERIOD = 4096
"""Bytes after which addresses fall on the same set of the first cache again; also a page."""

SWEEP = 16
"""Rows of a matrix that are read side by side where all of it is read once: as many as processors fetch ahead for."""

TILE_CYCLES = 40
"""What a tile costs besides its loop: addresses, branches, a mispredicted end."""

THREADS = 4
"""Kernels with less than about this many equal parts are priced as if parts were wasted."""


def tilings(nest: Nest, target: Target, limit: int = 1) -> list[Tiling]:
    """The best tilings by the model, cheapest first.

    Args:
        nest: what is computed.
        target: for which machine.
        limit: how many are wanted; more than one to choose among them by measuring.
    """
    if not nest.count("batch") * nest.count("rows") * nest.count("columns"):
        return [Tiling("dot", False, -1, 1, 1, -1, 1)]  # there is nothing to compute
    priced = sorted(
        ((cost(nest, tiling, target), i, tiling) for i, tiling in enumerate(candidates(nest, target))),
        key=lambda item: item[:2],
    )
    return [tiling for _, _, tiling in priced[:limit]]


def candidates(nest: Nest, target: Target) -> Iterator[Tiling]:
    """Tilings that fit the registers and are not plainly worse than another."""
    full = target.lanes(nest.accumulate)
    result = nest.results[0][0]
    turns = [False, True] if len(nest.factors) == 2 else [False]
    # Vectors along an axis that is contiguous in the output; in any other only where there is none.
    contiguous = {turn: _unit(nest.rows if turn else nest.columns, result) for turn in turns}
    lanes_axis = _unit(nest.batch, result)
    for turn in turns:
        turned = nest.swapped() if turn else nest
        found = False
        if contiguous[turn] is not None or (lanes_axis is None and not any(v is not None for v in contiguous.values())):
            index = contiguous[turn]
            for i in range(len(turned.columns)) if index is None else (index,):
                found = True
                yield from _outer(turned, target, "outer", turn, i, turned.columns[i].size, full)
        if not turn and nest.batch:
            found = True
            i = lanes_axis if lanes_axis is not None else len(nest.batch) - 1
            yield from _outer(turned, target, "lanes", turn, i, nest.batch[i].size, full)
        columns = turned.columns[-1].size if turned.columns else 1
        for i, axis in enumerate(turned.depth):
            if axis.size > 1 and all(axis.steps[f] == 1 for f in nest.factors):
                found = True
                lanes = _lanes(axis.size, full)
                yield from _boxes(turned, target, Tiling("dot", turn, i, lanes, 1, -1, 1), columns)
        if not found:
            yield from _boxes(turned, target, Tiling("dot", turn, -1, 1, 1, -1, 1), columns)


def _unit(axes: tuple[Axis, ...], array: int) -> int | None:
    """The axis along which an array is contiguous."""
    return next((i for i, axis in enumerate(axes) if axis.steps[array] == 1), None)


def _lanes(size: int, full: int) -> int:
    """Lanes of a vector along an axis: a whole register, or the power of two that holds a short axis."""
    return min(full, 1 << (size - 1).bit_length())


def _outer(nest: Nest, target: Target, form: str, turn: bool, index: int, size: int, full: int) -> Iterator[Tiling]:
    """Tilings of the outer and the lanes form along one axis."""
    lanes = _lanes(size, full)
    for tiling in _boxes(nest, target, Tiling(form, turn, index, lanes, 1, -1, 1), -(-size // lanes)):
        yield from _with_blocks(nest, tiling, target)


def _boxes(nest: Nest, target: Target, tiling: Tiling, most_columns: int) -> Iterator[Tiling]:
    """The tiling with numbers of columns and boxes of rows that fit the registers and fill them well."""
    made: list[tuple[int, Tiling]] = []
    for columns in range(1, min(most_columns, 8) + 1):
        if columns > 1 and columns != _even(most_columns, columns) and most_columns < 24:
            continue
        # Beside the sums: the vectors of a step, one spread scalar, and without fused instructions the products.
        most_rows = max((target.registers - columns - (1 if target.fma else 3)) // columns, 1)
        if not nest.rows:
            made.append((columns, replace(tiling, columns=columns)))
            continue
        inner = 1
        for axis in range(len(nest.rows) - 1, -1, -1):
            size = nest.rows[axis].size
            most = min(size, most_rows // inner)
            for rows in range(most, 0, -1):
                if rows == _even(size, rows) or rows == most:
                    made.append((rows * inner * columns, replace(tiling, columns=columns, row_axis=axis, rows=rows)))
            inner *= size
            if inner > most_rows:
                break
    enough = min(max(points for points, _ in made) // 2, 2 * LATENCY * PORTS)
    for points, one in made:
        if points >= enough:
            yield replace(one, unroll=max(min(64 // points, 8), 1))


def _even(size: int, part: int) -> int:
    """The least part that cuts an axis into as many pieces as `part` does."""
    return -(-size // -(-size // part))


def _with_blocks(nest: Nest, tiling: Tiling, target: Target) -> Iterator[Tiling]:
    """The tiling as it is and packed, each with the depth in blocks where a piece of the column operand is large."""
    cut = Cut(nest, tiling)
    size = nest.accumulate.itemsize
    column_factor = nest.factors[-1]
    step = cut.vector_axis.steps[column_factor] if cut.vector_axis is not None else 0
    can_pack = len(nest.factors) == 2 and step != 0 and prod(cut.row_sizes) > 1
    limits = [min(PANEL_BYTES, target.l2 // 4)]
    if nest.depth and abs(nest.depth[-1].steps[nest.factors[0]]) != 1:
        limits.append(target.l1 * 2 // 3)  # so that lines of the row operand stay until the next tile uses their rest
    for packed in (False, True) if can_pack else (False,):
        plain = replace(tiling, packed=packed)
        made = {plain}
        for limit in limits:
            most = max(limit // (cut.chunk_width * size), 16)
            if (packed or prod(cut.row_sizes) > 1) and nest.count("depth") > most:
                made.discard(plain)
                blocked = _block_depth(nest, plain, most)
                made.add(blocked)
                if nest.holder is not None and cut.chunks[0] > 1:
                    made.add(replace(blocked, outside=True))
        if _sweeps(cut, target) and nest.count("depth") > SWEEP:
            made.add(replace(_block_depth(nest, tiling, SWEEP), outside=True))
        for one in sorted(made, key=repr):
            if one.depth_axis >= 0 and nest.holder is None:
                rows = prod(axis.size for axis in nest.rows[one.row_axis + 1 :]) * one.rows if nest.rows else 1
                yield replace(one, tiles=max(PANEL_BYTES // (rows * one.columns * one.lanes * size), 1))
            elif cut.chunks[0] > 1 and nest.rows:
                yield replace(one, tiles=_tiles_in_cache(nest, one, target))
            else:
                yield one


def _sweeps(cut: Cut, target: Target) -> bool:
    """Whether a matrix is read once only, by few rows: it may be read row by row, adding to a small output."""
    nest = cut.nest
    f = nest.factors[-1]
    once = len(nest.factors) == 2 and prod(cut.row_sizes) == 1 and nest.holder is not None
    if not once or cut.vector_axis is None or cut.vector_axis.steps[f] != 1 or cut.chunks[0] < 2:
        return False
    return nest.count("depth") * nest.count("columns") * nest.arrays[f].dtype.itemsize > target.l2 // 2


def _block_depth(nest: Nest, tiling: Tiling, most: int) -> Tiling:
    """Cut the depth into blocks of at most about `most` steps, of equal size where that is possible."""
    inner = 1
    for index in range(len(nest.depth) - 1, -1, -1):
        size = nest.depth[index].size
        if inner * size > most or index == 0:
            largest = max(most // inner, 1)
            blocks = -(-size // largest)
            even = [n for n in range(-(-size // blocks), max(largest // 2, 1) - 1, -1) if size % n == 0]
            about = -(-size // blocks)
            depth = even[0] if even else min(about + -about % tiling.unroll, size)
            return replace(tiling, depth_axis=index, depth=depth)
        inner *= size
    return tiling


def _tiles_in_cache(nest: Nest, tiling: Tiling, target: Target) -> int:
    """Tiles of rows whose operand stays in the second cache from one chunk of columns to the next."""
    depth = nest.count("depth")
    if tiling.depth_axis >= 0:
        depth = tiling.depth * prod(axis.size for axis in nest.depth[tiling.depth_axis + 1 :])
    used = tiling.rows * prod(axis.size for axis in nest.rows[tiling.row_axis + 1 :]) * depth
    return max((target.l2 // 2) // max(used * nest.arrays[nest.factors[0]].dtype.itemsize, 1), 8)


# -- the model ---------------------------------------------------------------------------------------------------------


def cost(nest: Nest, tiling: Tiling, target: Target) -> float:
    """Estimated cycles of the whole kernel on one thread, with a share for parts that do not divide evenly."""
    cut = Cut(nest.swapped() if tiling.swap else nest, tiling)
    nest = cut.nest
    if not nest.count("batch") * nest.count("rows") * nest.count("columns"):
        return 0.0
    depth = nest.count("depth")
    steps = depth
    if tiling.form == "dot" and cut.vector_axis is not None:
        steps = depth // max(cut.vector_axis.size, 1) * -(-cut.vector_axis.size // tiling.lanes)
    chunks, kinds = cut.chunks
    inner_rows = prod(axis.size for axis in nest.rows[tiling.row_axis + 1 :]) if nest.rows else 1
    tiles = prod(cut.row_sizes)
    last_tiles = tiles // cut.row_sizes[-1] if len(cut.row_counts) == 2 else 0
    blocks = prod(cut.depth_sizes)
    miss = _miss(cut, target, steps)
    total = 0.0
    for k, chunk in enumerate(kinds):
        of_kind = 1 if len(kinds) == 2 and k == 1 else chunks - (len(kinds) - 1)
        group = 0.0
        for r, count in enumerate(cut.row_counts):
            tiles_of_kind = last_tiles if len(cut.row_counts) == 2 and r == 1 else tiles - last_tiles
            rows = count * inner_rows
            group += tiles_of_kind * (
                steps * (_step(cut, target, rows, chunk.columns, miss) + _row_lines(cut, target, rows))
                + TILE_CYCLES * blocks
                + _ends(cut, target, rows * chunk.columns, blocks)
            )
        once = _packing(cut, depth, chunk.columns) + _first_read(cut, target, depth, chunk.columns)
        group += cut.row_blocks[0] * once
        total += of_kind * group
    total *= prod(axis.size for axis in cut.outer)
    extent = cut.groups * cut.row_blocks[1]
    uneven = -(-extent // THREADS) * THREADS / extent
    return total * (1 + 0.3 * (uneven - 1)) if total > 20000 else total


def _step(cut: Cut, target: Target, rows: int, columns: int, miss: float) -> float:
    """Cycles of one step of the depth in one tile."""
    nest, tiling = cut.nest, cut.tiling
    points = rows * columns
    multiply = points / PORTS
    if not nest.accumulate.is_floating:
        multiply *= 3 if nest.accumulate.itemsize >= 4 else 2
    elif not target.fma:
        multiply *= 2
    loads, conflicts = 0.0, 1.0
    for f in nest.factors:
        of_columns = f == nest.factors[-1]
        packed = tiling.packed and of_columns
        by_row = any(axis.steps[f] for axis in nest.rows) and not packed
        by_column = packed or (cut.chunk_axis is not None and cut.chunk_axis.steps[f] != 0)
        number = (rows if by_row else 1) * (columns if by_column else 1)
        vector = 1 if packed else cut.vector_axis.steps[f] if cut.vector_axis is not None else 0
        each = 1.0 if vector in (0, 1) else 3.0 * tiling.lanes
        if nest.arrays[f].dtype != nest.accumulate and not packed:
            each += 2.0
        loads += number * each
        if by_row and not by_column:
            conflicts = max(conflicts, _conflicts(cut, f, rows))
    return max(multiply * conflicts, loads / PORTS, (points + loads) / 5, LATENCY) + miss * columns


def _conflicts(cut: Cut, factor: int, rows: int) -> float:
    """A slow-down where too many rows of a tile share the same sets of the first cache."""
    along = cut.nest.rows[cut.tiling.row_axis]
    step = abs(along.steps[factor]) * cut.nest.arrays[factor].dtype.itemsize
    if step < LINE:
        return 1.0
    sets = CACHE_PERIOD // gcd(step, CACHE_PERIOD)
    return 1.25 if -(-min(cut.tiling.rows, rows) // sets) > 8 else 1.0


def _row_lines(cut: Cut, target: Target, rows: int) -> float:
    """Extra cycles of a step for the row operand, of which every tile reads rows that the first cache does not have."""
    nest, tiling = cut.nest, cut.tiling
    f = nest.factors[0]
    if len(nest.factors) < 2 or tiling.row_axis < 0 or not cut.inner_depth:
        return 0.0
    size = nest.arrays[f].dtype.itemsize
    tiles = min(prod(cut.row_sizes), cut.row_blocks[1])
    now = prod(count for _, count in cut.inner_depth)  # of the depth between two uses of the same row operand
    block = tiles * rows * now * size
    if block < target.l1 // 3:
        return 0.0
    later = tiles * rows * size * (now if tiling.outside else nest.count("depth"))
    each = 2.5 if later <= target.l2 // 2 else 4.0
    if tiling.form == "dot" and tiling.lanes > 1:  # whole vectors at a time
        return rows * (1.0 if later <= target.l2 // 2 else 5.0)
    depth_step, row_step = abs(cut.inner_depth[-1][0].steps[f]) * size, abs(nest.rows[-1].steps[f]) * size
    if depth_step < LINE:
        lines = rows * min(max(depth_step, 1), LINE) / LINE
        if row_step < depth_step * cut.inner_depth[-1][1]:  # windows that overlap
            lines /= 2
        return lines * each
    lines = rows * min(row_step, LINE) / LINE
    panel = now * cut.chunk_width * nest.accumulate.itemsize if tiling.packed else 0
    if panel + now * LINE > target.l1 * 4 // 5:  # a line is gone before the next tile uses its other elements
        lines = max(lines, 1.0)
    return lines * (each + (2.0 if depth_step >= CACHE_PERIOD else 0.0))  # another page at every step


def _miss(cut: Cut, target: Target, steps: int) -> float:
    """Extra cycles for each vector of the column operand that the first cache has lost since the tile before."""
    nest, tiling = cut.nest, cut.tiling
    if tiling.form == "dot" and tiling.lanes > 1:
        return 0.5 if steps * tiling.columns > target.l1 // LINE // 2 else 0.0
    if len(nest.factors) < 2 or prod(cut.row_sizes) == 1:
        return 0.0
    steps = min(steps, prod(count for _, count in cut.inner_depth)) if cut.inner_depth else steps
    f = nest.factors[-1]
    size = nest.accumulate.itemsize if tiling.packed else nest.arrays[f].dtype.itemsize
    lines = steps * tiling.columns * max(tiling.lanes * size // LINE, 1)
    capacity = target.l1 // LINE // 2
    if tiling.packed:
        return 0.2 if lines > capacity else 0.0
    stride = abs(cut.inner_depth[-1][0].steps[f]) * size if cut.inner_depth else 0
    if stride >= LINE:
        sets = min(CACHE_PERIOD // gcd(stride, CACHE_PERIOD) * max(tiling.columns, 1), LINE)
        capacity = capacity * sets // LINE
    if lines <= capacity:
        return 0.0
    if stride <= 1024:
        return 0.35
    return 6.0 if stride % 4096 == 0 else 1.3


def _packing(cut: Cut, depth: int, columns: int) -> float:
    """Cycles to pack one group's piece of the column operand."""
    if not cut.tiling.packed or cut.vector_axis is None:
        return 0.0
    f = cut.nest.factors[-1]
    step, lanes = cut.vector_axis.steps[f], cut.tiling.lanes
    if step == 1:
        each = 2.5
    elif cut.inner_depth and cut.inner_depth[-1][0].steps[f] == 1 and cut.inner_depth[-1][0].size >= lanes:
        each = 7.0
    else:
        each = 3.0 * lanes
    return each * depth * columns


def _first_read(cut: Cut, target: Target, depth: int, columns: int) -> float:
    """Cycles of one group to fetch its piece of a column operand that lies beyond the second cache."""
    nest = cut.nest
    f = nest.factors[-1]
    size = nest.arrays[f].dtype.itemsize
    whole = depth * size * prod(axis.size for axis in nest.columns)
    if len(nest.factors) < 2 or whole <= target.l2 // 2:
        return 0.0
    width = 1 if cut.tiling.form == "dot" else cut.tiling.lanes
    lines = depth * columns * width * size / LINE
    if cut.tiling.outside and cut.tiling.depth <= SWEEP and prod(cut.row_sizes) == 1:  # whole rows, one after the other
        return lines * 6.0
    return lines * (10.0 + 8.0 / columns)


def _ends(cut: Cut, target: Target, points: int, blocks: int) -> float:
    """Cycles to keep partial sums, to reduce and to store."""
    nest, tiling = cut.nest, cut.tiling
    again = 3.0  # to load and store the sums of a block of the depth
    if tiling.outside:
        written = nest.count("batch") * nest.count("rows") * nest.count("columns") * nest.accumulate.itemsize
        again = 6.0 if written <= target.l2 // 2 else 16.0
    total = again * points * (blocks - 1)
    for a in (*nest.operands, *(a for a, _ in nest.results)):
        vector = cut.vector_axis.steps[a] if cut.vector_axis is not None else 0
        total += points * (1.0 if tiling.form == "dot" or vector in (0, 1) else 3.0 * tiling.lanes)
    total += 4.0 * points * len(nest.steps)
    if tiling.form == "dot" and tiling.lanes > 1:
        total += points * 1.5 * tiling.lanes.bit_length()
    return total
