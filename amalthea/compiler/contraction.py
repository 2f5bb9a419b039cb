"""Kernels for sums of products: matrix products of every kind, einsum's two-operand cases, and convolutions.

`generate` turns a `Contraction` into LLVM code: the nest in normal form (`contraction_nest`), the choice of a tiling by
a cost model (`contraction_tiles`), and the kernel (`contraction_kernel`, with `contraction_tile` and
`contraction_pack` for its inside). `contraction_convolution` describes convolutions and their gradients.

bfloat16, float16 and int8 are converted where they are loaded or packed, float32 or int32 sums converted once at the
end. Where the target multiplies *words* of them in one instruction (`contraction_units`) and the model finds that
faster, the kernels are those of `contraction_blocks`, on panels of words (`contraction_words`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from amalthea.compiler.contraction_blocks import blocks_of, cycles
from amalthea.compiler.contraction_blocks_kernel import write_kernels
from amalthea.compiler.contraction_kernel import Tiling, parts_of, write_kernel
from amalthea.compiler.contraction_nest import (
    Array,
    Axis,
    Constant,
    Contraction,
    Epilogue,
    Nest,
    Step,
    Strides,
    nest_of,
)
from amalthea.compiler.contraction_tile import Emit
from amalthea.compiler.contraction_tiles import cost, tilings
from amalthea.compiler.contraction_turned import can_turn, turned, turning_cycles, turning_kernel
from amalthea.compiler.kernel_code import KernelCode
from amalthea.compiler.target import Target
from amalthea.core import dtypes
from amalthea.core.dtypes import DType

SPLIT_PARTS = 16
"""Into how many parts a long depth is split where the output alone would give fewer."""

TURN_FLOPS = 1 << 24
"""The least work for which an operand may be turned around beforehand; less is not worth a meeting of the threads."""

SPLIT_DEPTH = 512
"""The least depth that is split."""

SPLIT_FLOPS = 1 << 18
"""The least work of one part."""


@dataclass(frozen=True)
class Generated:
    """The kernels of one contraction, to be run one after the other.

    Attributes:
        kernels: mostly one.
        arguments: for each kernel the names of its arrays, in order: "x", "y", "operand0", ..., "out0", ..., and
            "scratch0" for memory that the program provides between the kernels.
        scratch: bytes of each scratch buffer.
    """

    kernels: tuple[KernelCode, ...]
    arguments: tuple[tuple[str, ...], ...]
    scratch: tuple[int, ...] = ()


def generate(
    contraction: Contraction, target: Target, tiling: Tiling | None = None, pointwise: Emit | None = None
) -> Generated:
    """Generate the kernels of a contraction.

    Args:
        contraction: what to compute.
        target: for which machine.
        tiling: how to cut it, e.g. one of `choices(...)` that was measured; None chooses by the cost model.
        pointwise: how to emit the epilogue's ops; None is `amalthea.compiler.elementwise.emit`.

    A dense layer's product in one kernel:

    >>> from amalthea.core.dtypes import float32
    >>> product = from_subscripts("ij,jk->ik", (32, 784), (784, 128), float32)
    >>> made = generate(product, Target.named("avx2"))
    >>> made.arguments, made.kernels[0].flops
    ((('x', 'y', 'out0'),), 6422528)
    """
    if contraction.epilogue is not None and contraction.epilogue.steps and pointwise is None:
        from amalthea.compiler import elementwise

        pointwise = elementwise.emit
    nest = nest_of(contraction)
    chosen = tiling or tilings(nest, target)[0]
    if tiling is None:
        words = generate_blocks(nest, chosen, target, pointwise)
        if words is not None:
            return words
        around = generate_turned(nest, chosen, target, pointwise)
        if around is not None:
            return around
        split = _split(nest, parts_of(nest, chosen))
        if split is not None:
            return _generate_split(nest, *split, target, pointwise)
    return Generated((write_kernel(nest, chosen, target, pointwise),), (_names(nest),))


def choices(contraction: Contraction, target: Target, limit: int = 8) -> list[Tiling]:
    """The most promising tilings, best first by the cost model: what to measure when tuning is asked for."""
    return tilings(nest_of(contraction), target, limit)


def _names(nest: Nest) -> tuple[str, ...]:
    return tuple(array.name for array in nest.arrays)


def generate_blocks(
    nest: Nest, chosen: Tiling, target: Target, pointwise: Emit | None, always: str = ""
) -> Generated | None:
    """Kernels with instructions that multiply words of bfloat16 or int8; None where there are none or not faster ones.

    Args:
        nest, target, pointwise: as for `generate`.
        chosen: the best tiling without such instructions, to compare with.
        always: part of the name of an instruction to use wherever it is possible.
    """
    found = [b for b in blocks_of(nest, target) if always in b.unit.intrinsic]
    best = min(found, key=cycles, default=None)
    if best is None or (not always and cycles(best) > cost(nest, chosen, target)):
        return None
    kernels, arguments = write_kernels(best, target, pointwise)
    return Generated(kernels, arguments, (best.scratch,))


def generate_turned(
    nest: Nest, chosen: Tiling, target: Target, pointwise: Emit | None, always: bool = False
) -> Generated | None:
    """A kernel that turns the row operand around and one for the sums; None where that is not possible or not faster.

    Args:
        nest, target, pointwise: as for `generate`.
        chosen: the best tiling without turning, to compare with.
        always: wherever it is possible.
    """
    oriented = nest.swapped() if chosen.swap else nest
    if chosen.form != "outer" or not can_turn(oriented) or (nest.flops < TURN_FLOPS and not always):
        return None
    other, size = turned(oriented, target)
    tiling = tilings(other, target)[0]
    priced = cost(other, tiling, target) + turning_cycles(oriented, target)
    if priced > cost(nest, chosen, target) and not always:
        return None
    first, second = turning_kernel(oriented, target), write_kernel(other, tiling, target, pointwise)
    source = oriented.arrays[oriented.factors[0]].name
    return Generated((first, second), ((source, "scratch0"), _names(other)), (size,))


# -- a long depth with a small output ------------------------------------------------------------------------------


def _split(nest: Nest, parts_now: int) -> tuple[int, int] | None:
    """(depth axis, parts) where the depth should be shared among threads; None where the output has parts enough."""
    outputs = nest.count("batch") * nest.count("rows") * nest.count("columns")
    if parts_now >= SPLIT_PARTS // 2 or not outputs or nest.count("depth") < SPLIT_DEPTH or len(nest.factors) < 2:
        return None
    parts = min(SPLIT_PARTS, nest.flops // SPLIT_FLOPS)
    if parts < 4:
        return None
    best = max(
        ((number, -index) for index, axis in enumerate(nest.depth) for number in range(4, parts + 1)
         if axis.size % number == 0),
        default=None,
    )  # fmt: skip
    if best is not None:
        return -best[1], best[0]
    longest = max(range(len(nest.depth)), key=lambda i: nest.depth[i].size)
    return (longest, parts) if nest.depth[longest].size >= 8 * parts else None


def _generate_split(nest: Nest, index: int, parts: int, target: Target, pointwise: Emit | None) -> Generated:
    """Partial sums over parts of one depth axis into scratch memory, then their sum."""
    axis = nest.depth[index]
    piece, rest = divmod(axis.size, parts)
    roles = ("batch", "rows", "columns")
    sizes = [a.size for role in roles for a in getattr(nest, role)]
    dense = [prod(sizes[i + 1 :]) for i in range(len(sizes))]
    factors = [nest.arrays[f] for f in (0, 1)]

    def partial(part_axis: tuple[Axis, ...], length: int, start: int, at: int) -> Nest:
        """Sums over `length` of the axis from `start` into the scratch memory at `at`."""
        steps = iter(dense)

        def outer(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
            return tuple(Axis(a.size, (*a.steps[:2], next(steps))) for a in axes)

        batch, rows, columns = (outer(getattr(nest, role)) for role in roles)
        depth = tuple(Axis(length if i == index else a.size, (*a.steps[:2], 0)) for i, a in enumerate(nest.depth))
        arrays = [Array(a.name, a.dtype, a.offset + start * axis.steps[i]) for i, a in enumerate(factors)]
        arrays.append(Array("scratch0", nest.accumulate, at))
        return Nest(
            (*part_axis, *batch), rows, columns, tuple(a for a in depth if a.size != 1), tuple(arrays),
            (0, 1), (), ((2, 0),), (), nest.accumulate,
        )  # fmt: skip

    outputs = prod(sizes)
    step = tuple(piece * axis.steps[f] for f in (0, 1))
    nests = [partial((Axis(parts, (*step, outputs)),), piece, 0, 0)]
    if rest:
        nests.append(partial((), rest, parts * piece, parts * outputs))
    total = parts + bool(rest)

    steps = iter(dense)
    summed = [Axis(a.size, (next(steps), *a.steps[2:])) for role in roles for a in getattr(nest, role)]
    result = nest.results[0][0] - 1
    columns = tuple(a for a in summed if a.steps[result] == 1) or tuple(summed[-1:])
    depth = Axis(total, (outputs, *(0 for _ in nest.arrays[2:])))
    adding = Nest(
        (), tuple(a for a in summed if a not in columns), columns, (depth,),
        (Array("scratch0", nest.accumulate, 0), *nest.arrays[2:]), (0,), tuple(i - 1 for i in nest.operands),
        tuple((i - 1, v) for i, v in nest.results), nest.steps, nest.accumulate,
    )  # fmt: skip
    nests.append(adding)
    kernels = tuple(write_kernel(n, tilings(n, target)[0], target, pointwise) for n in nests)
    return Generated(kernels, tuple(_names(n) for n in nests), (total * outputs * nest.accumulate.itemsize,))


# -- descriptions ----------------------------------------------------------------------------------------------------


def accumulator(dtype: DType) -> DType:
    """The dtype in which sums of products of a dtype are made.

    >>> accumulator(dtypes.bfloat16), accumulator(dtypes.int8), accumulator(dtypes.float64)
    (amalthea.float32, amalthea.int32, amalthea.float64)
    """
    if dtype in ("bfloat16", "float16"):
        return dtypes.float32
    return dtypes.int32 if dtype == "int8" else dtype


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """The steps of a row-major array."""
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def from_subscripts(
    subscripts: str,
    x_shape: Sequence[int],
    y_shape: Sequence[int],
    dtype: DType,
    *,
    accumulate: DType | None = None,
    result: DType | None = None,
    epilogue: Epilogue | None = None,
    x_steps: Sequence[int] | None = None,
    y_steps: Sequence[int] | None = None,
) -> Contraction:
    """The contraction that the primitive `contract` names, on row-major operands.

    Args:
        subscripts: of einsum, e.g. "bij,bjk->bik": no letter twice in one term; a letter of one operand alone is in
            the output.
        x_shape, y_shape: of the operands.
        dtype: of the operands.
        accumulate: of the sums; None: `accumulator(dtype)`.
        result: of the output; None: `dtype`, or `accumulate` for int8.
        epilogue: addressed over the axes in this order: letters of both operands, of x, and of y, each in the order
            of the output.
        x_steps, y_steps: in elements, where an operand is not row-major.
    """
    operands, out = subscripts.split("->")
    x, y = operands.split(",")
    sizes = dict(zip(x, x_shape, strict=True)) | dict(zip(y, y_shape, strict=True))
    batch = [c for c in out if c in x and c in y]
    rows = [c for c in out if c in x and c not in y]
    columns = [c for c in out if c in y and c not in x]
    depth = [c for c in x if c not in out]

    def steps(term: str, found: Sequence[int], letters: list[str]) -> tuple[int, ...]:
        return tuple(found[term.index(c)] for c in letters)

    out_steps = contiguous([sizes[c] for c in out])
    accumulate = accumulate or accumulator(dtype)
    if result is None:
        result = accumulate if dtype == "int8" else dtype
    return Contraction(
        batch=tuple(sizes[c] for c in batch),
        rows=tuple(sizes[c] for c in rows),
        columns=tuple(sizes[c] for c in columns),
        depth=tuple(sizes[c] for c in depth),
        x=Strides(steps(x, x_steps or contiguous(x_shape), batch + rows + depth)),
        y=Strides(steps(y, y_steps or contiguous(y_shape), batch + depth + columns)),
        out=Strides(steps(out, out_steps, batch + rows + columns)),
        dtype=dtype,
        accumulate=accumulate,
        epilogue=epilogue,
        result=result,
    )


def with_epilogue(contraction: Contraction, epilogue: Epilogue) -> Contraction:
    """The same sums with something applied to them before they are stored."""
    return replace(contraction, epilogue=epilogue)


__all__ = [
    "Constant",
    "Contraction",
    "Epilogue",
    "Generated",
    "Step",
    "Strides",
    "Tiling",
    "accumulator",
    "choices",
    "from_subscripts",
    "generate",
    "with_epilogue",
]
