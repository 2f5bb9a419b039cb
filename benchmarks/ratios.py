"""From times to ratios: who is first in a row, and by how much on the whole."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.measure import Timing


@dataclass
class Result:
    """What one engine did in one row.

    Attributes:
        seconds: of one step, in each round.
        processor: processor seconds of one step, of all threads together, in each round.
        problem: why there is no time: not installed, failed, or wrong.
        peak: most memory its process held, bytes.
        ready: seconds until it had compiled and trained its first steps.
        note: how it ran, where it had a choice.
    """

    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    problem: str = ""
    peak: float = 0
    ready: float = 0
    note: str = ""

    @property
    def timing(self) -> Timing | None:
        return Timing.of(self.seconds) if self.seconds and not self.problem else None


@dataclass
class Measured:
    """One row: the results of all engines, ours and the peers'.

    Attributes:
        name: of the row.
        floor: seconds that the machine needs at least, or None where that is not known.
        bound: what the floor consists of: "arithmetic" or "memory".
        results: by engine.
        ours: which engines are this project.
    """

    name: str
    results: dict[str, Result]
    ours: Sequence[str]
    floor: float | None = None
    bound: str = ""

    def timings(self, ours: bool) -> dict[str, Timing]:
        found = {name: result.timing for name, result in self.results.items() if (name in self.ours) == ours}
        return {name: timing for name, timing in found.items() if timing is not None}

    @property
    def best(self) -> str | None:
        """Our fastest engine of the row."""
        return _fastest(self.timings(ours=True))

    @property
    def best_peer(self) -> str | None:
        return _fastest(self.timings(ours=False))

    def ratio(self, engine: str) -> Timing | None:
        """Their time over ours (our best): above 1 we are faster.

        Both were timed in the same rounds, one after the other; the median and quartiles are those of the quotients of
        each round, so that what slowed a whole round down cancels.
        """
        best, theirs = self.best, self.results[engine]
        if best is None or theirs.timing is None:
            return None
        pairs = zip(theirs.seconds, self.results[best].seconds, strict=False)
        return Timing.of([a / b for a, b in pairs])

    @property
    def lead(self) -> float | None:
        """The best peer's time over ours."""
        peer = self.best_peer
        ratio = self.ratio(peer) if peer else None
        return ratio.median if ratio else None

    @property
    def share_of_floor(self) -> float | None:
        """How much of the machine's speed our best engine uses, 1 being all of it."""
        best = self.best
        if best is None or self.floor is None:
            return None
        return self.floor / self.timings(ours=True)[best].median


def geometric_mean(values: Iterable[float]) -> float:
    """
    >>> geometric_mean([2.0, 8.0])
    4.0
    """
    found = list(values)
    return math.exp(sum(map(math.log, found)) / len(found)) if found else math.nan


def verdict(rows: Sequence[Measured], goal: float = 1.5, floor: float = 0.75) -> list[str]:
    """What the table says on the whole, and plainly in which rows it falls short.

    Args:
        rows: all rows.
        goal: the geometric mean of the leads that is aimed at.
        floor: the share of the floor aimed at in rows bound by arithmetic.
    """
    leads = {row.name: row.lead for row in rows}
    known = {name: lead for name, lead in leads.items() if lead is not None}
    lines = []
    if known:
        behind = {name: lead for name, lead in known.items() if lead < 1}
        names = ", ".join(f"{name} ({lead:.2f})" for name, lead in behind.items())
        first = (
            f"not first in {len(behind)} of {len(known)} rows: {names}" if behind else f"first in all {len(known)} rows"
        )
        mean = geometric_mean(known.values())
        lines += [first, f"geometric mean of best peer / ours: {mean:.2f} (goal {goal})"]
    absent = [name for name, lead in leads.items() if lead is None]
    if absent:
        lines.append(f"no comparison in: {', '.join(absent)}")
    low = [row for row in rows if row.bound == "arithmetic" and (row.share_of_floor or floor) < floor]
    if low:
        named = ", ".join(f"{row.name} ({row.share_of_floor:.0%})" for row in low)
        lines.append(f"below {floor:.0%} of the machine's floor: {named}")
    return lines


def _fastest(timings: dict[str, Timing]) -> str | None:
    return min(timings, key=lambda name: timings[name].median) if timings else None
