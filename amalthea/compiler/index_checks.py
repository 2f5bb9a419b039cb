"""Indices out of range: a kernel that looks for them beforehand, so that gathers and scatters need not stop for them.

A gather with a wrong index reads some element inside its array, a scatter leaves such an update away; the check writes
the index down, and the program raises once it has run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from amalthea.compiler.emitter import Emitter, llvm_type
from amalthea.compiler.kernel_code import PLACEHOLDER, KernelCode, finished
from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value


@dataclass(frozen=True)
class IndexCheck:
    """A step that looks whether indices are in range.

    Attributes:
        indices: their last axis counts the axes that they point into, if there are several.
        sizes: of the axes that they point into.
        op, axis: who wants to know, and the first of the axes, for the message.
    """

    indices: Value
    sizes: tuple[int, ...]
    op: str
    axis: int

    def __repr__(self) -> str:
        return f"check {self.indices.spec} against {self.sizes}"

    def fail(self, worst: int) -> NoReturn:
        """Raise for an index that is out of range."""
        place = next((i for i, size in enumerate(self.sizes) if not -size <= worst < size), 0)
        size = self.sizes[place]
        fail(
            ArgumentError,
            f"index {worst} is out of range for axis {self.axis + place}, which has {size} elements",
            where=self.op,
            received=f"indices of shape {self.indices.spec.sizes} with {worst}",
            fix=f"use indices from {-size} to {size - 1}",
        )


def index_check(node: Node) -> IndexCheck | None:
    """The check that a node needs; None where it takes no indices, or none of them can be out of range."""
    if node.op.name == "gather":
        axis = node.attrs["axis"]
        check = IndexCheck(node.inputs[1], (node.inputs[0].spec.sizes[axis],), "gather", axis)
    elif node.op.name == "scatter_update":
        depth = node.inputs[1].spec.sizes[-1]
        check = IndexCheck(node.inputs[1], node.inputs[0].spec.sizes[:depth], "scatter_update", 0)
    else:
        return None
    low, high = _range(check.indices)
    if not node.inputs[0].spec.size:
        return None  # there is nothing to point at, nor to write to
    return None if all(-size <= low and high < size for size in check.sizes) else check


def _range(indices: Value) -> tuple[int, int]:
    """What is known of the least and the greatest index."""
    if not indices.spec.size:
        return 0, -1
    if isinstance(indices, Constant):
        known = indices.tensor.numpy()
        return int(known.min()), int(known.max())
    bits = indices.spec.dtype.itemsize * 8
    if indices.spec.dtype.startswith("uint"):
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def check_code(check: IndexCheck) -> KernelCode:
    """The kernel `(indices, fault)`: writes an index that is out of range to the i64 `fault`, if there is one."""
    dtype, depth = check.indices.spec.dtype, len(check.sizes)
    count = check.indices.spec.size // depth
    kind = llvm_type(dtype)
    e = Emitter(PLACEHOLDER, [("ptr noalias", "x"), ("ptr noalias", "fault"), ("i64", "lo"), ("i64", "hi")])
    for axis, size in enumerate(check.sizes):
        bits = dtype.itemsize * 8
        unsigned = dtype.startswith("uint")
        sign = "u" if unsigned else "s"
        lowest, highest = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

        def one(i: str, now: list[str], axis: int = axis, sign: str = sign) -> list[str]:
            at = i if depth == 1 else e.value(f"add i64 {e.value(f'mul i64 {i}, {depth}')}, {axis}")
            x = e.value(f"load {kind}, ptr {e.value(f'getelementptr {kind}, ptr %x, i64 {at}')}")
            least = e.call(kind, f"llvm.{sign}min.{kind}", (kind, now[0]), (kind, x))
            return [least, e.call(kind, f"llvm.{sign}max.{kind}", (kind, now[1]), (kind, x))]

        ends = e.loop("%lo", "%hi", 1, one, [(kind, str(highest)), (kind, str(lowest))])
        for end, limit, predicate in ((ends[0], -size, "slt"), (ends[1], size - 1, "ugt" if unsigned else "sgt")):
            if (predicate == "slt" and (unsigned or limit < lowest)) or (predicate != "slt" and limit >= highest):
                continue
            bad, fine = e.block("bad"), e.block("fine")
            seen = e.value("icmp slt i64 %lo, %hi")
            outside = e.value(f"icmp {predicate} {kind} {end}, {limit}")
            e.branch(e.value(f"and i1 {seen}, {outside}"), bad, fine)
            e.label(bad)
            wide = end if kind == "i64" else e.value(f"{'zext' if unsigned else 'sext'} {kind} {end} to i64")
            e.line(f"store i64 {wide}, ptr %fault")
            e.jump(fine)
            e.label(fine)
    e.ret()
    size_bytes = check.indices.spec.size * dtypes.to_numpy(dtype).itemsize
    return finished("check_indices", e, count, 2 * check.indices.spec.size, size_bytes, f"against {check.sizes}")
