"""The inference table and the start-up measurement, as far as they need nobody else."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import amalthea as am
from benchmarks import keras_models, startup
from benchmarks.inference import table
from benchmarks.inference.rows import ROWS
from benchmarks.inference.runtimes import Amalthea
from benchmarks.race import Options
from benchmarks.sizes import installed_size
from benchmarks.workers import Worker, WorkerError, not_installed


@pytest.mark.parametrize(("network", "parameters"), [("resnet50", 25.6e6), ("mobilenet-v2", 3.5e6)])
def test_the_networks_have_the_size_of_the_published_ones(network: str, parameters: float) -> None:
    model = getattr(keras_models, ROWS[f"{network}@1"].identifier)(am)
    trained = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert trained == pytest.approx(parameters, rel=0.01)


def test_the_first_images_are_the_same_at_every_batch_size() -> None:
    one, many = Amalthea(ROWS["cnn@1"]), Amalthea(ROWS["cnn@32"], samples=2)
    assert table.disagreement(many.logits(1), one.logits(1)) == ""
    assert np.shape(many.logits(2)) == (2, 10)


@pytest.mark.parametrize("logits", [[[1.0, 2.1]], [[1.0]], [[1.0, float("nan")]]])
def test_other_logits_are_wrong(logits: list[list[float]]) -> None:
    assert table.disagreement(logits, [[1.0, 2.0]]).startswith("wrong")


def test_the_installed_size_follows_what_a_package_requires() -> None:
    sizes = installed_size(["amalthea"])
    assert {"amalthea", "numpy", "llvmlite", "rich", "markdown-it-py"} <= set(sizes)
    assert "pytest" not in sizes and sizes["llvmlite"] > sizes["amalthea"] > 100_000
    assert installed_size(["no_such_package"]) == {}


def test_a_start_is_timed_to_the_end_of_the_first_epoch() -> None:
    report = startup.measure(Options(engines=["amalthea-fit"], pythons={"torch": "no-such-interpreter"}), rounds=1)
    assert list(report.seconds) == ["amalthea-fit", startup.COLD] and not report.problems
    assert all(timing.median > 0.05 for timing in report.seconds.values())
    assert report.as_json()["installed_bytes"][startup.COLD] > 1e6


def test_a_worker_says_what_went_wrong() -> None:
    assert not_installed(("numpy", "no_such_package"), sys.executable) == ["no_such_package"]
    with Worker("training/amalthea") as worker:
        with pytest.raises(WorkerError, match="KeyError: 'no-such-row'"):
            worker.ask("load", set="training", row="no-such-row")
        assert worker.ask("memory")["peak"] > 1e6
        worker._process.kill()
        with pytest.raises(WorkerError, match="its process ended"):
            worker.ask("memory")
