"""The geometry of windows that slide along axes: what convolution and pooling share."""

from __future__ import annotations

from collections.abc import Sequence

from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Tensor
from amalthea.ops.shaping import transpose

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def convolved_size(size: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int) -> int:
    """How many places a kernel has along an axis."""
    return (size + padding[0] + padding[1] - (kernel - 1) * dilation - 1) // stride + 1


def per_axis(value: int | Sequence[int], n: int, name: str) -> Ints:
    """An int for every axis, or a sequence of n ints, as a tuple of n positive ints."""
    values = (value,) * n if isinstance(value, int) else tuple(int(v) for v in value)
    if len(values) != n or any(v < 1 for v in values):
        fail(
            ArgumentError,
            f"`{name}` must be a positive int or {n} of them",
            received=f"{name}={value!r}",
            fix=f"give one number for each of the {n} axes between batch and channels",
        )
    return values


def padding_pairs(padding: str, sizes: Sequence[int], kernel: Ints, strides: Ints, dilation: Ints) -> Pairs:
    """What is added (before, after) each axis: "valid" nothing, "same" so as to have ceil(size / stride) places."""
    mode = str(padding).lower()
    if mode not in ("valid", "same"):
        fail(ArgumentError, "no such padding", received=f"padding={padding!r}", fix="use 'valid' or 'same'")
    if mode == "valid":
        return ((0, 0),) * len(kernel)
    pairs = []
    for size, k, stride, step in zip(sizes, kernel, strides, dilation, strict=True):
        total = (k - 1) * step - (size - 1) % stride  # (places - 1) * stride + reach - size, places rounded up
        pairs.append((max(total, 0) // 2, max(total, 0) - max(total, 0) // 2))
    return tuple(pairs)


def channels_to_last(x: Tensor) -> Tensor:
    """(batch, channels, ...) as (batch, ..., channels)."""
    return transpose(x, (0, *range(2, len(x.shape)), 1))


def channels_to_first(x: Tensor) -> Tensor:
    """(batch, ..., channels) as (batch, channels, ...)."""
    n = len(x.shape)
    return transpose(x, (0, n - 1, *range(1, n - 1)))


def transposed_geometry(
    size: int, kernel: int, stride: int, dilation: int, padding: str, output_padding: int | None
) -> tuple[int, tuple[int, int]]:
    """Size of a transposed convolution's output along an axis, and the padding of the convolution it is adjoint to.

    The full spread is `(size - 1) * stride + reach` long. "valid" keeps it all, and goes on to the end of the last
    stride; "same" cuts it to `size * stride`, more before than after. `output_padding` replaces both rules: Keras
    counts it from the full spread for "valid", and for "same" from the spread of a kernel of size 1 or 2.
    """
    reach = (kernel - 1) * dilation + 1
    full = (size - 1) * stride + reach
    if padding == "valid":
        extra = max(stride - reach, 0) if output_padding is None else output_padding
        return full + extra, (0, -extra)
    total = reach + stride - 2 if output_padding is None else reach + reach % 2 - 2 + output_padding
    before = min(total - total // 2, reach - 1)  # how much of the kernel hangs over at the start
    crop = (reach - 1 - before, reach - 1 - (total - before))
    return full - crop[0] - crop[1], crop
