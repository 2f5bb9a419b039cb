"""Which values are computed together: a graph of primitives becomes a list of steps.

A step is a loop kernel, or a node that has a generator of its own (contractions, convolutions) or falls back. Values
between the nodes of a loop kernel live in registers; the rest, the *roots*, are written to memory. A root joins an
earlier kernel over the same axes when all it reads is there by then, so chains and the update of a parameter are one
pass over memory.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from amalthea.compiler.indexing import MOVES, Affine, Index, sources
from amalthea.compiler.loops import LoopKernel, Root, sizes_of
from amalthea.compiler.reductions import REDUCTIONS
from amalthea.core.graph import Graph
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value

COSTLY = frozenset(
    "exp expm1 log log1p sin cos tanh sigmoid erf erfc erfinv arctan2 power divide sqrt floor_divide mod".split()
)
CHEAP = 3  # ops that are rather computed again than stored
LOOK_BACK = 24  # kernels that a root may join


@dataclass
class NodeStep:
    """A node with a generator of its own."""

    node: Node

    def __repr__(self) -> str:
        return f"{self.node.op.name}: {', '.join(str(v.spec) for v in self.node.outputs)}"


Step = LoopKernel | NodeStep


@dataclass(frozen=True)
class _Read:
    value: Value
    index: Index


class Fusion:
    """Plans the steps of one graph. `pointwise` are the ops that the code generator computes element by element."""

    def __init__(self, graph: Graph, pointwise: Collection[str]) -> None:
        self.graph = graph
        self.pointwise = pointwise
        self.users: dict[Value, list[Node]] = {}
        for node in graph.nodes:
            for value in node.inputs:
                self.users.setdefault(value, []).append(node)
        self.results = set(graph.all_outputs)
        self.stored: set[Value] = set()
        self.cost: dict[Value, int] = {}
        self.place: dict[Value, int] = {}  # of each stored value: the step that makes it
        self.steps: list[Step] = []

    def run(self) -> list[Step]:
        """The steps in order."""
        for node in self.graph.nodes:
            if self._is_loop(node):
                self._weigh(node)
            else:
                self.stored.update(node.outputs)
                self.stored.update(v for v in node.inputs if v.node is not None)
        for node in self.graph.nodes:
            if self._is_alias(node):
                self._store_source(node)
        for node in self.graph.nodes:
            if not self._is_loop(node):
                self._add(NodeStep(node), node.outputs)
            elif node.outputs[0] in self.stored and not self._is_alias(node):
                self._place(node)
        for step in self.steps:
            if isinstance(step, LoopKernel):
                self._settle(step)
        return self.steps

    # What is stored

    def _is_loop(self, node: Node) -> bool:
        return node.op.name in self.pointwise or node.op.name in MOVES or node.op.name in REDUCTIONS

    def _is_alias(self, node: Node) -> bool:
        """A reshape: its result is its input's memory."""
        return node.op.name == "reshape" and sources(node, _symbols(node.outputs[0])) is None

    def _store_source(self, node: Node) -> None:
        if node.inputs[0].node is not None:
            self.stored.add(node.inputs[0])
        self.stored.add(node.outputs[0])

    def _weigh(self, node: Node) -> None:
        value = node.outputs[0]
        name = node.op.name
        cost = 0 if name in MOVES else 8 if name in COSTLY else 1
        for x in node.inputs:
            if x in self.cost and x not in self.stored:
                cost += self.cost[x]
        self.cost[value] = cost
        users = self.users.get(value, [])
        bigger = any(_size(user.outputs[0]) > _size(value) for user in users if self._is_loop(user))
        if (
            value in self.results
            or name in REDUCTIONS
            or (cost > CHEAP and (len(set(users)) > 1 or bigger) and name not in MOVES)
        ):
            self.stored.add(value)

    # Where it is made

    def _add(self, step: Step, values: tuple[Value, ...]) -> None:
        for value in values:
            self.place[value] = len(self.steps)
        self.steps.append(step)

    def _place(self, node: Node) -> None:
        value = node.outputs[0]
        wanted = self._kernel_for(node)
        for position in range(len(self.steps) - 1, max(len(self.steps) - 1 - LOOK_BACK, -1), -1):
            step = self.steps[position]
            if isinstance(step, LoopKernel):
                joined = self._joined(step, position, node, wanted)
                if joined is not None:
                    step.roots.append(joined)
                    self.place[value] = position
                    return
        wanted.roots.append(Root(value, _kind(node)))
        self._add(wanted, (value,))

    def _kernel_for(self, node: Node) -> LoopKernel:
        """A kernel of its own for a root."""
        if node.op.name in REDUCTIONS:
            shape = node.inputs[0].spec.sizes
            reduced = {axis for axis in node.attrs["axis"] if shape[axis] != 1}
            large = [axis for axis, size in enumerate(shape) if size != 1]
            number = {axis: i for i, axis in enumerate(large)}
            kept = [axis for axis in large if axis not in reduced]
            last = max(reduced, default=len(shape))
            rows, columns = [a for a in kept if a < last], [a for a in kept if a > last]
            groups = rows, sorted(reduced), columns
            outer, inner, beside = (tuple(shape[a] for a in group) for group in groups)
            outer_axes, inner_axes, beside_axes = (tuple(number[a] for a in group) for group in groups)
            return LoopKernel(outer, inner, outer_axes, inner_axes, beside, beside_axes)
        sizes = sizes_of(node.outputs[0].spec.sizes)
        n = len(sizes)
        return LoopKernel(sizes[:-1], sizes[-1:], tuple(range(n))[:-1], tuple(range(n))[-1:])

    def _joined(self, kernel: LoopKernel, position: int, node: Node, wanted: LoopKernel) -> Root | None:
        """The root as a part of `kernel`, if it can be one."""
        kind = _kind(node)
        change = None
        if kind == "each":
            sizes = sizes_of(node.outputs[0].spec.sizes)
            if sizes != kernel.space:
                if sizes != kernel.kept or not kernel.reduces:
                    return None
                kind = "row"
        elif not wanted.same_axes(kernel):
            if kernel.reduces or wanted.space != kernel.space or wanted.row_axes != tuple(range(len(wanted.rows))):
                return None
            change = wanted
        stage = 0
        target = change or kernel
        for read in self._reads(node, target, "row" if kind == "row" else "full"):
            made = self._position(read.value)
            if made < position:
                continue
            if made > position:
                return None
            root = next(r for r in kernel.roots if r.value is read.value)
            per_row = root.kind != "each"
            if read.index != place_in(read.value, target, per_row):
                return None
            if kind == "row":
                if not per_row:
                    return None
                stage = max(stage, root.stage)
            else:
                stage = max(stage, root.stage + (1 if per_row else 0))
        if stage and target.one_stage:
            return None
        if change is not None:
            kernel.take_axes(change)
        return Root(node.outputs[0], kind, stage)

    def _position(self, value: Value) -> int:
        """The step that makes a stored value; -1 for inputs."""
        while value.node is not None and value not in self.place and self._is_alias(value.node):
            value = value.node.inputs[0]
        return self.place.get(value, -1)

    def _reads(self, node: Node, kernel: LoopKernel, where: str) -> list[_Read]:
        """The stored values that computing a root of this node reads, and where."""
        found: dict[_Read, None] = {}
        if node.op.name in REDUCTIONS:
            stack = [(node.inputs[0], place_in(node.inputs[0], kernel, False))]
        else:
            value = node.outputs[0]
            index = place_in(value, kernel, where == "row")
            stack = sources(node, index) or []
        while stack:
            value, index = stack.pop()
            if value.node is None or isinstance(value, Constant):
                continue
            if value in self.stored:
                found[_Read(value, index)] = None
                continue
            more = sources(value.node, index)
            assert more is not None, value.node.op.name
            stack.extend(more)
        return list(found)

    def _settle(self, kernel: LoopKernel) -> None:
        """Roots that nothing outside the kernel reads, and no later stage, stay in registers."""
        places = {root.value: root for root in kernel.roots}
        for root in kernel.roots:
            if root.value in self.results:
                continue
            root.stored = not all(self._within(user, kernel, places, root) for user in self.users.get(root.value, []))

    def _within(self, user: Node, kernel: LoopKernel, places: dict[Value, Root], root: Root) -> bool:
        if not self._is_loop(user) or self._is_alias(user):
            return False
        value = user.outputs[0]
        if value in self.stored:
            other = places.get(value)
            if other is None:
                return False
            return root.kind != "each" or other.stage == root.stage
        return all(self._within(next_user, kernel, places, root) for next_user in self.users.get(value, []))


