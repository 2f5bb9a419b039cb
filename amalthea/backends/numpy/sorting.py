"""NumPy kernels of sorting and searching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def argsort(x: np.ndarray, axis: int) -> np.ndarray:
    """The int32 order that sorts along an axis; equal elements keep theirs and NaN comes last."""
    return np.argsort(x, axis=axis, kind="stable").astype(np.int32)


def searchsorted(sorted_sequence: np.ndarray, values: np.ndarray, side: str) -> np.ndarray:
    """The int32 place of each value in a sorted vector."""
    return np.asarray(np.searchsorted(sorted_sequence, values, side=side)).astype(np.int32)


KERNELS: dict[str, Callable[..., Any]] = {"argsort": argsort, "searchsorted": searchsorted}
