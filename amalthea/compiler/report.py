"""What a routine consists of, as text, with the time that each step takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from amalthea.compiler.control_flow import CONTROL
from amalthea.compiler.execution import Arena, Execution, Kernels
from amalthea.compiler.layout import layout_of
from amalthea.compiler.linking import link
from amalthea.compiler.routine import Routine, Step, size_of
from amalthea.core import dtypes
from amalthea.core.graph import Graph
from amalthea.core.node import Node


def describe(routine: Routine, fallback: Kernels, arrays: Sequence[np.ndarray] | None = None) -> str:
    """The steps as text: kernels with their work, and what falls back; with arrays also the time each takes.

    What is inside loops and branches is timed by itself, on ones.
    """
    head = f"{len(routine.steps)} steps, {routine.arena_size} bytes of memory between them, {routine.target.name}"
    return "\n".join([head, *_lines(routine, fallback, arrays, inside=False)])


def memory_plan(routine: Routine) -> str:
    """Where each step writes: at which bytes of the memory between steps and until when, or into which array."""
    last: dict[Any, int] = {}
    for number, step in enumerate(routine.steps):
        last.update(dict.fromkeys(step.reads, number))
    lines = [f"{routine.arena_size} bytes between steps"]
    for number, step in enumerate(routine.steps):
        for value in step.writes:
            kind, at = routine.places[value]
            made = f"step {number}: {value.node.op.name} {value.spec}" if value.node is not None else f"step {number}"
            if kind == "arena":
                lines.append(f"{made} at {at}..{at + size_of(value)}, read until step {last.get(value, number)}")
            else:
                lines.append(f"{made} into {kind} {at}{' (in place)' if kind == 'input' else ''}")
        for size in step.scratch:
            lines.append(f"step {number}: {size} bytes of scratch")
    return "\n".join(lines)


def step_times(
    routine: Routine, fallback: Kernels, arrays: Sequence[np.ndarray], repeats: int = 10, control: bool = True
) -> list[float | None]:
    """The shortest time of each step, in seconds; with `control=False` None for loops and branches.

    A loop runs as long as its data say, so one that gets data without meaning may never end.
    """
    stretches, loaded = link(routine, separate=True)
    layout = layout_of(routine, stretches)
    execution, arena = Execution(layout, loaded, fallback), Arena(layout)
    inputs = [np.array(a, order="C") for a in arrays]
    arena.point_to(inputs, execution.results(inputs))
    times: list[float | None] = [None] * len(routine.steps)
    for _ in range(repeats):
        for i in range(len(stretches)):
            node = _control(routine.steps[i])
            if node is not None and not control:
                continue
            begin = time.perf_counter()
            execution.run(i, arena)
            took, best = time.perf_counter() - begin, times[i]
            times[i] = took if best is None else min(best, took)
    return times


def _lines(routine: Routine, fallback: Kernels, arrays: Sequence[np.ndarray] | None, inside: bool) -> list[str]:
    times: list[float | None] = [None] * len(routine.steps)
    if arrays is not None:
        times = step_times(routine, fallback, arrays, control=not inside)
    lines = []
    for step, seconds in zip(routine.steps, times, strict=True):
        blank = "" if arrays is None else " " * 15
        took = blank if seconds is None else f"{seconds * 1e6:10.1f} us  "
        if step.node is not None:
            lines.append(f"{took}numpy: {step.node.op.name} -> {step.node.outputs[0].spec}")
        for code, _ in step.codes:
            lines.append(f"{took}{code.name}: {code.flops} flops, {code.bytes} bytes, {code.note}")
            took = blank
        for label, part in _inside(step, routine):
            ones = [np.ones(v.spec.sizes, dtypes.to_numpy(v.spec.dtype)) for v in part.inputs]
            lines.append(f"{blank}  {label}:")
            lines += ["    " + line for line in _lines(part, fallback, None if arrays is None else ones, inside=True)]
    return lines


def _inside(step: Step, routine: Routine) -> list[tuple[str, Routine]]:
    """The routines inside a step that is a loop or a branch, with their names."""
    if step.node is None:
        return [part for code, _ in step.codes for part in getattr(code, "inside", ())]
    attrs: dict[str, Any] = step.node.attrs
    graphs = [(name, value) for name, value in attrs.items() if isinstance(value, Graph)]
    graphs += [(f"branch_{i}", graph) for i, graph in enumerate(attrs.get("graphs", ()))]
    return [(name, Routine(graph, routine.target)) for name, graph in graphs]


def _control(step: Step) -> Node | None:
    """The loop or branch that a step is for."""
    nodes = [value.node for value in step.writes if value.node is not None]
    return next((node for node in nodes if node.op.name in CONTROL), None)
