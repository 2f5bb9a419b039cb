"""The functions inside control flow, traced: what they take, return, capture and assign."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from amalthea.core import tree
from amalthea.core.context import context, no_tapes
from amalthea.core.errors import ArgumentError, DTypeError, ShapeError, fail
from amalthea.core.graph import Graph
from amalthea.core.node import slots, value_of
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import KerasTensor, Tensor, as_tensor, is_symbolic, symbolic
from amalthea.core.tracing import Trace
from amalthea.core.value import Value
from amalthea.core.variable import Variable


class Body:
    """A function traced as the inside of a control-flow node.

    Attributes:
        structure: the form of its result, tensors as Slots.
        outputs: its result's tensors (in the inner trace), flat.
        states: the variables it assigns; `state_outputs` their last values.
        captures: the values of enclosing traces that it uses.
    """

    def __init__(self, function: Callable[..., Any], specs: Any, states: Sequence[Variable], name: str) -> None:
        with no_tapes(), Trace(level=context.trace.level if context.trace is not None else "op") as trace:
            flat: list[KerasTensor] = []
            arguments = _symbols(specs, trace, flat)
            self.state_inputs = [trace.input(TensorSpec(v._shape, v._dtype)) for v in states]
            for variable, tensor in zip(states, self.state_inputs, strict=True):
                trace.current[id(variable)] = tensor
                trace.written[id(variable)] = variable
            result = tree.map_structure(_leaf, function(*arguments))
        self.outputs: list[Tensor] = []
        self.structure = slots(result, self.outputs)
        self.inputs = flat
        self.trace, self.name = trace, name
        self.states = list(trace.written.values())
        self.read = [key for key in trace.current if key not in trace.written]
        probe = self._graph([], [*self.outputs, *(trace.current[id(v)] for v in self.states)])
        self.captures = probe.captures

    def _graph(self, more: Sequence[Value], outputs: Sequence[Tensor]) -> Graph:
        values = [*(t._value for t in self.inputs), *(t._value for t in self.state_inputs), *more]
        return Graph(self.name, values, [value_of(t) for t in outputs], None, trace=self.trace.id)

    def graph(self, captures: Sequence[Value], outputs: Sequence[Tensor] | None = None) -> Graph:
        """The body with its captures as further inputs."""
        return self._graph(captures, self.outputs if outputs is None else outputs)

    def after(self, variable: Variable) -> Tensor:
        """The variable's value when the body ends."""
        found = self.trace.current.get(id(variable))
        return found if found is not None else variable._own()


def _leaf(x: Any) -> Any:
    if isinstance(x, (bool, int, float, np.ndarray, np.generic, Variable)):
        return as_tensor(x)
    return x


def _symbols(structure: Any, trace: Trace, flat: list[KerasTensor]) -> Any:
    def one(leaf: Any) -> Any:
        if leaf is None:
            return None
        flat.append(trace.input(leaf))
        return flat[-1]

    return tree.map_structure(one, structure)


def specs_of(structure: Any) -> Any:
    return tree.map_structure(lambda t: None if t is None else TensorSpec(t.shape, t.dtype), structure)


def tensors_of(structure: Any) -> Any:
    return tree.map_structure(lambda x: None if x is None else as_tensor(x), structure)


def settled_body(function: Callable[..., Any], specs: Any, name: str) -> Body:
    """The body traced with the variables it assigns as state that goes in and out."""
    states: list[Variable] = []
    while True:
        body = Body(function, specs, states, name)
        if len(body.states) == len(states):
            return body
        states = body.states


def announce(bodies: Sequence[Body]) -> list[Tensor]:
    """The captured values as tensors of this trace; variables read inside count as read here, for tapes."""
    if context.tapes and context.trace is not None:
        for body in bodies:
            for key in body.read:
                owner: Trace | None = context.trace
                while owner is not None and key not in owner.inputs:
                    owner = owner.parent
                if owner is not None:
                    owner.inputs[key][0]._own()
    unique: dict[Value, None] = {}
    for body in bodies:
        unique.update(dict.fromkeys(body.captures))
    return [symbolic(value) for value in unique]


def is_traced(*structures: Any) -> bool:
    return context.trace is not None or any(is_symbolic(t) for s in structures for t in tree.flatten(s))


def check_same(where: str, what: str, got: Sequence[Any], want: Sequence[Any]) -> None:
    if len(got) != len(want):
        fail(
            ShapeError,
            f"{what} must have the same structure",
            where=where,
            received=f"{len(got)} and {len(want)} tensors",
        )
    for a, b in zip(got, want, strict=True):
        if tuple(a.shape) != tuple(b.shape) or a.dtype != b.dtype:
            fail(
                ShapeError if tuple(a.shape) != tuple(b.shape) else DTypeError,
                f"{what} must have the same shapes and dtypes",
                where=where,
                received=f"{TensorSpec(a.shape, a.dtype)} and {TensorSpec(b.shape, b.dtype)}",
                fix="cast or reshape inside the function so that they agree",
            )


def check_fed(where: str, graph: Graph, given: Sequence[Any]) -> None:
    """Raise DTypeError or ShapeError unless the graph was traced for tensors of these dtypes and numbers of axes."""
    wanted = [value.spec for value in graph.inputs]
    if [(len(spec.shape), spec.dtype) for spec in wanted] != [(len(x.shape), x.dtype) for x in given]:
        fail(
            DTypeError if len(wanted) == len(given) else ShapeError,
            "a body takes the tensors that it was traced for",
            where=where,
            received=f"{', '.join(map(str, given))} for a body that takes {', '.join(map(str, wanted))}",
        )


def check_takes(where: str, name: str, function: Callable[..., Any], *wanted: str) -> None:
    """Raise ArgumentError unless `function` can be called with as many arguments as there are names of `wanted`."""
    if not callable(function):
        fail(
            ArgumentError,
            f"{name} must be a function of ({', '.join(wanted)})",
            where=where,
            received=type(function).__name__,
            fix=f"pass a function, for example {name}=lambda {', '.join(wanted)}: ...".replace(" :", ":"),
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a built-in function that does not say what it takes
        return
    try:
        signature.bind(*wanted)
    except TypeError:
        fail(
            ArgumentError,
            f"{name} is called with {len(wanted)} argument{'s' * (len(wanted) != 1)}: ({', '.join(wanted)})",
            where=where,
            received=f"{name}{signature}",
            fix=f"write {name}=lambda {', '.join(wanted)}: ...".replace(" :", ":"),
        )


def as_sequence(x: Any) -> Sequence[Any]:
    return x if isinstance(x, (tuple, list)) else (x,)


def sample_graph(function: Callable[..., Any], *specs: TensorSpec) -> Graph:
    body = Body(function, list(specs), [], "body")
    return body.graph(())


def f64(*shape: int) -> TensorSpec:
    return TensorSpec(shape, "float64")
