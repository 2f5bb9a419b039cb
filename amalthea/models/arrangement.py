"""In which order the layers and ops of a functional model stand: from the inputs to the outputs, as Keras lists them.

The order decides what `model.layers` looks like and under which names weights are filed, so it must be Keras 3's: by
depth (the longest way to an output, the deepest first), and at one depth by when a walk back from the outputs meets
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amalthea.core.errors import ArgumentError, fail
from amalthea.core.node import Constant, Node, iterate_slots
from amalthea.core.value import Value
from amalthea.nn.layer import Layer


@dataclass(frozen=True)
class Arrangement:
    """The nodes of a model in an order in which they can be computed, and its operations in the order of `layers`.

    An operation is a layer, however often it is called, or a single node whose op is no layer.
    """

    nodes: tuple[Node, ...]
    operations: tuple[Any, ...]
    depths: dict[Node, int]


def operation_of(node: Node) -> Any:
    """The layer of a node, or the node itself where an op was called."""
    return node.op if isinstance(node.op, Layer) else node


def arrange(inputs: Sequence[Value], outputs: Sequence[Value], where: str) -> Arrangement:
    """Walk back from `outputs` to `inputs`.

    Raises:
        ValueError: an output does not depend on the inputs alone.
    """
    given = set(inputs)
    nodes, first_met = _walk_back(outputs, given, where)
    depths: dict[Node, int] = {}
    operation_depths: dict[Any, int] = {}
    for node in reversed(nodes):
        operation = operation_of(node)
        depth = max(depths.get(node, 0), operation_depths.get(operation, 0))
        depths[node] = operation_depths[operation] = depth
        for value in node.inputs:
            if value.node is not None:
                depths[value.node] = max(depth + 1, depths.get(value.node, 0))
    for value in inputs:  # inputs that no output needs are part of the model all the same
        if value.node is not None and value.node not in depths:
            depths[value.node] = 0
            operation_depths.setdefault(operation_of(value.node), 0)
            first_met.setdefault(operation_of(value.node), -1)
    ordered = sorted(operation_depths, key=lambda operation: (-operation_depths[operation], first_met[operation]))
    entries = [value.node for value in inputs if value.node is not None]
    rest = [node for node in nodes if node not in set(entries)]
    return Arrangement((*dict.fromkeys(entries), *rest), tuple(ordered), depths)


def _walk_back(outputs: Sequence[Value], given: set[Value], where: str) -> tuple[list[Node], dict[Any, int]]:
    """All nodes between inputs and outputs, each after those it needs, and when each operation was first met."""
    done: set[Node] = set()
    ordered: list[Node] = []
    first_met: dict[Any, int] = {}
    for output in outputs:
        stack: list[tuple[Value, Any]] = [(output, None)]
        while stack:
            value, waiting = stack.pop()
            if waiting is None:
                node = value.node
                if isinstance(value, Constant) or node in done:
                    continue
                if value not in given and (node is None or (not node.inputs and _is_input(node))):
                    _disconnected(value, output, given, where)
                if node is None:
                    continue
                first_met.setdefault(operation_of(node), len(first_met))
                waiting = iter(() if value in given else _inputs_in_order(node))
            following = next(waiting, None)
            if following is not None:
                stack.append((value, waiting))
                stack.append((following, None))
            elif value.node not in done:
                done.add(value.node)
                ordered.append(value.node)
    return ordered, first_met


def _inputs_in_order(node: Node) -> list[Value]:
    """A node's inputs as the arguments of the call list them: by position, then by sorted names."""
    if node.arguments is None or not isinstance(node.op, Layer):
        return list(node.inputs)
    args, kwargs = node.arguments
    in_order = [*iterate_slots(args), *(slot for name in sorted(kwargs) for slot in iterate_slots(kwargs[name]))]
    return [node.inputs[slot.index] for slot in in_order]


def _is_input(node: Node) -> bool:
    return type(node.op).__name__ == "InputLayer"


def _disconnected(value: Value, output: Value, given: set[Value], where: str) -> None:
    names = [other.name for other in given]
    origin = f"the input '{value.name}'" if value.node is not None else f"the tensor '{value.name}'"
    fail(
        ArgumentError,
        f"the graph is disconnected: the output '{_maker(output)}' depends on {origin}, which is not among the inputs",
        where=where,
        received=f"inputs {names}",
        fix=f"pass '{value.name}' as an input too, or compute the output from {names} alone",
    )


def _maker(value: Value) -> str:
    return value.name if value.node is None else value.node.op.name
