"""From a loop kernel to LLVM: scalar loops over contiguous memory that LLVM's own vectoriser widens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from amalthea.compiler import elementwise
from amalthea.compiler.emitter import Emitter, literal, llvm_type
from amalthea.compiler.fusion import REDUCTIONS, place_in
from amalthea.compiler.indexing import Affine, Index, offset, sources
from amalthea.compiler.kernel_code import PLACEHOLDER, KernelCode, finished
from amalthea.compiler.loops import LoopKernel, Root
from amalthea.core import dtypes
from amalthea.core.dtypes import DType
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value

Base = Callable[[Value], Value]


def generate_loops(kernel: LoopKernel, stored: set[Value], base: Base) -> tuple[KernelCode, list[Value]]:
    """The kernel's code and its parameters: the values whose memory it is given, what it only reads first.

    Args:
        kernel: what to compute.
        stored: the values that are in memory.
        base: the value whose memory a stored value lives in (a reshape lives in its input's).
    """
    return _Generator(kernel, stored, base).run()


class _Generator:
    def __init__(self, kernel: LoopKernel, stored: set[Value], base: Base) -> None:
        self.kernel, self.stored, self.base = kernel, stored, base
        self.roots = {root.value: root for root in kernel.roots}
        self.reads: dict[Value, list[Affine]] = {}
        for root in kernel.roots:
            self._collect(root)
        outputs = [root.value for root in kernel.roots if root.stored]
        self.parameters = [v for v in self.reads if v not in {base(o) for o in outputs}] + outputs
        self.names = {v: f"a{i}" for i, v in enumerate(self.parameters)}
        self.axes = self._coalesced()

    # What is read, and loops that are one

    def _collect(self, root: Root) -> None:
        start = self._inputs_of(root)
        stack = list(start)
        while stack:
            value, index = stack.pop()
            if isinstance(value, Constant):
                if value.spec.size > 1:
                    self.reads.setdefault(value, []).append(offset(index, value.spec.sizes))
                continue
            if value in self.stored or value.node is None:
                if value not in self.roots:
                    self.reads.setdefault(self.base(value), []).append(offset(index, value.spec.sizes))
                continue
            stack.extend(sources(value.node, index) or [])

    def _inputs_of(self, root: Root) -> list[tuple[Value, Index]]:
        node = root.value.node
        if root.kind in REDUCTIONS:
            return [(node.inputs[0], place_in(node.inputs[0], self.kernel, False))]
        return sources(node, self._index(root)) or []

    def _index(self, root: Root) -> Index:
        return place_in(root.value, self.kernel, root.kind == "row")

    def _coalesced(self) -> list[tuple[str, int]]:
        """The loops, outermost first, with neighbours made one where all addresses allow it."""
        kernel = self.kernel
        rows = [(f"r{i}", size) for i, size in enumerate(kernel.rows)]
        inner = [(f"i{i}", size) for i, size in enumerate(kernel.inner)]
        flat = not kernel.column and all(root.kind == "each" for root in kernel.roots)
        addresses = [a for found in self.reads.values() for a in found]
        for root in kernel.roots:
            if root.kind == "each":
                addresses.append(offset(self._index(root), root.value.spec.sizes))
            elif root.kind in REDUCTIONS and kernel.column:
                addresses.append(self._column_address(root))
        self.replaced: dict[str, None] = {}
        groups = [rows + inner] if flat else [rows, inner]
        merged = [self._merge(group, addresses) for group in groups]
        if flat:
            axes = merged[0]
            self.row_loops, self.inner_loops = (axes[:-1], axes[-1:]) if len(axes) > 1 else ([], axes)
        else:
            self.row_loops, self.inner_loops = merged
        self.flat = flat and not self.row_loops
        return [*self.row_loops, *self.inner_loops]

    def _merge(self, axes: list[tuple[str, int]], addresses: list[Affine]) -> list[tuple[str, int]]:
        if self._reorders():
            return axes
        merged: list[tuple[str, int]] = []
        for name, size in axes:
            if merged:
                before, outer = merged[-1]
                if all(_factor(a, before) == _factor(a, name) * size for a in addresses):
                    self.replaced[before] = None
                    merged[-1] = (name, outer * size)
                    continue
            merged.append((name, size))
        return merged

    def _reorders(self) -> bool:
        axes = (*self.kernel.row_axes, *self.kernel.inner_axes)
        return axes != tuple(range(len(axes))) and not self.kernel.column

    def _column_address(self, root: Root) -> Affine:
        total = Affine()
        step = 1
        for i in reversed(range(len(self.kernel.inner))):
            total = total + Affine.of(f"i{i}") * step
            step *= self.kernel.inner[i]
        return total

    # Code

    def run(self) -> tuple[KernelCode, list[Value]]:
        e = self.e = Emitter(
            PLACEHOLDER,
            [*(("ptr noalias nonnull", self.names[v]) for v in self.parameters), ("i64", "lo"), ("i64", "hi")],
            attributes="nounwind",
        )
        self.variables: dict[str, str] = {}
        self.known: list[dict[tuple[Value, Index], str]] = [{}]
        self.row_values: dict[Value, str] = {}
        self.stage = 0
        if self.kernel.column:
            extent = self._columns()
        elif self.flat:
            extent = prod(size for _, size in self.inner_loops)
            name = self.inner_loops[0][0] if self.inner_loops else ""

            def each(i: str, _: list[str]) -> list[str]:
                self.variables[name] = i
                self._stage_body(0, [])
                return []

            e.loop("%lo", "%hi", 1, each)
        else:
            extent = prod(size for _, size in self.row_loops)
            e.loop("%lo", "%hi", 1, self._row)
        e.ret()
        kind = "sum_columns" if self.kernel.column else "rows" if self.kernel.stages > 1 or not self.flat else "each"
        count = prod(self.kernel.rows) * prod(self.kernel.inner)
        size = sum(v.spec.size * dtypes.to_numpy(v.spec.dtype).itemsize for v in self.parameters)
        note = " ".join(root.value.node.op.name for root in self.kernel.roots)
        return finished(kind, e, extent, count * len(self.kernel.roots), size, note), self.parameters

    def _row(self, flat: str, _: list[str]) -> list[str]:
        e = self.e
        rest = flat
        for name, size in reversed(self.row_loops):
            self.variables[name] = rest if name == self.row_loops[0][0] else e.value(f"urem i64 {rest}, {size}")
            rest = e.value(f"udiv i64 {rest}, {size}") if name != self.row_loops[0][0] else rest
        self.known = [{}]
        self.row_values = {}
        for stage in range(self.kernel.stages):
            self.stage = stage
            reductions = [r for r in self.kernel.roots if r.stage == stage and r.kind in REDUCTIONS]
            each = [r for r in self.kernel.roots if r.stage == stage and r.kind == "each"]
            if reductions or each:
                sums = self._nest(self.inner_loops, stage, [self._first(r) for r in reductions], reductions)
                for root, value in zip(reductions, sums, strict=True):
                    self._finish_reduction(root, value)
            for root in self.kernel.roots:
                if root.stage == stage and root.kind == "row":
                    value = self._compute(root.value, self._index(root))
                    self.row_values[root.value] = value
                    if root.stored:
                        self._store(root.value, self._index(root), value)
        return []

    def _nest(
        self, loops: Sequence[tuple[str, int]], stage: int, carried: list[tuple[str, str]], reductions: list[Root]
    ) -> list[str]:
        if not loops:
            return self._stage_body(stage, [value for _, value in carried])
        (name, size), rest = loops[0], loops[1:]

        def body(i: str, now: list[str]) -> list[str]:
            self.variables[name] = i
            kinds = [kind for kind, _ in carried]
            return self._nest(rest, stage, list(zip(kinds, now, strict=True)), reductions)

        return self.e.loop("0", str(size), 1, body, carried)

    def _stage_body(self, stage: int, carried: list[str]) -> list[str]:
        self.known.append({})
        self.stage = stage
        result = []
        now = iter(carried)
        for root in self.kernel.roots:
            if root.stage != stage or root.kind == "row":
                continue
            if root.kind == "each":
                value = self._compute(root.value, self._index(root))
                if root.stored:
                    self._store(root.value, self._index(root), value)
            else:
                source = root.value.node.inputs[0]
                value = self._compute(source, place_in(source, self.kernel, False))
                result.append(self._combine(root, next(now), self._widened(root, value)))
        self.known.pop()
        return result

    # Reductions

    def _sum_type(self, root: Root) -> DType:
        dtype = root.value.spec.dtype
        return dtypes.float32 if dtype in ("float16", "bfloat16") else dtype

    def _widened(self, root: Root, value: str) -> str:
        source = root.value.node.inputs[0].spec.dtype
        target = self._sum_type(root)
        if source == target:
            return value
        return elementwise.emit(self.e, "cast", [value], [source], target, attrs={"dtype": str(target)})

    def _first(self, root: Root) -> tuple[str, str]:
        dtype = self._sum_type(root)
        initial = root.value.node.attrs.get("initial")
        return llvm_type(dtype), literal(identity(root.kind, dtype) if initial is None else initial, dtype)

    def _combine(self, root: Root, a: str, b: str) -> str:
        return combine(self.e, root.kind, self._sum_type(root), a, b)

    def _finish_reduction(self, root: Root, value: str) -> None:
        dtype, wide = root.value.spec.dtype, self._sum_type(root)
        if dtype != wide:
            value = elementwise.emit(self.e, "cast", [value], [wide], dtype, attrs={"dtype": str(dtype)})
        self.row_values[root.value] = value
        if root.stored:
            self._store(root.value, self._row_index(root), value)

    def _row_index(self, root: Root) -> Index:
        return place_in(root.value, self.kernel, True)

    def _columns(self) -> int:
        """Sums over leading axes: each part keeps its columns and goes down the rows."""
        e = self.e
        (name, extent), outer = self.inner_loops[-1], self.inner_loops[:-1]
        if outer:  # not one run of memory: count all columns and take the index apart
            extent = prod(size for _, size in self.inner_loops)

        def place(i: str) -> None:
            rest = i
            for label, size in reversed(self.inner_loops):
                self.variables[label] = rest if label == self.inner_loops[0][0] else e.value(f"urem i64 {rest}, {size}")
                rest = e.value(f"udiv i64 {rest}, {size}") if label != self.inner_loops[0][0] else rest

        def clear(i: str, _: list[str]) -> list[str]:
            for root in self.kernel.roots:
                kind, first = self._first(root)
                self._store_at(root, i, first)
            return []

        def down(row: list[str]) -> None:
            def add(i: str, _: list[str]) -> list[str]:
                place(i) if outer else self.variables.__setitem__(name, i)
                self.known = [{}]
                for root in self.kernel.roots:
                    source = root.value.node.inputs[0]
                    value = self._widened(root, self._compute(source, place_in(source, self.kernel, False)))
                    self._store_at(root, i, self._combine(root, self._load_at(root, i), value))
                return []

            e.loop("%lo", "%hi", 1, add)

        def rows(loops: Sequence[tuple[str, int]]) -> None:
            if not loops:
                down([])
                return

            def body(i: str, _: list[str]) -> list[str]:
                self.variables[loops[0][0]] = i
                rows(loops[1:])
                return []

            e.loop("0", str(loops[0][1]), 1, body)

        e.loop("%lo", "%hi", 1, clear)
        rows(self.row_loops)
        return extent

    def _store_at(self, root: Root, place: str, value: str) -> None:
        kind = llvm_type(self._sum_type(root))
        pointer = self.e.value(f"getelementptr inbounds {kind}, ptr %{self.names[root.value]}, i64 {place}")
        self.e.line(f"store {kind} {value}, ptr {pointer}")

    def _load_at(self, root: Root, place: str) -> str:
        kind = llvm_type(self._sum_type(root))
        pointer = self.e.value(f"getelementptr inbounds {kind}, ptr %{self.names[root.value]}, i64 {place}")
        return self.e.value(f"load {kind}, ptr {pointer}")

    # Values

    def _compute(self, value: Value, index: Index) -> str:
        if value in self.row_values:
            return self.row_values[value]
        key = (value, index)
        for scope in reversed(self.known):
            if key in scope:
                return scope[key]
        result = self._made(value, index)
        self.known[-1][key] = result
        return result

    def _made(self, value: Value, index: Index) -> str:
        if isinstance(value, Constant):
            if value.spec.size == 1:
                return literal(value.tensor.numpy().item(), value.spec.dtype)
            return self._load(value, value, index)
        root = self.roots.get(value)
        if root is not None and root.kind == "each" and root.stage < self.stage:
            return self._load(value, value, index)
        if root is None and (value.node is None or value in self.stored):
            return self._load(value, self.base(value), index)
        node: Node = value.node
        found = [self._compute(source, where) for source, where in sources(node, index) or []]
        if node.op.name in MOVES_ONLY:
            return found[0]
        return elementwise.emit(
            self.e, node.op.name, found, [v.spec.dtype for v in node.inputs], value.spec.dtype, attrs=node.attrs
        )

    def _address(self, value: Value, memory: Value, index: Index) -> str:
        affine = offset(index, value.spec.sizes)
        total = str(affine.constant)
        for name, factor in affine.terms:
            if name in self.replaced:
                continue
            part = self.variables[name]
            if factor != 1:
                part = self.e.value(f"mul nsw i64 {part}, {factor}")
            total = part if total == "0" else self.e.value(f"add nsw i64 {part}, {total}")
        kind = llvm_type(value.spec.dtype)
        return self.e.value(f"getelementptr inbounds {kind}, ptr %{self.names[memory]}, i64 {total}")

    def _load(self, value: Value, memory: Value, index: Index) -> str:
        return self.e.value(f"load {llvm_type(value.spec.dtype)}, ptr {self._address(value, memory, index)}")

    def _store(self, value: Value, index: Index, result: str) -> None:
        self.e.line(f"store {llvm_type(value.spec.dtype)} {result}, ptr {self._address(value, value, index)}")


MOVES_ONLY = frozenset({"reshape", "broadcast_to", "transpose", "strided_slice", "flip", "stop_gradient"})


def _factor(address: Affine, variable: str) -> int:
    return dict(address.terms).get(variable, 0)


def identity(kind: str, dtype: DType) -> float | int:
    """What a reduction starts from."""
    if kind in ("sum", "prod"):
        return 0 if kind == "sum" else 1
    if dtypes.is_floating(dtype):
        return float("-inf") if kind == "max" else float("inf")
    if dtypes.is_bool(dtype):
        return 0 if kind == "max" else 1
    info = _range(dtype)
    return info[0] if kind == "max" else info[1]


def _range(dtype: DType) -> tuple[int, int]:
    bits = dtype.itemsize * 8
    return (0, 2**bits - 1) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def combine(e: Emitter, kind: str, dtype: DType, a: str, b: str) -> str:
    """One step of a reduction. Sums and products may be taken in any order."""
    t = llvm_type(dtype)
    floating = dtypes.is_floating(dtype)
    if kind in ("sum", "prod"):
        name = "add" if kind == "sum" else "mul"
        return e.value(f"f{name} reassoc {t} {a}, {b}" if floating else f"{name} {t} {a}, {b}")
    if floating:
        return e.call(t, f"llvm.{kind}imum.{'f32' if t == 'float' else 'f64'}", (t, a), (t, b))
    sign = "u" if dtype.startswith("u") or dtypes.is_bool(dtype) else "s"
    return e.call(t, f"llvm.{sign}{kind}.{t}", (t, a), (t, b))
