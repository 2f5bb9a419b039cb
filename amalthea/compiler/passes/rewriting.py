"""Building a graph from another one, node by node: the base of all passes.

A `Sweep` goes over the nodes in order. Each is kept as it is, made again with new inputs, or replaced by other values.
What is not touched is shared between the two graphs, and a sweep that changes nothing returns the graph itself, so a
pass that finds no work costs about a microsecond a node. Most passes are a table of `Rules`, each a function that
looks at one node and returns what stands for it, or None.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from amalthea.core import dtypes
from amalthea.core.graph import Graph
from amalthea.core.infer import infer
from amalthea.core.node import Constant, Node, Slot
from amalthea.core.op import registry
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import as_tensor
from amalthea.core.value import Value, now
from amalthea.ops.branches import branch
from amalthea.ops.loops import loop
from amalthea.ops.scanning import scan_loop

_WITH_GRAPHS = frozenset(function.op for function in (branch, loop, scan_loop))

Rule = Callable[["Sweep", Node], "Value | None"]
Replacement = Value | Sequence[Value] | None


class Rules(dict[str, tuple[Rule, ...]]):
    """A rewrite table: for each op's name the rules to try on its nodes, in order. `Rules(a, b)` has those of both.

    >>> from amalthea.compiler.passes.rewriting import Rules
    >>> rules = Rules()
    >>> @rules.on("stop_gradient")
    ... def without(sweep, node):
    ...     return node.inputs[0]
    >>> list(rules)
    ['stop_gradient']
    """

    def __init__(self, *tables: Rules) -> None:
        super().__init__()
        for table in tables:
            for op, rules in table.items():
                self[op] = (*self.get(op, ()), *rules)

    def on(self, *ops: str) -> Callable[[Rule], Rule]:
        """Decorate a rule with the ops it is for."""

        def add(rule: Rule) -> Rule:
            for op in ops:
                self[op] = (*self.get(op, ()), rule)
            return rule

        return add


class Sweep:
    """One pass over a graph. Subclasses say in `visit` what stands for a node; `result` is the graph made.

    Args:
        graph: a graph of primitives (and of composites that a backend keeps). It is never changed.
        rules: the table that `visit` follows.
        done: graphs inside nodes (bodies of loops, branches) that this pass has rewritten already.
    """

    def __init__(self, graph: Graph, rules: Rules | None = None, done: dict[Graph, Graph] | None = None) -> None:
        self.graph = graph
        self.rules = Rules() if rules is None else rules
        self.done = {} if done is None else done
        self.nodes: list[Node] = []
        self.new: dict[Value, Value] = {}
        self.path: tuple[str, ...] = ()
        self.changed = False
        self._given = frozenset(graph.all_inputs)
        self._uses: dict[Value, int] | None = None

    # What a subclass says

    def visit(self, node: Node) -> Replacement:
        """What stands for the node: a value, one value for each output, or None to keep it."""
        for rule in self.rules.get(node.op.name, ()):
            found = rule(self, node)
            if found is not None:
                return found
        return None

    def inside(self, graph: Graph) -> Graph:
        """A graph inside a node, rewritten."""
        return type(self)(graph, self.rules, self.done).result()

    # Running

    def result(self) -> Graph:
        """The new graph, or the old one where nothing changes."""
        for node in self.graph.nodes:
            self._take(node)
        if not self.changed:
            return self.graph
        new = self.new
        outputs = tuple([new.get(v, v) for v in self.graph.outputs])
        updates = tuple([(i, new.get(v, v)) for i, v in self.graph.updates])
        return with_nodes(self.graph, self.nodes, outputs, updates)

    def _take(self, old: Node) -> None:
        new, node, inputs = self.new, old, old.inputs
        for value in inputs:
            if value in new:
                node = _again(old, tuple([new.get(v, v) for v in inputs]))
                break
        if old.op in _WITH_GRAPHS:
            node = self._with_graphs(old, node)
        self.path = old.path
        found = self.visit(node)
        if found is not None:
            self._map(old.outputs, (found,) if isinstance(found, Value) else found)
            return
        self.nodes.append(node)
        if node is not old:
            self.changed = True
            if self._uses is None:
                for before, after in zip(old.outputs, node.outputs, strict=True):
                    new[before] = after
            else:
                self._map(old.outputs, node.outputs)

    def _map(self, old: Sequence[Value], new: Sequence[Value]) -> None:
        self.changed = True
        for before, after in zip(old, new, strict=True):
            if before is not after:
                if before.spec is not after.spec:
                    assert before.spec == after.spec, f"{before.spec} cannot become {after.spec}"
                self.new[before] = after
                if self._uses is not None:
                    self._uses[after] = self._uses.get(after, 0) + self._uses.get(before, 0)

    def _with_graphs(self, old: Node, node: Node) -> Node:
        attrs = {name: self._rewritten(value) for name, value in node.attrs.items()}
        if all(attrs[name] is value for name, value in node.attrs.items()):
            return node
        return _again(old, node.inputs, attrs)

    def _rewritten(self, value: Any) -> Any:
        if isinstance(value, Graph):
            if value not in self.done:
                self.done[value] = self.inside(value)
            return self.done[value]
        if isinstance(value, tuple) and any(isinstance(item, Graph) for item in value):
            found = tuple(self._rewritten(item) for item in value)
            return value if all(a is b for a, b in zip(found, value, strict=True)) else found
        return value

    # What rules use

    def make(self, op: str, *inputs: Value, **attrs: Any) -> Value:
        """A call of a primitive with one output, itself rewritten where a rule applies."""
        made = self._node(op, inputs, attrs)
        found = self.visit(made)
        if found is not None:
            return found if isinstance(found, Value) else found[0]
        self.nodes.append(made)
        return made.outputs[0]

    def make_all(self, op: str, *inputs: Value, **attrs: Any) -> tuple[Value, ...]:
        """A call of a primitive with several outputs, to which no rule is applied."""
        made = self._node(op, inputs, attrs)
        self.nodes.append(made)
        return made.outputs

    def _node(self, name: str, inputs: Sequence[Value], attrs: dict[str, Any]) -> Node:
        op = registry[name].op
        canonical, out = infer(op, [value.spec for value in inputs], attrs)
        arguments = ((list(map(Slot, range(len(inputs)))),), canonical) if op.variadic else None
        node = Node(op, tuple(inputs), canonical, arguments)
        node.path = self.path
        one = isinstance(out, TensorSpec)
        node.structure = Slot(0) if one else tuple(map(Slot, range(len(out))))
        specs = (out,) if one else out
        node.outputs = tuple([Value(spec, node, i, self.graph.trace) for i, spec in enumerate(specs)])
        return node

    def number(self, value: Any, dtype: Any) -> Constant:
        """A scalar constant."""
        return Constant(as_tensor(np.asarray(value, dtypes.to_numpy(dtype))))

    def fit(self, value: Value, spec: TensorSpec) -> Value:
        """The value, broadcast to the shape of the spec where it is smaller."""
        return value if value.spec.shape == spec.shape else self.make("broadcast_to", value, shape=spec.shape)

    def reshaped(self, value: Value, shape: Sequence[int]) -> Value:
        """The value under another shape."""
        return value if value.spec.shape == tuple(shape) else self.make("reshape", value, newshape=tuple(shape))

    def maker(self, value: Value, *ops: str) -> Node | None:
        """The node of this graph that makes the value, if its op is one of those named."""
        node = value.node
        return node if node is not None and node.op.name in ops and value not in self._given else None

    def single(self, value: Value) -> bool:
        """Whether the value is used once at most."""
        return self.uses(value) <= 1

    def uses(self, value: Value) -> int:
        """How often the value is used: in the graph that was given, also by nodes that have been replaced since."""
        if self._uses is None:
            self._uses = count_uses(self.graph)
            for before, after in self.new.items():
                self._uses[after] = self._uses.get(after, 0) + self._uses.get(before, 0)
        return self._uses.get(value, 0)


def rewrite(graph: Graph, rules: Rules) -> Graph:
    """The graph with the rules applied, inside loops and branches too; the graph itself where none applies."""
    return Sweep(graph, rules).result()


def with_nodes(
    graph: Graph, nodes: Sequence[Node], outputs: Sequence[Value], updates: Iterable[tuple[int, Value]]
) -> Graph:
    """A graph with the interface of another one (inputs, captures, variables, structure), computed by these nodes.

    Nodes whose results are not used are left out. The order of the nodes stays.
    """
    made = copy.copy(graph)
    made.outputs, made.updates = tuple(outputs), tuple(updates)
    made.nodes = live(nodes, made.all_outputs)
    return made


def live(nodes: Sequence[Node], outputs: Iterable[Value]) -> tuple[Node, ...]:
    """The nodes, in order, that the outputs depend on."""
    needed = set(outputs)
    kept = []
    for node in reversed(nodes):
        for value in node.outputs:
            if value in needed:
                kept.append(node)
                needed.update(node.inputs)
                break
    kept.reverse()
    return tuple(kept)


def count_uses(graph: Graph) -> dict[Value, int]:
    """How often each value is taken by a node, returned or written to a variable."""
    uses: dict[Value, int] = {}
    for node in graph.nodes:
        for value in node.inputs:
            uses[value] = uses.get(value, 0) + 1
    for value in graph.all_outputs:
        uses[value] = uses.get(value, 0) + 1
    return uses


def _again(node: Node, inputs: tuple[Value, ...], attrs: dict[str, Any] | None = None) -> Node:
    """The node with other inputs of the same specs, and other attributes where given; new outputs, same path."""
    made = _new_node(Node)  # past the constructor, which would ask the context for the path
    made.op, made.inputs, made.order, made.path = node.op, inputs, now(), node.path
    made.attrs, made.arguments, made.structure = node.attrs, node.arguments, node.structure
    if attrs is not None:
        made.attrs = attrs
        if node.arguments is not None:
            call = {name: attrs.get(name, value) for name, value in node.arguments[1].items()}
            made.arguments = (node.arguments[0], call)
    if len(node.outputs) == 1:
        v = node.outputs[0]
        made.outputs = (Value(v.spec, made, 0, v.trace, v._name),)
    else:
        made.outputs = tuple([Value(v.spec, made, v.index, v.trace, v._name) for v in node.outputs])
    return made


_new_node = Node.__new__
