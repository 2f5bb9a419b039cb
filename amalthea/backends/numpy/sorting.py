"""NumPy kernels of sorting and searching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _ordered(x: np.ndarray) -> np.ndarray:
    """x in a dtype in which NumPy knows that NaN comes last; it does not for bfloat16."""
    return x.astype(np.float32) if x.dtype.kind == "V" else x


def argsort(x: np.ndarray, axis: int) -> np.ndarray:
    """The int32 order that sorts along an axis; equal elements keep theirs and NaN comes last."""
    return np.argsort(_ordered(x), axis=axis, kind="stable").astype(np.int32)


def searchsorted(sorted_sequence: np.ndarray, values: np.ndarray, side: str) -> np.ndarray:
    """The int32 place of each value in a sorted vector."""
    return np.asarray(np.searchsorted(_ordered(sorted_sequence), _ordered(values), side=side)).astype(np.int32)


KERNELS: dict[str, Callable[..., Any]] = {"argsort": argsort, "searchsorted": searchsorted}
