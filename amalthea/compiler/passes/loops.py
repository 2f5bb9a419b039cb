"""Loops over sequences: what stands still leaves the body, and what nobody uses is not carried, read or stacked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from amalthea.compiler.passes.broadcasting import stretched
from amalthea.compiler.passes.rewriting import Replacement, Sweep
from amalthea.core.graph import Graph
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value

STAYING = frozenset({"broadcast_to", "iota", "branch", "loop", "scan_loop"})  # cheaper to repeat, or loops themselves


def simplify_loops(graph: Graph) -> Graph:
    """The graph with simpler `scan_loop`s. Exact.

    - Constants, and sequences that repeat one number, move into the body.
    - What the body computes of constants alone is computed once, before the loop.
    - Carried values, sequences, constants and results that are not used are left out. Saving the carried values before
      each step becomes stacking those that are used.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.loops import simplify_loops
    >>> def f(x, w):
    ...     return am.ops.scan(lambda c, x: (c + x * am.ops.exp(w), c), w, x)[0]
    >>> specs = am.TensorSpec((5, 2), "float32", name="x"), am.TensorSpec((2,), "float32", name="w")
    >>> graph = simplify_loops(am.trace(f, *specs, level="primitive"))
    >>> [node.op.name for node in graph.nodes], len(graph.nodes[1].outputs)
    (['exp', 'scan_loop'], 1)
    """
    return _Loops(graph).result()


class Port(NamedTuple):
    """A sequence or a constant: its value outside and the body's input for it."""

    outer: Value
    inner: Value


class Carry(NamedTuple):
    """A carried value: the first one, the body's input for it, and what the body makes of it."""

    outer: Value
    inner: Value
    after: Value


class Loop:
    """A `scan_loop` taken apart. Change its lists and call `emit`.

    Attributes:
        carries, sequences, constants: what goes in.
        finals: for the outputs of the node that are last carried values, the body's input of that carry.
        stacks: for the other outputs, the value of the body that is stacked.
    """

    def __init__(self, node: Node) -> None:
        attrs = node.attrs
        body: Graph = attrs["body"]
        self.node, self.body = node, body
        n, m = attrs["carries"], attrs["carries"] + attrs["sequences"]
        ports = [Port(*pair) for pair in zip(node.inputs, body.inputs, strict=True)]
        self.carries = [Carry(*port, after) for port, after in zip(ports[:n], body.outputs[:n], strict=True)]
        self.sequences, self.constants = ports[n:m], ports[m:]
        stacked = list(body.outputs[n:])
        saved = [c.inner for c in self.carries] if attrs["save"] else []
        self.finals: dict[Value, Value] = {out: c.inner for out, c in zip(node.outputs, self.carries, strict=False)}
        self.stacks: dict[Value, Value] = dict(zip(node.outputs[n:], [*stacked, *saved], strict=True))

    def graph(self) -> Graph:
        """The body that the lists describe."""
        inputs = [port.inner for port in self._ports()]
        stacked = list(dict.fromkeys(self.stacks.values()))
        outputs = [*(c.after for c in self.carries), *stacked]
        return Graph(self.body.name, inputs, outputs, None, trace=self.body.trace)

    def _ports(self) -> list[Port]:
        return [*(Port(c.outer, c.inner) for c in self.carries), *self.sequences, *self.constants]

    def emit(self, sweep: Sweep) -> list[Value]:
        """The loop made again; returns what stands for each output of the node (itself where that is not used)."""
        body = self.graph()
        made = sweep.make_all(
            "scan_loop",
            *(port.outer for port in self._ports()),
            body=body,
            carries=len(self.carries),
            sequences=len(self.sequences),
            length=self.node.attrs["length"],
            reverse=self.node.attrs["reverse"],
            save=False,
        )
        finals = {c.inner: value for c, value in zip(self.carries, made, strict=False)}
        stacks = dict(zip(dict.fromkeys(self.stacks.values()), made[len(self.carries) :], strict=True))
        found = []
        for out in self.node.outputs:
            inner = self.finals.get(out)
            if inner is not None:
                found.append(finals.get(inner, out))
            else:
                found.append(stacks[self.stacks[out]] if out in self.stacks else out)
        return found

    def new_input(self, value: Value) -> Value:
        """A further input of the body, of the spec of a value."""
        return Value(value.spec, None, 0, self.body.trace)

    def substitute(self, makers: Mapping[Value, Callable[[Sweep], Value]]) -> None:
        """Put other values in the place of some of the body's."""
        sweep = _Substitution(self.graph(), makers)
        sweep.result()

        def new(value: Value) -> Value:
            return sweep.new.get(value, value)

        self.carries = [Carry(c.outer, c.inner, new(c.after)) for c in self.carries]
        self.stacks = {out: new(inner) for out, inner in self.stacks.items()}


class _Substitution(Sweep):
    def __init__(self, graph: Graph, makers: Mapping[Value, Callable[[Sweep], Value]]) -> None:
        super().__init__(graph)
        self.makers = makers

    def result(self) -> Graph:
        for value in self.graph.inputs:
            if value in self.makers:
                self.new[value] = self.makers[value](self)
        return super().result()

    def inside(self, graph: Graph) -> Graph:
        return graph

    def _take(self, old: Node) -> None:
        if len(old.outputs) == 1 and old.outputs[0] in self.makers:
            self._map(old.outputs, (self.makers[old.outputs[0]](self),))
        else:
            super()._take(old)


