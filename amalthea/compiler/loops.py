"""The loop level: kernels that compute values element by element and reduce along axes.

A kernel runs over `rows` (shared among threads) and, inside each, over `inner` axes, in one or more stages: a stage is
one pass over the inner axes. What a stage reduces is known to the next one, so a softmax is one kernel of three stages
and reads its row from cache. A kernel that reduces axes outside of others (a sum over a batch) keeps `columns`: it has
one stage, which goes down the inner axes with all columns side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from amalthea.compiler.reductions import REDUCTIONS
from amalthea.core.value import Value

FEW_ROWS = 8
"""Fewer rows than these are cut into parts where they are long."""
PARTS, FEWEST_PARTS = 32, 4
"""Pieces of work that a kernel is cut into at most, and parts of a row at least: two would not pay for a meeting."""
SMALLEST_PART = 1 << 13
"""Elements that a part has at least."""
COLUMNS = 1 << 10
"""Columns that are taken together at most. Wide blocks, since rows are best read in long runs."""


def parts_of(rows: int, elements: int) -> int:
    """Into how many parts rows of so many elements are cut to have work to share.

    It depends on nothing but the sizes, so that results do not change with the number of threads.

    >>> parts_of(1, 1_000_000), parts_of(4, 50_000), parts_of(100, 1_000_000)
    (32, 6, 1)
    """
    parts = min(PARTS // max(1, rows), elements // SMALLEST_PART)
    return parts if parts >= FEWEST_PARTS else 1


@dataclass
class Root:
    """A value that a kernel makes.

    Attributes:
        value: the value.
        kind: "each" (an element per row, inner index and column), "row" (one per row and column), or the reduction
            ("sum", "max", ...) that makes one per row and column out of the inner axes.
        stage: the pass in which it is made; for "row" the pass after which.
        stored: whether it is written to memory: something outside the kernel reads it.
        buffered: whether it is kept for one row: only a later stage reads it.
    """

    value: Value
    kind: str
    stage: int = 0
    stored: bool = True
    buffered: bool = False

    @property
    def reduces(self) -> bool:
        """Whether it is a reduction over the inner axes."""
        return self.kind in REDUCTIONS

    def __repr__(self) -> str:
        kept = "" if self.stored else "  # for a row" if self.buffered else "  # in a register"
        return f"{self.value.spec} = {self.value.node.op.name} ({self.kind}){kept}"


@dataclass
class LoopKernel:
    """A nest of loops.

    Attributes:
        rows, inner, columns: sizes of the axes, outermost first (without axes of size 1).
        row_axes, inner_axes, column_axes: which axis of a full-shaped value each is, counting the axes larger than 1.
        roots: what it makes.
    """

    rows: tuple[int, ...]
    inner: tuple[int, ...]
    row_axes: tuple[int, ...]
    inner_axes: tuple[int, ...]
    columns: tuple[int, ...] = ()
    column_axes: tuple[int, ...] = ()
    roots: list[Root] = field(default_factory=list)

    @property
    def stages(self) -> int:
        """The number of passes over the inner axes."""
        return 1 + max((root.stage for root in self.roots), default=0)

    @property
    def reduces(self) -> bool:
        """Whether it makes one value out of many."""
        return any(root.reduces for root in self.roots)

    @property
    def kept(self) -> tuple[int, ...]:
        """The sizes of the axes of a reduced value."""
        return self.rows + self.columns

    @property
    def space(self) -> tuple[int, ...]:
        """The sizes of all axes of a full-shaped value, in the order of the value's axes."""
        return tuple(size for _, size in sorted(zip(self._axes(), (*self.kept, *self.inner), strict=True)))

    @property
    def parts(self) -> int:
        """Into how many parts the inner axes of a row, or of a block of columns, are cut; 1 if they stay in one.

        What is cut is put together by a second function, so it has one stage.
        """
        rows, depth, columns = prod(self.rows), prod(self.inner), prod(self.columns)
        if self.columns:
            return min(max(1, depth), parts_of(rows * -(-columns // COLUMNS), depth * min(columns, COLUMNS)))
        return 1 if rows >= FEW_ROWS else parts_of(rows, depth)

    @property
    def passing(self) -> list[Root]:
        """What the function that passes over the inner axes makes; the rest is left to the one that joins parts."""
        return [root for root in self.roots if self.parts == 1 or root.kind != "row"]

    @property
    def one_stage(self) -> bool:
        """Whether nothing can follow on what it reduces within the same kernel."""
        return bool(self.columns) or self.parts > 1

    def same_axes(self, other: LoopKernel) -> bool:
        """Whether two kernels run over the same axes in the same roles."""
        return (self.rows, self.inner, self.columns, self._axes()) == (
            other.rows,
            other.inner,
            other.columns,
            other._axes(),
        )

    def take_axes(self, other: LoopKernel) -> None:
        """Run over another kernel's axes."""
        self.rows, self.inner, self.columns = other.rows, other.inner, other.columns
        self.row_axes, self.inner_axes, self.column_axes = other.row_axes, other.inner_axes, other.column_axes

    def _axes(self) -> tuple[int, ...]:
        return (*self.row_axes, *self.column_axes, *self.inner_axes)

    def __repr__(self) -> str:
        lines = [f"for row in {self.rows}:"]
        for stage in range(self.stages):
            made = [r for r in self.roots if r.stage == stage]
            columns = f" with columns {self.columns}" if self.columns else ""
            lines.append(f"  for i in {self.inner}{columns}:")
            lines += [f"    {root}" for root in made if root.kind != "row"]
            lines += [f"  {root}" for root in made if root.kind == "row"]
        return "\n".join(lines)


def sizes_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes larger than 1.

    >>> sizes_of((32, 1, 10))
    (32, 10)
    """
    return tuple(size for size in shape if size != 1)
