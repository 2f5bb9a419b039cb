"""The measurements run (no figure is checked: that is for people, on a quiet machine)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_the_core_benchmark_runs_and_writes_json(tmp_path: Path) -> None:
    done = benchmarks("core", "ops", "--quick", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "core.json").read_text(encoding="utf-8"))
    assert {"set", "date", "machine", "seconds"} == set(written)
    assert all(row["timing"]["median"] > 0 for row in written["seconds"]["ops"])


def test_compiling_is_measured_with_an_empty_and_with_a_filled_cache(tmp_path: Path) -> None:
    done = benchmarks("compile", "mlp-small", "--quick", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    both = json.loads((tmp_path / "compile.json").read_text(encoding="utf-8"))["seconds"]["mlp-small"]
    for found in both.values():
        assert found["total"] > found["llvm"] > 0 and found["nodes"] > found["functions"] > 5
    assert both["empty"]["text"] == both["filled"]["text"] > 1000


@pytest.mark.parametrize(
    ("arguments", "known"),
    [
        (("core", "speed"), "trace"),
        (("training", "speed"), "mlp-small"),
        (("training", "--engines", "x"), "jax"),
        (("backends", "speed"), "eager-add"),
        (("backends", "--engines", "x"), "amalthea-torch-jit"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(arguments: tuple[str, ...], known: str) -> None:
    done = benchmarks(*arguments)
    assert done.returncode == 2 and arguments[-1] in done.stderr and known in done.stderr


def test_our_own_engines_train_and_a_missing_peer_is_said_plainly(tmp_path: Path) -> None:
    engines = ("amalthea", "amalthea-fit", "jax")
    peer = ("--python", "jax=no-such-interpreter")
    done = benchmarks("training", "tabular", "--rounds", "1", "--engines", *engines, *peer, "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "training.json").read_text(encoding="utf-8"))
    row = written["rows"]["tabular"]
    assert row["engines"]["jax"]["problem"] == "not installed: jax"
    assert row["engines"]["jax"]["seconds"] is None and row["lead"] is None
    for name in ("amalthea", "amalthea-fit"):
        found = row["engines"][name]
        assert "problem" not in found and found["seconds"]["rounds"] == 1
        assert min(found["seconds"]["median"], found["processor_seconds"]["median"]) > 0 and found["peak_bytes"] > 1e7
    assert 0 < row["share_of_floor"] < 1 and row["bound"] in ("arithmetic", "memory")
    assert str(ROOT) not in json.dumps(written)
    assert "jax: not installed" in done.stdout


def test_the_kernels_of_loops_are_measured_beside_a_copy() -> None:
    command = [sys.executable, "-m", "benchmarks.kernels_loops", "relu", "softmax masked", "--seconds", "0.001"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert [line.split("  ")[0] for line in done.stdout.splitlines()[2:]] == ["relu", "relu gradient", "softmax masked"]
