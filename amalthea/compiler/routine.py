"""A planned graph: its steps in order, where every value lives, and its code as one function of all threads.

The graph of a program is one routine; so is each graph inside a loop or a branch, which the surrounding code calls with
pointers to what goes in and comes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from amalthea.compiler import elementwise
from amalthea.compiler.contraction import accumulator
from amalthea.compiler.control_flow import CONTROL, generate_control
from amalthea.compiler.copying import copy_code
from amalthea.compiler.emitter import Emitter
from amalthea.compiler.epilogues import pointwise_work
from amalthea.compiler.fusion import Fusion, NodeStep
from amalthea.compiler.generators import Made, continues, generate_node
from amalthea.compiler.index_checks import IndexCheck, check_code
from amalthea.compiler.kernel_code import (
    CALLS_ONLY,
    PLACEHOLDER,
    SPMD_PARAMETERS,
    KernelCode,
    SpmdCode,
    finished_spmd,
)
from amalthea.compiler.loop_kernels import generate_loops
from amalthea.compiler.loops import LoopKernel
from amalthea.compiler.memory import Life, plan
from amalthea.compiler.sharing import Argument, Sharing, Span
from amalthea.compiler.target import Target
from amalthea.core import dtypes
from amalthea.core.graph import Graph
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value

Key = Value | tuple[str, int]
"""What a kernel's parameter points to: a value, ("scratch", i) of its step, ("output", i) of the routine, or
("faults", i): where its check i, and those that follow, write an index that is out of range."""


@dataclass
class Step:
    """One step of a routine: generated kernels, or a node that falls back to its NumPy kernel."""

    codes: list[tuple[KernelCode, list[Key]]]
    node: Node | None
    reads: set[Value] = field(default_factory=set)
    writes: list[Value] = field(default_factory=list)
    scratch: list[int] = field(default_factory=list)  # bytes
    faults: range = range(0)  # of the checks inside


class Routine:
    """The plan of one graph of primitives.

    Args:
        graph: with static shapes, optimised.
        target: to generate code for.
        outputs: the values to write, in order; those of the graph unless given. A value may stand there twice.
        updates: for outputs (by place) the input that each may take the place of.

    Attributes:
        kernels: the loop kernels and nodes, as fusion made them; `steps`: their code.
        inputs, constants, outputs: what the caller gives memory to, in this order.
        checks: the checks of indices, in the order of their faults, those inside loops and branches too.
        in_place: the `updates` that the plan makes: the caller gives both the same memory.
        arena_size: bytes of memory that values between steps need.
        places: where each value lives: ("input", i), ("constant", i), ("output", i) or ("arena", offset).
    """

    def __init__(
        self,
        graph: Graph,
        target: Target,
        outputs: Sequence[Value] | None = None,
        updates: Mapping[int, int] | None = None,
    ) -> None:
        self.graph, self.target = graph, target
        self.inputs = graph.all_inputs
        self.outputs = tuple(graph.all_outputs if outputs is None else outputs)
        fusion = Fusion(graph, elementwise.OPS, continues)
        self.kernels = fusion.run()
        self.stored, self.aliases = fusion.stored, fusion.aliases
        self.checks: list[IndexCheck] = []
        self._updates = dict(updates or {})
        copies = self._copy_outputs()
        self._plan_updates(copies)
        # From the last to the first: what replaces an input must know who reads it later.
        self.steps = [self._step(kernel) for kernel in reversed(self.kernels)][::-1] + copies
        self._allocate()

    @property
    def native(self) -> bool:
        """Whether all steps have generated code."""
        return all(step.node is None for step in self.steps)

    def base(self, value: Value) -> Value:
        """The value whose memory a stored value lives in."""
        while value in self.aliases:
            value = value.node.inputs[0]
        return value

    # Steps

    def _step(self, kernel: LoopKernel | NodeStep | IndexCheck) -> Step:
        first_fault = self._first_fault = len(self.checks)
        if isinstance(kernel, IndexCheck):
            self.checks.append(kernel)
            indices = self.base(kernel.indices)
            return self._settled(Step([(check_code(kernel), [indices, ("faults", first_fault)])], None, {indices}))
        if isinstance(kernel, LoopKernel):
            loops = generate_loops(kernel, self.stored, self.base, self._replaceable)
            outputs = [root.value for root in kernel.roots if root.stored]
            reads = {p for _, parameters in loops.codes for p in parameters if isinstance(p, Value)}
            return self._settled(Step(loops.codes, None, reads - set(outputs), outputs, loops.scratch), loops.in_place)
        node, work, writes = kernel.node, None, list(kernel.node.outputs)
        if kernel.roots:
            sums = accumulator(node.inputs[0].spec.dtype)
            work = pointwise_work(node.outputs[0], kernel.roots, kernel.stored, self.stored, self.base, sums)
            writes = list(work.results)
        in_place: dict[Value, Value] = {}
        if node.op.name in CONTROL:
            made, in_place = self._control(node)
        else:
            made = generate_node(node, self.target, work)
        if made is None:
            return self._settled(Step([], node, {self.base(value) for value in node.inputs}, writes))

        def resolved(key: Key) -> Key:
            if isinstance(key, tuple):
                return ("faults", first_fault) if key[0] == "faults" else key
            return key if key in writes else self.base(key)

        codes: list[tuple[KernelCode, list[Key]]] = [(code, [resolved(p) for p in keys]) for code, keys in made.codes]
        self.checks += [check for code, _ in codes for _, part in getattr(code, "inside", ()) for check in part.checks]
        reads = {p for _, parameters in codes for p in parameters if isinstance(p, Value)} - set(writes)
        return self._settled(Step(codes, None, reads, writes, made.scratch), in_place)

    def _control(self, node: Node) -> tuple[Made | None, dict[Value, Value]]:
        """The code of a loop or a branch, and the outputs that it writes in the memory of an input."""
        given = [self.base(value) for value in node.inputs]
        old = {out: self._replaceable[out] for out in node.outputs if out in self._replaceable}
        replaced = {out: given.index(value) for out, value in old.items() if given.count(value) == 1}

        def routine(graph: Graph, outputs: Sequence[Value], updates: Mapping[int, int]) -> Routine:
            return Routine(graph, self.target, outputs, updates)

        found = generate_control(node, routine, replaced)
        return (None, {}) if found is None else (found[0], {out: old[out] for out in found[1]})

    def _copy_outputs(self) -> list[Step]:
        """Choose the outputs that steps write themselves, those that may replace an input before others.

        Returns steps that copy the others. An input that is its own new value is there already.
        """
        self.in_place: dict[int, int] = {}
        self.direct: dict[Value, int] = {}
        copies = []
        given, updates = set(self.inputs), self._updates
        for place in sorted(range(len(self.outputs)), key=lambda place: (place not in updates, place)):
            base = self.base(self.outputs[place])
            if place in updates and base is self.inputs[updates[place]]:
                self.in_place[place] = updates[place]
            elif base in given or isinstance(base, Constant) or base in self.direct:
                copies.append(Step([(copy_code(size_of(base)), [base, ("output", place)])], None, {base}))
            else:
                self.direct[base] = place
        return copies

    # Outputs in the place of inputs

    def _plan_updates(self, copies: Sequence[Step]) -> None:
        kept = {value for step in copies for value in step.reads}
        self._replaceable: dict[Value, Value] = {}
        for value, place in self.direct.items():
            old = self.inputs[self._updates[place]] if place in self._updates else None
            if old is not None and old not in kept and old.spec.dtype == value.spec.dtype:
                self._replaceable[value] = old

    def _settled(self, step: Step, in_place: Mapping[Value, Value] | None = None) -> Step:
        """Note the faults of a step, and which outputs replace an input: those whose input nobody reads from here on.

        `in_place` has those that replace what the step itself reads.
        """
        step.faults = range(self._first_fault, len(self.checks))
        for value in step.writes:
            old = self._replaceable.pop(value, None)
            if old is not None and (old not in step.reads or old is (in_place or {}).get(value)):
                place = self.direct[value]
                self.in_place[place] = self._updates[place]
        for value, old in list(self._replaceable.items()):
            if old in step.reads:
                del self._replaceable[value]
        return step

    # Memory

    def _allocate(self) -> None:
        first: dict[Value, int] = {}
        last: dict[Value, int] = {}
        self.constants: list[Constant] = []
        for number, step in enumerate(self.steps):
            for value in step.writes:
                first.setdefault(value, number)
                last[value] = number
            for value in step.reads:
                last[value] = number
                if isinstance(value, Constant) and value not in self.constants:
                    self.constants.append(value)
        self.places: dict[Key, tuple[str, int]] = {}
        self.places |= {value: ("input", i) for i, value in enumerate(self.inputs)}
        self.places |= {value: ("constant", i) for i, value in enumerate(self.constants)}
        self.places |= {value: ("output", place) for value, place in self.direct.items()}
        self.places |= {v: ("input", self.in_place[p]) for v, p in self.direct.items() if p in self.in_place}
        self.places |= {("output", place): ("output", place) for place in range(len(self.outputs))}
        local = [value for value in first if value not in self.places]
        lives = [Life(size_of(value), first[value], last[value]) for value in local]
        scratch = [(n, i, size) for n, step in enumerate(self.steps) for i, size in enumerate(step.scratch)]
        lives += [Life(size, number, number) for number, _, size in scratch]
        offsets, self.arena_size = plan(lives)
        self.places |= {value: ("arena", at) for value, at in zip(local, offsets, strict=False)}
        rest = zip(scratch, offsets[len(local) :], strict=True)
        self._scratch = {(number, i): at for (number, i, _), at in rest}

    # Code

    def parameters(self) -> list[str]:
        """Names of the pointers that `code` takes: the arena, the faults, the inputs, the constants, the outputs."""
        counts = {"input": self.inputs, "constant": self.constants, "output": self.outputs}
        return ["arena", "faults", *(f"{kind}{i}" for kind, values in counts.items() for i in range(len(values)))]

    def code(self, name: str) -> SpmdCode:
        """The routine as one function (of a routine whose steps all have code)."""
        e = Emitter(PLACEHOLDER, [*(("ptr", p) for p in self.parameters()), *SPMD_PARAMETERS], attributes=CALLS_ONLY)
        pointers = {p: f"%{p}" for p in self.parameters()}
        sharing = self.emit(e, range(len(self.steps)), pointers)
        e.ret()
        calls = sharing.calls
        extent = 2 if sharing.pays else 1
        flops, bytes = sum(code.flops for code in calls), sum(code.bytes for code in calls)
        return finished_spmd(f"routine_{name}", e, calls, extent, flops, bytes, f"{len(calls)} kernels")

    def emit(self, e: Emitter, steps: Sequence[int], pointers: dict[str, str]) -> Sharing:
        """Write the calls of some steps; `pointers` has LLVM's value for each of `parameters`."""
        sharing = Sharing(e)
        known: dict[tuple[str, int], str] = {}

        def pointer(place: tuple[str, int]) -> str:
            kind, i = place
            if kind not in ("arena", "faults"):
                return pointers[f"{kind}{i}"]
            if place not in known:
                known[place] = e.value(
                    f"getelementptr {'i8' if kind == 'arena' else 'i64'}, ptr {pointers[kind]}, i64 {i}"
                )
            return known[place]

        for number in steps:  # made once, in the entry block
            for _, parameters in self.steps[number].codes:
                for key in parameters:
                    pointer(self._place(key, number))
        faults: list[int] = []
        for number in steps:
            step = self.steps[number]
            if faults and not self._is_check(number):
                sharing.leave_on(pointers["faults"], faults)
                faults = []
            faults += step.faults
            for code, parameters in step.codes:
                places = [self._place(key, number) for key in parameters]
                written = {self.places[value] for value in step.writes}
                # Faults are written by any thread at any time: whichever is the last will do.
                writes = [
                    p in written if isinstance(k, Value) else k[0] != "faults"
                    for k, p in zip(parameters, places, strict=True)
                ]
                spans = [self._span(key, number) for key in parameters]
                sharing.call(code, [Argument(*a) for a in zip(map(pointer, places), spans, writes, strict=True)])
        return sharing

    def _is_check(self, number: int) -> bool:
        return number < len(self.kernels) and isinstance(self.kernels[number], IndexCheck)

    def _place(self, key: Key, number: int) -> tuple[str, int]:
        if isinstance(key, tuple) and key[0] == "scratch":
            return ("arena", self._scratch[number, key[1]])
        if isinstance(key, tuple) and key[0] == "faults":
            return key
        return self.places[key]

    def _span(self, key: Key, number: int) -> Span:
        kind, at = self._place(key, number)
        if kind != "arena":
            return Span((kind, at), 0, 1)
        size = self.steps[number].scratch[key[1]] if isinstance(key, tuple) else size_of(key)
        return Span(None, at, at + max(size, 1))


def size_of(value: Value) -> int:
    """The bytes of a value."""
    return value.spec.size * dtypes.to_numpy(value.spec.dtype).itemsize
