"""All passes in order, and `optimize`, which runs them until nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import NamedTuple

from amalthea.compiler.passes.common_subexpressions import share_common_subexpressions
from amalthea.compiler.passes.dead_code import remove_dead_code
from amalthea.compiler.passes.layouts import choose_layouts
from amalthea.compiler.passes.loop_reuse import reuse_between_loops
from amalthea.compiler.passes.loop_sums import sum_after_loops
from amalthea.compiler.passes.loops import simplify_loops
from amalthea.compiler.passes.reassociation import reassociate
from amalthea.compiler.passes.simplification import simplify
from amalthea.core.graph import Graph

Observer = Callable[[str, Graph, Graph], object]

ROUNDS = 4  # nearly all is done in the first; the last one only finds that nothing changes


class Pass(NamedTuple):
    """A pass: its name, the function, and whether results stay the same to the bit (NaN payloads aside)."""

    name: str
    run: Callable[[Graph], Graph]
    exact: bool


PASSES = (
    Pass("dead code", remove_dead_code, True),
    Pass("simplify", simplify, True),
    Pass("common subexpressions", share_common_subexpressions, True),
    Pass("reassociate", reassociate, False),
    Pass("layouts", choose_layouts, False),
    Pass("loops", simplify_loops, True),
    Pass("reuse between loops", reuse_between_loops, True),
    Pass("sums after loops", sum_after_loops, False),
)


def optimize(graph: Graph, verify: bool = False, trace: Observer | None = None, leave: Container[str] = ()) -> Graph:
    """The graph after all passes: the same inputs, outputs and variables, fewer and cheaper nodes.

    Args:
        graph: a graph of primitives, and of composites that the backend has kernels for. One with inputs of unknown
            size is returned as it is.
        verify: check the grammar after each pass that changes the graph (slow; for tests).
        trace: called as `trace(name, before, after)` for each pass that changes the graph, in order.
        leave: passes, by name, that are left out.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.pipeline import optimize
    >>> graph = am.trace(lambda x: (1.0 * x + x * 1.0) / 2.0, am.TensorSpec((2,), "float32"))
    >>> optimize(graph, trace=lambda name, before, after: print(name, len(before.nodes), len(after.nodes)))
    simplify 4 2
    graph <lambda>(x0: float32[2])
      a: float32[2] = multiply(x0, 2)
      b: float32[2] = multiply(a, 0.5)
      return b
    """
    if not all(value.spec.is_static for value in graph.all_inputs):
        return graph
    settled: dict[str, Graph] = {}  # by pass: the graph in which it found nothing to do
    for _ in range(ROUNDS):
        start = graph
        for name, run, _ in PASSES:
            if name in leave or settled.get(name) is graph:
                continue
            after = run(graph)
            if after is graph:
                settled[name] = graph
            else:
                if verify:
                    after.verify()
                if trace is not None:
                    trace(name, graph, after)
                graph = after
        if graph is start:
            break
    return graph
