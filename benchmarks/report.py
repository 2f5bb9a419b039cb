"""Results of the core: a table for people, JSON for keeping."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from benchmarks.measure import Timing


@dataclass(frozen=True)
class Row:
    """One figure: what was measured, the time, and a remark."""

    name: str
    timing: Timing
    remark: str = ""


def readable(seconds: float) -> str:
    """A time in the unit that suits it.

    >>> readable(0.0000042), readable(0.5)
    ('4.20 µs', '500.00 ms')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(seconds) >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds / 1e-9:.0f} ns"


class Report:
    """Collects and prints the rows of each measurement."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.results: dict[str, list[Row]] = {}
        self.console = Console()

    def add(self, measurement: str, rows: list[Row]) -> None:
        self.results[measurement] = rows
        table = Table(title=measurement, title_justify="left")
        for column in ("what", "median", "quartiles", ""):
            table.add_column(column, justify="left" if column in ("what", "") else "right")
        for row in rows:
            spread = f"{readable(row.timing.low)} to {readable(row.timing.high)}"
            table.add_row(row.name, readable(row.timing.median), spread, row.remark)
        self.console.print(table)

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "set": self.name,
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine(("amalthea", "numpy", "torch", "tensorflow")),
            "seconds": {name: [asdict(row) for row in rows] for name, rows in self.results.items()},
        }
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        self.console.print(f"wrote {path.name}")
