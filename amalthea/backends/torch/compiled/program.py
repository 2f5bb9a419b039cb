"""A graph as a program of torch calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch

from amalthea.backends.torch import types
from amalthea.backends.torch.compiled import (
    adam,
    contractions,
    control,
    elementwise,
    fused,
    reductions,
    shaping,
    windows,
)
from amalthea.backends.torch.compiled.calls import Call, Source, write
from amalthea.backends.torch.compiled.capture import Captured, capturable, record_cuda
from amalthea.backends.torch.compiled.joining import join
from amalthea.backends.torch.compiled.lowering import PACKED, Lowering
from amalthea.backends.torch.compiled.places import Places, contiguous_copy
from amalthea.compiler.passes.pipeline import optimize
from amalthea.core.graph import Graph
from amalthea.core.loans import LENT
from amalthea.core.node import Constant
from amalthea.core.value import Value

Kernels = dict[str, Callable[..., Any]]
RULES = (adam, contractions, control, elementwise, fused, reductions, shaping, windows)
"""The modules of rules: `lowering` knows their rules once they are imported."""


Run = Callable[..., list[Any]]
Finish = Callable[[Run], Run]


class Program:
    """A graph as one Python function of torch calls; call it with the arrays of `graph.all_inputs`.

    Nothing is recorded for torch's autograd.

    Args:
        graph: of primitives and of composites that the backend has kernels for.
        kernels: by the ops' names.
        to_array: makes a tensor of a constant.
        finish: what is made of each function in which no loop, branch or kernel reads values, and called instead; None:
            nothing.

    Attributes:
        graph: after all passes.
        calls: what is called, in order.
        in_place: for outputs, by place, the input whose memory they take.
        captured: what replays the function on CUDA, where no kernel reads a value; else None.
        run: the function: takes the inputs one by one, overwrites those of `in_place`, returns a list.
    """

    def __init__(
        self, graph: Graph, kernels: Kernels, to_array: Callable[[Any], Any], finish: Finish | None = None
    ) -> None:
        self.graph = optimize(graph, leave=("layouts",))  # torch multiplies transposed matrices as they lie
        graph, n = self.graph, len(graph.outputs)
        updates = {value: graph.state_inputs[i] for i, value in graph.updates if value.spec.size >= LENT}
        self.calls, replaced, self.run = Writer(kernels, to_array, finish).write(graph, updates)
        inputs = {value: i for i, value in enumerate(graph.all_inputs)}
        self.in_place: dict[int, int] = {
            n + i: inputs[graph.state_inputs[place]]
            for i, (place, value) in enumerate(graph.updates)
            if graph.state_inputs[place] in replaced
        }
        self._copied = sorted(self.in_place.values())
        self.captured: Captured | None = None
        if types.here.device.type == "cuda" and finish is None and capturable(graph):
            self.captured = Captured(self.run, self.in_place, record_cuda)

    def __call__(self, arrays: Sequence[Any], owned: Collection[int] = ()) -> list[Any]:
        """The outputs for these inputs. Those of the places `owned` are overwritten, where `in_place` says so."""
        before = torch.is_grad_enabled()
        try:
            if before:
                torch._C._set_grad_enabled(False)
            if self.captured is not None:
                return self.captured(arrays, owned)
            if self._copied:
                arrays = list(arrays)
                for i in self._copied:
                    if i not in owned:
                        arrays[i] = contiguous_copy(arrays[i])
            return self.run(*arrays)
        finally:
            if before:
                torch._C._set_grad_enabled(True)


class Writer:
    """Writes graphs as functions; see `Program` for the arguments."""

    def __init__(self, kernels: Kernels, to_array: Callable[[Any], Any], finish: Finish | None) -> None:
        self.kernels, self.to_array, self.finish = kernels, to_array, finish

    def write(
        self, graph: Graph, updates: Mapping[Value, Value], repeated: bool = False
    ) -> tuple[list[Call], set[Value], Run]:
        """A graph's calls, which inputs they overwrite of those that `updates` maps outputs to, and a function of them.

        The function takes the graph's inputs one by one and returns a list of its outputs. If it is `repeated`, in a
        loop, it overwrites none in whose memory another output stands too.
        """
        lowering = Lowering(graph, self.kernels)
        lowering.inner = lambda inside, replaced: self.write(inside, replaced, repeated=True)[1:]
        placed = Places(join(lowering.calls()), graph.all_inputs, graph.all_outputs, updates)
        if repeated and (shared := placed.shared(graph.all_outputs)):
            return self.write(graph, {new: old for new, old in updates.items() if old not in shared}, repeated)
        values = {*graph.all_inputs, *graph.all_outputs, *(value for call in placed.calls for value in call.inputs)}
        constants: dict[Value, Any] = {v: self.to_array(v.tensor.numpy()) for v in values if isinstance(v, Constant)}
        source = Source(constants)
        heads = [source.name(value) for value in graph.all_inputs]
        write(source, placed.calls, [*graph.all_inputs, *graph.all_outputs])
        results = [source.name(value) for value in graph.all_outputs]
        run = source.function(f"run({', '.join(heads)})", f"[{', '.join(results)}]", graph.name)
        if self.finish is not None and capturable(graph) and not any(node.op.name in PACKED for node in graph.nodes):
            run = self.finish(run)
        return placed.calls, set(placed.replaced), run
