"""A compiled graph: kernels in order, memory planned, run by all threads as one function.

Steps without generated code run as NumPy kernels between native stretches, on the same memory.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from amalthea.compiler import elementwise
from amalthea.compiler.contraction import accumulator
from amalthea.compiler.emitter import Emitter
from amalthea.compiler.engine import compile_module
from amalthea.compiler.epilogues import pointwise_work
from amalthea.compiler.fusion import Fusion, NodeStep
from amalthea.compiler.generators import continues, generate_node
from amalthea.compiler.index_checks import IndexCheck, check_code
from amalthea.compiler.kernel_code import KernelCode
from amalthea.compiler.loop_kernels import generate_loops
from amalthea.compiler.loops import LoopKernel
from amalthea.compiler.memory import ALIGNMENT, Life, plan
from amalthea.compiler.passes.pipeline import optimize
from amalthea.compiler.target import Target
from amalthea.compiler.threads import num_threads, run
from amalthea.core import dtypes
from amalthea.core.graph import Graph
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value

SERIAL = 1 << 15
"""Work (flops and bytes) below which a kernel is left to one thread."""


@dataclass(frozen=True)
class _Span:
    """A stretch of memory: of the arena, or the whole of an outside array."""

    outside: Value | None
    begin: int
    end: int

    def overlaps(self, other: _Span) -> bool:
        return self.outside is other.outside and self.begin < other.end and other.begin < self.end


@dataclass(frozen=True)
class Fault:
    """A kernel's parameter: where the check of that number writes an index that is out of range."""

    number: int


@dataclass
class Step:
    """One step of a program: generated kernels, or a NumPy kernel for `node`."""

    codes: list[tuple[KernelCode, list[Any]]]  # kernel, and for each parameter a Value, ("scratch", index) or a Fault
    node: Node | None
    reads: set[Value] = field(default_factory=set)
    writes: list[Value] = field(default_factory=list)
    scratch: list[int] = field(default_factory=list)  # bytes


