"""PyTorch kernels of the ops that move elements without computing. Where torch can, they return views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from amalthea.backends.torch import types
from amalthea.backends.torch.types import signed, to_torch
from amalthea.core import dtypes

Ints = tuple[int, ...]


def constant_pad(x: Any, low: Ints, high: Ints, interior: Ints, value: float) -> Any:
    """`low` and `high` elements before and after each axis, and `interior` ones between any two elements."""
    places, shape = [], []
    for size, before, after, between in zip(x.shape, low, high, interior, strict=True):
        spread = size + (size - 1) * between if size else 0
        places.append(slice(before, before + spread, between + 1))
        shape.append(before + spread + after)
    out = torch.full(shape, value, dtype=x.dtype, device=x.device)
    out[tuple(places)] = x
    return out


def strided_slice(x: Any, start: Ints, stop: Ints, strides: Ints) -> Any:
    """x[start:stop:strides] on every axis; torch has no negative strides, so those axes are flipped."""
    backwards = [i for i, s in enumerate(strides) if s < 0]
    places = []
    for size, a, b, s in zip(x.shape, start, stop, strides, strict=True):
        found = range(*slice(a, b, s).indices(size))
        if s < 0:
            found = found[::-1]
        places.append(slice(found.start, found.stop, abs(s)) if len(found) else slice(0, 0))
    made = x[tuple(places)]
    return torch.flip(made, backwards) if backwards else made


KERNELS: dict[str, Callable[..., Any]] = {
    "reshape": lambda x, newshape: torch.reshape(x, newshape),
    "transpose": lambda x, axes: torch.permute(x, axes),
    "broadcast_to": lambda x, shape: torch.broadcast_to(x, shape),
    "concatenate": lambda *xs, axis: torch.cat(xs, dim=axis),
    "constant_pad": constant_pad,
    "flip": signed(lambda x, axis: torch.flip(x, axis)),
    "strided_slice": strided_slice,
    "iota": lambda size, dtype: torch.arange(size, device=types.device).to(to_torch(dtypes.standardize(dtype))),
}
