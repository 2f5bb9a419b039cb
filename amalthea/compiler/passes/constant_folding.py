"""Computing at compile time what does not depend on any input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from amalthea.compiler.passes.rewriting import Replacement, Sweep
from amalthea.core.backend import active
from amalthea.core.errors import AmaltheaError
from amalthea.core.graph import Graph
from amalthea.core.node import Constant, Node
from amalthea.core.tensor import array_of, as_tensor
from amalthea.core.value import Value

FOLDED_BYTES = 64 * 1024  # a constant made by folding is at most this large, or no larger than what it is made of
LEFT = frozenset({"broadcast_to", "branch", "scan_loop", "loop"})  # repeats elements; may run for long


def fold_constants(graph: Graph) -> Graph:
    """The graph with calls on constants alone replaced by their results, unless these are large.

    What has no elements is a constant too, so that nothing after this has to think of it. The active backend's own
    kernels compute them. Random numbers are never folded: they come from a state, which is an
    input. `broadcast_to` stays, because a scalar says more than a block of equal numbers.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.constant_folding import fold_constants
    >>> graph = am.trace(lambda x: x * am.ops.sqrt(am.ops.convert_to_tensor(4.0)), am.TensorSpec((2,), "float32"))
    >>> len(graph.nodes), len(fold_constants(graph).nodes)
    (2, 1)
    """
    return Folding(graph).result()


class Folding(Sweep):
    """Folds what it can and applies the rules to the rest."""

    def visit(self, node: Node) -> Replacement:
        if all(value.spec.is_static and not value.spec.size for value in node.outputs):
            return [_empty(value) for value in node.outputs]
        for value in node.inputs:
            if type(value) is not Constant:
                return super().visit(node)
        return _folded(node) or super().visit(node)


def _folded(node: Node) -> Sequence[Constant] | None:
    """The results of a call on constants, or None where it is left."""
    if node.op.kind != "primitive" or node.op.name in LEFT:
        return None
    limit = max(FOLDED_BYTES, sum(map(_bytes, node.inputs)))
    if any(not value.spec.is_static for value in node.outputs) or sum(map(_bytes, node.outputs)) > limit:
        return None
    kernel = active.kernels.get(node.op.name)
    if kernel is None:
        return None
    try:
        with np.errstate(all="ignore"):
            made = kernel(*[array_of(v.tensor) for v in node.inputs], **node.attrs)  # type: ignore[attr-defined]
    except AmaltheaError:
        return None  # a mistake of the user's: it is reported when the program runs
    results = [made] if len(node.outputs) == 1 and not isinstance(made, (tuple, list)) else made
    return [
        Constant(as_tensor(np.array(active.backend.to_numpy(array), dtype=value.spec.dtype.as_numpy_dtype)))
        for array, value in zip(results, node.outputs, strict=True)
    ]


def _empty(value: Value) -> Constant:
    return Constant(as_tensor(np.empty(value.spec.sizes, value.spec.dtype.as_numpy_dtype)))


def _bytes(value: Value) -> int:
    return value.spec.size * value.spec.dtype.itemsize
