"""`import amalthea` is light: nothing heavy comes along."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("tensorflow", "torch", "jax", "keras", "h5py", "rich", "sklearn", "pandas", "scipy", "matplotlib", "llvmlite")


@pytest.fixture(scope="module")
def imported() -> set[str]:
    code = "import sys, amalthea; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(run.stdout.split())


@pytest.mark.parametrize("module", HEAVY)
def test_import_leaves_heavy_packages_alone(module: str, imported: set[str]) -> None:
    assert module not in imported


def test_import_prints_and_warns_nothing() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import amalthea"], capture_output=True, text=True, check=True, timeout=60
    )
    assert (run.stdout, run.stderr) == ("", "")
