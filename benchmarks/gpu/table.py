"""The table for graphics processors: `python -m benchmarks gpu [row ...]`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.engines import GPU, Engine
from benchmarks.race import Options, Race, race
from benchmarks.ratios import Measured
from benchmarks.training.rows import Training
from benchmarks.training.table import CHECKED, WARM
from benchmarks.workers import Worker, WorkerError

LOSS_TOLERANCE, LATER_TOLERANCE = 2e-2, 5e-2
"""Relative, of the first loss and of later ones: bfloat16 has eight bits, engines round at other places, and Adam's
first steps are of full size even where a gradient is only rounding."""


def measure(row: Training, options: Options) -> tuple[Measured, Race]:
    """One row of the table. What PyTorch computes op by op is what the others must agree with.

    Raises:
        WorkerError: PyTorch is not installed, or fails.
    """
    engines: Mapping[str, Engine] = {n: e for n, e in GPU.items() if not options.engines or n in options.engines}
    with Worker("gpu/torch", options.threads, options.python(GPU["torch"])) as worker:
        worker.ask("load", set="gpu", row=row.name, samples=row.batch * row.steps)
        wanted = worker.ask("check", steps=min(CHECKED, row.steps))["losses"]

    def check(worker: Worker) -> str:
        told = worker.ask("check", steps=min(CHECKED, row.steps))["losses"]
        return disagreement(told, wanted)

    done = race(engines, "gpu", row.name, row.steps * row.laps, WARM, check, options)
    return Measured(row.name, done.results, [name for name, engine in engines.items() if engine.ours]), done


def disagreement(told: list[float], wanted: list[float]) -> str:
    """What is wrong with the first losses of an engine, or "".

    >>> disagreement([2.0, 1.01], [2.0, 1.0]), disagreement([2.0, 1.5], [2.0, 1.0])
    ('', 'wrong: losses [2.0, 1.5], PyTorch [2.0, 1.0]')
    """
    if len(told) == len(wanted):
        off = np.abs(np.divide(told, wanted) - 1)
        if off[0] <= LOSS_TOLERANCE and np.all(off[1:] <= LATER_TOLERANCE):
            return ""
    return f"wrong: losses {told}, PyTorch {wanted}"


def device(options: Options) -> str:
    """The name of the graphics processor that PyTorch reaches; "" if there is none."""
    try:
        with Worker("gpu/torch", options.threads, options.python(GPU["torch"])) as worker:
            name: str = worker.ask("accelerator")
            return name
    except WorkerError:
        return ""
