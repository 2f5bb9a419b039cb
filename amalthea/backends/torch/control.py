"""PyTorch kernels of branches and loops: Python decides, as torch does; the graphs inside run as programs."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch

from amalthea.core.backend import active
from amalthea.core.graph import Graph

_programs: weakref.WeakKeyDictionary[Graph, Any] = weakref.WeakKeyDictionary()


def _program(graph: Graph) -> Any:
    found = _programs.get(graph)
    if found is None:
        opened = graph if graph.level == "primitive" else graph.expand("primitive", keep=active.backend.composites)
        found = _programs[graph] = active.backend.compile(opened)
    return found


def branch(index: Any, *operands: Any, graphs: tuple[Graph, ...]) -> tuple[Any, ...]:
    """One of the graphs on the operands."""
    return tuple(_program(graphs[min(max(int(index), 0), len(graphs) - 1)])(operands))


def scan_loop(
    *inputs: Any, body: Graph, carries: int, sequences: int, length: int, reverse: bool, save: bool
) -> tuple[Any, ...]:
    """A loop over the first axis of the sequences."""
    run = _program(body)
    carry, xs = list(inputs[:carries]), inputs[carries : carries + sequences]
    constants = inputs[carries + sequences :]
    saved: list[Any] = [None] * length
    made: list[Any] = [None] * length
    for i in reversed(range(length)) if reverse else range(length):
        saved[i] = carry
        results = run([*carry, *(x[i] for x in xs), *constants])
        carry, made[i] = results[:carries], results[carries:]
    stacked = [
        _stack(column, value.spec)
        for column, value in zip(_columns(made, body, carries), body.outputs[carries:], strict=True)
    ]
    kept = [torch.stack([row[k] for row in saved]) for k in range(carries)] if save and length else []
    if save and not length:
        kept = [c.new_empty((0, *c.shape)) for c in carry]
    return (*carry, *stacked, *kept)


def _columns(rows: list[Any], body: Graph, carries: int) -> list[list[Any]]:
    return [[row[k] for row in rows] for k in range(len(body.outputs) - carries)]


def _stack(column: list[Any], spec: Any) -> Any:
    if column:
        return torch.stack(column)
    return active.backend.to_array(spec.dtype.as_numpy_dtype(0)).new_empty((0, *spec.sizes))


def loop(*inputs: Any, test: Graph, body: Graph, carries: int) -> tuple[Any, ...]:
    """A loop while the test holds."""
    going, run = _program(test), _program(body)
    carry, constants = list(inputs[:carries]), inputs[carries:]
    while bool(going([*carry, *constants])[0]):
        carry = run([*carry, *constants])
    return tuple(carry)


KERNELS: dict[str, Callable[..., Any]] = {"branch": branch, "scan_loop": scan_loop, "loop": loop}
