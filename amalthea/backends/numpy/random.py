"""A kernel for a composite: Threefry in place, which the body would do in some sixty passes over memory."""

from __future__ import annotations

import numpy as np

# Imported rather than repeated: the constants are part of the op's definition.
from amalthea.ops.random_bits import PARITY, ROTATIONS

BLOCK = 1 << 14  # counters at a time, so that the words stay in cache


def threefry2x32(key: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two words of random bits for each counter."""
    low, high = np.broadcast_arrays(low, high)
    keys = (key[0], key[1], key[0] ^ key[1] ^ np.uint32(PARITY))
    first, second = np.empty(low.shape, np.uint32), np.empty(low.shape, np.uint32)
    spare = np.empty(min(low.size, BLOCK), np.uint32)
    with np.errstate(over="ignore"):
        for start in range(0, low.size, BLOCK):
            part = slice(start, start + BLOCK)
            _encrypt(keys, low[part], high[part], first[part], second[part], spare)
    return first, second


def _encrypt(
    keys: tuple[np.uint32, ...], low: np.ndarray, high: np.ndarray, x: np.ndarray, y: np.ndarray, spare: np.ndarray
) -> None:
    spare = spare[: x.size]
    np.add(low, keys[0], out=x)
    np.add(high, keys[1], out=y)
    for block in range(5):
        for rotation in ROTATIONS[block % 2]:
            x += y
            np.right_shift(y, np.uint32(32 - rotation), out=spare)
            y <<= np.uint32(rotation)
            y |= spare
            y ^= x
        x += keys[(block + 1) % 3]
        y += keys[(block + 2) % 3] + np.uint32(block + 1)


KERNELS = {"threefry2x32": threefry2x32}
