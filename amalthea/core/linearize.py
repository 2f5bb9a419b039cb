"""Splits the derivative of a graph into a forward and a backward graph."""

from __future__ import annotations

import weakref
from typing import Any

from amalthea.core.context import no_tapes
from amalthea.core.graph import Graph, build
from amalthea.core.node import Constant, value_of
from amalthea.core.spec import TensorSpec
from amalthea.core.tape import GradientTape
from amalthea.core.tensor import Tensor, symbolic
from amalthea.core.tracing import Trace
from amalthea.core.value import Value, now

_split: weakref.WeakKeyDictionary[Graph, Any] = weakref.WeakKeyDictionary()


class Linearized:
    """The derivative of a graph, split where the forward computation ends.

    Attributes:
        forward: computes the graph's outputs and updates, then the `residuals` (values the backward graph needs).
        backward: takes the residuals, then a gradient for each differentiable output; returns a gradient for each
            differentiable input: first of the explicit inputs, then of the variables.
        outputs: how many outputs the original graph has.
        grads_for: for each of inputs + variables, the place of its gradient in `backward`'s outputs, or None.
        cotangents: for each output whether `backward` takes a gradient for it.
    """

    forward: Graph
    backward: Graph
    outputs: int
    grads_for: list[int | None]
    cotangents: list[bool]


def linearize(graph: Graph) -> Linearized:
    """Forward and backward graphs of `graph`; made once and kept with it."""
    found = _split.get(graph)
    if found is None:
        found = _split[graph] = _linearize(graph)
    return found


def _linearize(graph: Graph) -> Linearized:
    with no_tapes(), Trace(level="op") as trace:
        inputs = [trace.input(value.spec) for value in graph.inputs]
        tape = GradientTape(persistent=True)
        with tape:
            tape.watch([x for x in inputs if x.dtype.is_floating])
            outputs = graph.apply(*inputs)
        border = now()
        cotangents = [y.dtype.is_floating for y in outputs]
        seeds = [trace.input(TensorSpec(y.shape, y.dtype)) for y, take in zip(outputs, cotangents, strict=True) if take]
        targets = [y for y, take in zip(outputs, cotangents, strict=True) if take]
        variables = list(graph.variables)
        sources: list[Any] = [*inputs, *variables]
        grads = tape.gradient(targets, sources, seeds) if targets else [None] * len(sources)
    result = Linearized()
    result.outputs = len(outputs)
    result.cotangents = cotangents
    places: list[int | None] = []
    kept: list[Tensor] = []
    for g in grads:
        places.append(None if g is None else len(kept))
        if g is not None:
            kept.append(g)
    result.grads_for = places
    seed_values = {s._value for s in seeds}
    residuals = _crossing([value_of(g) for g in kept], border, seed_values)
    result.forward = build(f"{graph.name}_forward", inputs, [*outputs, *map(symbolic, residuals)], trace)
    backward_inputs = [symbolic(v) for v in residuals] + seeds
    result.backward = build(f"{graph.name}_backward", backward_inputs, kept, None if not kept else _Readonly(trace.id))
    return result


class _Readonly(Trace):
    """Stands for an ended trace whose variables the backward graph does not touch."""

    def __init__(self, id: int) -> None:
        self.id = id
        self.inputs, self.current, self.written = {}, {}, {}


def _crossing(outputs: list[Value], border: int, seeds: set[Value]) -> list[Value]:
    """The values made before `border` that what was made after it uses."""
    crossing: dict[Value, None] = {}
    seen: set[Value] = set()
    stack = list(outputs)
    while stack:
        value = stack.pop()
        if value in seen or value in seeds or isinstance(value, Constant):
            continue
        seen.add(value)
        if value.node is None or value.node.order < border:
            crossing[value] = None
        else:
            stack.extend(value.node.inputs)
    return list(crossing)


def pullback(graph: Graph) -> Graph:
    """A graph that takes `graph`'s inputs and a gradient for each floating output, and returns one for each floating
    input (zeros where an output does not depend on it)."""
    found = _pullbacks.get(graph)
    if found is None:
        with no_tapes(), Trace(level="op") as trace:
            inputs = [trace.input(value.spec) for value in graph.inputs]
            floating = [x for x in inputs if x.dtype.is_floating]
            tape = GradientTape()
            with tape:
                tape.watch(floating)
                outputs = [y for y in graph.apply(*inputs) if y.dtype.is_floating]
            seeds = [trace.input(TensorSpec(y.shape, y.dtype)) for y in outputs]
            grads = tape.gradient(outputs, floating, seeds, unconnected_gradients="zero") if outputs else floating
        found = _pullbacks[graph] = build(f"{graph.name}_pullback", [*inputs, *seeds], list(grads), trace)
    return found


_pullbacks: weakref.WeakKeyDictionary[Graph, Graph] = weakref.WeakKeyDictionary()
