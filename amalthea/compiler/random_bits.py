"""Threefry in generated code: the words of random bits that belong to one counter."""

from __future__ import annotations

from collections.abc import Sequence

from amalthea.compiler import math as functions
from amalthea.compiler.emitter import Emitter
from amalthea.compiler.math.value import Value
from amalthea.ops.random_bits import PARITY, ROTATIONS


def threefry_word(e: Emitter, word: int, arguments: Sequence[str]) -> str:
    """One of the two words of Threefry-2x32 for the i32 values (first key, second key, low, high).

    Where both are wanted, LLVM finds that they share all rounds but the last addition.
    """
    values = [Value(e, name, "i32") for name in arguments]
    return functions.shared(f"am_threefry_{word}", lambda *v: _words(*v)[word], *values).name


def _words(first: Value, second: Value, low: Value, high: Value) -> tuple[Value, Value]:
    """Both words: the body of `amalthea.ops.threefry2x32`."""
    keys = (first, second, first ^ second ^ PARITY)
    x, y = low + first, high + second
    for block in range(5):
        for rotation in ROTATIONS[block % 2]:
            x = x + y
            y = x ^ ((y << rotation) | y.logical_shift(32 - rotation))
        x = x + keys[(block + 1) % 3]
        y = y + (keys[(block + 2) % 3] + (block + 1))
    return x, y
