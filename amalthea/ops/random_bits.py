"""Random bits from a key and a counter: Threefry, in integer ops, so that they are the same on every backend for ever.

The generator is Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as
1, 2, 3", doi:10.1145/2063384.2063405). A draw of n words under a key takes word i from block i // 2, whose counter is
(i // 2, stream); so a shorter draw is the beginning of a longer one, and draws of several streams are independent.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from amalthea.core.op import composite, export, nondifferentiable
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.ops.creation import arange
from amalthea.ops.shaping import reshape, stack

PARITY = 0x1BD11BDA
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def _words(*numbers: int) -> Any:
    return np.array(numbers, np.uint32)


@composite(
    gradient=nondifferentiable,
    samples=lambda: [((_words(1, 2), _words(3, 4, 5), _words(6)), {}), ((_words(0, 0), _words(0), _words(0)), {})],
)
def threefry2x32(key: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Encrypts counters: two words of random bits for each.

    Args:
        key: uint32, `(2,)`.
        low: The first word of each counter, uint32 `(n,)`.
        high: The second word of each counter, uint32; it broadcasts with `low`.

    Returns:
        Two uint32 tensors `(n,)`: the words of Threefry-2x32 with 20 rounds.

    Example:

    >>> import amalthea as am
    >>> zero = am.ops.zeros((1,), "uint32")
    >>> [hex(word.numpy().item()) for word in am.ops.threefry2x32(am.ops.zeros((2,), "uint32"), zero, zero)]
    ['0x6b200159', '0x99ba4efe']
    """
    first, second = key[0:1], key[1:2]
    keys = (first, second, first ^ second ^ PARITY)
    x, y = low + first, high + second
    for block in range(5):
        for rotation in ROTATIONS[block % 2]:
            x = x + y
            y = x ^ ((y << rotation) | (y >> (32 - rotation)))
        x = x + keys[(block + 1) % 3]
        y = y + (keys[(block + 2) % 3] + (block + 1))
    return x, y


@composite(
    gradient=nondifferentiable,
    samples=lambda: [((_words(1, 2), (3, 3)), {}), ((_words(1, 2), ()), {"stream": 7}), ((_words(1, 2), (0, 3)), {})],
)
def random_bits(key: Tensor, shape: tuple[int, ...], stream: Tensor = 0) -> Tensor:  # type: ignore[assignment]
    """Words of 32 random bits.

    Args:
        key: uint32, `(2,)`.
        shape: The shape of the result.
        stream: Which of 2^32 independent sequences under the key, a number or a uint32 scalar (default 0).

    Returns:
        A uint32 tensor of the shape.

    Example:

    >>> import amalthea as am
    >>> am.ops.random_bits(am.ops.convert_to_tensor([0, 0], "uint32"), (2,)).tolist()
    [1797259609, 2579123966]
    """
    n = math.prod(shape)
    blocks = arange((n + 1) // 2, dtype="uint32")
    pair = threefry2x32(key, blocks, reshape(as_tensor(stream, "uint32"), (1,)))
    words = reshape(stack(pair, axis=-1), (-1,))
    return reshape(words if n % 2 == 0 else words[:n], shape)


export(__name__)
