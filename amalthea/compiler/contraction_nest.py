"""A contraction as a nest of loops in normal form: few axes, each with a step in every array.

`Contraction` says what is computed, `Nest` is what the tile choice and the code generator work on: axes of size one are
gone, axes that follow each other in memory in every array are one axis, and the order within a role is by step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from amalthea.core.dtypes import DType


@dataclass(frozen=True)
class Strides:
    """The affine address of one operand: the element `offset + sum(index * step)`.

    Attributes:
        steps: in elements, for each axis of the roles that the operand has, in the order batch, rows, depth, columns
            without the role that it lacks: x has batch + rows + depth, y batch + depth + columns, an output batch +
            rows + columns. Negative and zero steps are allowed (zero not in outputs).
        offset: of the first element, in elements.
    """

    steps: tuple[int, ...]
    offset: int = 0


@dataclass(frozen=True)
class Constant:
    """A number among the arguments of a step. Equal are those of the same bits: 0.0 and -0.0 differ."""

    value: float | int | bool = field(compare=False)
    dtype: DType
    text: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", repr(self.value))


@dataclass(frozen=True)
class Step:
    """One pointwise op of an epilogue: `op` on earlier values, giving a value of `dtype`.

    Attributes:
        op: a primitive's name.
        args: indices of values (0 is the sum, then the operands, then the results of earlier steps), or constants.
        dtype: of the value that it gives.
        attrs: attributes of the primitive.
    """

    op: str
    args: tuple[int | Constant, ...]
    dtype: DType
    attrs: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Epilogue:
    """What happens to a finished sum before it is stored.

    Attributes:
        operands: dtype and address (over batch + rows + columns) of further parameters; a bias over the columns has
            steps (0, 1).
        steps: pointwise ops, in order.
        results: which values are stored, as (value, dtype, address).
    """

    operands: tuple[tuple[DType, Strides], ...]
    steps: tuple[Step, ...]
    results: tuple[tuple[int, DType, Strides], ...]


@dataclass(frozen=True)
class Contraction:
    """`out[b, m, n] = sum over k of x[b, m, k] * y[b, k, n]`, where b, m, k and n stand for any number of axes.

    Attributes:
        batch, rows, columns, depth: the sizes of these axes; `depth` is summed over.
        x: address of the first operand over batch + rows + depth.
        y: address of the second operand over batch + depth + columns.
        out: address of the output over batch + rows + columns; unused where there is an epilogue.
        dtype: of x, and of y unless that has another.
        accumulate: of the sums: float32 for the half precisions, int32 for int8, otherwise mostly `dtype`.
        epilogue: applied to the sums; None stores them as `result`.
        result: dtype of the output without an epilogue; None: `dtype` where that is floating, else `accumulate`.
        y_dtype: of y, where it is not `dtype`.

    A 2 x 3 matrix times a 3 x 4 matrix:

    >>> from amalthea.core.dtypes import float32
    >>> product = Contraction((), (2,), (4,), (3,), Strides((3, 1)), Strides((4, 1)), Strides((4, 1)), float32, float32)
    >>> product.flops
    48
    """

    batch: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    depth: tuple[int, ...]
    x: Strides
    y: Strides
    out: Strides
    dtype: DType
    accumulate: DType
    epilogue: Epilogue | None = None
    result: DType | None = None
    y_dtype: DType | None = None

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * prod(self.batch) * prod(self.rows) * prod(self.columns) * prod(self.depth)

    @property
    def result_dtype(self) -> DType:
        """The dtype that the output has without an epilogue."""
        if self.result is not None:
            return self.result
        return self.dtype if self.dtype.is_floating else self.accumulate


@dataclass(frozen=True)
class Axis:
    """One loop: its size and its step, in elements, in each array of the nest."""

    size: int
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Array:
    """One parameter of the kernel."""

    name: str
    dtype: DType
    offset: int


@dataclass(frozen=True)
class Nest:
    """A contraction in normal form.

    Attributes:
        batch, rows, columns, depth: the axes of each role, outermost first.
        arrays: the kernel's parameters.
        factors: which arrays are multiplied: the one with rows first. One array alone is only summed.
        operands: arrays that the epilogue reads.
        results: arrays that are written, and which value each gets.
        steps: the epilogue.
        accumulate: dtype of the sums.
    """

    batch: tuple[Axis, ...]
    rows: tuple[Axis, ...]
    columns: tuple[Axis, ...]
    depth: tuple[Axis, ...]
    arrays: tuple[Array, ...]
    factors: tuple[int, ...]
    operands: tuple[int, ...]
    results: tuple[tuple[int, int], ...]
    steps: tuple[Step, ...]
    accumulate: DType

    def swapped(self) -> Nest:
        """The same sums with rows and columns exchanged."""
        return replace(self, rows=self.columns, columns=self.rows, factors=self.factors[::-1])

    def count(self, role: str) -> int:
        """The number of index tuples of one role."""
        return prod(axis.size for axis in getattr(self, role))

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return len(self.factors) * prod(self.count(role) for role in ("batch", "rows", "columns", "depth"))

    @property
    def bytes(self) -> int:
        """Bytes of the distinct elements of all arrays (windows of a convolution counted at most once each)."""
        total = 0
        for index, array in enumerate(self.arrays):
            axes = [axis for axis in (*self.batch, *self.rows, *self.columns, *self.depth) if axis.steps[index]]
            span = 1 + sum((axis.size - 1) * abs(axis.steps[index]) for axis in axes)
            total += min(prod(axis.size for axis in axes), span) * array.dtype.itemsize
        return total

    @property
    def plain(self) -> bool:
        """Whether the sums are stored as they are, in the dtype in which they are made."""
        return not self.steps and len(self.results) == 1 and self.holder is not None

    @property
    def holder(self) -> int | None:
        """A result in the dtype of the sums: its memory holds them while blocks of the depth are still to come."""
        return next((a for a, _ in self.results if self.arrays[a].dtype == self.accumulate), None)


def nest_of(contraction: Contraction) -> Nest:
    """The normal form of a contraction.

    >>> from amalthea.core.dtypes import float32
    >>> x, y, out = Strides((6, 3, 1)), Strides((4, 1)), Strides((8, 4, 1))
    >>> nest = nest_of(Contraction((), (5, 2), (4,), (3,), x, y, out, float32, float32))
    >>> nest.rows  # the two axes are one: they follow each other in x and in the output
    (Axis(size=10, steps=(3, 0, 4)),)
    """
    c = contraction
    b, m = len(c.batch), len(c.rows)
    epilogue = c.epilogue or Epilogue((), (), ((0, c.result_dtype, c.out),))
    outer = [strides for _, strides in epilogue.operands] + [strides for _, _, strides in epilogue.results]

    def axes(sizes: tuple[int, ...], x: int | None, y: int | None, out: int | None) -> tuple[Axis, ...]:
        """The axes of one role, given where its steps begin in x, y and the outer operands (None: it has none)."""
        made = []
        for i, size in enumerate(sizes):
            steps = (
                0 if x is None else c.x.steps[x + i],
                0 if y is None else c.y.steps[y + i],
                *(0 if out is None else strides.steps[out + i] for strides in outer),
            )
            made.append(Axis(size, steps))
        return in_normal_form(made)

    arrays = [Array("x", c.dtype, c.x.offset), Array("y", c.y_dtype or c.dtype, c.y.offset)]
    arrays += [Array(f"operand{i}", d, s.offset) for i, (d, s) in enumerate(epilogue.operands)]
    arrays += [Array(f"out{i}", d, s.offset) for i, (_, d, s) in enumerate(epilogue.results)]
    first_result = 2 + len(epilogue.operands)
    return Nest(
        batch=axes(c.batch, 0, 0, 0),
        rows=axes(c.rows, b, None, b),
        columns=axes(c.columns, None, b + len(c.depth), b + m),
        depth=axes(c.depth, b + m, b, None),
        arrays=tuple(arrays),
        factors=(0, 1),
        operands=tuple(range(2, first_result)),
        results=tuple((first_result + i, value) for i, (value, _, _) in enumerate(epilogue.results)),
        steps=epilogue.steps,
        accumulate=c.accumulate,
    )


def in_normal_form(axes: Iterable[Axis]) -> tuple[Axis, ...]:
    """Drop axes of size one, merge those that follow each other in all arrays, sort the rest by step, largest first.

    >>> in_normal_form([Axis(3, (1, 8)), Axis(1, (0, 0)), Axis(4, (3, 24))])
    (Axis(size=12, steps=(1, 8)),)
    """
    left = [axis for axis in axes if axis.size != 1]
    merged = True
    while merged:
        merged = False
        for outer in left:
            for inner in left:
                if outer is not inner and all(
                    a == b * inner.size for a, b in zip(outer.steps, inner.steps, strict=True)
                ):
                    left.remove(outer)
                    left[left.index(inner)] = Axis(outer.size * inner.size, inner.steps)
                    merged = True
                    break
            if merged:
                break
    # Stable: equal steps keep their order. The last array is an output where the axis has one.
    return tuple(sorted(left, key=lambda axis: -(abs(axis.steps[-1]) or max(map(abs, axis.steps)))))
