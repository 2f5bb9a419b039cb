"""A kernel for a composite: Threefry on 32-bit integers in place, where unsigned ones would be widened at each op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

# Imported rather than repeated: the constants are part of the op's definition.
from amalthea.ops.random_bits import PARITY, ROTATIONS


def threefry2x32(key: Any, low: Any, high: Any) -> tuple[Any, Any]:
    """Two words of random bits for each counter."""
    low, high = torch.broadcast_tensors(low.view(torch.int32), high.view(torch.int32))
    first, second = key.view(torch.int32).unbind()
    keys = (first, second, first ^ second ^ PARITY)
    x, y = low + first, high + second
    for block in range(5):
        for rotation in ROTATIONS[block % 2]:
            x += y
            wrapped = (y >> (32 - rotation)) & ((1 << rotation) - 1)  # the sign must not come in from the left
            y = y.bitwise_left_shift_(rotation).bitwise_or_(wrapped).bitwise_xor_(x)
        x += keys[(block + 1) % 3]
        y += keys[(block + 2) % 3] + (block + 1)
    return x.view(torch.uint32), y.view(torch.uint32)


KERNELS: dict[str, Callable[..., Any]] = {"threefry2x32": threefry2x32}
