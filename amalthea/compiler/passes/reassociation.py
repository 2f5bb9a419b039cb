"""All rules that may change the last digits, in one sweep."""

from __future__ import annotations

from amalthea.compiler.passes import contracting, powers, reductions, softmax
from amalthea.compiler.passes.rewriting import Rules, rewrite
from amalthea.core.graph import Graph

RULES = Rules(powers.RULES, reductions.RULES, contracting.RULES, softmax.RULES)


def reassociate(graph: Graph) -> Graph:
    """The graph with the rules for powers, reductions, contractions and softmax applied.

    Results may differ in the last digits, and in the sign of zeros.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.reassociation import reassociate
    >>> print(reassociate(am.trace(lambda x: am.ops.sum(x**2.0, axis=()), am.TensorSpec((2,), "float32", name="x"))))
    graph <lambda>(x: float32[2])
      a: float32[2] = multiply(x, x)
      return a
    """
    return rewrite(graph, RULES)
