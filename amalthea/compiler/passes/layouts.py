"""Layout choice: in which order of axes a value is stored, so that as little as possible is transposed.

Ops fall into three kinds. Element-wise ops take any order, the same for all their operands; reductions and
contractions take any order for each operand (the axes or subscripts are written accordingly); all others want the order
of the graph. Values that element-wise ops tie together form a group with one order. A transposition between two groups
costs nothing where their orders are the same order of memory; everything else costs the bytes that must be moved. Each
group gets the order that is cheapest given the others', until nothing becomes cheaper.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from amalthea.compiler.passes.contracting import terms
from amalthea.compiler.passes.facts import ELEMENTWISE
from amalthea.compiler.passes.rewriting import Sweep
from amalthea.core.graph import Graph
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value

Order = tuple[int, ...]
"""Axis i of what is stored is axis `order[i]` of the value."""

REDUCTIONS = frozenset({"sum", "max", "min", "prod"})
FREE = ELEMENTWISE | REDUCTIONS | {"contract", "transpose"}
"""Ops whose results may be stored in any order, and which read any."""

ROUNDS = 4


def choose_layouts(graph: Graph) -> Graph:
    """The graph with values stored in the order of axes that their users like best. Sums may change the last digits.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.layouts import choose_layouts
    >>> def f(x, y):
    ...     return am.ops.transpose(am.ops.tanh(am.ops.transpose(x)) + y)
    >>> specs = am.TensorSpec((2, 3), "float32", name="x"), am.TensorSpec((3, 1), "float32", name="y")
    >>> print(choose_layouts(am.trace(f, *specs, level="primitive")))
    graph f(x: float32[2,3], y: float32[3,1])
      a: float32[2,3] = tanh(x)
      b: float32[1,3] = reshape(y, newshape=(1, 3))
      c: float32[2,3] = add(a, b)
      return c
    """
    return _Layouts(graph).result()


def plain(value: Value) -> Order:
    """The order of the graph."""
    return tuple(range(len(value.spec.sizes)))


def moves_nothing(sizes: Sequence[int], order: Order) -> bool:
    """Whether memory stays as it is: axes larger than 1 keep their order."""
    large = [axis for axis in order if sizes[axis] != 1]
    return large == sorted(large)


def is_tied(value: Value, out: Value) -> bool:
    """Whether an operand of an element-wise op must have the order of its result."""
    return len(value.spec.sizes) > 1 and value.spec.sizes == out.spec.sizes


class _Plan:
    """Groups of values and their orders."""

    def __init__(self, graph: Graph) -> None:
        self.parents: dict[Value, Value] = {}
        self.members: dict[Value, list[Value]] = {}
        self.small: dict[Value, list[Value]] = {}  # by group: operands that are repeated along some axis
        self.links: dict[Value, list[Node]] = {}  # by group: transpositions and reductions from it or to it
        self.orders: dict[Value, Order] = {}
        self.wanted = set(graph.all_outputs)  # in the order of the graph
        for node in graph.nodes:
            if node.op.name not in FREE:
                self.wanted.update(node.inputs)
        elementwise = [node for node in graph.nodes if node.op.name in ELEMENTWISE]
        for node in elementwise:
            for value in node.inputs:
                if is_tied(value, node.outputs[0]):
                    self.parents[self.group(value)] = self.group(node.outputs[0])
        linked = [node for node in graph.nodes if node.op.name == "transpose" or node.op.name in REDUCTIONS]
        values = [v for node in graph.nodes for v in (*node.inputs, *node.outputs) if len(v.spec.sizes) > 1]
        for value in dict.fromkeys(values):
            self.members.setdefault(self.group(value), []).append(value)
        for node in elementwise:
            group = self.group(node.outputs[0])
            self.small.setdefault(group, []).extend(v for v in node.inputs if not is_tied(v, node.outputs[0]))
        for node in linked:
            for group in {self.group(node.inputs[0]), self.group(node.outputs[0])}:
                self.links.setdefault(group, []).append(node)
        self._choose([group for group in self.members if group in self.links])

    def group(self, value: Value) -> Value:
        """What stands for the group of a value."""
        root = value
        while root in self.parents and self.parents[root] is not root:
            root = self.parents[root]
        while value is not root:
            self.parents[value], value = root, self.parents[value]
        return root

    def order(self, value: Value) -> Order:
        """The order in which a value is stored."""
        return self.orders.get(self.group(value), plain(value))

    def _choose(self, groups: Iterable[Value]) -> None:
        for _ in range(ROUNDS):
            changed = False
            for group in groups:
                best, least = self.order(group), self._cost(group)
                for order in dict.fromkeys(self._candidates(group)):
                    before = self.orders.get(group, plain(group))
                    self.orders[group] = order
                    cost = self._cost(group)
                    if cost < least:
                        best, least, changed = order, cost, True
                    self.orders[group] = before
                self.orders[group] = best
            if not changed:
                break
        self.orders = {group: order for group, order in self.orders.items() if order != plain(group)}

    def _candidates(self, group: Value) -> Iterable[Order]:
        """The orders in which a transposition at this group costs nothing."""
        yield plain(group)
        for node in self.links[group]:
            x, out = node.inputs[0], node.outputs[0]
            if node.op.name == "transpose":
                axes = node.attrs["axes"]
                if self.group(out) is group:
                    yield tuple(axes.index(axis) for axis in self.order(x))
                if self.group(x) is group:
                    yield tuple(axes[axis] for axis in self.order(out))

    def _cost(self, group: Value) -> int:
        """Bytes that are moved because of the order of a group."""
        order, total = self.orders.get(group, plain(group)), 0
        if order != plain(group):
            for value in self.members[group]:
                given = value.node is None or type(value) is Constant or value.node.op.name not in FREE
                if given or value in self.wanted:
                    total += _bytes(value)
            for value in self.small.get(group, ()):
                if not moves_nothing(_padded(value, len(order)), order):
                    total += _bytes(value)
        for node in self.links[group]:
            x, out = node.inputs[0], node.outputs[0]
            goal = self.order(out)
            if node.op.name == "transpose":
                axes = node.attrs["axes"]
                if tuple(axes[axis] for axis in goal) != self.order(x):
                    total += _bytes(x)
            elif reduced_order(node, self.order(x)) != goal:
                total += _bytes(out)
        return total


def reduced_order(node: Node, order: Order) -> Order:
    """The order in which a reduction of a value stored in some order comes out."""
    if node.attrs["keepdims"]:
        return order
    kept = [axis for axis in order if axis not in node.attrs["axis"]]
    return tuple(sorted(kept).index(axis) for axis in kept)


def _bytes(value: Value) -> int:
    return value.spec.size * value.spec.dtype.itemsize


def _padded(value: Value, ndim: int) -> tuple[int, ...]:
    return (1,) * (ndim - len(value.spec.sizes)) + value.spec.sizes


class _Layouts(Sweep):
    """Writes the graph anew where values are stored in another order than the graph's."""

    def result(self) -> Graph:
        self.plan: _Plan | None = None  # None where all values keep the order of the graph
        if any(node.op.name == "transpose" for node in self.graph.nodes):
            plan = _Plan(self.graph)
            self.plan = plan if plan.orders else None
        self.forms: dict[Value, dict[Order, Value]] = {}  # of values of the graph: what is stored, by order
        self.results = set(self.graph.all_outputs)
        return super().result()

    def _take(self, old: Node) -> None:
        if self.plan is None:
            super()._take(old)
            return
        self.path = old.path
        if not self._written_anew(old, self.plan):
            for value in old.inputs:
                self._form(value, plain(value))
            super()._take(old)
            return
        self.changed = True
        for value in old.outputs:
            if value in self.results:
                self._form(value, plain(value))

    def _written_anew(self, node: Node, plan: _Plan) -> bool:
        """Compute the node's result in the order of its group; False where nothing differs from the graph."""
        if node.op.name not in FREE:
            return False
        out = node.outputs[0]
        order = plan.order(out)
        if node.op.name in ELEMENTWISE:
            if order == plain(out):
                return False
            operands = [self._operand(value, out, order) for value in node.inputs]
            self._store(out, order, self.make(node.op.name, *operands, **node.attrs))
            return True
        orders = [plan.order(value) for value in node.inputs]
        if order == plain(out) and all(o == plain(v) for o, v in zip(orders, node.inputs, strict=True)):
            return False
        stored = [self._form(value, o) for value, o in zip(node.inputs, orders, strict=True)]
        if node.op.name == "transpose":
            axes = [node.attrs["axes"][axis] for axis in order]
            self._store(out, order, self._moved(stored[0], tuple(orders[0].index(axis) for axis in axes)))
        elif node.op.name == "contract":
            x, y, z = terms(node.attrs["subscripts"])
            turned = ["".join(term[axis] for axis in o) for term, o in ((x, orders[0]), (y, orders[1]), (z, order))]
            self._store(out, order, self.make("contract", *stored, subscripts="{},{}->{}".format(*turned)))
        else:
            axes = [i for i, axis in enumerate(orders[0]) if axis in node.attrs["axis"]]
            made = self.make(node.op.name, stored[0], **(node.attrs | {"axis": tuple(axes)}))
            self._store(out, reduced_order(node, orders[0]), made)
        return True

    def _operand(self, value: Value, out: Value, order: Order) -> Value:
        if is_tied(value, out):
            return self._form(value, order)
        same = self._form(value, plain(value))
        if not value.spec.sizes:
            return same
        return self._moved(self.reshaped(same, _padded(value, len(order))), order)

    def _store(self, value: Value, order: Order, made: Value) -> None:
        self.forms[value] = {order: made}
        if order == plain(value):
            self.new[value] = made

    def _form(self, value: Value, order: Order) -> Value:
        """What stands for a value of the graph, stored in an order."""
        if value not in self.forms:
            self.forms[value] = {plain(value): self.new.get(value, value)}
        forms = self.forms[value]
        if order not in forms:
            have, stored = next(iter(forms.items()))
            forms[order] = self._moved(stored, tuple(have.index(axis) for axis in order))
            if order == plain(value):
                self.new[value] = forms[order]
        return forms[order]

    def _moved(self, value: Value, axes: Order) -> Value:
        """The value with its axes in another order."""
        if axes == plain(value):
            return value
        if moves_nothing(value.spec.sizes, axes):
            return self.reshaped(value, [value.spec.sizes[axis] for axis in axes])
        return self.make("transpose", value, axes=axes)
