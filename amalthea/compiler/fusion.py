"""Which values are computed together: a graph of primitives becomes a list of steps.

A step is a loop kernel, or a node that has a generator of its own (contractions, convolutions) or falls back. Values
between the nodes of a loop kernel live in registers; the rest, the *roots*, are written to memory. A root joins an
earlier kernel over the same axes when all it reads is there by then, so chains and the update of a parameter are one
pass over memory. Pointwise work on the result of a contraction joins that, and is done before the result is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from math import prod

from amalthea.compiler.affine import Affine, Index
from amalthea.compiler.epilogues import needed, output_index
from amalthea.compiler.index_checks import IndexCheck, index_check
from amalthea.compiler.indexing import MOVES, folds, is_choice, reads
from amalthea.compiler.loops import LoopKernel, Root, sizes_of
from amalthea.compiler.reading import memory_inputs
from amalthea.compiler.reductions import REDUCTIONS
from amalthea.core.graph import Graph
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value

COSTLY = frozenset(
    "exp expm1 log log1p sin cos tanh sigmoid erf erfc erfinv arctan2 power divide sqrt floor_divide mod".split()
)
THREEFRY = 80  # instructions for two words of random bits
COMPUTED = frozenset({"iota", "threefry2x32"})  # made from an element's index, or from what is not an input's element
CHEAP = 3  # ops that are rather computed again than stored
LOOK_BACK = 24  # kernels that a root may join
LARGE = 1 << 17  # bytes from which the update of a state is a pass of its own
ARRAYS = 32  # that one loop goes along, unless all have to do with each other: processors fetch ahead for so many
PAGE = 4096  # bytes of an array that counts as one
ROW_BUFFERS = 1 << 16  # bytes for the values of a row that later stages read


@dataclass
class NodeStep:
    """A node with a generator of its own.

    Attributes:
        node: the node.
        roots: of a contraction: values that are made from its result before that is stored.
        stored: whether its own result is stored: a step outside reads it.
    """

    node: Node
    roots: list[Root] = field(default_factory=list)
    stored: bool = True

    def __repr__(self) -> str:
        name = f"{self.node.op.name}: {', '.join(str(v.spec) for v in self.node.outputs)}"
        name += "" if self.stored else "  # in a register"
        return "\n".join([name, *(f"  {root}" for root in self.roots)])


Step = LoopKernel | NodeStep | IndexCheck


@dataclass(frozen=True)
class _Read:
    value: Value
    index: Index


class Fusion:
    """Plans the steps of one graph.

    Args:
        graph: of primitives.
        pointwise: the ops that the code generator computes element by element.
        continues: whether the generator of a node takes pointwise work on its result.
    """

    def __init__(
        self, graph: Graph, pointwise: Collection[str], continues: Callable[[Node], bool] = lambda node: False
    ) -> None:
        self.graph = graph
        self.pointwise = pointwise
        self.continues = continues
        self.number = {node: i for i, node in enumerate(graph.nodes)}
        self.users: dict[Value, list[Node]] = {}
        for node in graph.nodes:
            for value in node.inputs:
                self.users.setdefault(value, []).append(node)
        self.results = set(graph.all_outputs)
        self.stored: set[Value] = set()
        self.aliases: set[Value] = set()  # values that are their node's input's memory
        self.cost: dict[Value, int] = {}
        self.place: dict[Value, int] = {}  # of each stored value: the step that makes it
        self.arrays: dict[int, set[Value]] = {}  # of each loop kernel: the larger ones that it goes along
        self.steps: list[Step] = []
        self.begin = 0  # the first step that what is planned now may join
        self.checked: set[tuple[Value, tuple[int, ...]]] = set()
        self.handed: set[Value] = set()  # what other steps than loop kernels read

    def run(self) -> list[Step]:
        """The steps in order."""
        for node in self.graph.nodes:
            if self._is_loop(node):
                self._weigh(node)
            else:
                self.stored.update(node.outputs)
                self.stored.update(v for v in memory_inputs(node) if v.node is not None)
                if self.continues(node):
                    self._store_last(node)
        for node in reversed(self.graph.nodes):
            self._settle_alias(node)
        guards = self._guards()
        for node in guards:
            self._plan(node)
        # Before anything else is computed, or written in place, all indices are looked at.
        for node in self.graph.nodes:
            self._check(node)
        self.begin = len(self.steps) if self.checked else 0
        for node in self._ordered(guards):
            self._plan(node)
        self.handed = {memory for memory, _ in self.checked}
        self.handed |= {self._memory(v) for n in self.graph.nodes if not self._is_loop(n) for v in memory_inputs(n)}
        for step in self.steps:
            if isinstance(step, LoopKernel | NodeStep):
                self._settle(step)
        return self.steps

    def _plan(self, node: Node) -> None:
        self._check(node)
        if not self._is_loop(node):
            self._add(NodeStep(node), node.outputs)
            return
        for value in node.outputs:
            if value in self.stored and value not in self.aliases:
                self._place(value)

    def _guards(self) -> list[Node]:
        """The nodes that compute indices, in order."""
        checks = [check for node in self.graph.nodes if (check := index_check(node)) is not None]
        stack = [check.indices.node for check in checks]
        found: set[Node] = set()
        while stack:
            node = stack.pop()
            if node is not None and node not in found:
                found.add(node)
                stack.extend(value.node for value in node.inputs)
        return [node for node in self.graph.nodes if node in found]

    def _check(self, node: Node) -> None:
        """A step that looks whether the node's indices are in range, once for all that use them on one size."""
        check = index_check(node)
        if check is not None:
            key = self._memory(check.indices), check.sizes
            if key not in self.checked:
                self.checked.add(key)
                self._add(check, ())

    def _ordered(self, done: Collection[Node]) -> list[Node]:
        """The other nodes, first those that make numbers out of given ones: what waits for one joins what does not."""
        known = {None, *done}
        early: dict[Node, None] = {}
        rest = [node for node in self.graph.nodes if node not in known]
        for node in rest:
            small = all(_size(value) == 1 for value in (*node.inputs, *node.outputs))
            if small and self._is_loop(node) and all(v.node in known or v.node in early for v in node.inputs):
                early[node] = None
        return [*early, *(node for node in rest if node not in early)]

    # What is stored

    def _is_loop(self, node: Node) -> bool:
        name = node.op.name
        return name in self.pointwise or name in MOVES or is_choice(node) or name in COMPUTED or name in REDUCTIONS

    def _settle_alias(self, node: Node) -> None:
        """A reshape that is in memory is its input's memory; one that is not becomes a part of addresses.

        A view of elements of another width is its input's memory always.
        """
        value = node.outputs[0]
        if node.op.name == "reshape":
            alias = value in self.stored or not folds(node)
        else:
            alias = node.op.name == "view" and value.spec.dtype.itemsize != node.inputs[0].spec.dtype.itemsize
        if alias:
            self.stored.add(value)
            self.aliases.add(value)
            self._store(node.inputs[0])

    def _store(self, value: Value) -> None:
        if value.node is not None:
            self.stored.add(value)

    def _store_last(self, node: Node) -> None:
        """Store the last value of the pointwise chain on a contraction's result, in place of the result itself."""
        value, start = node.outputs[0], self.number[node]
        while value not in self.results:
            users = set(self.users.get(value, []))
            if len(users) != 1:
                break
            (user,) = users
            made = user.outputs[0]
            if user.op.name not in self.pointwise or made.spec.sizes != value.spec.sizes:
                break
            if made.spec.dtype.itemsize > value.spec.dtype.itemsize:
                break
            if any(x is not value and x.node is not None and self.number[x.node] > start for x in user.inputs):
                break
            value = made
        self.stored.add(value)

    def _weigh(self, node: Node) -> None:
        name, cost = node.op.name, weight(node)
        for x in node.inputs:
            if x in self.cost and x not in self.stored:
                cost += self.cost[x]
        if name == "gather":
            self._store(node.inputs[1])
        for value in node.outputs:
            self.cost[value] = cost
            users = self.users.get(value, [])
            repeating = [user for user in users if not is_choice(user) and self._is_loop(user)]
            bigger = any(_size(user.outputs[0]) > _size(value) for user in repeating)
            if value in self.results or name in REDUCTIONS:
                self.stored.add(value)
            elif cost > CHEAP and (len(set(users)) > 1 or bigger):
                source = node.inputs[0] if name in MOVES else value
                self._store(source if _size(source) <= _size(value) else value)

    # Where it is made

    def _add(self, step: Step, values: tuple[Value, ...]) -> None:
        for value in values:
            self.place[value] = len(self.steps)
        self.steps.append(step)

    def _place(self, value: Value) -> None:
        if self._joins_contraction(value):
            return
        node = value.node
        wanted = self._kernel_for(value)
        arrays = {v for v in (value, *self._depends(value)) if _bytes(v) >= PAGE}
        for position in range(len(self.steps) - 1, max(len(self.steps) - LOOK_BACK, self.begin) - 1, -1):
            step = self.steps[position]
            if isinstance(step, LoopKernel) and not self._crowds(arrays, self.arrays[position]):
                joined = self._joined(step, position, value, wanted)
                if joined is not None:
                    step.roots.append(joined)
                    self.place[value] = position
                    self.arrays[position] |= arrays
                    return
        wanted.roots.append(Root(value, _kind(node)))
        self.arrays[len(self.steps)] = arrays
        self._add(wanted, (value,))

    @staticmethod
    def _crowds(arrays: set[Value], others: set[Value]) -> bool:
        """Whether a root has nothing to do with a kernel that goes along enough arrays without it."""
        return len(arrays | others) > ARRAYS and not arrays & others

    def _joins_contraction(self, value: Value) -> bool:
        """Make a root part of the contraction on whose result it works, if it can be one."""
        if value.node.op.name not in self.pointwise:
            return False
        reads = self._depends(value)
        if value in self.results and any(v.node is None and _bytes(v) == _bytes(value) > LARGE for v in reads):
            return False  # the update of a parameter: many arrays, which tiles would read in short pieces
        last = max(map(self._position, reads), default=-1)
        step = self.steps[last] if last >= self.begin else None
        if not isinstance(step, NodeStep) or not self.continues(step.node):
            return False
        result = step.node.outputs[0].spec.sizes
        if sizes_of(result) != sizes_of(value.spec.sizes):
            return False
        inside = {step.node.outputs[0], *(root.value for root in step.roots)}
        found = needed(value, output_index(value.spec.sizes, result), self.stored)
        if found is None:
            return False
        for read, index in found:
            if self._position(read) == last:
                if read not in inside or index != output_index(read.spec.sizes, result):
                    return False
        step.roots.append(Root(value, "each"))
        self.place[value] = last
        return True

    def _depends(self, value: Value) -> list[Value]:
        """The stored values and inputs that a root is computed from."""
        found, stack, seen = [], list(value.node.inputs), set()
        while stack:
            source = stack.pop()
            if source in seen:
                continue
            seen.add(source)
            if source in self.stored or source.node is None:
                found.append(source)
            else:
                stack.extend(source.node.inputs)
        return found

    def _kernel_for(self, value: Value) -> LoopKernel:
        """A kernel of its own for a root."""
        node = value.node
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
        sizes = sizes_of(value.spec.sizes)
        n = len(sizes)
        return LoopKernel(sizes[:-1], sizes[-1:], tuple(range(n))[:-1], tuple(range(n))[-1:])

    def _joined(self, kernel: LoopKernel, position: int, value: Value, wanted: LoopKernel) -> Root | None:
        """The root as a part of `kernel`, if it can be one."""
        node = value.node
        kind = _kind(node)
        change = None
        if kind == "each":
            sizes = sizes_of(value.spec.sizes)
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
        for read in self._reads(value, target, "row" if kind == "row" else "full"):
            made = self._position(read.value)
            if made < position:
                continue
            if made > position:
                return None
            root = next((r for r in kernel.roots if r.value is read.value), None)
            if root is None:
                return None  # it reads another shape of what the kernel makes
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
        return Root(value, kind, stage)

    def _position(self, value: Value) -> int:
        """The step that makes a stored value; -1 for inputs."""
        return self.place.get(self._memory(value), -1)

    def _memory(self, value: Value) -> Value:
        while value in self.aliases:
            value = value.node.inputs[0]
        return value

    def _reads(self, root: Value, kernel: LoopKernel, where: str) -> list[_Read]:
        """The stored values that computing a root reads, and where."""
        found: dict[_Read, None] = {}
        node = root.node
        if node.op.name in REDUCTIONS:
            stack = [(node.inputs[0], place_in(node.inputs[0], kernel, False))]
        else:
            stack = reads(node, place_in(root, kernel, where == "row"))
        seen = set()
        while stack:
            value, index = stack.pop()
            if value.node is None or isinstance(value, Constant) or (value, index) in seen:
                continue
            seen.add((value, index))
            if value in self.stored:
                found[_Read(value, index)] = None
            else:
                stack.extend(reads(value.node, index))
        return list(found)

    def _settle(self, kernel: LoopKernel | NodeStep) -> None:
        """Roots that nothing outside the kernel reads stay in registers, or in a buffer where a later stage does."""
        places = {root.value: root for root in kernel.roots}
        if isinstance(kernel, NodeStep) and kernel.roots:
            kernel.stored = self._leaves(kernel.node.outputs[0], places)
        space = ROW_BUFFERS
        for root in kernel.roots:
            root.stored = self._leaves(root.value, places)
            later = (self._stages(root.value, places) or set()) - {root.stage}
            if isinstance(kernel, LoopKernel) and root.kind == "each" and not root.stored and later:
                space -= prod(kernel.inner) * root.value.spec.dtype.itemsize
                root.buffered = space >= 0
                root.stored = not root.buffered

    def _leaves(self, value: Value, places: dict[Value, Root]) -> bool:
        """Whether something outside a kernel reads a value."""
        return value in self.results or value in self.handed or self._stages(value, places) is None

    def _stages(self, value: Value, places: dict[Value, Root]) -> set[int] | None:
        """The stages of a kernel that read a value; None if it is also read elsewhere."""
        found: set[int] = set()
        for user in self.users.get(value, []):
            if not self._is_loop(user):
                return None
            for result in user.outputs:
                if result not in self.stored:
                    more = self._stages(result, places)
                    if more is None:
                        return None
                    found |= more
                elif result in places:
                    found.add(places[result].stage)
                else:
                    return None
        return found


def weight(node: Node) -> int:
    """How many instructions an element of the node's output costs, roughly."""
    name = node.op.name
    return 0 if name in MOVES else THREEFRY if name == "threefry2x32" else 8 if name in COSTLY else 1


def _kind(node: Node) -> str:
    return node.op.name if node.op.name in REDUCTIONS else "each"


def _bytes(value: Value) -> int:
    return value.spec.size * value.spec.dtype.itemsize


def _size(value: Value) -> int:
    return value.spec.size


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
