"""Dtypes of PyTorch, and unsigned integers, which it stores but hardly computes with."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import torch

from amalthea.core.dtypes import DType


class _Here(threading.local):
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


here = _Here()
"""Its `device` is where this thread makes tensors."""

fixed: set[int] = set()
"""Addresses of memory that a program keeps for variables it updates in place (`compiled/capture.py`)."""

UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)
PLAIN = frozenset(
    {torch.float16, torch.bfloat16, torch.float32, torch.float64}
    | {torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8}
)
"""Dtypes with which torch's arithmetic computes as NumPy's does."""
HALF = (torch.float16, torch.bfloat16)


def to_torch(dtype: DType) -> torch.dtype:
    """The torch dtype of that name."""
    found: torch.dtype = getattr(torch, str(dtype))
    return found


def signed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute unsigned integers of 16 to 64 bits as int64 and cut the result to their width.

    That gives the right bits for sums, products, shifts to the left and bitwise functions of all of them, and for
    everything that fits in 63 bits.
    """

    @functools.wraps(function)
    def run(*xs: Any, **attrs: Any) -> Any:
        kinds = [x.dtype for x in xs]
        if not any(kind in UNSIGNED for kind in kinds):
            return function(*xs, **attrs)
        made = function(*[x.to(torch.int64) if x.dtype in UNSIGNED else x for x in xs], **attrs)
        wanted = next(kind for kind in kinds if kind in UNSIGNED)
        return made.to(wanted) if made.dtype == torch.int64 else made

    return run


def ordered(x: Any) -> Any:
    """Unsigned integers as int64 in the same order; the inverse is `from_ordered`. Other numbers as they are."""
    if x.dtype == torch.uint64:
        return x.view(torch.int64) ^ _TOP
    return x.to(torch.int64) if x.dtype in UNSIGNED else x


def from_ordered(x: Any, dtype: torch.dtype) -> Any:
    """The numbers of the dtype that `ordered` turned into these."""
    return (x ^ _TOP).view(torch.uint64) if dtype == torch.uint64 else x.to(dtype)


_TOP = -(1 << 63)
"""The bit by which the orders of int64 and uint64 differ."""


def in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute half precision in float32 and round once."""

    @functools.wraps(function)
    def run(x: Any, *rest: Any, **attrs: Any) -> Any:
        if x.dtype not in HALF:
            return function(x, *rest, **attrs)
        return function(x.float(), *[r.float() if isinstance(r, torch.Tensor) else r for r in rest], **attrs).to(
            x.dtype
        )

    return run


def _count(tensor: torch.Tensor) -> int:
    return torch._C._storage_Use_Count(tensor.untyped_storage()._cdata)  # type: ignore[attr-defined,no-any-return]


_example = torch.zeros(1)
_ALONE = _count(_example)


def holders(tensor: torch.Tensor) -> int:
    """How many tensors hold this one's memory."""
    return 1 + _count(tensor) - _ALONE
