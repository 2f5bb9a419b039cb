"""Small inputs for the ops' `samples`, from which the op test suite is driven."""

from __future__ import annotations

from typing import Any

import numpy as np


def values(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> Any:
    """Distinct float64 numbers in (low, high), in a shuffled order that depends on the seed alone.

    They are evenly spaced, so that no two are within the step of a finite difference, where ops such as max have
    kinks; the spacing also keeps them off round numbers such as 0.

    >>> from amalthea.ops.samples import values
    >>> values(2, 2).shape
    (2, 2)
    """
    size = int(np.prod(shape))
    places = np.random.default_rng([seed, size]).permutation(size)
    return (low + (high - low) * (places + 0.37 + 0.17 * (seed % 3)) / max(size, 1)).reshape(shape)


def integers(*shape: int, low: int = 0, high: int = 10, seed: int = 0) -> Any:
    """int32 numbers in [low, high).

    >>> from amalthea.ops.samples import integers
    >>> integers(3).dtype
    dtype('int32')
    """
    return np.random.default_rng([seed, low, high] if low >= 0 else [seed, high]).integers(low, high, shape, np.int32)
