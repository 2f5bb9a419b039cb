"""The tables of the backends: `python -m benchmarks backends [row ...]`, one table for each engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.backends.eager import with_ops
from benchmarks.backends.rows import EagerOp
from benchmarks.engines import Engine
from benchmarks.race import Options, Race, race
from benchmarks.ratios import Measured, geometric_mean
from benchmarks.workers import Worker

GOAL = 0.97
"""The bare engine's time over ours that is aimed at: within three hundredths."""

WARM = 100
"""Calls before the clock starts, in each turn."""


def measure_eager(row: EagerOp, engines: Mapping[str, Engine], options: Options) -> tuple[Measured, Race]:
    """One eager op in a table."""
    wanted = with_ops(row, "amalthea").value()

    def check(worker: Worker) -> str:
        return disagreement(worker.ask("call", method="value"), wanted)

    done = race(engines, "backends", row.name, row.steps, WARM, check, options)
    return Measured(row.name, done.results, [name for name, engine in engines.items() if engine.ours]), done


def disagreement(told: Sequence[float], wanted: Sequence[float]) -> str:
    """What is wrong with a result, or "".

    >>> disagreement([1.0], [1.0]), disagreement([1.0], [2.0])
    ('', 'wrong: [1.0], reference [2.0]')
    """
    if len(told) == len(wanted) and np.allclose(told, wanted, rtol=1e-4, atol=1e-6):
        return ""
    return f"wrong: {list(told)[:3]}, reference {list(wanted)[:3]}"


def verdict(rows: Sequence[Measured]) -> list[str]:
    """What a table says: where we are as fast as the bare engine, and where ahead of Keras on it."""
    steps = [row for row in rows if not row.name.startswith("eager-")]
    ops = [row for row in rows if row.name.startswith("eager-")]
    found = []
    for what, some in (("training steps", steps), ("eager ops", ops)):
        for peer, goal in (("the bare engine", GOAL), ("Keras", 1.0)):
            ratios = {row.name: ratio for row in some if (ratio := lead(row, peer == "Keras")) is not None}
            if not ratios:
                continue
            behind = ", ".join(f"{name} ({ratio:.2f})" for name, ratio in ratios.items() if ratio < goal)
            goal_text = f"at least {goal:g} in all {len(ratios)} rows" if not behind else f"below {goal:g} in: {behind}"
            found.append(f"{what}: {peer} / ours {geometric_mean(ratios.values()):.2f}, {goal_text}")
    return found


def lead(row: Measured, keras: bool) -> float | None:
    """The time of the best bare way, or of Keras, over our best."""
    peers = [name for name in row.timings(ours=False) if name.startswith("keras-") == keras]
    ratios = [ratio.median for name in peers if (ratio := row.ratio(name)) is not None]
    return min(ratios) if ratios else None
