"""PyTorch kernels of the elementwise ops: mostly torch's own functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from amalthea.backends.torch.types import PLAIN, UNSIGNED, in_float32, signed, to_torch
from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, fail


def cast(x: Any, dtype: str) -> Any:
    """Convert to a dtype; into bool by being nonzero."""
    wanted = to_torch(dtypes.standardize(dtype))
    if wanted == torch.bool and x.dtype in UNSIGNED:
        return x.to(torch.int64) != 0
    if x.dtype.is_floating_point and not wanted.is_floating_point and wanted != torch.bool:
        return _whole(x.to(torch.float64), wanted)
    return x.to(wanted)


def _whole(x: Any, wanted: torch.dtype) -> Any:
    """Cut float64 to an integer dtype; numbers past the ends of its range become the ends, and NaN 0."""
    info = torch.iinfo(wanted)
    x = torch.nan_to_num(x, 0.0, float("inf"), float("-inf")).clamp(min=float(info.min))
    signed_end = 2.0**63  # int64 holds all of the other types; of uint64 the upper half is counted from there
    if wanted == torch.uint64:
        upper = x >= signed_end
        made = torch.where(upper, x - signed_end, x)
        made = torch.where(
            made >= signed_end, info.max >> 1, torch.where(made >= signed_end, 0.0, made).to(torch.int64)
        )
        return torch.where(upper, made ^ torch.iinfo(torch.int64).min, made).view(torch.uint64)
    past = x >= float(info.max)
    return torch.where(past, info.max, torch.where(past, 0.0, x).to(torch.int64)).to(wanted)


def view(x: Any, dtype: str) -> Any:
    """The same bits read as another dtype; where widths differ the last axis grows or shrinks."""
    wanted = to_torch(dtypes.standardize(dtype))
    return x.contiguous().view(wanted)


def _logical(integers: Callable[..., Any], bools: Callable[..., Any]) -> Callable[..., Any]:
    """Arithmetic that means logic between bools, as in NumPy."""

    def run(*xs: Any) -> Any:
        return bools(*xs) if xs[0].dtype == torch.bool else integers(*xs)

    return run


def _quick(function: Callable[..., Any], otherwise: Callable[..., Any]) -> Callable[..., Any]:
    """The first function for dtypes that it computes with as NumPy does, and the second for all others."""

    def run(*xs: Any) -> Any:
        return function(*xs) if xs[0].dtype in PLAIN else otherwise(*xs)

    return run


def floor_divide(x1: Any, x2: Any) -> Any:
    """The quotient rounded down; integers divided by zero give 0."""
    if x1.dtype.is_floating_point:
        return torch.floor_divide(x1, x2)
    safe = torch.where(x2 == 0, torch.ones_like(x2), x2)
    return torch.where(x2 == 0, torch.zeros_like(x1), torch.div(x1, safe, rounding_mode="floor"))


def mod(x1: Any, x2: Any) -> Any:
    """The remainder of floor_divide; integers divided by zero give 0."""
    if x1.dtype.is_floating_point:
        made = torch.remainder(x1, x2)
        return torch.where(torch.isinf(x2) & torch.isfinite(x1), torch.where((x1 < 0) == (x2 < 0), x1, x2), made).where(
            x1 != 0, torch.copysign(torch.remainder(x1, x2), x2)
        )
    safe = torch.where(x2 == 0, torch.ones_like(x2), x2)
    return torch.where(x2 == 0, torch.zeros_like(x1), torch.remainder(x1, safe))


def power(x1: Any, x2: Any) -> Any:
    """x1 to the power of x2; ArgumentError for integers to negative powers (not looked for on a GPU)."""
    looked_at = x2.device.type == "cpu" and not torch.compiler.is_compiling()
    if looked_at and not x1.dtype.is_floating_point and bool((x2 < 0).any()):
        fail(ArgumentError, "there are no negative integer powers of integers", where="power", fix="use floats")
    return torch.pow(x1, x2)


def _unsigned64(quotient: bool, function: Callable[..., Any]) -> Callable[..., Any]:
    """Division of unsigned 64-bit integers by signed arithmetic: halve, divide, double, and put right by one."""

    def run(x1: Any, x2: Any) -> Any:
        if x1.dtype != torch.uint64:
            return function(x1, x2)
        x, y = torch.broadcast_tensors(x1.view(torch.int64), x2.view(torch.int64))
        low = torch.iinfo(torch.int64).min
        safe = torch.where(y > 0, y, torch.ones_like(y))
        q = torch.div((x >> 1) & ~low, safe, rounding_mode="floor") << 1
        q = q + (((x - q * safe) ^ low) >= (safe ^ low)).to(torch.int64)
        q = torch.where(y < 0, ((x ^ low) >= (y ^ low)).to(torch.int64), q)
        q = torch.where(y == 0, torch.zeros_like(q), q)
        made = q if quotient else torch.where(y == 0, torch.zeros_like(q), x - q * y)
        return made.view(torch.uint64)

    return run


def _compared(function: Callable[..., Any]) -> Callable[..., Any]:
    """Comparisons of unsigned 64-bit integers: with the highest bit flipped they are in the order of signed ones."""

    def run(x1: Any, x2: Any) -> Any:
        if x1.dtype == torch.uint64:
            low = torch.iinfo(torch.int64).min
            return function(x1.view(torch.int64) ^ low, x2.view(torch.int64) ^ low)
        if x1.dtype in UNSIGNED:
            return function(x1.to(torch.int64), x2.to(torch.int64))
        return function(x1, x2)

    return run


def _picked(function: Callable[..., Any]) -> Callable[..., Any]:
    """maximum and minimum of unsigned integers."""

    def run(x1: Any, x2: Any) -> Any:
        if x1.dtype in UNSIGNED:
            low = torch.iinfo(torch.int64).min if x1.dtype == torch.uint64 else 0
            made = function(x1.to(torch.int64) ^ low, x2.to(torch.int64) ^ low) ^ low
            return made.to(x1.dtype)
        return function(x1, x2)

    return run


def where(condition: Any, x1: Any, x2: Any) -> Any:
    """x1 where the condition holds, else x2."""
    if x1.dtype in UNSIGNED:
        return torch.where(condition, x1.to(torch.int64), x2.to(torch.int64)).to(x1.dtype)
    return torch.where(condition, x1, x2)


def right_shift(x: Any, n: Any) -> Any:
    """Shift to the right; zeros come in on the left of unsigned numbers."""
    if x.dtype != torch.uint64:
        return signed(torch.bitwise_right_shift)(x, n)
    x, n = x.view(torch.int64), n.to(torch.int64)
    half = (x >> 1) & torch.iinfo(torch.int64).max
    return torch.where(n == 0, x, half >> (n - 1).clamp(min=0)).view(torch.uint64)


def magnitude(x: Any) -> Any:
    """The absolute value, which an unsigned integer is itself."""
    return x.clone() if x.dtype in UNSIGNED else torch.abs(x)


def sign(x: Any) -> Any:
    """-1, 0 or 1; NaN stays."""
    if x.dtype in UNSIGNED:
        return (x.to(torch.int64) != 0).to(x.dtype)
    made = torch.sign(x)
    return torch.where(torch.isnan(x), x, made) if x.dtype.is_floating_point else made


KERNELS: dict[str, Callable[..., Any]] = {
    "negative": _quick(torch.neg, signed(torch.neg)),
    "abs": _quick(torch.abs, _logical(magnitude, lambda x: x)),
    "sign": sign,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "sqrt": torch.sqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "erf": in_float32(torch.erf),
    "erfc": in_float32(torch.erfc),
    "erfinv": in_float32(torch.erfinv),
    "floor": lambda x: torch.floor(x) if x.dtype.is_floating_point else x,
    "round_half_even": lambda x: torch.round(x) if x.dtype.is_floating_point else x,
    "isfinite": lambda x: torch.isfinite(x) if x.dtype.is_floating_point else torch.ones_like(x, dtype=torch.bool),
    "bitwise_not": signed(torch.bitwise_not),
    "add": _quick(torch.add, _logical(signed(torch.add), torch.logical_or)),
    "subtract": _quick(torch.sub, signed(torch.sub)),
    "multiply": _quick(torch.mul, _logical(signed(torch.mul), torch.logical_and)),
    "divide": torch.true_divide,
    "floor_divide": _unsigned64(True, signed(floor_divide)),
    "mod": _unsigned64(False, signed(mod)),
    "power": signed(power),
    "maximum": _quick(torch.maximum, _logical(_picked(torch.maximum), torch.logical_or)),
    "minimum": _quick(torch.minimum, _logical(_picked(torch.minimum), torch.logical_and)),
    "arctan2": torch.atan2,
    "equal": _quick(torch.eq, _compared(torch.eq)),
    "less": _quick(torch.lt, _compared(torch.lt)),
    "less_equal": _quick(torch.le, _compared(torch.le)),
    "bitwise_and": signed(torch.bitwise_and),
    "bitwise_or": signed(torch.bitwise_or),
    "bitwise_xor": signed(torch.bitwise_xor),
    "left_shift": signed(torch.bitwise_left_shift),
    "right_shift": right_shift,
    "where": where,
    "cast": cast,
    "view": view,
    "stop_gradient": lambda variable: variable,
}
