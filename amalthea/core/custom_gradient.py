"""`custom_gradient`: a function that brings its own backward function.

Eagerly and under the tapes that record at the call, the backward function of that very call is used: what it closes
over, random numbers too, is what the forward pass had. In a trace it is put into a graph of its own beside the result,
so that a graph that is differentiated later (the body of a loop, a compiled function under a tape) uses it too.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from amalthea.core import tree
from amalthea.core.composite import Composite
from amalthea.core.context import context, no_tapes
from amalthea.core.errors import GradientError, fail
from amalthea.core.graph import Graph, build
from amalthea.core.node import fill, slots
from amalthea.core.spec import TensorSpec
from amalthea.core.tape import GradientTape
from amalthea.core.tensor import KerasTensor, Tensor, alias, as_tensor, symbolic
from amalthea.core.tracing import Trace
from amalthea.core.variable import Variable


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function its own gradient: it returns (result, backward).

    `backward` takes the result's gradient (one argument per output) and returns one gradient per tensor argument. It
    is called once per call of the function that is differentiated, with what that call computed. If the function reads
    trainable variables, `backward` must take a keyword argument `variables`: it then gets the list of those variables
    and returns (gradients of the arguments, gradients of the variables).

    Raises:
        TypeError: if a variable is watched and `backward` does not take `variables`.

    >>> import amalthea as am
    >>> @am.custom_gradient
    ... def clipped(x):
    ...     return x, lambda g: am.ops.clip(g, -1.0, 1.0)
    >>> float(am.grad(lambda x: clipped(x) * 100.0)(1.0))
    1.0
    """

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        inputs: list[Tensor] = []
        structure = slots(tree.map_structure(_converted, (args, kwargs)), inputs)
        if not context.busy and not any(isinstance(x, KerasTensor) for x in inputs):
            return _checked(f(*args, **kwargs), f)[0]
        return _Custom(f, structure)(inputs)

    return call


def _converted(x: Any) -> Any:
    return as_tensor(x) if hasattr(x, "shape") and hasattr(x, "dtype") else x


def _checked(pair: Any, function: Callable[..., Any]) -> Any:
    if not (isinstance(pair, tuple) and len(pair) == 2 and callable(pair[1])):
        fail(
            GradientError,
            "a function with a custom gradient returns (result, backward)",
            where=getattr(function, "__name__", "custom_gradient"),
            received=type(pair).__name__,
            fix="return result, lambda g: ...",
        )
    return pair


class VariableGradientError(GradientError, TypeError):
    """A function with its own gradient reads variables, and its backward function does not take them."""


class _Reads(GradientTape):
    """Notes which trainable variables are read, and records nothing."""

    def _watches(self, tensors: Any) -> bool:
        return False

    def _record(self, op: Any, inputs: Sequence[Any], out: Any, attrs: dict[str, Any], plan: Any = None) -> None:
        return


class _Backward:
    """The backward function of one call: from the result's gradients to those of `inputs` arguments and `variables`."""

    def __init__(self, name: str, backward: Callable[..., Any], inputs: int, variables: Sequence[Variable]) -> None:
        self.name, self.backward, self.inputs, self.variables = name, backward, inputs, list(variables)

    @property
    def takes_variables(self) -> bool:
        parameters = inspect.signature(self.backward).parameters.values()
        return any(p.name == "variables" or p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)

    def refuse(self, variables: Sequence[Variable]) -> None:
        """Raise because the backward function has no gradients for these variables."""
        fail(
            VariableGradientError,
            "the function reads trainable variables whose gradients its backward function does not give",
            where=self.name,
            received=", ".join(f"variable '{v.path}'" for v in variables),
            fix="take them as a keyword argument, def backward(g, variables), and return (gradients, "
            "variable_gradients); pass them as arguments of the function; or read them with ops.stop_gradient "
            "outside of it",
        )

    def __call__(self, g: Any) -> list[Any]:
        seeds = g if isinstance(g, (tuple, list)) else (g,)
        if not self.variables:
            return self._listed(self.backward(*seeds), self.inputs, "tensor arguments")
        pair = self.backward(*seeds, variables=list(self.variables))
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2):
            fail(
                GradientError,
                "a backward function that is given variables returns (gradients, variable_gradients)",
                where=self.name,
                received=type(pair).__name__,
            )
        grads = self._listed(pair[0], self.inputs, "tensor arguments")
        return grads + self._listed(pair[1], len(self.variables), "variables")

    def _listed(self, grads: Any, wanted: int, of: str) -> list[Any]:
        listed: list[Any] = list(grads) if isinstance(grads, (tuple, list)) else [grads]
        if not wanted and listed == [None]:
            return []
        if len(listed) != wanted:
            fail(
                GradientError,
                f"the backward function must return a gradient for each of the {wanted} {of}",
                where=self.name,
                received=f"{len(listed)} gradients",
            )
        return listed


