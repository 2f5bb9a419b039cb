"""Which nodes of a graph XLA compiles together.

TensorFlow runs one kernel after the other, each with a pass over memory; XLA makes one pass of many elementwise ops and
reductions. Its contractions, convolutions and loops are slower on processors than TensorFlow's, so a graph is cut:
between two of those, everything else is one cluster. What no such op waits for (the losses, the updates of variables)
is the last cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from amalthea.backends.tensorflow import activations, elementwise
from amalthea.core.graph import Graph
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value

MOVES = ("reshape", "transpose", "broadcast_to", "concatenate", "constant_pad", "strided_slice", "flip", "iota")
LIGHT = {*elementwise.KERNELS, *activations.KERNELS, *MOVES}
REDUCTIONS = ("sum", "max", "min")

PAYS = 1 << 18
"""Elements that a cluster need not write and read again, from which compiling it pays: some hundred microseconds."""

SMALL = 1 << 12
"""Elements of a reduction that takes no time."""


class Part(NamedTuple):
    """Nodes that run together: a graph of their own, and whether XLA should compile it."""

    graph: Graph
    fused: bool


def _light(node: Node) -> bool:
    """Whether XLA compiles it better, among others, than TensorFlow runs it.

    XLA reduces the last axes in one pass with what comes before, but walks across memory to reduce the first ones.
    """
    if node.op.name in REDUCTIONS:
        rank, axes = len(node.inputs[0].spec.sizes), node.attrs["axis"]
        return rank - 1 in axes or not axes or node.inputs[0].spec.size < SMALL
    return node.op.name in LIGHT


def parts_of(graph: Graph) -> list[Part]:
    """The graph cut into parts, each after those whose results it takes."""
    kept = set(graph.all_outputs)
    nodes = [node for node in graph.nodes if not _free(node) or kept.intersection(node.outputs)]
    stages = _stages(nodes)
    last = max(stages.values(), default=0)
    groups: dict[tuple[int, bool], list[Node]] = {}
    for node in nodes:
        groups.setdefault((stages[node], not _light(node)), []).append(node)
    made = [(groups[key], not key[1]) for key in sorted(groups)]
    takers: dict[Value, int] = {}
    for i, (nodes, _) in enumerate(made):
        takers.update(dict.fromkeys(_taken(nodes, stages), i))
    takers.update(dict.fromkeys(graph.all_outputs, last * 2 + 2))
    parts = []
    for i, (nodes, light) in enumerate(made):
        outputs = [v for node in nodes for v in node.outputs if takers.get(v, -1) > i]
        own = {value for node in nodes for value in node.outputs}
        part = Graph(graph.name, [v for v in _taken(nodes, stages) if v not in own], outputs, None, trace=graph.trace)
        parts.append(Part(part, light and _pays(part)))
    return parts


def _stages(nodes: Sequence[Node]) -> dict[Node, int]:
    """For each node how many ops that XLA should not compile come before it, on the longest way; the last for all that
    no such op waits for."""
    stages: dict[Node, int] = dict.fromkeys(nodes, 0)
    before = {node: [v.node for v in _taken([node], stages) if v.node in stages] for node in nodes}
    for node in nodes:
        stages[node] = max([stages[n] + (not _light(n)) for n in before[node]], default=0)
    last = max(stages.values(), default=0)
    awaited: set[Node] = set()
    for node in reversed(nodes):
        if not _light(node) or node in awaited:
            awaited.update(before[node])
        else:
            stages[node] = last + 1
    _postpone(nodes, before, stages)
    return stages


def _postpone(nodes: Sequence[Node], before: dict[Node, list[Node]], stages: dict[Node, int]) -> None:
    """Move what is made of one value, and taken by later stages only, to the first of these.

    That value is then kept in its place: the mask of a relu is found again when its gradient is computed.
    """
    takers: dict[Node, int] = {}
    for node in reversed(nodes):
        large = [v for v in _taken([node], stages) if v.spec.size > 1]
        if _light(node) and len(large) == 1 and takers.get(node, 0) > stages[node]:
            if large[0].spec.size <= sum(v.spec.size for v in node.outputs):
                stages[node] = takers[node]
        for n in before[node]:
            takers[n] = min(takers.get(n, stages[node]), stages[node])


def _free(node: Node) -> bool:
    """Whether it moves and computes nothing: such nodes are repeated wherever their results are taken."""
    if node.op.name == "cast":
        return node.inputs[0].spec.dtype == node.outputs[0].spec.dtype
    return node.op.name in ("reshape", "stop_gradient")


def _source(value: Value, stages: dict[Node, int]) -> Value:
    """The value that it is, but for nodes that are in no stage."""
    while value.node is not None and value.node not in stages and _free(value.node):
        value = value.node.inputs[0]
    return value


def _taken(nodes: Sequence[Node], stages: dict[Node, int]) -> list[Value]:
    """What the nodes take that must be there before."""
    taken = dict.fromkeys(_source(v, stages) for node in nodes for v in node.inputs)
    return [value for value in taken if not isinstance(value, Constant)]


def _pays(part: Graph) -> bool:
    """Whether there is enough that one kernel after the other writes and reads again, but all of them together do not.

    XLA's results lie in memory of their own, while TensorFlow's kernels often overwrite what they take: it must be more
    than what the part takes and gives.
    """
    touched = sum(v.spec.size for v in (*part.inputs, *part.outputs))
    each = sum(v.spec.size for node in part.nodes for v in (*node.inputs, *node.outputs) if not _free(node))
    return each - touched >= max(PAYS, touched + 1)
