"""Putting together what the parts of a reduction have left, always in the same order, and what follows from it."""

from __future__ import annotations

from amalthea.compiler.affine import Index
from amalthea.compiler.kernel_code import KernelCode
from amalthea.compiler.loop_code import Base, LoopFunction, size_of
from amalthea.compiler.loops import LoopKernel, Root
from amalthea.compiler.reductions import accumulator, combine_all
from amalthea.core.value import Value


class PartsFunction(LoopFunction):
    """Reduces the parts in scratch buffers, which lie side by side, to the results."""

    def __init__(self, kernel: LoopKernel, stored: set[Value], base: Base, parts: int) -> None:
        super().__init__(kernel, [root for root in kernel.roots if root.kind != "each"], stored, base)
        self.parts = parts
        self.sums = [root for root in self.roots if root.reduces]
        rows = [(f"r{i}", size) for i, size in enumerate(kernel.rows)]
        columns = [(f"c{i}", size) for i, size in enumerate(kernel.columns)]
        self.kept = self.merged([*rows, *columns])
        self.begin(self.roots, len(self.sums))

    def _inputs_of(self, root: Root) -> list[tuple[Value, Index]]:
        return [] if root.reduces else super()._inputs_of(root)

    def run(self) -> KernelCode:
        """The function."""
        count = size_of(self.kept)

        def each(flat: str, _: list[str]) -> list[str]:
            self.place(flat, self.kept)
            self.known, self.row_values = [{}], {}
            for root in self.roots:
                if root.reduces:
                    self.finish(root, self._sum(root, flat, count))
                else:
                    self.follow(root)
            return []

        self.e.loop("%lo", "%hi", 1, each)
        return self.code("parts", count, count * self.parts)

    def _sum(self, root: Root, flat: str, count: int) -> str:
        e, kind = self.e, self.kept_as(root)
        buffer = f"%s{self.sums.index(root)}"
        values = []
        for part in range(self.parts):
            place = e.value(f"add nsw i64 {flat}, {part * count}")
            values.append(e.value(f"load {kind}, ptr {self.pointer(kind, buffer, place)}"))
        if root.value.node.attrs.get("initial") is not None:
            values.append(self.first(root))
        return combine_all(e, root.kind, accumulator(root.value.spec.dtype), values)
