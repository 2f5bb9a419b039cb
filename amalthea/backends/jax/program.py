"""A graph of primitives as one jitted JAX function, which takes over the memory of the state it replaces."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Collection, Container, Sequence
from typing import Any

import jax

from amalthea.backends.interpreter import interpret
from amalthea.backends.jax.convolution import KERNELS as CONVOLUTIONS
from amalthea.core.backend import named
from amalthea.core.graph import Graph
from amalthea.core.graph_text import inner_graphs
from amalthea.core.loans import LENT
from amalthea.core.node import Constant, Node

Run = Callable[[Sequence[Any]], list[Any]]
_bodies: weakref.WeakKeyDictionary[Graph, Run] = weakref.WeakKeyDictionary()


def compile_graph(graph: Graph, kernels: dict[str, Callable[..., Any]]) -> Run:
    """A program for the graph: takes the arrays of `graph.all_inputs`, returns those of `graph.all_outputs`.

    Large variables that the graph updates are donated to XLA, which writes their new values over the old ones. What the
    caller does not own is copied before.
    """
    compute = interpret(graph, kernels, "jax", jax.numpy.asarray)
    in_place = _updates(graph)
    if not in_place:
        return jax.jit(compute)  # type: ignore[no-any-return]
    given = list(in_place.values())
    kept = [i for i in range(len(graph.all_inputs)) if i not in set(given)]
    # XLA gives a donated buffer to the first output of its shape: the updates come first, in the order of their inputs.
    outputs = [*in_place, *(i for i in range(len(graph.all_outputs)) if i not in in_place)]
    order = sorted(range(len(outputs)), key=outputs.__getitem__)
    inputs = [*given, *kept]
    places = sorted(range(len(inputs)), key=inputs.__getitem__)

    def donating(donated: list[Any], others: list[Any]) -> list[Any]:
        arrays = [*donated, *others]
        results = compute([arrays[i] for i in places])
        return [results[i] for i in outputs]

    jitted = jax.jit(donating, donate_argnums=0)
    started = False

    # A function and not an object, as calls of objects can be interrupted between their result and its assignment.
    def run(arrays: Sequence[Any], owned: Collection[int] = ()) -> list[Any]:
        nonlocal started
        if not started:  # it compiles, in Python, where it can be interrupted at any time: it works on copies
            owned = ()
        donated = [arrays[i] if i in owned else arrays[i].copy() for i in given]
        others = [arrays[i] for i in kept]
        made: list[list[Any]] = []
        try:
            # All in C: Ctrl-C, which comes between two steps of the interpreter, finds the outputs in `made`.
            made.extend(map(jitted, (donated,), (others,)))
            started = True
            return [made[0][i] for i in order]
        except BaseException as interruption:
            if made:
                interruption.outputs = [made[0][i] for i in order]  # type: ignore[attr-defined]
            raise

    run.in_place = in_place  # type: ignore[attr-defined]
    return run


def guarded(graph: Graph, checks: dict[str, Callable[..., Any]], kernels: dict[str, Callable[..., Any]]) -> Run | None:
    """The program of `compile_graph` after checks of indices and powers, which it cannot refuse while it runs.

    Args:
        graph: what to compute.
        checks: by the names of ops; each takes what the op takes, and looks at the values of its second input.
        kernels: by the names of ops.

    Returns None where the graph, or one inside it, computes such values.
    """
    places = {value: i for i, value in enumerate(graph.all_inputs)}
    looks: list[tuple[Callable[..., Any], list[Any], int]] = []
    for node in graph.nodes:
        if any(_looks_inside(inner, checks) for inner in inner_graphs(node.attrs)):
            return None
        if _looks(node, checks):
            if node.inputs[1] not in places:
                return None
            shapes = [jax.ShapeDtypeStruct(v.spec.sizes, v.spec.dtype.as_numpy_dtype) for v in node.inputs]
            looks.append((functools.partial(checks[node.op.name], **node.attrs), shapes, places[node.inputs[1]]))
    program = compile_graph(graph, kernels)
    if not looks:
        return program

    def run(arrays: Sequence[Any]) -> list[Any]:
        for check, (first, _, *others), place in looks:
            check(first, arrays[place], *others)
        return program(arrays)

    return run


def _looks(node: Node, checks: Container[str]) -> bool:
    """Whether an eager call of the op looks at values that are not known yet."""
    return (
        node.op.name in checks
        and not isinstance(node.inputs[1], Constant)
        and not node.inputs[1].spec.dtype.is_floating
    )


def _looks_inside(graph: Graph, checks: Container[str]) -> bool:
    return any(
        _looks(node, checks) or any(_looks_inside(inner, checks) for inner in inner_graphs(node.attrs))
        for node in graph.nodes
    )


def _updates(graph: Graph) -> dict[int, int]:
    """The places of large new values of variables among the outputs, and of the old ones among the inputs."""
    places = {value: i for i, value in enumerate(graph.all_inputs)}
    first, found = len(graph.outputs), {}
    olds = {variable: value for variable, value in zip(graph.variables, graph.state_inputs, strict=True)}
    for i, (index, new) in enumerate(graph.updates):
        old = olds[graph.variables[index]]
        if old in places and old.spec == new.spec and old.spec.size >= LENT:
            found[first + i] = places[old]
    return found


def has_convolutions(graph: Graph) -> bool:
    """Whether a graph, or one inside it, computes convolutions or their gradients."""
    return any(
        node.op.name in CONVOLUTIONS or any(map(has_convolutions, inner_graphs(node.attrs)))
        for node in graph.expand("primitive", keep=named("jax").composites).nodes
    )


def traceable(graph: Graph) -> Run:
    """A graph inside control flow as a function that JAX can trace."""
    found = _bodies.get(graph)
    if found is None:
        kernels = named("jax").bare_kernels  # type: ignore[attr-defined]
        opened = graph if graph.level == "primitive" else graph.expand("primitive", keep=named("jax").composites)
        with jax.ensure_compile_time_eval():  # a trace is in progress: the constants must outlive it
            found = _bodies[graph] = interpret(opened, kernels, "jax", jax.numpy.asarray)
    return found
