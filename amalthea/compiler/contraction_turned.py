"""Turning the row operand around beforehand, where its rows are contiguous and the depth takes far steps.

In the gradient of a matrix product in its weights, each step along the depth is a step over a whole row of the batch:
another page, and for most widths the same few sets of the cache. A kernel of its own then writes the operand with the
depth contiguous (and in the dtype of the sums) into scratch memory, once for all columns.
"""

from __future__ import annotations

from dataclasses import replace

from amalthea.compiler.contraction_nest import Array, Axis, Nest
from amalthea.compiler.contraction_pack import pack
from amalthea.compiler.contraction_tile import TileCode, decode, linear, offset
from amalthea.compiler.emitter import Emitter
from amalthea.compiler.kernel_code import PLACEHOLDER, KernelCode, finished
from amalthea.compiler.target import Target

ROWS = 64
"""Rows that one part of the turning kernel writes."""

VECTOR_CYCLES = 12.0
"""What it costs to turn one vector and to write it to memory."""


def can_turn(nest: Nest) -> bool:
    """Whether the row operand is a plain matrix (for each batch) whose rows are contiguous."""
    f = nest.factors[0]
    if len(nest.factors) != 2 or len(nest.rows) != 1 or len(nest.depth) != 1:
        return False
    return nest.rows[0].steps[f] == 1 and nest.depth[0].steps[f] >= nest.rows[0].size


def turning_cycles(nest: Nest, target: Target) -> float:
    """The turning kernel's cycles, in the terms of the cost model."""
    return (
        VECTOR_CYCLES * nest.count("batch") * nest.count("rows") * nest.count("depth") / target.lanes(nest.accumulate)
    )


def turned(nest: Nest, target: Target) -> tuple[Nest, int]:
    """The nest that reads the turned operand from "scratch0", and the bytes of that."""
    f, lanes = nest.factors[0], target.lanes(nest.accumulate)
    rows, depth = nest.rows[0], nest.depth[0]
    padded = -(-depth.size // lanes) * lanes

    def with_step(axis: Axis, step: int) -> Axis:
        return Axis(axis.size, (*axis.steps[:f], step, *axis.steps[f + 1 :]))

    batch, step = [], rows.size * padded
    for axis in reversed(nest.batch):
        shared = axis.steps[f] == 0
        batch.append(with_step(axis, 0 if shared else step))
        step *= 1 if shared else axis.size
    arrays = list(nest.arrays)
    arrays[f] = Array("scratch0", nest.accumulate, 0)
    made = replace(
        nest,
        batch=tuple(reversed(batch)),
        rows=(with_step(rows, padded),),
        depth=(with_step(depth, 1),),
        arrays=tuple(arrays),
    )
    return made, step * nest.accumulate.itemsize


def turning_kernel(nest: Nest, target: Target) -> KernelCode:
    """The kernel that fills "scratch0" from the row operand: its parts are pieces of the rows of each batch."""
    f = nest.factors[0]
    array, lanes = nest.arrays[f], target.lanes(nest.accumulate)
    rows, depth = nest.rows[0], nest.depth[0]
    vectors = -(-depth.size // lanes)
    batch = [axis for axis in nest.batch if axis.steps[f]]
    pieces = -(-rows.size // ROWS)
    parameters = [("ptr noalias nonnull readonly", array.name), ("ptr noalias nonnull", "scratch0")]
    attributes = 'nounwind "prefer-vector-width"="512"' if target.vector_bytes >= 64 else "nounwind"
    e = Emitter(PLACEHOLDER, [*parameters, ("i64", "lo"), ("i64", "hi")], "void", attributes)
    code = TileCode(e, nest, lanes, False, 1)

    def part(index: str, carried: list[str]) -> list[str]:
        indices = decode(e, index, [*(axis.size for axis in batch), pieces])
        first = e.value(f"mul nuw nsw i64 {indices[-1]}, {ROWS}")
        terms = [(i, axis.steps[f]) for i, axis in zip(indices, batch, strict=False)]
        source = offset(e, f"%{array.name}", linear(e, [*terms, (first, 1)], array.offset), array.dtype)
        flat, step = [], rows.size
        for i, axis in reversed(list(zip(indices, batch, strict=False))):
            flat.append((i, step * vectors * lanes))
            step *= axis.size
        goal = offset(e, "%scratch0", linear(e, [*flat, (first, vectors * lanes)]), nest.accumulate)
        left = e.value(f"sub nsw i64 {rows.size}, {first}")
        count = e.call("i64", "llvm.smin.i64", ("i64", left), ("i64", str(ROWS)))
        exact = rows.size % ROWS == 0
        pack(
            code, array.dtype, source, goal, [(1, ROWS if exact else count)], [vectors * lanes],
            depth.steps[f], depth.size, vectors,
        )  # fmt: skip
        return []

    e.loop("%lo", "%hi", 1, part)
    e.ret()
    extent = pieces
    for axis in batch:
        extent *= axis.size
    size = nest.count("rows") * depth.size * (extent // pieces)
    traffic = size * (array.dtype.itemsize + nest.accumulate.itemsize)
    return finished("turn", e, extent, 0, traffic, f"turned, {ROWS} rows a part")
