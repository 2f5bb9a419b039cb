"""The backward pass of a loop takes what the forward pass has computed instead of computing it again."""

from __future__ import annotations

from typing import Any

from amalthea.compiler.passes.common_subexpressions import static_key
from amalthea.compiler.passes.loops import Loop, Port, is_plain, same
from amalthea.compiler.passes.rewriting import Replacement, Sweep
from amalthea.core.graph import Graph
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value

WORTH_KEEPING = frozenset(
    {"contract", "convolution", "exp", "log", "tanh", "sigmoid", "erf", "sin", "cos", "power", "sqrt", "log1p", "expm1"}
)  # ops that cost more than to write their result and to read it again


def reuse_between_loops(graph: Graph) -> Graph:
    """The graph with values of one `scan_loop` stacked and read by a later one that would compute them again.

    The gradient of a loop is a loop that starts each step with the forward computation. What of it needs contractions
    or transcendental functions becomes a sequence. Exact.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.loop_reuse import reuse_between_loops
    >>> def f(x):
    ...     with am.GradientTape() as tape:
    ...         tape.watch(x)
    ...         y = am.ops.scan(lambda c, x: (am.ops.tanh(c + x), None), x[0], x)[0]
    ...     return tape.gradient(y, x)
    >>> graph = am.trace(f, am.TensorSpec((5, 2), "float32"), level="primitive")
    >>> def tanhs(graph):
    ...     bodies = [node.attrs["body"] for node in graph.nodes if node.op.name == "scan_loop"]
    ...     return [sum(node.op.name == "tanh" for node in body.nodes) for body in bodies]
    >>> tanhs(graph), tanhs(reuse_between_loops(graph))
    ([1, 1], [1, 0])
    """
    loops = [node for node in graph.nodes if is_plain(node)]
    for second in loops:
        for first in loops:
            if first is second:
                break
            shared = _shared(Loop(first), Loop(second))
            if shared:
                made = _Reuse(graph, first, second, shared).result()
                return reuse_between_loops(made)
    return _Insides(graph).result()


class _Insides(Sweep):
    def inside(self, graph: Graph) -> Graph:
        return reuse_between_loops(graph)


def _shared(first: Loop, second: Loop) -> dict[Value, Value]:
    """Values of the second body that are worth taking, and the values of the first body that they equal."""
    if first.node.attrs["length"] != second.node.attrs["length"]:
        return {}
    equal = _known_inputs(first, second)
    if not equal:
        return {}
    table = {_key(node, node.inputs): node for node in first.graph().nodes}
    available = set(equal)
    costly: set[Value] = set()
    graph = second.graph()
    wanted: dict[Value, None] = {}
    for node in graph.nodes:
        inputs = [v if type(v) is Constant else equal.get(v) for v in node.inputs]
        twin = None if any(v is None for v in inputs) else table.get(_key(node, inputs))
        if twin is None:
            wanted.update(dict.fromkeys(node.inputs))
            continue
        equal.update(zip(node.outputs, twin.outputs, strict=True))
        if node.op.name in WORTH_KEEPING or any(v in costly for v in node.inputs):
            costly.update(node.outputs)
    wanted.update(dict.fromkeys(graph.outputs))
    return {value: equal[value] for value in wanted if value in equal and value in costly and value not in available}


def _known_inputs(first: Loop, second: Loop) -> dict[Value, Value]:
    """Inputs of the second body that are, step by step, values of the first one."""
    found: dict[Value, Value] = {}
    stacks = dict(first.stacks)
    sequences = {port.outer: port.inner for port in first.sequences}
    constants = {port.outer: port.inner for port in first.constants}
    for port in second.sequences:
        twin = stacks.get(port.outer, sequences.get(port.outer))
        if twin is not None:
            found[port.inner] = twin
    for port in second.constants:
        if port.outer in constants:
            found[port.inner] = constants[port.outer]
    return found


def _key(node: Node, inputs: Any) -> Any:
    values = [_content(v) if type(v) is Constant else v for v in inputs]
    return (node.op.name, static_key(node), *values)


def _content(constant: Constant) -> Any:
    array = constant.tensor.numpy()
    return str(constant.spec.dtype), array.shape, array.tobytes()


class _Reuse(Sweep):
    """Stacks values in one loop and reads them in another."""

    def __init__(self, graph: Graph, first: Node, second: Node, shared: dict[Value, Value]) -> None:
        super().__init__(graph)
        self.pair, self.shared = (first, second), shared
        self.stacked: dict[Value, Value] = {}

    def inside(self, graph: Graph) -> Graph:
        return graph

    def _take(self, old: Node) -> None:
        self._old = old
        super()._take(old)

    def visit(self, node: Node) -> Replacement:
        if self._old is self.pair[0]:
            loop = Loop(node)
            for value in self.shared.values():
                if value not in loop.stacks.values():
                    loop.stacks[Value(value.spec)] = value
            found = loop.emit(self)
            outputs = self.nodes[-1].outputs[len(loop.carries) :]
            self.stacked.update(zip(dict.fromkeys(loop.stacks.values()), outputs, strict=True))
            return found
        if self._old is self.pair[1]:
            loop = Loop(node)
            read = {value: loop.new_input(value) for value in self.shared}
            ports = [Port(self.stacked[self.shared[value]], read[value]) for value in self.shared]
            loop.substitute({value: same(new) for value, new in read.items()})
            loop.sequences += ports
            return loop.emit(self)
        return None
