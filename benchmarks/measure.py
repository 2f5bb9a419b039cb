"""Timing that can be trusted on a machine with other work: candidates take turns, medians and quartiles are kept."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Timing:
    """Seconds for one call: the median over the rounds, with the first and third quartile."""

    median: float
    low: float
    high: float
    rounds: int

    @staticmethod
    def of(seconds: list[float]) -> Timing:
        if len(seconds) < 2:
            return Timing(seconds[0], seconds[0], seconds[0], 1)
        low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
        return Timing(median, low, high, len(seconds))


def interleaved(candidates: Mapping[str, Callable[[], object]], *, rounds: int, calls: int = 1) -> dict[str, Timing]:
    """Time every candidate once in each round, `calls` calls at a time, after one round that is thrown away.

    Taking turns gives all candidates the same share of whatever else the machine is doing. The garbage collector is
    off while the clock runs, as in `timeit`.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for round_ in range(rounds + 1):
            for name, call in candidates.items():
                start = time.perf_counter()
                for _ in range(calls):
                    call()
                if round_:
                    seconds[name].append((time.perf_counter() - start) / calls)
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return {name: Timing.of(values) for name, values in seconds.items()}


def rotated(names: list[str], round_: int) -> list[str]:
    """The order of a round: each begins with another name and every second one goes backwards, so nobody gains by it.

    >>> rotated(["a", "b", "c"], 0), rotated(["a", "b", "c"], 1)
    (['a', 'b', 'c'], ['a', 'c', 'b'])
    """
    if not names:
        return []
    start = (round_ // 2) % len(names)
    order = names[start:] + names[:start]
    return order[:1] + order[1:][::-1] if round_ % 2 else order


class Others:
    """How busy other processes keep the machine while one of ours is timed.

    >>> others = Others(); others.busy(spent=0.0) >= 0
    True
    """

    def __init__(self) -> None:
        self.begin, self.busy_before = time.perf_counter(), _busy_seconds()

    def busy(self, spent: float) -> float:
        """Processors that others used on average since this object was made, e.g. 0.5; 0 where it cannot be known.

        Args:
            spent: processor seconds of the process that was timed.
        """
        passed = time.perf_counter() - self.begin
        return max(0.0, _busy_seconds() - self.busy_before - spent) / passed if self.busy_before else 0.0


def _busy_seconds() -> float:
    """Processor seconds that the whole machine has worked so far."""
    file = Path("/proc/stat")
    if not file.exists():
        return 0.0
    user, nice, system, _idle, _wait, interrupts, soft, *_ = map(int, file.read_text().split("\n")[0].split()[1:])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")
