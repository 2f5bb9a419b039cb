"""The measurements run (no figure is checked: that is for people, on a quiet machine)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_core_benchmark_runs_and_writes_json(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "core", "--quick", "--only", "ops", "--output"]
    done = subprocess.run(
        [*command, str(tmp_path / "core.json")], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "core.json").read_text(encoding="utf-8"))
    assert {"set", "date", "machine", "seconds"} == set(written)
    assert all(row["timing"]["median"] > 0 for row in written["seconds"]["ops"])


def test_an_unknown_measurement_is_named() -> None:
    command = [sys.executable, "-m", "benchmarks", "core", "--only", "speed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "speed" in done.stderr and "tape" in done.stderr
