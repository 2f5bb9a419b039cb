"""The two small examples are one model: trained by `fit` and by hand they must end at the same loss."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
FIT = (EXAMPLES / "fit_in_seven_lines.py").read_text(encoding="utf-8")
TAPE = (EXAMPLES / "tape_loop_in_fifteen_lines.py").read_text(encoding="utf-8")


def run(source: str, changes: dict[str, str]) -> dict[str, Any]:
    for old, new in changes.items():
        assert source.count(old) == 1, f"the example no longer has {old!r} once"
        source = source.replace(old, new)
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile(source, "example", "exec"), namespace)
    return namespace


def final(namespace: dict[str, Any]) -> tuple[float, np.ndarray]:
    """The mean loss over the last epoch, and all trained weights in one row."""
    if "history" in namespace:
        loss = namespace["history"].history["loss"][-1]
    else:
        loss = float(np.mean([loss.numpy() for loss in namespace["losses"]]))
    weights = [variable.numpy().ravel() for variable in namespace["model"].trainable_variables]
    return loss, np.concatenate(weights)


WAYS = {
    "fit, compiled": (FIT, {}),
    "fit, eagerly": (FIT, {'loss="mse"': 'loss="mse", run_eagerly=True'}),
    "tape, eagerly": (TAPE, {}),
    "tape, compiled": (TAPE, {"def step": "@am.function\ndef step"}),
}


@pytest.fixture(scope="module")
def reference() -> tuple[float, np.ndarray]:
    return final(run(*WAYS["tape, eagerly"]))


@pytest.mark.parametrize("way", WAYS)
def test_all_ways_of_training_end_at_the_same_loss(way: str, reference: tuple[float, np.ndarray]) -> None:
    loss, weights = final(run(*WAYS[way]))
    expected_loss, expected_weights = reference
    assert abs(loss - expected_loss) < 1e-5
    assert loss < 0.05
    np.testing.assert_allclose(weights, expected_weights, atol=1e-5)


@pytest.mark.parametrize(("source", "lines"), [(FIT, 7), (TAPE, 15)], ids=["fit", "tape"])
def test_the_examples_are_as_short_as_they_say(source: str, lines: int) -> None:
    docstring = ast.parse(source).body[0].end_lineno or 0
    code = [line for line in source.splitlines()[docstring:] if line.strip()]
    assert len(code) == lines


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*_lines.py")))
def test_the_examples_run_as_scripts(name: str, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(EXAMPLES.parent), "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, EXAMPLES / name], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "loss" in done.stdout


@pytest.mark.parametrize("source", [FIT, TAPE], ids=["fit", "tape"])
def test_the_readme_shows_the_examples_as_they_are(source: str) -> None:
    code = source.split('"""', 2)[2].strip()
    assert code in (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")


def test_the_picture_of_the_demo_shows_every_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import pyplot

    demo = run((EXAMPLES / "digits_demo.py").read_text(encoding="utf-8"), {})
    drawn = []
    monkeypatch.setattr(pyplot, "close", drawn.append)
    history = {"loss": [1.8, 0.5], "val_loss": [0.9, 0.4], "val_accuracy": [0.5, 0.9]}
    demo["draw"](history, np.zeros((24, 64)), np.zeros(24, int), np.ones((24, 10)), tmp_path / "picture.png")
    assert drawn[0].axes[0].get_ylim()[1] >= 1.8
