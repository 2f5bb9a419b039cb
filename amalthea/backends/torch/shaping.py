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
    for axis, (size, a, b, s) in enumerate(zip(x.shape, start, stop, strides, strict=True)):
        if s == 1 and 0 <= a <= b <= size:
            if b - a < size:
                x = torch.narrow(x, axis, a, b - a)
        else:
            x = _stepped(x, axis, range(*slice(a, b, s).indices(size)))
    return x


def _stepped(x: Any, axis: int, places: range) -> Any:
    """The slices of x at these places along an axis."""
    forwards = places if places.step > 0 else places[::-1]
    cut = slice(forwards.start, forwards.stop, forwards.step) if len(forwards) else slice(0, 0)
    made = x[(slice(None),) * axis + (cut,)]
    return torch.flip(made, [axis]) if places.step < 0 else made


def _with(function: Callable[..., Any], attribute: str) -> Callable[..., Any]:
    """The kernel that calls a function of torch's with one attribute, by place: names cost a quarter more."""

    def kernel(x: Any, **attrs: Any) -> Any:
        return function(x, attrs[attribute])

    def bind(attrs: dict[str, Any]) -> Callable[..., Any]:
        value = attrs[attribute]
        return lambda x: function(x, value)

    kernel.bind = bind  # type: ignore[attr-defined]
    return kernel


KERNELS: dict[str, Callable[..., Any]] = {
    "reshape": _with(torch.reshape, "newshape"),
    "transpose": _with(torch.permute, "axes"),
    "broadcast_to": _with(torch.broadcast_to, "shape"),
    "concatenate": lambda *xs, axis: torch.cat(xs, dim=axis),
    "constant_pad": constant_pad,
    "flip": signed(lambda x, axis: torch.flip(x, axis)),
    "strided_slice": strided_slice,
    "iota": lambda size, dtype: torch.arange(size, device=types.here.device).to(to_torch(dtypes.standardize(dtype))),
}
