"""Computing once what is computed twice: value numbering by op, inputs and attributes."""

from __future__ import annotations

import functools
import string
from typing import Any

from amalthea.compiler.passes.facts import COMMUTATIVE
from amalthea.compiler.passes.rewriting import Replacement, Rules, Sweep
from amalthea.core.graph import Graph
from amalthea.core.infer import tree_key
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value

COMPARED_BYTES = 1 << 20  # constants up to this size are compared by content, larger ones by identity


def share_common_subexpressions(graph: Graph) -> Graph:
    """The graph with equal calls made once: the same op on the same values with the same attributes.

    Constants are the same by dtype, shape and bits, so 0.0 and -0.0 differ. All ops are functions of their inputs
    (random numbers come from a state that is an input), so any two equal calls give the same.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.common_subexpressions import share_common_subexpressions
    >>> graph = am.trace(lambda x: am.ops.exp(x) * am.ops.exp(x), am.TensorSpec((2,), "float32"))
    >>> len(graph.nodes), len(share_common_subexpressions(graph).nodes)
    (3, 2)
    """
    return _Numbering(graph).result()


class _Numbering(Sweep):
    def __init__(self, graph: Graph, rules: Rules | None = None, done: dict[Graph, Graph] | None = None) -> None:
        super().__init__(graph, rules, done)
        self.seen: dict[Any, Node] = {}
        self.constants: dict[Any, Value] = {}
        for node in graph.nodes:
            for value in node.inputs:
                if type(value) is Constant:
                    first = self.constants.setdefault(_content(value), value)
                    if first is not value:
                        self.new[value] = first

    def visit(self, node: Node) -> Replacement:
        name, inputs = node.op.name, node.inputs
        static: Any = node.attrs
        if static:
            static = _static(name, static)
        if node.arguments is not None and node.op.kind == "composite":
            static = (tree_key(node.arguments[0]), tree_key(node.arguments[1]))
        if name in COMMUTATIVE and id(inputs[0]) > id(inputs[1]):
            inputs = (inputs[1], inputs[0])
        key = (name, inputs, static or None)
        first = self.seen.setdefault(key, node)
        return None if first is node else first.outputs


def _static(name: str, attrs: dict[str, Any]) -> Any:
    if name == "contract":
        return canonical_letters(attrs["subscripts"])
    values = attrs.values()
    if any(type(value) is float for value in values):
        return tuple([repr(value) if type(value) is float else value for value in values])
    return tuple(values)


@functools.lru_cache(maxsize=4096)
def canonical_letters(subscripts: str) -> str:
    """The subscripts with letters i, j, k, ... in the order in which they first stand.

    >>> from amalthea.compiler.passes.common_subexpressions import canonical_letters
    >>> canonical_letters("Zij,jk->Zik")
    'ijk,kl->ijl'
    """
    letters = string.ascii_lowercase[8:] + string.ascii_lowercase[:8] + string.ascii_uppercase
    found = dict.fromkeys(c for c in subscripts if c.isalpha())
    return subscripts.translate({ord(old): new for old, new in zip(found, letters, strict=False)})


def _content(constant: Constant) -> Any:
    array = constant.tensor.numpy()
    if array.nbytes > COMPARED_BYTES:
        return id(constant.tensor._array)
    return str(constant.spec.dtype), array.shape, array.tobytes()
