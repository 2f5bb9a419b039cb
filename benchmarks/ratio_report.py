"""The table of ratios: as text, as JSON, as a picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from benchmarks.measure import Timing
from benchmarks.picture import draw
from benchmarks.ratios import Measured, verdict
from benchmarks.report import readable

RESULTS = Path(__file__).parent / "results"


@dataclass
class RatioReport:
    """All rows of one table.

    Attributes:
        name: of the table, e.g. "training"; its files are called so.
        engines: the columns.
        rows: in their order.
        shapes: what each row is, for people.
        others: how many processors other work kept busy in each row.
        floor: the measured floor as text and numbers, or None.
        versions: of the packages that were compared.
        options: how it was measured.
        judge: says what the rows come to.
    """

    name: str
    engines: Sequence[str]
    rows: list[Measured] = field(default_factory=list)
    shapes: dict[str, str] = field(default_factory=dict)
    others: dict[str, float] = field(default_factory=dict)
    floor: Mapping[str, float] | None = None
    floor_text: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    judge: Callable[[Sequence[Measured]], list[str]] = verdict

    def print(self, console: Console) -> None:
        """Three tables (times, ratios, memory) and what they come to."""
        if self.floor_text:
            console.print(self.floor_text)
        console.print(self._table("time of one step, median", self._time, ("floor", "of floor"), self._floor))
        console.print(
            self._table(
                "ratio: theirs / ours, above 1 ours is faster; quartiles below", self._ratio, ("ours",), self._best
            )
        )
        console.print(self._table("most memory of the process, MB", self._memory))
        for line in self.judge(self.rows):
            console.print(f"- {line}", highlight=False)
        for row in self.rows:
            for engine, result in row.results.items():
                if result.problem:
                    console.print(f"- {row.name}: {engine}: {result.problem}", highlight=False, markup=False)
        busy = {name: value for name, value in self.others.items() if value > 0.1}
        if busy:
            text = ", ".join(f"{name} {value:.1f}" for name, value in busy.items())
            console.print(f"- NOT A QUIET MACHINE: processors kept busy by other work: {text}", highlight=False)

    def add(self, row: Measured, shape: str, others: float, console: Console) -> None:
        """Take a row that has been measured, and say at once how it went."""
        self.rows.append(row)
        self.shapes[row.name], self.others[row.name] = shape, others
        times = [f"{name} {self._time(row, name)}" for name in row.results]
        console.print(f"{row.name} ({shape}): {', '.join(times)}", highlight=False)

    def write(self, folder: Path = RESULTS) -> list[Path]:
        """Write the JSON and the picture; returns both."""
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{self.name}.json"
        target.write_text(json.dumps(self.as_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        picture = draw(self.rows, self.engines, self.name, folder / f"{self.name}.png")
        return [target, *([picture] if picture else [])]

    def as_json(self) -> dict[str, Any]:
        return {
            "set": self.name,
            "date": datetime.now(UTC).date().isoformat(),
            "machine": {**machine(), "packages": self.versions},
            "options": self.options,
            "floor": dict(self.floor) if self.floor else None,
            "verdict": self.judge(self.rows),
            "rows": {row.name: self._row_json(row) for row in self.rows},
        }

    def _row_json(self, row: Measured) -> dict[str, Any]:
        engines = {}
        for name, result in row.results.items():
            ratio = row.ratio(name)
            engines[name] = {
                "seconds": asdict(result.timing) if result.timing else None,
                "ratio": asdict(ratio) if ratio else None,
                "processor_seconds": asdict(Timing.of(result.processor)) if result.processor else None,
                "peak_bytes": result.peak,
                "ready_seconds": round(result.ready, 3),
                **({"problem": result.problem} if result.problem else {}),
                **({"note": result.note} if result.note else {}),
            }
        return {
            "shape": self.shapes.get(row.name, ""),
            "floor_seconds": row.floor,
            "bound": row.bound,
            "share_of_floor": row.share_of_floor,
            "best_peer": row.best_peer,
            "lead": row.lead,
            "busy_processors_of_others": round(self.others.get(row.name, 0.0), 3),
            "engines": engines,
        }

    def _table(self, title: str, cell: Any, more: Sequence[str] = (), extra: Any = None) -> Table:
        table = Table(title=title, title_justify="left")
        table.add_column("")
        for name in (*more, *self.engines):
            table.add_column(name.replace("-", "-\n", 1), justify="right")
        for row in self.rows:
            cells = [cell(row, name) if name in row.results else "" for name in self.engines]
            table.add_row(row.name, *(extra(row) if extra else ()), *cells)
        return table

    def _time(self, row: Measured, name: str) -> str:
        result = row.results[name]
        if result.timing is None:
            return result.problem.partition(":")[0]
        text = readable(result.timing.median)
        return f"[bold]{text}[/bold]" if name in (row.best_peer, row.best) else text

    def _floor(self, row: Measured) -> tuple[str, str]:
        if row.floor is None:
            return "", ""
        share = "" if row.share_of_floor is None else f"{row.share_of_floor:.0%}"
        return f"{readable(row.floor)}\n{row.bound}", share

    def _ratio(self, row: Measured, name: str) -> str:
        ratio = row.ratio(name)
        if ratio is None:
            return row.results[name].problem.partition(":")[0]
        text = f"{ratio.median:.2f}"
        text = f"[bold]{text}[/bold]" if name == row.best_peer else text
        return f"{text}\n{_spread(ratio)}"

    def _best(self, row: Measured) -> tuple[str]:
        if row.best is None:
            return ("none",)
        lead = row.lead
        behind = "" if lead is None or lead >= 1 else "\n[bold red]not first[/bold red]"
        return (f"{readable(row.timings(ours=True)[row.best].median)}{behind}",)

    def _memory(self, row: Measured, name: str) -> str:
        peak = row.results[name].peak
        return f"{peak / 1e6:.0f}" if peak else ""


def _spread(timing: Timing) -> str:
    return f"{timing.low:.2f}-{timing.high:.2f}"