def _kind(node: Node) -> str:
    return node.op.name if node.op.name in REDUCTIONS else "each"


def _size(value: Value) -> int:
    return value.spec.size


def _symbols(value: Value) -> Index:
    return tuple(Affine.of(f"x{i}") for i in range(len(value.spec.sizes)))


def row_symbol(i: int) -> Affine:
    """The loop variable of the i-th row axis."""
    return Affine.of(f"r{i}")


def inner_symbol(i: int) -> Affine:
    """The loop variable of the i-th inner axis."""
    return Affine.of(f"i{i}")


def column_symbol(i: int) -> Affine:
    """The loop variable of the i-th column axis."""
    return Affine.of(f"c{i}")


def place_in(value: Value, kernel: LoopKernel, per_row: bool) -> Index:
    """The index of the element of `value` that belongs to the current row and column, or also to the inner index."""
    by_axis = {axis: row_symbol(i) for i, axis in enumerate(kernel.row_axes)}
    by_axis.update({axis: column_symbol(i) for i, axis in enumerate(kernel.column_axes)})
    if not per_row:
        by_axis.update({axis: inner_symbol(i) for i, axis in enumerate(kernel.inner_axes)})
    following = iter([by_axis[axis] for axis in sorted(by_axis)])
    return tuple(Affine() if size == 1 else next(following) for size in value.spec.sizes)
