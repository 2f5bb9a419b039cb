"""The inference table: `python -m benchmarks inference [row ...]`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.engines import EXPORTS, INFERENCE, REFERENCES
from benchmarks.inference.rows import Inference
from benchmarks.race import Options, Race, race
from benchmarks.ratios import Measured
from benchmarks.workers import Worker, WorkerError

CHECKED = 2
"""Images whose logits are compared."""

TOLERANCE = 1e-3
"""Largest difference of a logit, relative to the largest logit."""


def disagreement(logits: list[list[float]], wanted: list[list[float]]) -> str:
    """What is wrong with some logits, or "".

    >>> disagreement([[1.0, 2.0]], [[1.001, 2.0]]), disagreement([[1.0, 2.0]], [[1.1, 2.0]])
    ('', 'wrong: logits differ by 0.05 of the largest')
    """
    told, right = np.array(logits), np.array(wanted)
    if told.shape != right.shape:
        return f"wrong: logits of shape {told.shape}, reference {right.shape}"
    difference = np.max(np.abs(told - right)) / np.max(np.abs(right))
    return "" if difference <= TOLERANCE else f"wrong: logits differ by {difference:.2g} of the largest"


def measure(rows: Sequence[Inference], options: Options, console: Console) -> Iterator[tuple[Measured, Race]]:
    """The rows of the table, one after the other."""
    for row in rows:
        with tempfile.TemporaryDirectory() as folder:
            files = {name: str(Path(folder) / f"network.{name}") for name in EXPORTS}
            for name, path in files.items():
                problem = _export(name, row, path, options)
                if problem:
                    console.print(f"{row.name}: {EXPORTS[name].name}: {problem}", markup=False, highlight=False)
            yield _row(row, files, options)


def _row(row: Inference, files: dict[str, str], options: Options) -> tuple[Measured, Race]:
    engine = REFERENCES["inference/reference"]
    with Worker("inference/reference", options.threads, options.python(engine)) as worker:
        worker.ask("load", set="inference", row=row.name, samples=CHECKED)
        wanted = worker.ask("call", method="logits", samples=CHECKED)

    def check(worker: Worker) -> str:
        return disagreement(worker.ask("call", method="logits", samples=CHECKED), wanted)

    engines = {name: engine for name, engine in INFERENCE.items() if not options.engines or name in options.engines}
    load = {**files, "threads": options.threads}
    done = race(engines, "inference", row.name, row.steps, 1, check, options, load)
    return Measured(row.name, done.results, [name for name, engine in engines.items() if engine.ours]), done


def _export(name: str, row: Inference, path: str, options: Options) -> str:
    """Write one file in a process of its own; returns what went wrong, or ""."""
    try:
        with Worker(f"export/{name}", options.threads, options.python(EXPORTS[name])) as worker:
            worker.ask("load", set="inference", row=row.name, path=path)
    except WorkerError as error:
        return str(error)
    return ""
