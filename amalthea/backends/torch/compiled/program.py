"""A graph as a program of torch calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch

# The order in which rules are tried is that of these imports: a function for several nodes before those for one.
from amalthea.backends.torch.compiled import adam, contractions, windows, elementwise, fused, reductions, shaping  # noqa: F401  # isort: skip
from amalthea.backends.torch.compiled.calls import Call, Source, write
from amalthea.backends.torch.compiled.joining import join
from amalthea.backends.torch.compiled.lowering import Lowering
from amalthea.backends.torch.compiled.places import Places, contiguous_copy
from amalthea.compiler.passes.pipeline import optimize
from amalthea.core.graph import Graph
from amalthea.core.node import Constant
from amalthea.core.value import Value

Kernels = dict[str, Callable[..., Any]]


class Program:
    """A graph as one Python function of torch calls; call it with the arrays of `graph.all_inputs`.

    Nothing is recorded for torch's autograd.

    Args:
        graph: of primitives and of composites that the backend has kernels for.
        kernels: by the ops' names.
        to_array: makes a tensor of a constant.

    Attributes:
        graph: after all passes.
        calls: what is called, in order.
        in_place: for outputs, by place, the input whose memory they take.
        run: the function: takes the inputs one by one, overwrites those of `in_place`, returns a list.
    """

    def __init__(self, graph: Graph, kernels: Kernels, to_array: Callable[[Any], Any]) -> None:
        self.graph = optimize(graph, leave=("layouts",))  # torch multiplies transposed matrices as they lie
        graph, n = self.graph, len(graph.outputs)
        updates = {value: graph.state_inputs[i] for i, value in graph.updates}
        lowered = join(Lowering(graph, kernels).calls())
        placed = Places(lowered, graph.all_inputs, graph.all_outputs, updates)
        self.calls = placed.calls
        inputs = {value: i for i, value in enumerate(graph.all_inputs)}
        self.in_place: Mapping[int, int] = {
            n + i: inputs[graph.state_inputs[place]]
            for i, (place, value) in enumerate(graph.updates)
            if graph.state_inputs[place] in placed.replaced
        }
        self._copied = sorted(self.in_place.values())
        self.run = function_of(graph, self.calls, to_array)

    def __call__(self, arrays: Sequence[Any], owned: Collection[int] = ()) -> list[Any]:
        """The outputs for these inputs. Those of the places `owned` are overwritten, where `in_place` says so."""
        if self._copied:
            arrays = list(arrays)
            for i in self._copied:
                if i not in owned:
                    arrays[i] = contiguous_copy(arrays[i])
        before = torch.is_grad_enabled()
        if before:
            torch._C._set_grad_enabled(False)
        try:
            return self.run(*arrays)
        finally:
            if before:
                torch._C._set_grad_enabled(True)


def function_of(graph: Graph, calls: Sequence[Call], to_array: Callable[[Any], Any]) -> Callable[..., list[Any]]:
    """The calls as a function from the graph's inputs, one by one, to a list of its outputs."""
    values = {*graph.all_inputs, *graph.all_outputs, *(value for call in calls for value in call.inputs)}
    constants: dict[Value, Any] = {v: to_array(v.tensor.numpy()) for v in values if isinstance(v, Constant)}
    source = Source(constants)
    heads = [source.name(value) for value in graph.all_inputs]
    write(source, calls, [*graph.all_inputs, *graph.all_outputs])
    results = [source.name(value) for value in graph.all_outputs]
    return source.function(f"run({', '.join(heads)})", f"[{', '.join(results)}]", graph.name)
