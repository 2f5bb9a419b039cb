"""A model's computation for another framework: what it computes, and its gradients, as programs of that engine.

The gradients are the graph's own, so they mean the same as under a tape here; the other framework's automatic
differentiation sees the model as one function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from amalthea.core import dtypes, tree
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.function import function
from amalthea.core.graph import Graph
from amalthea.core.linearize import linearize
from amalthea.core.node import fill
from amalthea.core.spec import TensorSpec
from amalthea.core.variable import Variable

Program = Callable[[Sequence[Any]], list[Any]]


class Crossing:
    """A function of tensors and variables for arguments of one form, as programs of an engine.

    Args:
        run: the function, called as `run(*inputs)`.
        inputs: the arguments; leaves with shape and dtype stand for tensors.
        variables: the variables whose gradients are wanted, in the order in which `forward` takes them.
        backend: the engine (what a folder in `backends/` offers as BACKEND).

    Attributes:
        updated: for each updated value that `forward` returns, its place in `variables`.
    """

    def __init__(
        self, run: Callable[..., Any], inputs: Sequence[Any], variables: Sequence[Variable], backend: Any
    ) -> None:
        form = list(inputs)

        def flat(*tensors: Any) -> Any:
            following = iter(tensors)
            return run(*tree.map_structure(lambda leaf: None if leaf is None else next(following), form))

        leaves = [leaf for leaf in tree.flatten(form) if leaf is not None]
        specs = [TensorSpec(tuple(leaf.shape), dtypes.from_numpy(leaf.dtype)) for leaf in leaves]
        graph = function(flat, name=getattr(run, "__name__", None)).get_graph(*specs)
        split = linearize(graph)
        self._split, self._inputs = split, len(graph.inputs)
        self._structure, self._outputs = graph.structure, split.outputs
        places = {id(variable): i for i, variable in enumerate(variables)}
        others = [v.path for v in (*graph.variables, *split.forward.variables) if id(v) not in places]
        if others:
            fail(
                ArgumentError,
                "the model's call uses variables that are not among `model.variables`, which alone cross over",
                where="Model",
                received=", ".join(dict.fromkeys(others)),
                fix="make them attributes of the model or of a layer; a recurrent layer must not be stateful",
            )
        self._own = [places[id(v)] for v in graph.variables]  # what gradients are for, after the inputs
        self._taken = [places[id(v)] for v in split.forward.variables]
        self.updated = [places[id(split.forward.variables[i])] for i, _ in split.forward.updates]
        self._forward = _compiled(split.forward, backend)
        self._backward = _compiled(split.backward, backend) if split.backward.outputs else None
        self.cotangents = split.cotangents

    def forward(self, inputs: Sequence[Any], variables: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """(outputs, residuals for `backward`, new values of the variables that `updated` names)."""
        results = self._forward([*inputs, *(variables[i] for i in self._taken)])
        last = len(results) - len(self.updated)
        return results[: self._outputs], results[self._outputs : last], results[last:]

    def backward(self, residuals: Sequence[Any], gradients: Sequence[Any], count: int) -> tuple[list[Any], list[Any]]:
        """Gradients for the inputs and for `count` variables (None where nothing depends on one), from those of the
        outputs; gradients of outputs that are not floating are left out."""
        found = self._backward([*residuals, *gradients]) if self._backward is not None else []
        each = [None if place is None else found[place] for place in self._split.grads_for]
        of_variables: list[Any] = [None] * count
        for place, gradient in zip(self._own, each[self._inputs :], strict=True):
            of_variables[place] = gradient
        return each[: self._inputs], of_variables

    def pack(self, outputs: Sequence[Any]) -> Any:
        """The outputs in the structure that the function returns."""
        return fill(self._structure, outputs)


def _compiled(graph: Graph, backend: Any) -> Program:
    program: Program = backend.compile(graph.expand("primitive", keep=backend.composites))
    return program


def name_of(variable: Variable) -> str:
    """The name that a variable has in another framework: its path, where "." means something there."""
    return variable.path.replace(".", "_")


def names_of(variables: Sequence[Variable]) -> list[str]:
    """The names of a model's variables for a framework that finds them by name; ArgumentError if two are the same."""
    found: dict[str, Variable] = {}
    for variable in variables:
        name = name_of(variable)
        if name in found:
            fail(
                ArgumentError,
                f"two variables of the model would both be named '{name}', and only one could be kept",
                where="Model",
                received=f"paths '{found[name].path}' and '{variable.path}'",
                fix="give the layers that they belong to different names",
            )
        found[name] = variable
    return list(found)
