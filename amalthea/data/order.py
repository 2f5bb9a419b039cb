"""The order in which samples are visited: repeatable after `am.utils.set_random_seed`."""

from __future__ import annotations

import numpy as np

from amalthea.core.context import eager_scope
from amalthea.ops import random


def permutation(count: int) -> np.ndarray:
    """A random order of `count` samples, drawn from the global seed.

    Args:
        count: number of samples.

    Returns:
        An int array of shape (count,) that holds each of 0 ... count - 1 once.

    >>> sorted(permutation(4).tolist())
    [0, 1, 2, 3]
    """
    with eager_scope():
        order = random.shuffle(np.arange(count, dtype=np.int32))
    return order.numpy()
