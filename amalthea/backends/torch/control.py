"""PyTorch kernels of branches and loops: Python decides, as torch does; the graphs inside run as programs."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch

from amalthea.core.backend import named
from amalthea.core.graph import Graph

Run = Callable[..., Sequence[Any]]
_programs: weakref.WeakKeyDictionary[Graph, Any] = weakref.WeakKeyDictionary()


def _program(graph: Graph) -> Any:
    found = _programs.get(graph)
    if found is None:
        opened = graph if graph.level == "primitive" else graph.expand("primitive", keep=named("torch").composites)
        found = _programs[graph] = named("torch").compile(opened)
    return found


def branch(index: Any, *operands: Any, graphs: tuple[Graph, ...]) -> tuple[Any, ...]:
    """One of the graphs on the operands."""
    return branched([lambda *xs, graph=graph: _program(graph)(xs) for graph in graphs], index, *operands)


def branched(runs: Sequence[Run], index: Any, *operands: Any) -> tuple[Any, ...]:
    """One of the functions on the operands."""
    return tuple(runs[min(max(int(index), 0), len(runs) - 1)](*operands))


def scan_loop(
    *inputs: Any, body: Graph, carries: int, sequences: int, length: int, reverse: bool, save: bool
) -> tuple[Any, ...]:
    """A loop over the first axis of the sequences."""
    program = _program(body)
    specs = [value.spec for value in body.outputs[carries:]]
    return scanned(lambda *xs: program(xs), specs, carries, sequences, length, reverse, save, *inputs)


def scanned(
    run: Run,
    specs: Sequence[Any],
    carries: int,
    sequences: int,
    length: int,
    reverse: bool,
    save: bool,
    *inputs: Any,
) -> tuple[Any, ...]:
    """A loop of a function over the first axis of the sequences; `specs` are those of what it stacks."""
    carry: Sequence[Any] = inputs[:carries]
    parts = [x.unbind(0) for x in inputs[carries : carries + sequences]]
    constants = inputs[carries + sequences :]
    steps: Any = zip(*parts, strict=True) if parts else [()] * length
    saved: list[Any] = []
    made: list[Any] = []
    for step in reversed(list(steps)) if reverse else steps:
        if save:
            saved.append(carry)
        results = run(*carry, *step, *constants)
        carry = results[:carries]
        made.append(results[carries:])
    if reverse:
        saved.reverse()
        made.reverse()
    if not length:
        return (*carry, *map(_empty, specs), *([c.new_empty((0, *c.shape)) for c in carry] if save else []))
    stacked = [torch.stack([row[k] for row in made]) for k in range(len(specs))]
    kept = [torch.stack([row[k] for row in saved]) for k in range(carries)] if save else []
    return (*carry, *stacked, *kept)


def _empty(spec: Any) -> Any:
    return named("torch").to_array(spec.dtype.as_numpy_dtype(0)).new_empty((0, *spec.sizes))


def loop(*inputs: Any, test: Graph, body: Graph, carries: int) -> tuple[Any, ...]:
    """A loop while the test holds."""
    going, run = _program(test), _program(body)
    return looped(lambda *xs: going(xs), lambda *xs: run(xs), carries, *inputs)


def looped(going: Run, run: Run, carries: int, *inputs: Any) -> tuple[Any, ...]:
    """A loop of a function while another one gives a truth."""
    carry: Sequence[Any] = inputs[:carries]
    constants = inputs[carries:]
    while bool(going(*carry, *constants)[0]):
        carry = run(*carry, *constants)
    return tuple(carry)


KERNELS: dict[str, Callable[..., Any]] = {"branch": branch, "scan_loop": scan_loop, "loop": loop}
