"""All exact rules in one sweep, which saves making most nodes once for each table."""

from __future__ import annotations

from amalthea.compiler.passes import arithmetic, broadcasting, canonical_order, conversions, movement
from amalthea.compiler.passes.canonical_order import Scalars
from amalthea.compiler.passes.constant_folding import Folding
from amalthea.compiler.passes.rewriting import Rules
from amalthea.core.graph import Graph

RULES = Rules(conversions.RULES, movement.RULES, broadcasting.RULES, canonical_order.RULES, arithmetic.RULES)


def simplify(graph: Graph) -> Graph:
    """The graph with constants folded and made scalars, and the rules of conversions, movement, broadcasting, canonical
    order and arithmetic applied. Exact.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.simplification import simplify
    >>> print(simplify(am.trace(lambda x: 1.0 * x + (-x), am.TensorSpec((2,), "float32", name="x"))))
    graph <lambda>(x: float32[2])
      a: float32[2] = subtract(x, x)
      return a
    """
    return _Simplification(graph, RULES).result()


class _Simplification(Scalars, Folding):
    """Scalars first, then folding, then the rules."""
