"""A compiled graph: passes, a plan, machine code, and what runs it; or all that from the cache."""

from __future__ import annotations

import functools
from collections.abc import Container, Mapping, Sequence

import numpy as np

from amalthea.compiler.execution import Execution, Kernels
from amalthea.compiler.fusion import Step as Kernel
from amalthea.compiler.layout import layout_of
from amalthea.compiler.linking import link
from amalthea.compiler.passes.pipeline import optimize
from amalthea.compiler.program_cache import Entry
from amalthea.compiler.report import describe
from amalthea.compiler.routine import Routine, Step
from amalthea.compiler.target import Target
from amalthea.core.graph import Graph


class Program:
    """A graph of primitives as machine code; call it with the arrays of `graph.all_inputs`.

    Steps without generated code run as NumPy kernels between native stretches, on the same memory. A program that the
    cache has is planned only when somebody looks at its `routine`.

    Args:
        graph: of primitives, with static shapes.
        fallback: NumPy kernels by the name of their primitive.
        target: to compile for; the host unless given.

    Attributes:
        source: the graph as given; `graph`: after all passes.
        routine: its plan; `kernels` and `steps` are the routine's.
        layout, loaded: what runs it, and its machine code.
    """

    def __init__(self, graph: Graph, fallback: Kernels, target: Target | None = None) -> None:
        self.source, self.fallback, self.target = graph, fallback, target or Target.host()
        entry = Entry(graph, self.target)
        found = entry.load()
        if found is None:
            stretches, loaded = link(self.routine)
            found = layout_of(self.routine, stretches), loaded
            entry.store(*found, self.routine)
        self.layout, self.loaded = found
        self._execution = Execution(self.layout, self.loaded, fallback)

    def __call__(self, arrays: Sequence[np.ndarray], owned: Container[int] = ()) -> list[np.ndarray]:
        """The outputs for these inputs. Inputs of the places `owned` may be overwritten, where `in_place` says so."""
        return self._execution(arrays, owned)

    @property
    def in_place(self) -> Mapping[int, int]:
        """For outputs (by place) the input whose memory they take: the new value of a variable that of the old one."""
        return self.layout.in_place

    @property
    def stretches(self) -> Sequence[object]:
        """What runs without Python in between: a native function, or a step that falls back, in order."""
        return self.layout.stretches

    @property
    def fallbacks(self) -> list[str]:
        """The primitives that run as NumPy kernels, in order."""
        return self.layout.fallbacks

    # What compiling looks at

    @functools.cached_property
    def graph(self) -> Graph:
        """The graph after all passes."""
        return optimize(self.source)

    @functools.cached_property
    def routine(self) -> Routine:
        """The plan: steps, and where every value lives."""
        graph = self.graph
        first, state = len(graph.outputs), len(graph.all_inputs) - len(graph.state_inputs)
        updates = {first + place: state + i for place, (i, _) in enumerate(graph.updates)}
        return Routine(graph, self.target, updates=updates)

    @property
    def kernels(self) -> list[Kernel]:
        """The loop kernels and nodes that fusion made."""
        return self.routine.kernels

    @property
    def steps(self) -> list[Step]:
        """The steps with their code."""
        return self.routine.steps

    def describe(self, arrays: Sequence[np.ndarray] | None = None) -> str:
        """The steps as text: kernels with their work, and what falls back; with arrays also the time each takes."""
        return describe(self.routine, self.fallback, arrays)
