"""Leaving out what nobody uses."""

from __future__ import annotations

from amalthea.compiler.passes.rewriting import Sweep, live, with_nodes
from amalthea.core.graph import Graph


def remove_dead_code(graph: Graph) -> Graph:
    """The graph without nodes whose results are used by no output and no variable, inside loops and branches too.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.dead_code import remove_dead_code
    >>> graph = am.trace(lambda x: x + 1.0, am.TensorSpec((2,), "float32"))
    >>> remove_dead_code(graph) is graph
    True
    """
    kept = live(graph.nodes, graph.all_outputs)
    if len(kept) < len(graph.nodes):
        graph = with_nodes(graph, kept, graph.outputs, graph.updates)
    return _Insides(graph).result()


class _Insides(Sweep):
    def inside(self, graph: Graph) -> Graph:
        return remove_dead_code(graph)
