"""From `import` to the end of the first epoch, the memory it takes, and what is installed for it.

The model is mlp-small on 1,000 rows, so the last batch is smaller than the others, as it is in life. Every round starts
a new process; its files are in the system's memory from the round before, which is thrown away. Amalthea is measured
twice: with its cache of compiled programs as the last run left it, and empty.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.engines import TRAINING
from benchmarks.machine import machine
from benchmarks.measure import Timing, rotated
from benchmarks.race import Options
from benchmarks.report import readable
from benchmarks.workers import Worker, WorkerError

SAMPLES = 1000

COLD = "amalthea-fit, empty cache"

CANDIDATES = {
    name: "amalthea-fit" if name == COLD else name
    for name in (
        "amalthea-fit",
        COLD,
        *("jax", "torch", "tensorflow"),
        *("keras-jax", "keras-tensorflow", "keras-torch"),
    )
}
"""What is measured, and with which engine of the training table."""


@dataclass
class StartupReport:
    """Seconds, peak memory and installed bytes of each candidate, or what prevented them."""

    seconds: dict[str, Timing] = field(default_factory=dict)
    peak: dict[str, float] = field(default_factory=dict)
    installed: dict[str, dict[str, int]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def print(self, console: Console) -> None:
        table = Table(
            title=f"from import to the end of the first epoch: mlp-small, {SAMPLES} rows", title_justify="left"
        )
        for column in ("", "time", "quartiles", "most memory, MB", "installed, MB", "packages"):
            table.add_column(column, justify="right" if column else "left")
        for name in CANDIDATES:
            if name in self.seconds:
                timing, sizes = self.seconds[name], self.installed[name]
                spread = f"{readable(timing.low)} to {readable(timing.high)}"
                size, memory = f"{sum(sizes.values()) / 1e6:.0f}", f"{self.peak[name] / 1e6:.0f}"
                table.add_row(name, readable(timing.median), spread, memory, size, str(len(sizes)))
            elif name in self.problems:
                table.add_row(name, self.problems[name].partition(":")[0], "", "", "", "")
        console.print(table)
        for name, problem in self.problems.items():
            console.print(f"- {name}: {problem}", markup=False, highlight=False)

    def as_json(self) -> dict[str, Any]:
        return {
            "set": "startup",
            "date": datetime.now(UTC).date().isoformat(),
            "machine": {**machine(), "packages": self.versions},
            "seconds": {name: asdict(timing) for name, timing in self.seconds.items()},
            "peak_bytes": self.peak,
            "installed_bytes": {name: sum(sizes.values()) for name, sizes in self.installed.items()},
            "installed": self.installed,
            "problems": self.problems,
        }

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / "startup.json"
        target.write_text(json.dumps(self.as_json(), indent=1) + "\n", encoding="utf-8")
        return target


def measure(options: Options, rounds: int) -> StartupReport:
    """Start every candidate once in each round, after one that is thrown away."""
    report = StartupReport()
    chosen = [name for name, engine in CANDIDATES.items() if not options.engines or engine in options.engines]
    seconds: dict[str, list[float]] = {name: [] for name in chosen}
    for round_ in range(rounds + 1):
        for name in rotated([name for name in chosen if name not in report.problems], round_):
            try:
                told = _start(name, options, describe=round_ == 0)
            except WorkerError as error:
                report.problems[name] = str(error)
                continue
            if round_ == 0:
                report.installed[name] = told["installed"]
                report.versions |= told["versions"]
            else:
                seconds[name].append(told["seconds"])
                report.peak[name] = max(report.peak.get(name, 0), told["peak"])
    report.seconds = {name: Timing.of(values) for name, values in seconds.items() if values}
    return report


def _start(name: str, options: Options, describe: bool) -> dict[str, Any]:
    """One epoch in a new process."""
    engine = TRAINING[CANDIDATES[name]]
    with tempfile.TemporaryDirectory() as folder:
        environment = {"AMALTHEA_CACHE": str(Path(folder) / "cache")} if name == COLD else {}
        with Worker(f"training/{engine.name}", options.threads, options.python(engine), environment) as worker:
            told: dict[str, Any] = worker.ask("epoch", samples=SAMPLES)
            if describe:
                told["installed"], told["versions"] = worker.ask("installed"), worker.ask("versions")
    return told
