"""The benchmark of the backends runs: ours on each engine computes what the engine alone computes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("backend", ["jax", "torch", "tensorflow"])
def test_steps_and_ops_are_measured_beside_the_bare_engine(backend: str, tmp_path: Path) -> None:
    engines = ["--engines", f"amalthea-{backend}", backend]
    command = ["backends", "tape-loop", "eager-where", "--rounds", "1", *engines, "--output", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *command], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / f"backends-{backend}.json").read_text(encoding="utf-8"))["rows"]
    assert set(rows) == {"tape-loop", "eager-where"}
    for found in rows.values():
        assert found["lead"] > 0 and all("problem" not in engine for engine in found["engines"].values())
