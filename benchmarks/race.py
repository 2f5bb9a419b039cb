"""One row of a table: all engines made ready, checked against the reference, then timed in turns."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from benchmarks.engines import Engine
from benchmarks.measure import Others, rotated
from benchmarks.ratios import Result
from benchmarks.workers import Worker, WorkerError

Check = Callable[[Worker], str]

HOPELESS, FEW = 10, 2
"""An engine that takes so many times as long as the fastest is given so few turns: its place is clear."""


@dataclass
class Options:
    """How to measure.

    Attributes:
        rounds: turns of each engine that count; one more is thrown away.
        threads: threads of each engine.
        engines: names of the engines to run; empty: all.
        pythons: interpreters, by the name of an engine or of its first package; "" for all peers.
        pause: seconds of rest before each turn, in which the threads of the last engine go to sleep.
    """

    rounds: int = 8
    threads: int = 2
    engines: Sequence[str] = ()
    pythons: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0.03

    def python(self, engine: Engine) -> str:
        """The interpreter that runs an engine: ours by default, what `--python` says for peers."""
        names = (engine.name, *engine.packages, *(() if engine.ours else ("",)))
        return next((self.pythons[name] for name in names if name in self.pythons), sys.executable)


@dataclass
class Race:
    """The results of one row, and how busy others kept the machine meanwhile (processors, on average)."""

    results: dict[str, Result]
    others: float = 0.0


def race(
    engines: Mapping[str, Engine],
    set: str,
    row: str,
    steps: int,
    warm: int,
    check: Check,
    options: Options,
    load: Mapping[str, Any] | None = None,
) -> Race:
    """Time the engines in one row.

    Args:
        engines: by their names in the table.
        set: folder of the row, e.g. "training".
        row: its name.
        steps: steps of one turn.
        warm: steps before these, off the clock.
        check: asks a worker that is ready what it computes, and returns what is wrong with it, or "".
        options: how to measure.
        load: further arguments of the worker's `load`, for each engine the same.
    """
    results = {name: Result() for name in engines}
    workers: dict[str, Worker] = {}
    try:
        for name, engine in engines.items():
            try:
                workers[name] = Worker(f"{set}/{name}", options.threads, options.python(engine))
            except WorkerError as error:
                results[name].problem = str(error)

        def prepare(name: str) -> None:
            worker, result = workers[name], results[name]
            begin = time.perf_counter()
            try:
                result.note = worker.ask("load", set=set, row=row, **(load or {}))["chosen"]
                result.problem = check(worker)
            except WorkerError as error:
                result.problem = f"failed: {error}"
            result.ready = time.perf_counter() - begin

        # Two at a time: nothing is timed yet, and compiling is mostly one thread's work.
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(prepare, workers))
        busy = _rounds(workers, results, steps, warm, options)
        for name, worker in workers.items():
            if not results[name].problem:
                results[name].peak = worker.ask("memory")["peak"]
    finally:
        for worker in workers.values():
            worker.stop()
    return Race(results, busy)


def _rounds(
    workers: Mapping[str, Worker], results: dict[str, Result], steps: int, warm: int, options: Options
) -> float:
    """Give every engine its turns; returns how busy others were."""
    busy: list[float] = []
    first: dict[str, float] = {}
    for round_ in range(options.rounds + 1):
        for name in rotated([name for name in workers if not results[name].problem], round_):
            if round_ > FEW and first[name] > HOPELESS * min(first.values()):
                continue
            time.sleep(options.pause)
            others = Others()
            try:
                turn = workers[name].ask("turn", steps=steps, warm=warm)
            except WorkerError as error:
                results[name].problem = f"failed: {error}"
                continue
            if not round_:
                first[name] = turn["seconds"]
                continue
            busy.append(others.busy(turn["all"]))
            results[name].seconds.append(turn["seconds"])
            results[name].processor.append(turn["processor"])
    return sum(busy) / len(busy) if busy else 0.0
