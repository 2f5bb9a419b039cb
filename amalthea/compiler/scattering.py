"""A kernel for `scatter_update`: each thread owns rows of the result and looks through all indices for its own.

So no two threads write to one place, every place takes its updates in their order whatever the number of threads, and
filling the rows and adding to them is one kernel without a meeting in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from amalthea.compiler.elementwise import emit
from amalthea.compiler.emitter import Emitter, literal, llvm_type
from amalthea.compiler.kernel_code import PLACEHOLDER, KernelCode, finished
from amalthea.compiler.reductions import accumulator
from amalthea.core import dtypes
from amalthea.core.dtypes import DType
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value

COMBINE = {"add": "add", "mul": "multiply", "max": "maximum", "min": "minimum"}


def fill_of(value: Value) -> Any:
    """The number that all elements of a value are, if that is known; else None."""
    while value.node is not None and value.node.op.name in ("broadcast_to", "reshape"):
        value = value.node.inputs[0]
    if isinstance(value, Constant) and value.spec.size == 1:
        return value.tensor.numpy().item()
    return None


@dataclass(frozen=True)
class Scatter:
    """What one `scatter_update` does.

    Attributes:
        leading: the sizes of the axes that indices point into.
        row: elements at each place.
        count: how many updates there are.
        dtype, index_dtype: of the elements and the indices.
        reduction: "add", "mul", "max", "min", or None to write.
        fill: the number that all inputs are; None for inputs in memory.
    """

    leading: tuple[int, ...]
    row: int
    count: int
    dtype: DType
    index_dtype: DType
    reduction: str | None
    fill: Any

    @property
    def wide(self) -> DType:
        """The dtype that updates of one place are combined in."""
        return accumulator(self.dtype) if self.reduction in ("add", "mul") else self.dtype

    @property
    def apart(self) -> bool:
        """Whether the updates of a place are combined before they meet the inputs, as rounding demands."""
        if self.reduction not in ("add", "mul") or not dtypes.is_floating(self.dtype):
            return False
        return self.wide != self.dtype or self.fill != (0 if self.reduction == "add" else 1)

    @property
    def scratch(self) -> int:
        """Bytes of the buffer for the combined updates."""
        return prod(self.leading) * self.row * self.wide.itemsize if self.apart else 0


def scatter_of(node: Node) -> Scatter:
    """The scatter that a node does."""
    inputs, indices, updates = node.inputs
    depth = indices.spec.sizes[-1]
    leading, rest = inputs.spec.sizes[:depth], inputs.spec.sizes[depth:]
    return Scatter(
        leading,
        prod(rest),
        prod(indices.spec.sizes[:-1]),
        inputs.spec.dtype,
        indices.spec.dtype,
        node.attrs["reduction"],
        fill_of(inputs),
    )


def scatter_code(scatter: Scatter) -> KernelCode:
    """The kernel `(inputs?, indices, updates, out, scratch?)`; a part of its parallel index is a row of the result."""
    return _Scattering(scatter).run()


class _Scattering:
    def __init__(self, scatter: Scatter) -> None:
        self.scatter = scatter
        names = ["x"] if scatter.fill is None else []
        names += ["indices", "updates", "out", *(["sums"] if scatter.apart else [])]
        self.e = Emitter(
            PLACEHOLDER,
            [*(("ptr noalias", name) for name in names), ("i64", "lo"), ("i64", "hi")],
            attributes="nounwind",
        )
        self.target, self.target_dtype = ("sums", scatter.wide) if scatter.apart else ("out", scatter.dtype)

    def run(self) -> KernelCode:
        s, e = self.scatter, self.e
        rows = prod(s.leading)
        begin, end = (e.value(f"mul i64 %{bound}, {s.row}") for bound in ("lo", "hi"))
        e.loop(begin, end, 1, self._clear)
        e.loop("0", str(s.count), 1, self._update)
        if s.apart:
            e.loop(begin, end, 1, self._finish)
        e.ret()
        elements = rows * s.row * (2 if s.fill is None else 1) + s.count * s.row * 3
        size = elements * s.dtype.itemsize + s.count * len(s.leading) * s.index_dtype.itemsize
        note = f"{s.count} updates of {s.row} elements, {rows} places"
        return finished("scatter", e, rows, s.count * s.row, size + 3 * s.scratch, note)

    def _at(self, name: str, dtype: DType, place: str) -> str:
        return self.e.value(f"getelementptr inbounds {llvm_type(dtype)}, ptr %{name}, i64 {place}")

    def _load(self, name: str, dtype: DType, place: str) -> str:
        return self.e.value(f"load {llvm_type(dtype)}, ptr {self._at(name, dtype, place)}")

    def _store(self, name: str, dtype: DType, place: str, value: str) -> None:
        self.e.line(f"store {llvm_type(dtype)} {value}, ptr {self._at(name, dtype, place)}")

    def _cast(self, value: str, source: DType, target: DType) -> str:
        return value if source == target else emit(self.e, "cast", [value], [source], target)

    def _combined(self, a: str, b: str) -> str:
        dtype = self.scatter.wide
        return emit(self.e, COMBINE[str(self.scatter.reduction)], [a, b], [dtype, dtype], dtype)

    def _clear(self, i: str, _: list[str]) -> list[str]:
        """What a place has before any update."""
        s = self.scatter
        if s.apart:  # -0.0 + x is x for every x
            value = literal(-0.0 if s.reduction == "add" else 1, s.wide)
        else:
            value = self._load("x", s.dtype, i) if s.fill is None else literal(s.fill, s.dtype)
        self._store(self.target, self.target_dtype, i, value)
        return []

    def _update(self, n: str, _: list[str]) -> list[str]:
        """Take in one update, if its place is among the rows of this part."""
        s, e = self.scatter, self.e
        depth = len(s.leading)
        place, inside = "0", "true"
        for axis, size in enumerate(s.leading):
            at = n if depth == 1 else e.value(f"add i64 {e.value(f'mul i64 {n}, {depth}')}, {axis}")
            index = self._cast(self._load("indices", s.index_dtype, at), s.index_dtype, dtypes.int64)
            wrapped = e.value(f"add i64 {index}, {size}")
            index = e.value(f"select i1 {e.value(f'icmp slt i64 {index}, 0')}, i64 {wrapped}, i64 {index}")
            inside = e.value(f"and i1 {inside}, {e.value(f'icmp ult i64 {index}, {size}')}")
            place = e.value(f"add i64 {e.value(f'mul i64 {place}, {size}')}, {index}")
        inside = e.value(f"and i1 {inside}, {e.value(f'icmp sge i64 {place}, %lo')}")
        inside = e.value(f"and i1 {inside}, {e.value(f'icmp slt i64 {place}, %hi')}")
        mine, following = e.block("mine"), e.block("following")
        e.branch(inside, mine, following)
        e.label(mine)
        to, source = (e.value(f"mul i64 {row}, {s.row}") for row in (place, n))

        def one(j: str, _: list[str]) -> list[str]:
            there = e.value(f"add i64 {to}, {j}")
            update = self._load("updates", s.dtype, e.value(f"add i64 {source}, {j}"))
            if s.reduction is not None:
                before = self._load(self.target, self.target_dtype, there)
                update = self._combined(before, self._cast(update, s.dtype, s.wide))
            self._store(self.target, self.target_dtype, there, update)
            return []

        e.loop("0", str(s.row), 1, one)
        e.jump(following)
        e.label(following)
        return []

    def _finish(self, i: str, _: list[str]) -> list[str]:
        """The inputs and what was combined for them."""
        s = self.scatter
        before = self._load("x", s.dtype, i) if s.fill is None else literal(s.fill, s.dtype)
        value = self._combined(self._cast(before, s.dtype, s.wide), self._load("sums", s.wide, i))
        self._store("out", s.dtype, i, self._cast(value, s.wide, s.dtype))
        return []
