"""Programs on CUDA as one graph that the device replays, without Python and launches between the kernels.

A graph reads and writes fixed memory. Inputs are copied there, unless they lie there already, as the variables do that
the program updates in place; other results are copied out, as the next replay overwrites them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

import torch

from amalthea.backends.torch import types
from amalthea.core import tree
from amalthea.core.graph import Graph

Run = Callable[..., list[Any]]
READS_VALUES = frozenset({"branch", "loop", "dynamic_slice", "dynamic_update_slice"})
"""Ops whose kernels read values of tensors: no recording or compiler that runs ahead of the values may hold them."""


def capturable(graph: Graph) -> bool:
    """Whether no kernel of the graph reads a value."""
    for node in graph.nodes:
        if node.op.name in READS_VALUES or (node.op.name == "scatter_update" and node.attrs["reduction"] is None):
            return False
        if not all(capturable(part) for part in tree.flatten(node.attrs) if isinstance(part, Graph)):
            return False
    return True


class Recorder(Protocol):
    """What records a graph of device kernels."""

    def __call__(self, run: Run, inputs: Sequence[Any]) -> tuple[Callable[[], object], list[Any]]:
        """Record `run` on these inputs; returns what replays it, and the outputs, which a replay writes to."""


def record_cuda(run: Run, inputs: Sequence[Any]) -> tuple[Callable[[], object], list[Any]]:
    """Record a CUDA graph, after a first run on a stream of its own, in which libraries make themselves ready."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run(*[x.clone() for x in inputs])
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = run(*inputs)
    return graph.replay, outputs


class Captured:
    """A function of tensors, recorded at its first call and replayed from then on.

    Args:
        run: takes tensors of the same shapes at each call; overwrites some of them.
        in_place: for outputs, by place, the input whose memory they take.
        record: records a graph.
    """

    def __init__(self, run: Run, in_place: dict[int, int], record: Recorder) -> None:
        self._run, self._in_place, self._record = run, in_place, record
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._replay: Callable[[], object] | None = None

    def __call__(self, arrays: Sequence[Any], owned: Collection[int]) -> list[Any]:
        """The outputs for these inputs; of those in `in_place` only those of the places `owned` are overwritten."""
        if self._replay is None:
            self._start(arrays)
        elif self._held_by_others(arrays, owned):
            kept = set(self._in_place.values())
            return self._run(*[x.clone() if i in kept else x for i, x in enumerate(arrays)])
        places = [i for i, x in enumerate(arrays) if x.data_ptr() != self._inputs[i].data_ptr()]
        for i in places:
            self._inputs[i].copy_(arrays[i])
        self._replay()  # type: ignore[misc]
        return [self._result(i, arrays, places) for i in range(len(self._outputs))]

    def _start(self, arrays: Sequence[Any]) -> None:
        self._inputs = [x.clone(memory_format=torch.contiguous_format) for x in arrays]
        self._replay, self._outputs = self._record(self._run, self._inputs)
        held = [self._inputs[i].untyped_storage().data_ptr() for i in self._in_place.values()]
        types.fixed.update(held)
        weakref.finalize(self, types.fixed.difference_update, held)

    def _held_by_others(self, arrays: Sequence[Any], owned: Collection[int]) -> bool:
        """Whether the fixed memory of a variable holds a value that must not change: one that somebody has read."""
        for i in self._in_place.values():
            ours = i in owned and arrays[i].data_ptr() == self._inputs[i].data_ptr()
            if types.holders(self._inputs[i]) > 1 + ours:
                return True
        return False

    def _result(self, i: int, arrays: Sequence[Any], copied: Sequence[int]) -> Any:
        place = self._in_place.get(i)
        if place is None:
            return self._outputs[i].clone()
        return self._inputs[place].detach() if place in copied else arrays[place]
