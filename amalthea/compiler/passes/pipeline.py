"""All passes in order, and `optimize`, which runs them until nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from amalthea.compiler.passes.arithmetic import simplify_arithmetic
from amalthea.compiler.passes.broadcasting import sink_broadcasts
from amalthea.compiler.passes.canonical_order import canonicalize
from amalthea.compiler.passes.common_subexpressions import share_common_subexpressions
from amalthea.compiler.passes.constant_folding import fold_constants
from amalthea.compiler.passes.contracting import simplify_contractions
from amalthea.compiler.passes.conversions import simplify_conversions
from amalthea.compiler.passes.dead_code import remove_dead_code
from amalthea.compiler.passes.movement import simplify_movement
from amalthea.compiler.passes.powers import simplify_powers
from amalthea.compiler.passes.reductions import simplify_reductions
from amalthea.compiler.passes.softmax import reuse_exponentials
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
    Pass("conversions", simplify_conversions, True),
    Pass("canonical order", canonicalize, True),
    Pass("movement", simplify_movement, True),
    Pass("broadcasts", sink_broadcasts, True),
    Pass("constants", fold_constants, True),
    Pass("arithmetic", simplify_arithmetic, True),
    Pass("powers", simplify_powers, False),
    Pass("common subexpressions", share_common_subexpressions, True),
    Pass("reductions", simplify_reductions, False),
    Pass("contractions", simplify_contractions, False),
    Pass("softmax", reuse_exponentials, False),
)


def optimize(graph: Graph, verify: bool = False, trace: Observer | None = None) -> Graph:
    """The graph after all passes: the same inputs, outputs and variables, fewer and cheaper nodes.

    Args:
        graph: a graph of primitives, and of composites that the backend has kernels for.
        verify: check the grammar after each pass that changes the graph (slow; for tests).
        trace: called as `trace(name, before, after)` for each pass that changes the graph, in order.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.pipeline import optimize
    >>> graph = am.trace(lambda x: (1.0 * x + x * 1.0) / 2.0, am.TensorSpec((2,), "float32"))
    >>> optimize(graph, trace=lambda name, before, after: print(name, len(before.nodes), len(after.nodes)))
    canonical order 4 4
    arithmetic 4 2
    graph <lambda>(x0: float32[2])
      a: float32[2] = multiply(x0, 2)
      b: float32[2] = multiply(a, 0.5)
      return b
    """
    for _ in range(ROUNDS):
        start = graph
        for name, run, _ in PASSES:
            after = run(graph)
            if after is not graph:
                if verify:
                    after.verify()
                if trace is not None:
                    trace(name, graph, after)
                graph = after
        if graph is start:
            break
    return graph
