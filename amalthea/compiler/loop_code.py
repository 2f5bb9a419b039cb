"""`LoopFunction`: what all functions made from loop kernels share, values and their addresses.

They are scalar loops over memory that LLVM's own vectoriser widens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from amalthea.compiler import elementwise
from amalthea.compiler.affine import Affine, Index, offset, within
from amalthea.compiler.emitter import Emitter, literal, llvm_type
from amalthea.compiler.fusion import place_in, weight
from amalthea.compiler.indexing import Test, reads, tests
from amalthea.compiler.kernel_code import PLACEHOLDER, KernelCode, finished
from amalthea.compiler.loop_elements import Elements
from amalthea.compiler.loops import LoopKernel, Root
from amalthea.compiler.reductions import accumulator, combine, identity
from amalthea.core import dtypes
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value

SHORT = 32
"""Turns of a loop that LLVM may take apart."""
Base = Callable[[Value], Value]
Loop = tuple[str, int]
"""The name of a loop's variable in addresses, and how often it runs."""
Parameter = Value | tuple[str, int]
"""What a function is given: a value's memory, or a scratch buffer ("scratch", i)."""


class LoopFunction(Elements):
    """One LLVM function in the making that computes some roots of a kernel.

    Args:
        kernel: the loops.
        roots: what the function computes.
        stored: the values that are in memory.
        base: the value whose memory a stored value lives in (a reshape lives in its input's).
    """

    def __init__(self, kernel: LoopKernel, roots: Sequence[Root], stored: set[Value], base: Base) -> None:
        self.kernel, self.roots, self.stored, self.base = kernel, list(roots), stored, base
        self.made = {root.value: root for root in kernel.roots}
        self.reads: dict[Value, list[Affine]] = {}  # the memory that is read, and where
        self.in_place: dict[Value, Value] = {}  # values that are stored in the memory of one that is read
        self.indices: list[Affine] = []  # all indices that the code computes
        self.tests: list[Test] = []  # on which it depends what an element is made of
        self.operations = 0  # arithmetic per element of the inner axes; a function counts as some
        for root in self.roots:
            self._collect(root)
        self.replaced: set[str] = set()
        self.variables: dict[str, str] = {}
        self.known: list[dict[tuple[Value, Index], str]] = [{}]
        self.row_values: dict[Value, str] = {}
        self.stage = 0
        self.ranges: dict[str, tuple[int, int]] = {}
        self.residue: tuple[str, int, int] | None = None
        self.short = 0  # loops marked as such

    def begin(self, outputs: Sequence[Root], scratch: int = 0) -> None:
        """Begin the function, which stores these roots and is given so many scratch buffers, `%s0`, `%s1`, ..."""
        stores = [root.value for root in outputs if root.stored and root.value not in self.in_place]
        values = [v for v in self.reads if v not in {self.base(o) for o in stores}] + stores
        self.names = {v: f"a{i}" for i, v in enumerate(values)}
        labels = list(self.names.values())
        self.names |= {value: self.names[memory] for value, memory in self.in_place.items()}
        self.parameters: list[Parameter] = [*values, *(("scratch", i) for i in range(scratch))]
        labels += [f"s{i}" for i in range(scratch)]
        self.e = Emitter(
            PLACEHOLDER,
            [*(("ptr noalias nonnull", label) for label in labels), ("i64", "lo"), ("i64", "hi")],
            attributes="nounwind",
        )

    def code(self, kind: str, extent: int, elements: int) -> KernelCode:
        """The finished function; `elements` is how often its roots are computed."""
        self.e.ret()
        size = sum(v.spec.size * dtypes.to_numpy(v.spec.dtype).itemsize for v in self.names)  # twice what is in place
        note = " ".join(root.value.node.op.name for root in self.roots)
        return finished(kind, self.e, extent, elements * self.operations, size, note)

    # What is read, and loops that are one

    def _collect(self, root: Root) -> None:
        operations = weight(root.value.node)
        stack = self._inputs_of(root)
        if not root.reduces:
            self._compute(root.value.node, self.index(root))
        seen = set()
        while stack:
            value, index = stack.pop()
            if (value, index) in seen:
                continue
            seen.add((value, index))
            if isinstance(value, Constant):
                if value.spec.size != 1:
                    self._read(value, value, index)
            elif value in self.stored or value.node is None:
                if value not in self.made:
                    self._read(self.base(value), value, index)
            else:
                operations += weight(value.node)
                self._compute(value.node, index)
                stack.extend(reads(value.node, index))
        if root.kind != "row":
            self.operations += operations

    def _compute(self, node: Node, index: Index) -> None:
        found = tests(node, index)
        self.tests += found
        self.indices += [test.index for test in found]
        if node.op.name == "iota":
            self.indices.append(index[0])

    def _inputs_of(self, root: Root) -> list[tuple[Value, Index]]:
        node = root.value.node
        if root.reduces:
            return [(node.inputs[0], place_in(node.inputs[0], self.kernel, False))]
        return reads(node, self.index(root))

    def _read(self, memory: Value, value: Value, index: Index) -> None:
        place = offset(index, value.spec.sizes)
        self.reads.setdefault(memory, []).append(place)
        self.indices.append(place)

    def index(self, root: Root) -> Index:
        """Where a root is stored."""
        return place_in(root.value, self.kernel, root.kind != "each")

    def loops(self, prefix: str, sizes: Sequence[int]) -> list[Loop]:
        """The loops of a group of axes, neighbours made one where all addresses allow it."""
        return self.merged([(f"{prefix}{i}", size) for i, size in enumerate(sizes)])

    def merged(self, loops: Sequence[Loop]) -> list[Loop]:
        """Loops with neighbours made one where all addresses allow it."""
        stores = [offset(self.index(root), root.value.spec.sizes) for root in self.roots]
        addresses = [part for address in (*self.indices, *stores) for part in within(address)]
        merged: list[Loop] = []
        for name, size in loops:
            if merged:
                before, outer = merged[-1]
                if all(_factor(a, before) == _factor(a, name) * size for a in addresses):
                    self.replaced.add(before)
                    merged[-1] = (name, outer * size)
                    continue
            merged.append((name, size))
        return merged

    # Loops

    def innermost(
        self,
        start: str,
        stop: str,
        body: Callable[[str, list[str]], Sequence[str]],
        carried: Sequence[tuple[str, str]] = (),
    ) -> list[str]:
        """A loop for LLVM to widen. It would rather take a short one apart into scalars, if it was let."""
        metadata = ""
        if stop.isdigit() and int(stop) <= SHORT:
            number = 2 * self.short
            self.short += 1
            self.e.need(f"!{number} = distinct !{{!{number}, !{number + 1}}}")
            self.e.need(f'!{number + 1} = !{{!"llvm.loop.unroll.disable"}}')
            metadata = f", !llvm.loop !{number}"
        return self.e.loop(start, stop, 1, body, carried, metadata)

    def place(self, flat: str, loops: Sequence[Loop]) -> None:
        """Set the variables of loops from their common index."""
        e = self.e
        for i, (name, size) in reversed(list(enumerate(loops))):
            self.variables[name] = e.value(f"urem i64 {flat}, {size}") if i else flat
            flat = e.value(f"udiv i64 {flat}, {size}") if i else flat

    def part(self, number: str, parts: int, size: int) -> tuple[str, str]:
        """Where a part of `size` elements begins and ends."""
        if parts == 1:
            return "0", str(size)
        e = self.e
        following = e.value(f"add i64 {number}, 1")
        bounds = [e.value(f"udiv i64 {e.value(f'mul i64 {n}, {size}')}, {parts}") for n in (number, following)]
        return bounds[0], bounds[1]

    def apart(self, flat: str, size: int) -> tuple[str, str]:
        """Quotient and remainder of an index."""
        if size == 1:
            return flat, "0"
        return self.e.value(f"udiv i64 {flat}, {size}"), self.e.value(f"urem i64 {flat}, {size}")

    # Reductions

    def first(self, root: Root, inside: bool = False) -> str:
        """What a reduction starts from; what begins `inside` it leaves out the initial value."""
        dtype = accumulator(root.value.spec.dtype)
        initial = None if inside else root.value.node.attrs.get("initial")
        return literal(identity(root.kind, dtype) if initial is None else initial, dtype)

    def kept_as(self, root: Root) -> str:
        """The LLVM type that a reduction is kept in."""
        return llvm_type(accumulator(root.value.spec.dtype))

    def combine(self, root: Root, a: str, b: str, any_order: bool = False) -> str:
        """One step of a reduction."""
        return combine(self.e, root.kind, accumulator(root.value.spec.dtype), a, b, any_order)

    def term(self, root: Root) -> str:
        """The element that a reduction takes in, in the dtype that it is kept in."""
        source = root.value.node.inputs[0]
        value = self.element(source, place_in(source, self.kernel, False))
        return self._cast(value, source.spec.dtype, accumulator(root.value.spec.dtype))

    def finish(self, root: Root, value: str) -> None:
        """Take a reduction's result as the root's value for this row and column."""
        dtype = root.value.spec.dtype
        self.row_values[root.value] = self._cast(value, accumulator(dtype), dtype)
        self._store_root(root, self.row_values[root.value])

    def follow(self, root: Root) -> None:
        """Compute a root per row and column."""
        self.row_values[root.value] = self.element(root.value, self.index(root))
        self._store_root(root, self.row_values[root.value])

    def each(self, root: Root) -> None:
        """Compute a root per element."""
        self._store_root(root, self.element(root.value, self.index(root)))

    def _cast(self, value: str, source: dtypes.DType, target: dtypes.DType) -> str:
        if source == target:
            return value
        return elementwise.emit(self.e, "cast", [value], [source], target, attrs={"dtype": str(target)})

    def _store_root(self, root: Root, value: str) -> None:
        if root.value in self.names:
            self._store(root.value, self.index(root), value)

    def pointer(self, kind: str, buffer: str, place: str) -> str:
        """The address of an element of a buffer, `%s0` or memory of the function's own."""
        return self.e.value(f"getelementptr inbounds {kind}, ptr {buffer}, i64 {place}")


def _factor(address: Affine, variable: str) -> int:
    return dict(address.terms).get(variable, 0)


def size_of(loops: Sequence[Loop]) -> int:
    """How often nested loops run."""
    return prod(size for _, size in loops)
