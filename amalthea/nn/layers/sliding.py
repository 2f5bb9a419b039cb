"""Sizes of layers that slide a window over space or time: arguments, output sizes, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.spec import UnknownDim

Shape = tuple[int | None, ...]


def known(shape: Sequence[int | None]) -> Shape:
    """The shape with None for sizes that are not known (also for numbers that only stand in for such)."""
    return tuple(None if type(size) is UnknownDim else size for size in shape)


def padding_mode(value: Any, where: str, modes: tuple[str, ...] = ("valid", "same")) -> str:
    """`value` in lower case, if it is one of `modes`; else an ArgumentError that lists them."""
    mode = value.lower() if isinstance(value, str) else value
    if mode not in modes:
        fail(
            ArgumentError,
            f"`padding` must be one of {', '.join(map(repr, modes))}",
            where=where,
            received=f"padding={value!r}",
            fix=f"pass padding={modes[0]!r}",
        )
    return mode


def split_shape(shape: Sequence[int | None], form: str) -> tuple[Shape, int | None]:
    """The spatial sizes and the number of channels of an input shape."""
    shape = known(shape)
    return (shape[1:-1], shape[-1]) if form == "channels_last" else (shape[2:], shape[1])


def join_shape(batch: int | None, spatial: Shape, channels: int | None, form: str) -> Shape:
    """The shape with this batch size, spatial sizes and number of channels."""
    return (batch, *spatial, channels) if form == "channels_last" else (batch, channels, *spatial)


def check_rank(shape: Sequence[int | None], rank: int, form: str, where: str) -> None:
    """Refuse an input that has not batch, `rank` spatial axes and channels."""
    if len(shape) == rank + 2:
        return
    axes = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}[rank]
    wanted = ("batch", *axes, "channels") if form == "channels_last" else ("batch", "channels", *axes)
    if len(shape) == rank + 1:
        axis = -1 if form == "channels_last" else 1
        fix = f"add the missing axis, for example the channels with `x = ops.expand_dims(x, {axis})`"
    elif len(shape) > rank + 2:
        fix = "use the layer of the right rank (1D, 2D, 3D), or wrap it in `TimeDistributed` for a batch of sequences"
    else:
        fix = f"reshape the input to ({', '.join(wanted)})"
    fail(
        ShapeError,
        f"the input must have {rank + 2} axes ({', '.join(wanted)}), but it has {len(shape)}",
        where=where,
        received=f"input {known(shape)}",
        fix=fix,
    )


def slid_sizes(
    spatial: Shape,
    size: tuple[int, ...],
    strides: tuple[int, ...],
    padding: str,
    dilation: tuple[int, ...],
    where: str,
    what: str,
) -> Shape:
    """How many places a window of `size` finds on each axis (None where the size of the input is not known).

    Raises a ShapeError where a window without padding is larger than the input; `what` names the window's argument.
    """
    out: list[int | None] = []
    for n, k, s, d in zip(spatial, size, strides, dilation, strict=True):
        reach = d * (k - 1) + 1
        if n is None:
            out.append(None)
        elif padding == "valid":
            if n < reach:
                dilated = f" (dilated to {reach})" if d > 1 else ""
                fail(
                    ShapeError,
                    f"the window of {k}{dilated} is larger than the input, whose size on that axis is {n}, "
                    "so no output is left",
                    where=where,
                    received=f"spatial sizes {spatial}, {what}={size}, padding='valid'",
                    fix=f"use padding='same', a smaller {what}, or a larger input (fewer pooling layers before this)",
                )
            out.append((n - reach) // s + 1)
        else:
            out.append(-(-n // s))
    return tuple(out)


def transposed_sizes(
    spatial: Shape,
    size: tuple[int, ...],
    strides: tuple[int, ...],
    padding: str,
    output_padding: tuple[int, ...] | None,
    dilation: tuple[int, ...],
) -> Shape:
    """The sizes that a transposed convolution gives (None where the size of the input is not known)."""
    out: list[int | None] = []
    for axis, (n, k, s, d) in enumerate(zip(spatial, size, strides, dilation, strict=True)):
        reach = d * (k - 1) + 1
        extra = None if output_padding is None else output_padding[axis]
        if n is None:
            out.append(None)
        elif padding == "valid":
            out.append((n - 1) * s + reach + (max(s - reach, 0) if extra is None else extra))
        else:
            out.append(n * s if extra is None else (n - 1) * s + reach % 2 + extra)
    return tuple(out)
