"""Loops and branches as code: each graph inside is a routine, and threads together call it step by step.

Nothing is copied from step to step. Sequences and stacked results are pointers that advance. A carried value is read
where the step before wrote it: in its slot of a stacked result if it is stacked too, in the very memory of the value
before it if the body allows that, or else in one of two buffers in turn, of which one is the result.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amalthea.compiler.copying import copy_code
from amalthea.compiler.emitter import TYPES, Emitter
from amalthea.compiler.generators import Made, Parameter
from amalthea.compiler.kernel_code import (
    CALLS_ONLY,
    PLACEHOLDER,
    SPMD_PARAMETERS,
    KernelCode,
    SpmdCode,
    finished_spmd,
    with_inside,
)
from amalthea.compiler.sharing import Sharing, any_fault
from amalthea.core import dtypes
from amalthea.core.graph import Graph
from amalthea.core.node import Node
from amalthea.core.value import Value

if TYPE_CHECKING:
    from amalthea.compiler.routine import Routine

CONTROL = frozenset({"scan_loop", "loop", "branch"})
"""The primitives of control flow."""

_FAULTS = ("faults", 0)

Planner = Callable[[Graph, Sequence[Value], Mapping[int, int]], "Routine"]


def generate_control(node: Node, plan: Planner, replaced: Mapping[Value, int]) -> tuple[Made, set[Value]] | None:
    """The function of a loop or a branch; None if a step inside has no generated code.

    Args:
        node: a call of one of the primitives `CONTROL`.
        plan: plans a graph that writes the given values, with the updates that it may make in place.
        replaced: outputs that may take the memory of the node's input of this place, which nothing else reads.

    Returns:
        The code, and the outputs that do take that memory.
    """
    kind = {"scan_loop": _Scan, "loop": _Loop, "branch": _Branch}[node.op.name]
    made = kind(node, plan, replaced)
    result = made.made()
    return None if result is None else (result, made.taken)


@dataclass
class _Carry:
    """A carried value: the first one, the graph's input for it, what a step makes of it, and the last one."""

    first: Value
    inner: Value
    after: Value
    last: Value


def _carries(node: Node, body: Graph) -> list[_Carry]:
    parts = zip(node.inputs, body.inputs, body.outputs, node.outputs, strict=False)
    return [_Carry(*four) for four in itertools.islice(parts, node.attrs["carries"])]


