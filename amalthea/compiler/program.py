"""A compiled graph: passes, a plan, machine code, and what runs it."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import numpy as np

from amalthea.compiler.execution import Execution, Kernels
from amalthea.compiler.linking import link
from amalthea.compiler.passes.pipeline import optimize
from amalthea.compiler.report import describe
from amalthea.compiler.routine import Routine
from amalthea.compiler.target import Target
from amalthea.core.graph import Graph


class Program:
    """A graph of primitives as machine code; call it with the arrays of `graph.all_inputs`.

    Steps without generated code run as NumPy kernels between native stretches, on the same memory.

    Args:
        graph: of primitives, with static shapes.
        fallback: NumPy kernels by the name of their primitive.
        target: to compile for; the host unless given.

    Attributes:
        source, graph: the graph as given, and after all passes.
        routine: its plan; `kernels` and `steps` are the routine's.
        loaded: its machine code; `stretches`: (function, numbers of the steps it runs) in order.
    """

    def __init__(self, graph: Graph, fallback: Kernels, target: Target | None = None) -> None:
        self.source, self.graph = graph, optimize(graph)
        self.fallback = fallback
        first, state = len(self.graph.outputs), len(self.graph.all_inputs) - len(self.graph.state_inputs)
        updates = {first + place: state + i for place, (i, _) in enumerate(self.graph.updates)}
        self.routine = Routine(self.graph, target or Target.host(), updates=updates)
        self.kernels, self.steps = self.routine.kernels, self.routine.steps
        linked = link(self.routine)
        self.stretches, self.loaded = linked.stretches, linked.loaded
        self._execution = Execution(self.routine, linked, fallback)

    @property
    def fallbacks(self) -> list[str]:
        """The primitives that run as NumPy kernels, in order."""
        return [step.node.op.name for step in self.steps if step.node is not None]

    @property
    def in_place(self) -> Mapping[int, int]:
        """For outputs (by place) the input whose memory they take: the new value of a variable that of the old one."""
        return self.routine.in_place

    def __call__(self, arrays: Sequence[np.ndarray], owned: Container[int] = ()) -> list[np.ndarray]:
        """The outputs for these inputs. Inputs of the places `owned` may be overwritten, where `in_place` says so."""
        return self._execution(arrays, owned)

    def describe(self, arrays: Sequence[np.ndarray] | None = None) -> str:
        """The steps as text: kernels with their work, and what falls back; with arrays also the time each takes."""
        return describe(self.routine, self.fallback, arrays)
