"""Putting together what the parts of a reduction have left, always in the same order, and what follows from it."""

from __future__ import annotations

from amalthea.compiler.affine import Index
from amalthea.compiler.loop_code import Base, LoopFunction, size_of
from amalthea.compiler.loop_columns import ColumnFunction
from amalthea.compiler.loops import LoopKernel, Root
from amalthea.core.value import Value


class PartsFunction(ColumnFunction):
    """Reduces the parts in scratch buffers to the results: columns of numbers, a row for each part."""

    kind = "parts"

    def __init__(self, kernel: LoopKernel, stored: set[Value], base: Base) -> None:
        LoopFunction.__init__(self, kernel, [root for root in kernel.roots if root.kind != "each"], stored, base)
        self.parts = 1
        rows = [(f"r{i}", size) for i, size in enumerate(kernel.rows)]
        columns = [(f"c{i}", size) for i, size in enumerate(kernel.columns)]
        self._divide([], [("part", kernel.parts)], self.merged([*rows, *columns]) or [("all", 1)])
        self.begin(self.roots, len(self.sums))

    def _inputs_of(self, root: Root) -> list[tuple[Value, Index]]:
        return [] if root.reduces else super()._inputs_of(root)

    def term(self, root: Root) -> str:
        """What a part has left for the current column."""
        e, kind = self.e, self.kept_as(root)
        line = e.value(f"mul nsw i64 {self.variables['part']}, {size_of(self.columns)}")
        place = e.value(f"add nsw i64 {line}, {self.column(self.here)}")
        return e.value(f"load {kind}, ptr {self.pointer(kind, f'%s{self.sums.index(root)}', place)}")
