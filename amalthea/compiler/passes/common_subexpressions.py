"""Computing once what is computed twice: value numbering by op, inputs and attributes."""

from __future__ import annotations

import functools
import string
from collections.abc import Sequence
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
        self.contents: dict[Value, Any] = {}  # of constants: what they are compared by

    def visit(self, node: Node) -> Replacement:
        name = node.op.name
        inputs: Sequence[Any] = node.inputs
        for value in inputs:
            if type(value) is Constant:
                inputs = [self._content(v) if type(v) is Constant else v for v in inputs]
                break
        if name in COMMUTATIVE:
            inputs = sorted(inputs, key=_place)
        first = self.seen.setdefault((name, static_key(node), *inputs), node)
        return None if first is node else first.outputs

    def _content(self, constant: Constant) -> Any:
        found = self.contents.get(constant)
        if found is None:
            array = constant.tensor.numpy()
            small = array.nbytes <= COMPARED_BYTES
            key = array.tobytes() if small else id(constant.tensor._array)
            found = self.contents[constant] = (str(constant.spec.dtype), array.shape, key)
        return found


def _place(key: Any) -> tuple[bool, int]:
    return (True, 0) if type(key) is tuple else (False, id(key))


def static_key(node: Node) -> Any:
    """What calls on the same inputs must have in common to be equal."""
    attrs = node.attrs
    if node.arguments is not None and node.op.kind == "composite":
        return tree_key(node.arguments[0]), tree_key(node.arguments[1])
    if not attrs:
        return None
    if node.op.name == "contract":
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