class Program:
    """A graph of primitives as machine code; call it with the arrays of `graph.all_inputs`."""

    def __init__(
        self,
        graph: Graph,
        fallback: Mapping[str, Callable[..., Any]],
        target: Target | None = None,
        separate: bool = False,
    ) -> None:
        self.separate = separate  # each step a stretch of its own, to be timed
        self.target = target or Target.host()
        self.source = graph
        self.graph = optimize(graph)
        self.fallback = fallback
        fusion = Fusion(self.graph, elementwise.OPS, continues)
        self.kernels = fusion.run()
        self.stored, self.aliases = fusion.stored, fusion.aliases
        self.checks: list[IndexCheck] = []
        self.steps = [self._step(kernel) for kernel in self.kernels]
        self._allocate()
        self._link()
        self._arenas: list[_Arena] = []
        self._lock = threading.Lock()

    @property
    def fallbacks(self) -> list[str]:
        """The primitives that run as NumPy kernels, in order."""
        return [step.node.op.name for step in self.steps if step.node is not None]

    # Planning

    def base(self, value: Value) -> Value:
        """The value whose memory a stored value lives in."""
        while value in self.aliases:
            value = value.node.inputs[0]
        return value

    def _step(self, kernel: LoopKernel | NodeStep | IndexCheck) -> Step:
        if isinstance(kernel, IndexCheck):
            self.checks.append(kernel)
            indices = self.base(kernel.indices)
            return Step([(check_code(kernel), [indices, Fault(len(self.checks) - 1)])], None, {indices})
        if isinstance(kernel, LoopKernel):
            loops = generate_loops(kernel, self.stored, self.base)
            outputs = [root.value for root in kernel.roots if root.stored]
            reads = {p for _, parameters in loops.codes for p in parameters if isinstance(p, Value)}
            return Step(loops.codes, None, reads - set(outputs), outputs, loops.scratch)
        node = kernel.node
        reads = {self.base(value) for value in node.inputs}
        work, writes = None, list(node.outputs)
        if kernel.roots:
            sums = accumulator(node.inputs[0].spec.dtype)
            work = pointwise_work(node.outputs[0], kernel.roots, kernel.stored, self.stored, self.base, sums)
            writes = list(work.results)
            reads.update(work.operands)
        made = generate_node(node, self.target, work)
        if made is None:
            return Step([], node, reads, writes)
        resolved = [
            (code, [self.base(p) if isinstance(p, Value) and p not in writes else p for p in parameters])
            for code, parameters in made.codes
        ]
        return Step(resolved, None, reads, writes, made.scratch)

    def _allocate(self) -> None:
        graph = self.graph
        self.inputs = list(graph.all_inputs)
        self.outputs = list(graph.all_outputs)
        given = set(self.inputs)
        made = {value for step in self.steps for value in step.writes}
        # An output has memory of its own if a step writes it; anything else is copied at the end.
        self.direct: dict[Value, int] = {}
        for place, value in enumerate(self.outputs):
            if value in made and value not in self.direct:
                self.direct[value] = place
        first: dict[Value, int] = {}
        last: dict[Value, int] = {}
        self.constants: list[Value] = []
        for number, step in enumerate(self.steps):
            for value in step.writes:
                first.setdefault(value, number)
                last[value] = number
            for value in step.reads:
                last[value] = number
                if isinstance(value, Constant) and value not in self.constants:
                    self.constants.append(value)
        for value in self.outputs:
            last[self.base(value)] = len(self.steps)
        self.local = [value for value in first if value not in self.direct and value not in given]
        lives = [Life(_bytes(value), first[value], last[value]) for value in self.local]
        scratch = [(number, size) for number, step in enumerate(self.steps) for size in step.scratch]
        lives += [Life(size, number, number) for number, size in scratch]
        offsets, self.arena_size = plan(lives)
        self.offsets = dict(zip(self.local, offsets, strict=False))
        self.scratch_offsets: dict[tuple[int, int], int] = {}
        counts: dict[int, int] = {}
        for (number, _), at in zip(scratch, offsets[len(self.local) :], strict=True):
            self.scratch_offsets[number, counts.get(number, 0)] = at
            counts[number] = counts.get(number, 0) + 1
        places = [*self.inputs, *self.constants, *self.direct]
        self.external = {value: i + 1 for i, value in enumerate(places)}  # 0 is the arena

    # Linking

    def _link(self) -> None:
        texts: dict[str, str] = {}
        declarations: set[str] = set()
        self.stretches: list[tuple[str, Step | None]] = []
        stretch: list[tuple[int, Step]] = []
        for number, step in enumerate(self.steps):
            if step.codes:
                stretch.append((number, step))
                for code, _ in step.codes:
                    texts[code.name] = code.text
                    declarations |= code.declarations
                if self.separate:
                    self._close(stretch, texts, declarations)
            elif step.node is not None:
                self._close(stretch, texts, declarations)
                self.stretches.append(("", step))
        self._close(stretch, texts, declarations)
        names = [name for name, step in self.stretches if name]
        self.loaded = compile_module(list(texts.values()), declarations, self.target) if names else None
        self.addresses = {name: self.loaded.address(name) for name in names} if self.loaded else {}

    def _close(self, stretch: list[tuple[int, Step]], texts: dict[str, str], declarations: set[str]) -> None:
        if stretch:
            name = f"program_{len(self.stretches)}"
            e = self._stretch(name, stretch)
            texts[name] = e.text()
            declarations |= e.declarations
            self.stretches.append((name, None))
            stretch.clear()

    def _stretch(self, name: str, steps: Sequence[tuple[int, Step]]) -> Emitter:
        """One function that runs steps in order; threads share each, and meet where one needs another's results."""
        parameters = [("ptr", "args"), ("i64", "thread"), ("i64", "threads"), ("ptr", "barrier")]
        # Calls in a row: there is nothing to gain, and keeping hundreds of pointers in registers takes LLVM long.
        e = Emitter(name, parameters, attributes="noinline optnone")
        pointers: dict[Any, str] = {}
        arena = e.value("load ptr, ptr %args")

        def pointer(key: Any, number: int) -> str:
            if key not in pointers or isinstance(key, tuple):
                if isinstance(key, tuple):
                    pointers[key] = e.value(
                        f"getelementptr i8, ptr {arena}, i64 {self.scratch_offsets[number, key[1]]}"
                    )
                elif isinstance(key, Fault):
                    faults = e.value(
                        f"load ptr, ptr {e.value(f'getelementptr ptr, ptr %args, i64 {len(self.external) + 1}')}"
                    )
                    pointers[key] = e.value(f"getelementptr i64, ptr {faults}, i64 {key.number}")
                elif key in self.external:
                    slot = e.value(f"getelementptr ptr, ptr %args, i64 {self.external[key]}")
                    pointers[key] = e.value(f"load ptr, ptr {slot}")
                else:
                    pointers[key] = e.value(f"getelementptr i8, ptr {arena}, i64 {self.offsets[key]}")
            return pointers[key]

        for _, step in steps:  # pointers first: they are made once, in the entry block
            for _, parameters in step.codes:
                for key in parameters:
                    if not isinstance(key, tuple):
                        pointer(key, 0)
        is_first = e.value("icmp eq i64 %thread, 0")
        since: list[
            tuple[_Span, bool, bool]
        ] = []  # touched since the last meeting: where, written, by one thread alone
        meet = 0
        for number, step in steps:
            for code, parameters in step.codes:
                alone = code.extent <= 1 or code.flops + code.bytes < SERIAL
                touched = [key for key in parameters if not isinstance(key, Fault)]
                spans = [(self._span(key, number), isinstance(key, tuple) or key in step.writes) for key in touched]
                if any(
                    span.overlaps(before) and (writes or wrote) and not (alone and single)
                    for span, writes in spans
                    for before, wrote, single in since
                ):
                    e.line("call void @amalthea_barrier(ptr %barrier, i64 %threads)")
                    e.need("declare void @amalthea_barrier(ptr, i64)")
                    since.clear()
                since += [(span, writes, alone) for span, writes in spans]
                arguments = ", ".join(f"ptr {pointer(key, number)}" for key in parameters)
                meet += 1
                e.need(f"declare void @{code.name}({', '.join('ptr' for _ in parameters)}, i64, i64)")
                if alone:
                    e.branch(is_first, f"alone{meet}", f"after{meet}")
                    e.label(f"alone{meet}")
                    e.line(f"call void @{code.name}({arguments}, i64 0, i64 {code.extent})")
                    e.jump(f"after{meet}")
                    e.label(f"after{meet}")
                else:
                    low = e.value(f"udiv i64 {e.value(f'mul i64 %thread, {code.extent}')}, %threads")
                    following = e.value("add i64 %thread, 1")
                    high = e.value(f"udiv i64 {e.value(f'mul i64 {following}, {code.extent}')}, %threads")
                    e.line(f"call void @{code.name}({arguments}, i64 {low}, i64 {high})")
        e.ret()
        return e

    def _span(self, key: Any, number: int) -> _Span:
        if isinstance(key, tuple):
            begin = self.scratch_offsets[number, key[1]]
            return _Span(None, begin, begin + self.steps[number].scratch[key[1]])
        if key in self.external:
            return _Span(key, 0, 1)
        return _Span(None, self.offsets[key], self.offsets[key] + max(_bytes(key), 1))

    # Running

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        # A NumPy scalar has no memory of its own.
        inputs = [a if type(a) is np.ndarray and a.flags.c_contiguous else np.array(a, order="C") for a in arrays]
        results = {value: np.empty(value.spec.sizes, dtypes.to_numpy(value.spec.dtype)) for value in self.direct}
        with self._lock:
            arena = self._arenas.pop() if self._arenas else _Arena(self)
        try:
            self._run(arena, inputs, results)
            if any(arena.faults):
                self._fail(arena)
            return [self._output(value, arena, inputs, results) for value in self.outputs]
        finally:
            with self._lock:
                self._arenas.append(arena)

    def _fail(self, arena: _Arena) -> None:
        """Raise for the first index that was out of range."""
        found = list(arena.faults)
        ctypes.memset(arena.faults, 0, ctypes.sizeof(arena.faults))
        for check, worst in zip(self.checks, found, strict=True):
            if worst:
                check.fail(worst)

    def describe(self, arrays: Sequence[np.ndarray] | None = None) -> str:
        """The steps as text: kernels with their work, and what falls back; with arrays also the time each takes."""
        timed: list[float | None] = [None] * len(self.steps)
        if arrays is not None:
            timed = [t for _, t in Program(self.source, self.fallback, self.target, True).times(arrays)]
        lines = [f"{len(self.steps)} steps, {self.arena_size} bytes of memory between them, {self.target.name}"]
        for step, seconds in zip(self.steps, timed, strict=True):
            took = "" if seconds is None else f"{seconds * 1e6:10.1f} us  "
            if step.node is not None:
                lines.append(f"{took}numpy: {step.node.op.name} -> {step.node.outputs[0].spec}")
            for code, _ in step.codes:
                lines.append(f"{took}{code.name}: {code.flops} flops, {code.bytes} bytes, {code.note}")
                took = " " * len(took)
        return "\n".join(lines)

    def _run(self, arena: _Arena, inputs: list[np.ndarray], results: dict[Value, np.ndarray]) -> None:
        memory: dict[Value, np.ndarray] = dict(zip(self.inputs, inputs, strict=True))
        memory.update(results)
        arguments = arena.arguments
        at = 1
        for array in inputs:
            arguments[at] = array.__array_interface__["data"][0]
            at += 1
        at += len(self.constants)
        for array in results.values():
            arguments[at] = array.__array_interface__["data"][0]
            at += 1
        threads = num_threads()
        for name, step in self.stretches:
            if step is None:
                run(self.addresses[name], ctypes.addressof(arguments), threads)
            else:
                self._fall_back(step, arena, memory)

    def times(self, arrays: Sequence[np.ndarray], repeats: int = 10) -> list[tuple[Step, float]]:
        """Each step with the shortest time it took, in seconds (of a program made with `separate`)."""
        arena = _Arena(self)
        results = {value: np.empty(value.spec.sizes, dtypes.to_numpy(value.spec.dtype)) for value in self.direct}
        best = [float("inf")] * len(self.steps)
        every = self.stretches
        inputs = [np.ascontiguousarray(a) for a in arrays]
        try:
            for _ in range(repeats):
                for i, stretch in enumerate(every):
                    self.stretches = [stretch]
                    begin = time.perf_counter()
                    self._run(arena, inputs, results)
                    best[i] = min(best[i], time.perf_counter() - begin)
        finally:
            self.stretches = every
        return list(zip(self.steps, best, strict=True))

    def _array(self, value: Value, arena: _Arena, memory: Mapping[Value, np.ndarray]) -> np.ndarray:
        base = self.base(value)
        if isinstance(base, Constant):
            found = base.tensor.numpy()
        elif base in memory:
            found = memory[base]
        else:
            found = arena.views[base]
        if found.dtype != dtypes.to_numpy(value.spec.dtype):
            found = found.reshape(-1).view(dtypes.to_numpy(value.spec.dtype))
        return found.reshape(value.spec.sizes)

    def _fall_back(self, step: Step, arena: _Arena, memory: Mapping[Value, np.ndarray]) -> None:
        node = step.node
        assert node is not None
        made = self.fallback[node.op.name](*[self._array(v, arena, memory) for v in node.inputs], **node.attrs)
        parts = made if isinstance(made, (tuple, list)) else (made,)
        for value, part in zip(node.outputs, parts, strict=True):
            np.copyto(self._array(value, arena, memory), part, casting="no")

    def _output(
        self, value: Value, arena: _Arena, inputs: Sequence[np.ndarray], results: Mapping[Value, np.ndarray]
    ) -> np.ndarray:
        if value in results:
            return results[value]
        memory: dict[Value, np.ndarray] = dict(zip(self.inputs, inputs, strict=True))
        memory.update(results)
        return np.array(self._array(value, arena, memory))


class _Arena:
    """The memory of one run: values between steps, and the table of pointers."""

    def __init__(self, program: Program) -> None:
        raw = np.empty(program.arena_size + ALIGNMENT, np.uint8)
        start = -raw.__array_interface__["data"][0] % ALIGNMENT
        self.memory = raw[start : start + program.arena_size]
        self.views = {
            value: self.memory[at : at + _bytes(value)]
            .view(dtypes.to_numpy(value.spec.dtype))
            .reshape(value.spec.sizes)
            for value, at in program.offsets.items()
        }
        self.arguments = (ctypes.c_void_p * (len(program.external) + 2))()
        self.arguments[0] = self.memory.__array_interface__["data"][0]
        self.faults = (ctypes.c_int64 * len(program.checks))()
        self.arguments[len(program.external) + 1] = ctypes.addressof(self.faults)
        self.constants = [np.ascontiguousarray(value.tensor.numpy()) for value in program.constants]  # type: ignore[attr-defined]
        for i, array in enumerate(self.constants):
            self.arguments[1 + len(program.inputs) + i] = array.__array_interface__["data"][0]


def _bytes(value: Value) -> int:
    return value.spec.size * dtypes.to_numpy(value.spec.dtype).itemsize
