"""The loop level: kernels that compute values element by element and reduce along axes.

A kernel runs over `rows` (shared among threads) and, inside each, over `inner` axes, in one or more stages: a stage is
one pass over the inner axes. What a stage reduces is known to the next one, so a softmax is one kernel of three stages
and reads its row from cache.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from amalthea.core.value import Value


@dataclass
class Root:
    """A value that a kernel makes.

    Attributes:
        value: the value.
        kind: "each" (an element per row and inner index), "row" (one per row), or the reduction ("sum", "max", ...)
            that makes one per row out of the inner axes.
        stage: the pass in which it is made; for "row" the pass after which.
        stored: whether it is written to memory (something outside the kernel, or a later stage, reads it).
    """

    value: Value
    kind: str
    stage: int = 0
    stored: bool = True

    def __repr__(self) -> str:
        kept = "" if self.stored else "  # in a register"
        return f"{self.value.spec} = {self.value.node.op.name} ({self.kind}){kept}"


@dataclass
class LoopKernel:
    """A nest of loops.

    Attributes:
        rows, inner: sizes of the axes, outermost first (without axes of size 1).
        order: for each inner axis, and each row axis, which axis of a full-shaped value it is: `row_axes` and
            `inner_axes` count the axes larger than 1.
        roots: what it makes.
        column: the reduced axes lead (a sum over a batch): the inner axes are kept and the rows are reduced.
    """

    rows: tuple[int, ...]
    inner: tuple[int, ...]
    row_axes: tuple[int, ...]
    inner_axes: tuple[int, ...]
    roots: list[Root] = field(default_factory=list)
    column: bool = False

    @property
    def stages(self) -> int:
        """The number of passes over the inner axes."""
        return 1 + max((root.stage for root in self.roots), default=0)

    @property
    def space(self) -> tuple[int, ...]:
        """The sizes of all axes of a full-shaped value, in the order of the value's axes."""
        sizes = dict(zip(self.row_axes, self.rows, strict=True))
        sizes.update(zip(self.inner_axes, self.inner, strict=True))
        return tuple(sizes[axis] for axis in sorted(sizes))

    def __repr__(self) -> str:
        lines = [f"for row in {self.rows}:"]
        for stage in range(self.stages):
            made = [r for r in self.roots if r.stage == stage]
            lines.append(f"  for i in {self.inner}:")
            lines += [f"    {root}" for root in made if root.kind != "row"]
            lines += [f"  {root}" for root in made if root.kind == "row"]
        return "\n".join(lines)


def sizes_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes larger than 1.

    >>> sizes_of((32, 1, 10))
    (32, 10)
    """
    return tuple(size for size in shape if size != 1)
