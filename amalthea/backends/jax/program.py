"""A graph of primitives as one jitted JAX function."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import jax

from amalthea.backends.interpreter import interpret
from amalthea.core.backend import active
from amalthea.core.graph import Graph

Run = Callable[[Sequence[Any]], list[Any]]
_bodies: weakref.WeakKeyDictionary[Graph, Run] = weakref.WeakKeyDictionary()


def compile_graph(graph: Graph, kernels: dict[str, Callable[..., Any]]) -> Run:
    """A program for the graph: takes the arrays of `graph.all_inputs`, returns those of `graph.all_outputs`."""
    jitted = jax.jit(interpret(graph, kernels, "jax", jax.numpy.asarray))
    return lambda arrays: list(jitted(list(arrays)))


def traceable(graph: Graph) -> Run:
    """A graph inside control flow as a function that JAX can trace."""
    found = _bodies.get(graph)
    if found is None:
        kernels = active.backend.bare_kernels  # type: ignore[attr-defined]
        opened = graph if graph.level == "primitive" else graph.expand("primitive", keep=active.backend.composites)
        found = _bodies[graph] = interpret(opened, kernels, "jax", jax.numpy.asarray)
    return found
