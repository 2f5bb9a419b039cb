"""The rows for graphics processors, tiny, on the processor: engines begin with the same loss."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("row", ["mlp-tiny", "gpt-tiny", "resnet50-tiny"])
def test_engines_agree(row: str, tmp_path: Path) -> None:
    engines = ["--engines", "amalthea-jax", "amalthea-torch", "jax", "torch"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "gpu", row, "--rounds", "1", *engines, "--output", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    engines_found = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["rows"][row]["engines"]
    assert {name: found.get("problem", "") for name, found in engines_found.items()} == dict.fromkeys(engines[1:], "")