def is_plain(node: Node) -> bool:
    """Whether the node is a `scan_loop` whose body takes all it uses as inputs."""
    if node.op.name != "scan_loop":
        return False
    body: Graph = node.attrs["body"]
    return not body.captures and not body.variables and len(set(body.inputs)) == len(body.inputs)


class _Loops(Sweep):
    def visit(self, node: Node) -> Replacement:
        if not is_plain(node):
            return None
        loop = Loop(node)
        before = _size(loop), node.attrs["save"]
        outputs = self._old.outputs
        for old, out in zip(outputs, node.outputs, strict=True):
            if not self.uses(old):
                loop.finals.pop(out, None)
                loop.stacks.pop(out, None)
        inlined = _inline(self, loop)
        hoisted = _hoist(self, loop)
        _drop(loop)
        if not inlined and not hoisted and (_size(loop), False) == before:
            return None
        return loop.emit(self)

    def _take(self, old: Node) -> None:
        self._old = old
        super()._take(old)

    def inside(self, graph: Graph) -> Graph:
        return _Loops(graph, self.rules, self.done).result()


def _size(loop: Loop) -> tuple[int, ...]:
    return len(loop.carries), len(loop.sequences), len(loop.constants), len(set(loop.stacks.values()))


def _inline(sweep: Sweep, loop: Loop) -> bool:
    """Move constants and repeated numbers into the body, and repeated sequences among the constants."""
    makers: dict[Value, Callable[[Sweep], Value]] = {}
    sequences, constants = [], []
    for port in loop.sequences:
        number = _repeated_number(sweep, port.outer)
        found = stretched(sweep, port.outer)
        if number is not None:
            makers[port.inner] = _filled(number, port.inner)
        elif found is not None and 0 in found[1]:
            small = sweep.reshaped(found[0], _ints(found[0])[1:])
            constants.append(Port(sweep.fit(small, port.inner.spec), port.inner))
        else:
            sequences.append(port)
    for port in loop.constants:
        number = port.outer if type(port.outer) is Constant else _repeated_number(sweep, port.outer)
        if number is not None:
            makers[port.inner] = _filled(number, port.inner)
        else:
            constants.append(port)
    changed = len(sequences) < len(loop.sequences) or bool(makers)
    if makers:
        loop.substitute(makers)
    loop.sequences, loop.constants = sequences, constants
    return changed


def _repeated_number(sweep: Sweep, value: Value) -> Constant | None:
    inner = sweep.maker(value, "broadcast_to")
    source = inner.inputs[0] if inner is not None else None
    return source if type(source) is Constant and source.spec.shape == () else None


def _filled(number: Constant, like: Value) -> Callable[[Sweep], Value]:
    return lambda sweep: sweep.fit(number, like.spec)


def _ints(value: Value) -> tuple[int, ...]:
    return tuple(value.spec.shape)  # type: ignore[arg-type]


def _hoist(sweep: Sweep, loop: Loop) -> bool:
    """Compute before the loop what depends on its constants only."""
    outside: dict[Value, Value] = {port.inner: port.outer for port in loop.constants}
    still: dict[Value, Value] = {}  # results of the body's nodes that stand still, and their values outside
    nodes = loop.graph().nodes
    for node in nodes:
        if node.op.kind != "primitive" or node.op.name in STAYING or len(node.outputs) != 1:
            continue
        known = [v if type(v) is Constant else outside.get(v) for v in node.inputs]
        if all(v is not None for v in known) and any(type(v) is not Constant for v in known):
            made = sweep.make(node.op.name, *known, **node.attrs)  # type: ignore[arg-type]
            outside[node.outputs[0]] = still[node.outputs[0]] = made
    if not still:
        return False
    moving = {v for node in nodes if node.outputs[0] not in still for v in node.inputs}
    moving.update(c.after for c in loop.carries)
    moving.update(loop.stacks.values())
    needed = {inner: loop.new_input(inner) for inner in still if inner in moving}
    makers = {inner: same(new) for inner, new in needed.items()}
    loop.constants += [Port(still[inner], new) for inner, new in needed.items()]
    loop.substitute(makers)
    return True


def same(value: Value) -> Callable[[Sweep], Value]:
    """A maker, for `Loop.substitute`, of a value that is there already."""
    return lambda sweep: value


def _drop(loop: Loop) -> None:
    """Leave out carries, sequences and constants that no used result depends on."""
    nodes = loop.graph().nodes
    after = {c.inner: c.after for c in loop.carries}
    needed = set(loop.stacks.values()) | set(loop.finals.values()) | {after[c] for c in loop.finals.values()}
    while True:
        for node in reversed(nodes):
            if any(value in needed for value in node.outputs):
                needed.update(node.inputs)
        more = {after[inner] for inner in after if inner in needed} - needed
        if not more:
            break
        needed |= more
    loop.carries = [c for c in loop.carries if c.inner in needed]
    loop.sequences = [port for port in loop.sequences if port.inner in needed]
    loop.constants = [port for port in loop.constants if port.inner in needed]
