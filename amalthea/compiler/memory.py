"""Buffer planning: values whose lives do not overlap share memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 64


@dataclass(frozen=True)
class Life:
    """A buffer of `size` bytes that is needed from step `first` to step `last`, both included."""

    size: int
    first: int
    last: int


def plan(lives: Sequence[Life]) -> tuple[list[int], int]:
    """An offset for each buffer, in bytes, and the size of the memory that holds them all.

    Larger buffers are placed first, each at the lowest place that is free during its life.

    >>> plan([Life(64, 0, 1), Life(64, 2, 3), Life(64, 1, 2)])
    ([0, 0, 64], 128)
    """
    offsets = [0] * len(lives)
    placed: list[tuple[int, int, Life]] = []  # (begin, end, life)
    total = 0
    for i in sorted(range(len(lives)), key=lambda i: (-lives[i].size, lives[i].first)):
        life = lives[i]
        size = -(-life.size // ALIGNMENT) * ALIGNMENT
        busy = sorted((b, e) for b, e, other in placed if other.first <= life.last and life.first <= other.last)
        begin = 0
        for b, e in busy:
            if begin + size <= b:
                break
            begin = max(begin, e)
        offsets[i] = begin
        placed.append((begin, begin + size, life))
        total = max(total, begin + size)
    return offsets, total
