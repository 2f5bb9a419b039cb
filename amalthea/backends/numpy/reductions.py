"""NumPy kernels of the reductions and cumulative ops.

bfloat16 and float16 are accumulated in float32: summing a thousand ones in bfloat16 itself would stop at 256.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Axis = tuple[int, ...]


def _accumulator(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.float32) if dtype.itemsize == 2 and dtype.kind not in "iu" else dtype


def sum(x: np.ndarray, axis: Axis, keepdims: bool) -> np.ndarray:
    """The sum over the axes, in x's own dtype."""
    total = np.add.reduce(x, axis=axis, keepdims=keepdims, dtype=_accumulator(x.dtype))
    return total if total.dtype == x.dtype else total.astype(x.dtype)


def prod(x: np.ndarray, axis: Axis, keepdims: bool) -> np.ndarray:
    """The product over the axes, in x's own dtype."""
    total = np.multiply.reduce(x, axis=axis, keepdims=keepdims, dtype=_accumulator(x.dtype))
    return total if total.dtype == x.dtype else total.astype(x.dtype)


def max(x: np.ndarray, axis: Axis, keepdims: bool, initial: float | None) -> np.ndarray:
    """The greatest element over the axes, and of `initial` where given; NaN if there is one."""
    if initial is None:
        return np.maximum.reduce(x, axis=axis, keepdims=keepdims)
    return np.maximum.reduce(x, axis=axis, keepdims=keepdims, initial=x.dtype.type(initial))


def min(x: np.ndarray, axis: Axis, keepdims: bool, initial: float | None) -> np.ndarray:
    """The least element over the axes, and of `initial` where given; NaN if there is one."""
    if initial is None:
        return np.minimum.reduce(x, axis=axis, keepdims=keepdims)
    return np.minimum.reduce(x, axis=axis, keepdims=keepdims, initial=x.dtype.type(initial))


def argmax(x: np.ndarray, axis: int | None, keepdims: bool) -> np.ndarray:
    """The int32 index of the first greatest element."""
    return np.asarray(np.argmax(x, axis=axis, keepdims=keepdims)).astype(np.int32)


def argmin(x: np.ndarray, axis: int | None, keepdims: bool) -> np.ndarray:
    """The int32 index of the first least element."""
    return np.asarray(np.argmin(x, axis=axis, keepdims=keepdims)).astype(np.int32)


def cumulative_sum(x: np.ndarray, axis: int) -> np.ndarray:
    """Running sums along an axis, in x's own dtype."""
    total = np.add.accumulate(x, axis=axis, dtype=_accumulator(x.dtype))
    return total if total.dtype == x.dtype else total.astype(x.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    "sum": sum,
    "prod": prod,
    "max": max,
    "min": min,
    "argmax": argmax,
    "argmin": argmin,
    "cumulative_sum": cumulative_sum,
}
