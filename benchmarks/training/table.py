"""The training table: `python -m benchmarks training [row ...]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.engines import REFERENCES, TRAINING, Engine
from benchmarks.floor import Floor, bandwidth
from benchmarks.race import Options, Race, race
from benchmarks.ratios import Measured
from benchmarks.training.rows import ROWS, Training
from benchmarks.workers import Worker, WorkerError

CHECKED = 4
"""Steps whose losses are compared."""

WARM = 2
"""Steps before the clock starts, in each turn."""

LOSS_TOLERANCE, MOVED_TOLERANCE = 1e-3, 1e-2
"""Relative. Adam makes a step of full size even from a gradient that is only rounding, so weights agree less well."""


def engines_of(row: Training, chosen: Sequence[str] = (), among: Mapping[str, Engine] = TRAINING) -> dict[str, Engine]:
    """The engines of a row: those that were chosen, all if none were; few of them run the eager loop."""
    found = {name: engine for name, engine in among.items() if not chosen or name in chosen}
    return {name: engine for name, engine in found.items() if engine.eager or not row.eager}


def disagreement(told: dict, wanted: dict) -> str:
    """What is wrong with the first steps of an engine, or "".

    Args:
        told: what the worker's `check` says: the losses of the first steps, or the mean of them if `fit` tells no more;
            how far the weights moved altogether.
        wanted: the same of the reference.

    >>> disagreement({"losses": [2.0], "moved": 1.0}, {"losses": [3.0, 1.0], "moved": 1.0})
    ''
    """
    losses, right = np.array(told["losses"]), np.array(wanted["losses"])
    if len(losses) == 1:
        right = right.mean(keepdims=True)
    if losses.shape != right.shape or not np.allclose(losses, right, rtol=LOSS_TOLERANCE, atol=0):
        return f"wrong: losses {_short(losses)}, reference {_short(right)}"
    if not np.isclose(told["moved"], wanted["moved"], rtol=MOVED_TOLERANCE, atol=0):
        return f"wrong: weights moved by {told['moved']:.5g}, reference {wanted['moved']:.5g}"
    return ""


def measure(
    row: Training, floor: Floor, options: Options, among: Mapping[str, Engine] = TRAINING
) -> tuple[Measured, Race]:
    """One row of the table, with the engines that were chosen among some."""
    wanted = reference(row, options)

    def check(worker: Worker) -> str:
        return disagreement(worker.ask("check", steps=min(CHECKED, row.steps)), wanted)

    steps = row.steps * row.laps
    engines = engines_of(row, options.engines, among)
    done = race(engines, "training", row.name, steps, WARM, check, options)
    ours = [name for name, engine in engines.items() if engine.ours]
    if row.eager:  # no machine is the limit there
        return Measured(row.name, done.results, ours), done
    arithmetic = row.work.flops / floor.flops
    memory = row.work.bytes / bandwidth(options.threads, row.work.held)
    bound = "arithmetic" if arithmetic > memory else "memory"
    return Measured(row.name, done.results, ours, max(arithmetic, memory), bound), done


def reference(row: Training, options: Options) -> dict:
    """The first steps in float64 with NumPy.

    Raises:
        WorkerError: it fails, and with it the row.
    """
    engine = REFERENCES["training/reference"]
    with Worker("training/reference", options.threads, options.python(engine)) as worker:
        worker.ask("load", set="training", row=row.name, samples=row.batch * min(CHECKED, row.steps))
        wanted = worker.ask("check", steps=min(CHECKED, row.steps))
    if not np.all(np.isfinite(wanted["losses"])):
        raise WorkerError(f"the reference of {row.name} is not finite")
    return wanted


def rows(names: Sequence[str]) -> list[Training]:
    """The rows of these names; all if there are none."""
    return [ROWS[name] for name in names or ROWS]


def _short(values: np.ndarray) -> str:
    return " ".join(f"{value:.5g}" for value in values)
