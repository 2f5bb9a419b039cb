"""From times to ratios, verdicts and pictures."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.measure import Others, Timing, rotated
from benchmarks.picture import draw
from benchmarks.ratios import Measured, Result, geometric_mean, verdict


def row(name: str = "mlp", floor: float | None = 0.5, **seconds: list[float]) -> Measured:
    results = {engine: Result(times) for engine, times in seconds.items()}
    return Measured(name, results, ("us", "us_fit"), floor, "arithmetic")


def test_a_ratio_is_taken_round_by_round() -> None:
    slow_round = row(us=[1.0, 10.0, 1.0], peer=[2.0, 20.0, 2.0])
    assert slow_round.ratio("peer") == Timing(2.0, 2.0, 2.0, 3)


def test_the_best_of_each_side_are_compared() -> None:
    measured = row(us=[2.0], us_fit=[1.0], slow=[9.0], fast=[3.0])
    assert (measured.best, measured.best_peer, measured.lead) == ("us_fit", "fast", 3.0)
    assert measured.share_of_floor == 0.5


def test_a_wrong_engine_has_no_time() -> None:
    measured = row(us=[2.0], wrong=[1.0], right=[3.0])
    measured.results["wrong"].problem = "wrong: losses"
    assert measured.best_peer == "right" and measured.ratio("wrong") is None
    measured.results["us"].problem = "wrong: losses"
    assert measured.best is None and measured.lead is None and measured.share_of_floor is None


def test_a_round_that_one_engine_failed_in_does_not_shift_the_others() -> None:
    measured = row(us=[1.0, 2.0], peer=[3.0])
    measured.results["peer"].problem = "failed: out of memory"
    assert measured.ratio("peer") is None and measured.best == "us"


def test_the_verdict_says_plainly_where_we_fall_short() -> None:
    rows = [row("cnn", us=[1.0], peer=[4.0]), row("lstm", us=[2.0], peer=[1.0]), row("mlp", us=[1.0])]
    lines = "\n".join(verdict(rows))
    assert "not first in 1 of 2 rows: lstm (0.50)" in lines
    assert f"{geometric_mean([4.0, 0.5]):.2f}" in lines
    assert "no comparison in: mlp" in lines
    assert "below 75% of the machine's floor: cnn (50%), lstm (25%), mlp (50%)" in lines
    assert verdict([row(us=[0.6], peer=[1.2])])[0] == "first in all 1 rows"


def test_nobody_is_always_first_or_behind_the_same_engine() -> None:
    names = ["a", "b", "c"]
    orders = [rotated(names, i) for i in range(6)]
    assert all(sorted(order) == names for order in orders)
    assert {order[0] for order in orders} == {order[-1] for order in orders} == set(names)
    followers = {(x, y) for order in orders for x, y in pairwise(order)}
    assert len(followers) == 6


def test_how_busy_others_are_is_never_negative() -> None:
    assert Others().busy(spent=1e9) == 0


def test_the_picture_is_small_and_needs_something_to_show(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / "training.png"
    rows = [row(name, us=[1.0, 1.1], a=[2.0, 2.2], b=[0.4, 0.5]) for name in ("mlp", "cnn")]
    assert draw(rows, ["us", "a", "b"], "training", target) == target
    assert 1_000 < target.stat().st_size < 200_000
    assert draw([row(us=[1.0])], ["us"], "training", tmp_path / "none.png") is None