class _OneCall(Composite):
    """A composite for one call, known to no registry, of a list of tensors."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tensors, self.static, self.variadic = ("inputs",), (), ()
        self.gradient_needs = None
        self.signature = inspect.signature(lambda inputs: None)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(self.bind(args, kwargs))

    def converted(self, bound: dict[str, Any]) -> dict[str, Any]:
        return bound


class _Custom(_OneCall):
    """One call of a function with its own gradient, on the tensors of its arguments.

    Where sizes are not known yet it is a node, and the function is called when they are.
    """

    def __init__(self, user: Callable[..., Any], structure: Any) -> None:
        super().__init__(getattr(user, "__name__", "custom_gradient"))
        self.user, self.structure = user, structure
        self.gradient = self._called_again

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound = self.bind(args, kwargs)
        inputs = bound["inputs"]
        symbols = [x for x in inputs if isinstance(x, KerasTensor)]
        if any(None in x.shape for x in symbols) or (symbols and context.trace is None):
            return self._call(bound)
        return self._once(list(inputs))

    def function(self, inputs: Sequence[Tensor]) -> Any:
        return self._pair(inputs)[0]

    def _pair(self, inputs: Sequence[Tensor]) -> Any:
        args, kwargs = fill(self.structure, inputs)
        return _checked(self.user(*args, **kwargs), self.user)

    def _called_again(self, g: Any, out: Any, *inputs: Tensor) -> list[Any]:
        return _Backward(self.name, self._pair(inputs)[1], len(inputs), ())(g)

    def _once(self, inputs: list[Tensor]) -> Any:
        """Call the function and hand its backward function to the tapes and, in a trace, to the graph."""
        with _Reads() as reads:
            result, backward = self._pair(inputs)
        found: list[Tensor] = []
        structure = slots(tree.map_structure(_converted, result), found)
        pull = _Backward(self.name, backward, len(inputs), reads.watched_variables())
        refused = pull.variables if not pull.takes_variables else []
        watched = [v for v in refused if any(id(v) in tape._reads for tape in context.tapes)]
        if watched:
            pull.refuse(watched)
        if refused:
            pull.variables = []
        sources = [*inputs, *[v._own() for v in pull.variables]]
        if context.trace is None:
            # A function may return an argument as it is: to a tape the result is another tensor.
            out = fill(structure, [alias(t) for t in found])
        elif context.trace.level == "primitive" and not context.tapes:
            return result
        else:
            out = _Ruled(pull, refused, structure, found, sources).put()
        for tape in context.tapes:
            tape._record(pull, sources, out, {})
        return out


class _Ruled(_OneCall):
    """In a graph: the results of a call that is in the graph itself, with the rule for their gradients.

    Its inputs are the results, the sources of the gradients, and the other values that the backward graph takes.
    """

    def __init__(
        self,
        pull: _Backward,
        refused: Sequence[Variable],
        structure: Any,
        results: list[Tensor],
        sources: Sequence[Tensor],
    ) -> None:
        super().__init__(pull.name)
        self.user, self.refused, self.structure = pull, list(refused), structure
        self.n, self.sources = len(results), len(sources)
        self.gradient = self._pulled
        self.error: Exception | None = None
        self.places: list[int | None] = []
        captured: list[Tensor] = []
        try:
            self.graph = self._backward_graph(results)
            captured = [symbolic(value) for value in self.graph.captures]
        except Exception as error:  # nobody may ever ask for the gradient: it is raised then
            self.error = error
        self.first = [*results, *sources, *captured]

    def _backward_graph(self, results: list[Tensor]) -> Graph:
        with no_tapes(), Trace(level="op") as trace:
            seeds = [trace.input(TensorSpec(t.shape, t.dtype)) for t in results]
            grads = [None if g is None else as_tensor(g) for g in self.user(fill(self.structure, seeds))]
            kept = [g for g in grads if g is not None]
            order = iter(range(len(kept)))
            self.places = [None if g is None else next(order) for g in grads]
            trace.written.clear()
        return build(f"{self.name}_backward", seeds, kept, trace)

    def put(self) -> Any:
        """Put it into the graph being made; returns the results as what the graph goes on with."""
        inputs, self.first = self.first, []
        with no_tapes():
            return self(inputs)

    def function(self, inputs: Sequence[Tensor]) -> Any:
        return fill(self.structure, inputs[: self.n])

    def _pulled(self, g: Any, out: Any, *inputs: Tensor) -> list[Any]:
        if self.refused:
            self.user.refuse(self.refused)
        if self.error is not None:
            raise self.error
        end = self.n + self.sources
        seeds: list[Tensor] = []
        slots(g, seeds)
        grads = self.graph.apply(*seeds, captured=inputs[end:])
        given = [None if place is None else grads[place] for place in self.places]
        return [None] * self.n + given + [None] * (len(inputs) - end)
