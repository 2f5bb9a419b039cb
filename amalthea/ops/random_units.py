"""The unit interval and the standard normal distribution, from random bits."""

from __future__ import annotations

import math
from typing import Any

from amalthea.core import dtypes
from amalthea.core.errors import DTypeError, fail
from amalthea.core.tensor import Tensor
from amalthea.ops.core_ops import cast
from amalthea.ops.elementary import cos, log, sin, sqrt
from amalthea.ops.random_bits import random_bits
from amalthea.ops.shaping import reshape, stack

_PRECISION = {"float16": 11, "bfloat16": 8, "float32": 24}  # how many random bits a value in [0, 1) holds exactly


def floating_dtype(dtype: Any, where: str) -> dtypes.DType:
    """The dtype (None: floatx), which must be floating; `where` names the draw in the error."""
    standard = dtypes.standardize(dtype)
    if standard not in (*_PRECISION, "float64"):
        fail(
            DTypeError,
            "random values of this kind are floating",
            where=where,
            received=f"dtype={str(standard)!r}",
            fix="use a floating dtype, or am.random.randint for whole numbers",
        )
    return standard


def unit_interval(key: Tensor, shape: tuple[int, ...], dtype: dtypes.DType, stream: Any = 0) -> Tensor:
    """Uniform in [0, 1), on the grid of the dtype's precision."""
    if dtype == "float64":
        bits = random_bits(key, (*shape, 2), stream)
        high, low = cast(bits[..., 0] >> 5, "float64"), cast(bits[..., 1] >> 6, "float64")
        return (high * 2.0**26 + low) * 2.0**-53
    kept = _PRECISION[dtype]
    return cast(cast(random_bits(key, shape, stream) >> (32 - kept), "float32") * 2.0**-kept, dtype)


def open_unit(key: Tensor, shape: tuple[int, ...], dtype: dtypes.DType, stream: Any = 0) -> Tensor:
    """Uniform in (0, 1], fine near 0, so that logarithms have good tails; float32, or float64 if asked for."""
    if dtype == "float64":
        return unit_interval(key, shape, dtype, stream) + 2.0**-54
    return (cast(random_bits(key, shape, stream), "float32") + 0.5) * 2.0**-32


def wide_dtype(dtype: dtypes.DType) -> dtypes.DType:
    """The dtype that values are computed in before they are cast: float32, or float64 for float64."""
    return dtypes.float64 if dtype == "float64" else dtypes.float32


def gaussian(key: Tensor, shape: tuple[int, ...], dtype: dtypes.DType, stream: Any = 0) -> Tensor:
    """Standard normals in pairs (Box and Muller 1958), in float32 or float64: up to 6.6 or 8.6 deviations."""
    n = math.prod(shape)
    pairs = (n + 1) // 2
    if dtype == "float64":
        both = unit_interval(key, (pairs, 2), dtype, stream)
        near, turn = both[:, 0] + 2.0**-54, both[:, 1]
    else:
        words = random_bits(key, (pairs, 2), stream)
        near = (cast(words[:, 0], "float32") + 0.5) * 2.0**-32
        turn = cast(words[:, 1] >> 8, "float32") * 2.0**-24
    radius, angle = sqrt(-2.0 * log(near)), turn * (2.0 * math.pi)
    values = reshape(stack([radius * cos(angle), radius * sin(angle)], axis=-1), (-1,))
    return reshape(values if n % 2 == 0 else values[:n], shape)
