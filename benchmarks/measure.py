"""Timing that can be trusted on a machine with other work: candidates take turns, medians and quartiles are kept."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


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
