"""`am.explain`: what the compiler makes of a function, stage by stage."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import numpy as np

from amalthea.compiler.passes.pipeline import optimize
from amalthea.compiler.program import Program
from amalthea.compiler.report import memory_plan
from amalthea.core import tree
from amalthea.core.backend import active, kept_ops
from amalthea.core.errors import ArgumentError, UnsupportedError, fail
from amalthea.core.function import Function, function
from amalthea.core.graph import Graph
from amalthea.core.tensor import Tensor, as_tensor


class Explanation:
    """The stages of one compilation; `print` it, or look at its parts.

    Attributes:
        graph: the graph of primitives, as traced.
        optimized: the graph after all passes.
        passes: for each pass that changed something its name and the graphs before and after.
        program: the compiled program; `program.kernels` are the loop nests.
        fallbacks: the primitives that run as NumPy kernels.
        memory: where each step writes, as text.
        text: what `print` shows.
    """

    def __init__(self, graph: Graph, passes: list[tuple[str, Graph, Graph]], program: Program, text: str) -> None:
        self.graph, self.passes, self.program, self.text = graph, passes, program, text
        self.optimized, self.fallbacks = program.graph, program.fallbacks
        self.memory = memory_plan(program.routine)

    def __repr__(self) -> str:
        return self.text


def explain(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Explanation:
    """What the native compiler makes of `func` for these arguments: the graph before and after each pass, the loops,
    the kernels with their work, tiles and time, the memory between them, and what falls back to NumPy.

    Args:
        func: a function, a layer, a model, or what `am.function` made.
        *args, **kwargs: arguments, on which the steps are timed.

    Raises:
        ArgumentError: `func` cannot be called.
        UnsupportedError: another backend than `native` is active.

    >>> import amalthea as am
    >>> with am.backend_scope("native"):
    ...     print(str(am.explain(lambda x: am.ops.softmax(x), am.ops.ones((4, 8)))).splitlines()[0])
    graph <lambda>(x0: float32[4,8])
    """
    if not callable(func):
        fail(
            ArgumentError,
            "only a function, a layer or a model can be explained",
            where="explain",
            received=f"{type(func).__name__} {func!r}"[:80],
            fix="am.explain(f, x), with the function first and its arguments after it",
        )
    if active.backend.name != "native":
        fail(
            UnsupportedError,
            "only the native backend compiles with this compiler",
            where="explain",
            received=f"backend {active.backend.name!r}",
            fix='with am.backend_scope("native"): ...',
        )
    compiled = func if isinstance(func, Function) else function(func)
    graph = compiled.get_graph(*args, **kwargs).expand("primitive", keep=kept_ops())
    passes: list[tuple[str, Graph, Graph]] = []
    optimize(graph, trace=lambda name, before, after: passes.append((name, before, after)))
    kernels: Any = active.backend
    program = Program(graph, kernels.bare_kernels)
    leaves = [leaf for leaf in tree.flatten((args, kwargs)) if isinstance(leaf, (Tensor, np.ndarray))]
    arrays = [as_tensor(leaf).numpy() for leaf in leaves] + [v.numpy() for v in graph.variables]
    parts = [str(graph)]
    for name, before, after in passes:
        parts.append(f"-- after {name}: {len(before.nodes)} nodes become {len(after.nodes)}")
        parts.append(_changes(str(before), str(after)))
    parts += ["-- graph after all passes", str(program.graph)]
    parts.append("-- steps")
    parts += [repr(kernel) for kernel in program.kernels]
    parts.append("-- kernels")
    parts.append(program.describe(arrays))
    parts += ["-- memory", memory_plan(program.routine)]
    parts.append(f"-- falls back to NumPy: {', '.join(program.fallbacks) or 'nothing'}")
    return Explanation(graph, passes, program, "\n".join(parts))


def _changes(before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))
