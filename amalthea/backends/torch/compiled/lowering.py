"""From a graph to calls of torch functions: one call a node, or one for several nodes where torch has a function.

The graph is read from its end, and a node is lowered only if something needs what it makes. So a rule that looks
through the nodes before its own and computes them too (`addmm` for a sum of a product) leaves these without users, and
they are not computed again. A rule may also ask a node before it for more than the op returns: the gradient of max
pooling asks the forward pass for the places of the greatest elements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from amalthea.backends.torch.compiled.calls import Call
from amalthea.compiler.passes.rewriting import count_uses
from amalthea.core import tree
from amalthea.core.backend import fail_without_kernel
from amalthea.core.graph import Graph
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value

Rule = Callable[["Lowering", Node], "Sequence[Call] | None"]
RULES: dict[str, list[Rule]] = {}
"""For each op's name the rules to try on its nodes, in order; the op's kernel is called where none fits."""

FRESH = frozenset(
    {
        "arctan2", "argmax", "argmin", "argsort", "concatenate", "constant_pad", "contract", "conv_input_gradient",
        "conv_kernel_gradient", "convolution", "cos", "cumulative_sum", "dynamic_update_slice", "equal", "erf",
        "erfc", "erfinv", "exp", "expm1", "gather", "gelu", "gelu_gradient", "iota", "layer_normalization", "less",
        "less_equal", "log", "log1p", "log_softmax", "log_softmax_gradient", "max_pooling", "max_pooling_gradient",
        "overlap_add", "relu", "scatter_update", "searchsorted", "sigmoid", "sin", "softmax", "softmax_gradient",
        "sqrt", "tanh", "threefry2x32",
    }
)  # fmt: skip
"""Ops whose kernels return memory that nothing else shares."""


def rule(*ops: str, several: bool = False) -> Callable[[Rule], Rule]:
    """Decorate a rule with the ops it is for. One that computes several nodes is tried before those for one."""

    def add(function: Rule) -> Rule:
        for op in ops:
            rules = RULES.setdefault(op, [])
            rules.insert(0 if several else len(rules), function)
        return function

    return add


class Lowering:
    """One graph on its way to calls.

    Args:
        graph: of primitives and of composites that the backend has kernels for.
        kernels: by the ops' names.

    Attributes:
        place: the number of each node.
        users: by value the nodes that take it.
        inner: makes a function of a graph inside a node, see `program.Writer`.
    """

    inner: Callable[[Graph, dict[Value, Value]], tuple[set[Value], Callable[..., list[Any]]]]

    def __init__(self, graph: Graph, kernels: dict[str, Callable[..., Any]]) -> None:
        self.graph, self.kernels = graph, kernels
        self.place = {node: i for i, node in enumerate(graph.nodes)}
        self.users: dict[Value, list[Node]] = {}
        for node in graph.nodes:
            for value in node.inputs:
                self.users.setdefault(value, []).append(node)
        self._uses = count_uses(graph)
        self._given: dict[Node, dict[str, Any]] = {}
        self._done: set[Value] = set()

    def calls(self) -> list[Call]:
        """The calls for the graph, in order."""
        needed = set(self.graph.all_outputs)
        found: list[Call] = []
        for node in reversed(self.graph.nodes):
            if node not in self._given and all(v not in needed or v in self._done for v in node.outputs):
                continue
            refuses = may_refuse(node)
            for call in reversed(self._lower(node)):
                call.refuses = refuses
                found.append(call)
                needed.update(call.inputs)
                self._done.update(call.made)
        for value in needed - self._done:
            assert value.node not in self.place, f"no rule has made {value.node}, which other calls take"
        found.reverse()
        return found

    def _lower(self, node: Node) -> Sequence[Call]:
        for attempt in RULES.get(node.op.name, ()):
            calls = attempt(self, node)
            if calls is not None:
                return calls
        return [self.kernel(node)]

    # What rules use

    def kernel(self, node: Node) -> Call:
        """The call of the op's kernel."""
        kernel = self.kernels.get(node.op.name)
        if kernel is None:
            fail_without_kernel(node.op.name, "torch")
        fresh = node.op.name in FRESH
        return Call(
            kernel, *node.inputs, outputs=node.outputs, fresh=fresh, packed=node.op.name in PACKED, **node.attrs
        )

    def maker(self, value: Value, *ops: str) -> Node | None:
        """The node of this graph that makes the value, if its op is one of those named."""
        node = value.node
        return node if node is not None and node in self.place and node.op.name in ops else None

    def single(self, value: Value) -> bool:
        """Whether the value is used once."""
        return self._uses.get(value, 0) == 1

    def before(self, value: Value, node: Node) -> bool:
        """Whether the value is there when the node is computed."""
        return value.node not in self.place or self.place[value.node] < self.place[node]

    def give(self, node: Node, name: str, thing: Any) -> bool:
        """Tell an earlier node something that its own rule finds by `given`; False where it was told before."""
        found = self._given.setdefault(node, {})
        return found.setdefault(name, thing) is thing

    def given(self, node: Node, name: str) -> Any:
        """What rules of later nodes have told this one; None if nothing."""
        return self._given.get(node, {}).get(name)

    def ask(self, node: Node, name: str, like: Value) -> Value:
        """A further result of a node that stands earlier, whose own rule finds the value by `given`."""
        found: Value = self._given.setdefault(node, {}).setdefault(name, temporary(like))
        return found


REFUSING = frozenset({"gather", "scatter_update", "power"})
"""Ops whose kernels look at values and may refuse them."""


def may_refuse(node: Node) -> bool:
    """Whether the node's kernel, or one in a graph inside, may refuse values."""
    parts = [part for part in tree.flatten(node.attrs) if isinstance(part, Graph)]
    return node.op.name in REFUSING or any(may_refuse(inner) for part in parts for inner in part.nodes)


PACKED = frozenset({"branch", "scan_loop", "loop"})
"""Ops whose kernels return a tuple also where there is one result."""


def temporary(like: Value) -> Value:
    """A value that no node makes."""
    return Value(like.spec, None, 0, like.trace)


def constant(value: Value) -> Any:
    """The array of a constant as NumPy; None for other values."""
    return value.tensor.numpy() if isinstance(value, Constant) else None


def shape(value: Value) -> tuple[int, ...]:
    return tuple(value.spec.sizes)


def view(function: Callable[..., Any], value: Value, *args: Any) -> tuple[Value, Call]:
    """A call that gives another view of a value, and that view."""
    made = temporary(value)
    return made, Call(function, value, *args, outputs=[made])


FLOATING = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}


def floating(*values: Value) -> bool:
    """Whether all values are floating."""
    return all(str(value.spec.dtype) in FLOATING for value in values)