class _ControlFlow:
    """What the three have in common: the function in the making, its parameters and the routines that it calls."""

    def __init__(self, node: Node, plan: Planner, replaced: Mapping[Value, int]) -> None:
        self.node, self.plan, self.replaced = node, plan, replaced
        self.taken: set[Value] = set()  # outputs in the memory of an input
        self.result = Made()
        self.parameters: list[Parameter] = []
        self.names: dict[Parameter, str] = {}
        self.routines: list[tuple[str, Routine, SpmdCode]] = []
        self.arenas: list[Parameter] = []

    def made(self) -> Made | None:
        """The node's code."""
        if not all(_closed(graph) for graph in self.graphs()):
            return None
        if not self.prepare():
            return None
        for value in (*self.node.inputs, *self.node.outputs):
            self.pointer(value)
        for i in range(len(self.result.scratch)):
            self.pointer(("scratch", i))
        for _, routine, _ in self.routines:
            for constant in routine.constants:
                self.pointer(constant)
        self.pointer(_FAULTS)
        head = [*(("ptr", name[1:]) for name in self.names.values()), *SPMD_PARAMETERS]
        self.e = e = Emitter(PLACEHOLDER, head, attributes=CALLS_ONLY)
        self.sharing = Sharing(e)
        self.shared = any(not code.alone for _, _, code in self.routines)
        self.emit()
        e.ret()
        times = self.node.attrs.get("length", 1)
        codes = [code for _, _, code in self.routines]
        made = finished_spmd(
            self.node.op.name,
            e,
            [*self.sharing.calls, *codes],
            2 if self.shared else 1,
            times * sum(code.flops for code in codes),
            times * sum(code.bytes for code in codes),
            self.note(),
        )
        inside = [(label, routine) for label, routine, _ in self.routines]
        self.result.codes.append((with_inside(made, inside), self.parameters))
        return self.result

    # What each kind says of itself

    def graphs(self) -> Sequence[Graph]:
        """The graphs inside the node."""
        raise NotImplementedError

    def prepare(self) -> bool:
        """Plan the routines and ask for buffers; whether everything inside has code."""
        raise NotImplementedError

    def emit(self) -> None:
        """Write the function's body."""
        raise NotImplementedError

    def note(self) -> str:
        """One line for people."""
        return ""

    # Tools

    def add(self, label: str, graph: Graph, outputs: Sequence[Value], updates: Mapping[int, int] | None = None) -> bool:
        """Plan a routine; whether all its steps have code."""
        routine = self.plan(graph, outputs, updates or {})
        if not routine.native:
            return False
        self.routines.append((label, routine, routine.code(label)))
        self.arenas.append(self.result.buffer(routine.arena_size))
        return True

    def pointer(self, parameter: Parameter) -> str:
        """LLVM's name of a parameter of the function, which is added if it is new."""
        if parameter not in self.names:
            self.names[parameter] = f"%p{len(self.names)}"
            self.parameters.append(parameter)
        return self.names[parameter]

    def call(self, number: int, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Call a routine."""
        _, routine, code = self.routines[number]
        constants = [self.pointer(constant) for constant in routine.constants]
        arena, faults = self.pointer(self.arenas[number]), self.pointer(_FAULTS)
        first = sum(len(before.checks) for _, before, _ in self.routines[:number])
        if first:
            faults = self.e.value(f"getelementptr i64, ptr {faults}, i64 {first}")
        self.sharing.call_now(code, [arena, faults, *inputs, *constants, *outputs])

    def meet(self) -> None:
        """Let threads wait for one another, where there are several."""
        if self.shared:
            self.sharing.meet()

    def leave_on_fault(self, goal: str) -> None:
        """Go to a block if an index inside was wrong; after a meeting."""
        count = sum(len(routine.checks) for _, routine, _ in self.routines)
        if count:
            stay = self.e.block("stay")
            self.e.branch(any_fault(self.e, self.pointer(_FAULTS), range(count)), goal, stay)
            self.e.label(stay)

    def copy(self, value: Value, source: str, result: str) -> None:
        """Copy a value from one place to another; a kernel shared by the threads if there are several."""
        code: KernelCode = copy_code(_bytes(value))
        self.sharing.call_now(code, [source, result])


class _Carried(_ControlFlow):
    """A loop: the places of carried values, step by step."""

    carries: list[_Carry]
    in_place: dict[Value, _Carry]  # values that a step writes in the memory of the carried value before it

    def add_body(self, body: Graph, outputs: Sequence[Value], carried: Sequence[Value]) -> bool:
        """Plan the body. It writes `outputs`; those of them that are `carried` get memory here.

        They stay in one place if nothing else is carried from them and the body can overwrite the value before, and
        alternate between two buffers if not.
        """
        afters = [carry.after for carry in self.carries]
        places = {c.after: i for i, c in enumerate(self.carries) if afters.count(c.after) == 1}
        updates = {i: places[v] for i, v in enumerate(outputs[: len(carried)]) if v in places}
        if not self.add("body", body, outputs, updates):
            return False
        routine = self.routines[-1][1]
        self.in_place = {outputs[i]: self.carries[place] for i, place in routine.in_place.items()}
        owners = {carry.after: carry.last for carry in reversed(self.carries)}
        moving = [value for value in carried if value not in self.in_place]
        self.buffers = {value: (owners[value], self.result.buffer(_bytes(value))) for value in moving}
        inputs = {carry.last: i for i, carry in enumerate(self.carries)}
        self.taken = {out for out, place in self.replaced.items() if inputs.get(out) == place}
        return True

    def settle(self) -> None:
        """Before the first step: put what stays in one place there."""
        moved = [carry for carry in self.in_place.values() if carry.last not in self.taken]
        for carry in moved:
            self.copy(carry.inner, self.pointer(carry.first), self.pointer(carry.last))
        if moved:
            self.meet()

    def in_turn(self, value: Value, step: str) -> str:
        """Of the two buffers of a value the one that a step writes. The first step does not write to the result.

        For the result may be the memory of the first value.
        """
        result, spare = self.buffers[value]
        odd = self.e.value(f"icmp ne i64 {self.e.value(f'and i64 {step}, 1')}, 0")
        return self.e.value(f"select i1 {odd}, ptr {self.pointer(result)}, ptr {self.pointer(spare)}")

    def written(self, value: Value, step: str) -> str:
        """Where a step (its number is LLVM's name, or digits) writes a value that is carried to the next."""
        raise NotImplementedError

    def before(self, carry: _Carry, step: str) -> str:
        """Where a carried value is read in a step."""
        first = self.pointer(carry.first)
        if carry.after is carry.inner:
            return first
        if carry.after in self.in_place:
            return self.pointer(carry.last)
        written = self.written(carry.after, self.e.value(f"sub i64 {step}, 1"))
        at_first = self.e.value(f"icmp eq i64 {step}, 0")
        return self.e.value(f"select i1 {at_first}, ptr {first}, ptr {written}")


class _Scan(_Carried):
    """`scan_loop`."""

    def graphs(self) -> Sequence[Graph]:
        return [self.node.attrs["body"]]

    def prepare(self) -> bool:
        node, attrs = self.node, self.node.attrs
        body: Graph = attrs["body"]
        self.length, self.reverse = attrs["length"], attrs["reverse"]
        n, m = attrs["carries"], attrs["carries"] + attrs["sequences"]
        self.carries = _carries(node, body)
        self.sequences, self.constants = node.inputs[n:m], node.inputs[m:]
        stacked = [*body.outputs[n:], *([c.inner for c in self.carries] if attrs["save"] else [])]
        self._stacks = list(zip(stacked, node.outputs[n:], strict=True))
        self._choose()
        outputs = [value for value, _ in self.writes]
        carried = [v for v, out in self.writes if out is None and v not in self.shifted]
        if not self.add_body(body, outputs, carried):
            return False
        if self.length == 1:  # it would write the result while it reads the first value
            self.taken -= {carry.last for carry, _ in self.shifted.values()}
        return True

    def _choose(self) -> None:
        """Where the body writes: the slots of stacked results, and for carried values that are not stacked buffers.

        A carried value whose value before the step is stacked goes to the slot of the next step.
        """
        self.slots: dict[Value, Value] = {}  # values of the body and the stacked result whose slots they are written to
        for value, whole in self._stacks:
            self.slots.setdefault(value, whole)
        inputs = set(self.node.attrs["body"].inputs)
        self.shifted: dict[Value, tuple[_Carry, Value]] = {}
        for carry in self.carries:
            out = self.slots.get(carry.inner)
            free = carry.after not in self.slots and carry.after not in self.shifted and carry.after not in inputs
            if out is not None and free:
                self.shifted[carry.after] = (carry, out)
        moved = {carry.inner for carry, _ in self.shifted.values()}
        afters = dict.fromkeys(c.after for c in self.carries if c.after is not c.inner and c.after not in self.slots)
        ordered = sorted(afters, key=lambda value: value in self.shifted)
        self.writes: list[tuple[Value, Value | None]] = [(value, None) for value in ordered]
        self.writes += [(v, o) for v, o in self._stacks if v not in moved or self.slots[v] is not o]

    def emit(self) -> None:
        e, n = self.e, self.length
        if n:
            self.settle()
            for carry, whole in self.shifted.values():
                self.copy(carry.inner, self.pointer(carry.first), self._slot(whole, carry.inner, "0"))
            e.loop("0", str(n), 1, self._step)
            done, leave = e.block("done"), e.block("leave")
            e.jump(done)
            e.label(leave)
            e.ret()
            e.label(done)
            self.leave_on_fault(leave)
        for carry in self.carries:
            source = self._final(carry)
            stays = source == self.pointer(carry.first) and carry.last in self.taken
            if source != self.pointer(carry.last) and not stays:
                self.copy(carry.inner, source, self.pointer(carry.last))

    def _step(self, i: str, _: list[str]) -> list[str]:
        inputs = [self.before(c, i) for c in self.carries]
        inputs += [self._slot(x, v, i) for x, v in zip(self.sequences, self._sequence_inputs(), strict=True)]
        inputs += [self.pointer(x) for x in self.constants]
        outputs = [self.written(v, i) if out is None else self._slot(out, v, i) for v, out in self.writes]
        self.call(0, inputs, outputs)
        self.meet()
        return []

    def _sequence_inputs(self) -> Sequence[Value]:
        first = len(self.carries)
        inputs: Sequence[Value] = self.node.attrs["body"].inputs
        return inputs[first : first + len(self.sequences)]

    def _slot(self, whole: Value, part: Value, step: str) -> str:
        """The pointer to the slice of a sequence or stacked result that belongs to a step."""
        at = self.e.value(f"sub i64 {self.length - 1}, {step}") if self.reverse else step
        offset = self.e.value(f"mul i64 {at}, {_bytes(part)}")
        return self.e.value(f"getelementptr i8, ptr {self.pointer(whole)}, i64 {offset}")

    def written(self, value: Value, step: str) -> str:
        e = self.e
        if value in self.in_place:
            return self.pointer(self.in_place[value].last)
        if value in self.slots:
            return self._slot(self.slots[value], value, step)
        if value in self.shifted:
            carry, out = self.shifted[value]
            following = self._slot(out, value, e.value(f"add i64 {step}, 1"))
            at_last = e.value(f"icmp eq i64 {step}, {self.length - 1}")
            return e.value(f"select i1 {at_last}, ptr {self.pointer(carry.last)}, ptr {following}")
        if self.length % 2:  # count so that the last step writes the result, unless that is the first value's memory
            alone = self.buffers[value][0] not in self.taken
            step = e.value(f"add i64 {step}, 1") if alone else step
        return self.in_turn(value, step)

    def _final(self, carry: _Carry) -> str:
        """Where the last carried value is when the loop has ended."""
        value = carry.after
        if not self.length or value is carry.inner:
            return self.pointer(carry.first)
        if value in self.slots:
            return self._slot(self.slots[value], value, str(self.length - 1))
        if value in self.shifted:
            return self.pointer(self.shifted[value][0].last)
        if value in self.in_place:
            return self.pointer(carry.last)
        result, spare = self.buffers[value]
        return self.pointer(spare if self.length % 2 and result in self.taken else result)

    def note(self) -> str:
        return f"{self.length} steps"


class _Loop(_Carried):
    """`loop`: a test and a body."""

    def graphs(self) -> Sequence[Graph]:
        return [self.node.attrs["test"], self.node.attrs["body"]]

    def prepare(self) -> bool:
        node, n = self.node, self.node.attrs["carries"]
        test, body = self.graphs()
        self.carries = _carries(node, body)
        self.constants = node.inputs[n:]
        self.writes = list(dict.fromkeys(c.after for c in self.carries if c.after is not c.inner))
        if not (self.add("test", test, test.outputs[:1]) and self.add_body(body, self.writes, self.writes)):
            return False
        self.going = self.result.buffer(1)
        return dtypes.is_bool(test.outputs[0].spec.dtype)

    def emit(self) -> None:
        e = self.e
        self.settle()
        head, then, done = e.block("head"), e.block("body"), e.block("done")
        before = e.current
        e.jump(head)
        e.label(head)
        step = e.fresh("step")
        at = len(e.lines)
        inputs = [self.before(c, step) for c in self.carries]
        constants = [self.pointer(x) for x in self.constants]
        self.call(0, [*inputs, *constants], [self.pointer(self.going)])
        self.meet()
        self.leave_on_fault(done)
        going = e.value(f"load i8, ptr {self.pointer(self.going)}")
        e.branch(e.value(f"icmp ne i8 {going}, 0"), then, done)
        e.label(then)
        self.call(1, [*inputs, *constants], [self.written(value, step) for value in self.writes])
        self.meet()
        self.leave_on_fault(done)
        following = e.value(f"add i64 {step}, 1")
        e.lines.insert(at, f"  {step} = phi i64 [ 0, %{before} ], [ {following}, %{e.current} ]")
        e.jump(head)
        e.label(done)
        for carry, source in zip(self.carries, inputs, strict=True):
            if source == self.pointer(carry.last) or (carry.after is carry.inner and carry.last in self.taken):
                continue
            copy, after = e.block("copy"), e.block("copied")
            e.branch(e.value(f"icmp ne ptr {source}, {self.pointer(carry.last)}"), copy, after)
            e.label(copy)
            self.copy(carry.inner, source, self.pointer(carry.last))
            e.jump(after)
            e.label(after)

    def written(self, value: Value, step: str) -> str:
        return self.pointer(self.in_place[value].last) if value in self.in_place else self.in_turn(value, step)


class _Branch(_ControlFlow):
    """`branch`: one of several graphs."""

    def graphs(self) -> Sequence[Graph]:
        graphs: Sequence[Graph] = self.node.attrs["graphs"]
        return graphs

    def prepare(self) -> bool:
        updates = {self.node.outputs.index(out): place - 1 for out, place in self.replaced.items() if place}
        if not all(self.add(f"branch_{i}", graph, graph.outputs, updates) for i, graph in enumerate(self.graphs())):
            return False
        # All graphs must agree on what is overwritten.
        in_place = [routine.in_place for _, routine, _ in self.routines]
        agreed = {out: place for out, place in updates.items() if all(out in some for some in in_place)}
        if any(some != agreed for some in in_place):
            self.routines, self.arenas, self.result = [], [], Made()
            for i, graph in enumerate(self.graphs()):
                self.add(f"branch_{i}", graph, graph.outputs, agreed)
        self.taken = {self.node.outputs[out] for out in agreed}
        return True

    def emit(self) -> None:
        e, node = self.e, self.node
        dtype = node.inputs[0].spec.dtype
        kind = TYPES[str(dtype)]
        index = e.value(f"load {kind}, ptr {self.pointer(node.inputs[0])}")
        if kind != "i64":
            unsigned = str(dtype).startswith("u") or dtypes.is_bool(dtype)
            index = e.value(f"{'zext' if unsigned else 'sext'} {kind} {index} to i64")
        count = len(self.graphs())
        if str(dtype) != "uint64":
            index = e.call("i64", "llvm.smax.i64", ("i64", index), ("i64", "0"))
        index = e.call("i64", "llvm.umin.i64", ("i64", index), ("i64", str(count - 1)))
        labels, done = [e.block("case") for _ in range(count)], e.block("done")
        cases = " ".join(f"i64 {i}, label %{label}" for i, label in enumerate(labels))
        e.line(f"switch i64 {index}, label %{labels[-1]} [ {cases} ]")
        for i, label in enumerate(labels):
            e.label(label)
            self.call(i, [self.pointer(x) for x in node.inputs[1:]], [self.pointer(y) for y in node.outputs])
            e.jump(done)
        e.label(done)


def _closed(graph: Graph) -> bool:
    """Whether the graph gets all that it uses as inputs, with known shapes."""
    plain = not graph.captures and not graph.variables and len(set(graph.inputs)) == len(graph.inputs)
    return plain and all(value.spec.is_static for value in graph.inputs)


def _bytes(value: Value) -> int:
    return value.spec.size * dtypes.to_numpy(value.spec.dtype).itemsize
