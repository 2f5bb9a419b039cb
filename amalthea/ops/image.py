"""Resizing of images."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from amalthea.core import dtypes
from amalthea.core.config import standardize_data_format
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.op import composite, export
from amalthea.core.public_face import public_face
from amalthea.core.tensor import Tensor
from amalthea.ops.arranging import pad
from amalthea.ops.contractions import contract
from amalthea.ops.core_ops import cast, saturate_cast
from amalthea.ops.creation import arange
from amalthea.ops.elementary import sin
from amalthea.ops.elementwise import absolute, maximum, round
from amalthea.ops.indexing import take
from amalthea.ops.reductions import sum as reduce_sum
from amalthea.ops.samples import values
from amalthea.ops.selection import where
from amalthea.ops.shaping import reshape
from amalthea.ops.specs import show


def _triangle(x: Tensor) -> Tensor:
    return maximum(1.0 - x, 0)


def _cubic(x: Tensor) -> Tensor:
    """Keys' cubic with a = -1/2 (Keys 1981, doi:10.1109/TASSP.1981.1163711)."""
    near, far = ((1.5 * x - 2.5) * x) * x + 1.0, ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return where(x >= 2.0, 0.0, where(x >= 1.0, far, near))


def _lanczos(radius: float) -> Callable[[Tensor], Tensor]:
    def kernel(x: Tensor) -> Tensor:
        y = radius * sin(math.pi * x) * sin(math.pi * x / radius)
        inside = where(x > 1e-3, y / where(x > 1e-3, math.pi**2 * x * x, 1.0), 1.0)
        return where(x > radius, 0.0, inside)

    return kernel


_KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "bilinear": _triangle,
    "bicubic": _cubic,
    "lanczos3": _lanczos(3.0),
    "lanczos5": _lanczos(5.0),
}


def _weights(old: int, new: int, interpolation: str, antialias: bool, dtype: Any) -> Tensor:
    """How much each old place counts for each new one, `(old, new)`."""
    step = old / new
    place = (arange(new, dtype=dtype) + 0.5) * step - 0.5  # the centre of each new pixel in old pixels
    distance = absolute(reshape(place, (1, new)) - reshape(arange(old, dtype=dtype), (old, 1)))
    weights = _KERNELS[interpolation](distance / (max(step, 1.0) if antialias else 1.0))
    total = reduce_sum(weights, axis=0, keepdims=True)
    found = absolute(total) > 1000.0 * float(np.finfo(np.float32).eps)
    return where(found, weights / where(found, total, 1.0), 0.0)


@composite(
    samples=lambda: [
        ((values(1, 3, 2, 2), (6, 4)), {}),
        ((values(1, 3, 2, 2), (2, 5)), {"interpolation": "nearest"}),
        ((values(2, 4, 5), (3, 3)), {"interpolation": "bicubic", "antialias": True, "data_format": "channels_first"}),
        ((values(4, 6, 1), (3, 3)), {"crop_to_aspect_ratio": True}),
        ((values(4, 6, 1), (3, 3)), {"pad_to_aspect_ratio": True, "fill_value": 1.0}),
    ]
)
def resize(
    images: Tensor,
    size: tuple[int, int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Images in another size.

    Args:
        images: `(batch, height, width, channels)` or one image without the batch axis; channels before the height for
            "channels_first".
        size: (height, width) of the result.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        antialias: Whether to widen the filter when the image shrinks.
        crop_to_aspect_ratio: Whether to cut the middle out of the image, so that it is not distorted.
        pad_to_aspect_ratio: Whether to put a border around the image, so that it is not distorted.
        fill_mode: How the border is filled: "constant".
        fill_value: What the border is filled with.
        data_format: "channels_last" or "channels_first"; None: `am.config.image_data_format()`.

    Returns:
        A tensor of the dtype of `images` (integers are rounded).

    Raises:
        ShapeError: If `images` does not have three or four axes.
        ArgumentError: If an option is unknown, or cropping and padding are both asked for.

    Example:

    >>> import amalthea as am
    >>> am.ops.image.resize(am.ops.ones((2, 8, 8, 3)), (4, 6)).shape
    (2, 4, 6, 3)
    """
    if interpolation != "nearest" and interpolation not in _KERNELS:
        _unknown("interpolation", interpolation, "'nearest', 'bilinear', 'bicubic', 'lanczos3' or 'lanczos5'")
    if fill_mode != "constant":
        _unknown("fill_mode", fill_mode, "'constant'")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        _unknown("crop_to_aspect_ratio", "True, pad_to_aspect_ratio=True", "one of the two")
    if len(tuple(size)) != 2:
        _unknown("size", size, "(height, width)")
    if len(images.shape) not in (3, 4):
        fail(
            ShapeError,
            "images need three axes, or four with a batch",
            received=f"images {show(images.shape)}",
            fix="give images of shape (batch, height, width, channels)",
        )
    rows = len(images.shape) - 2 - (standardize_data_format(data_format) == "channels_last")
    height, width = (int(s) for s in size)
    x = images
    if crop_to_aspect_ratio:
        x = _cropped(x, rows, height, width)
    elif pad_to_aspect_ratio:
        x = _bordered(x, rows, height, width, fill_value)
    if interpolation == "nearest":
        for axis, new in ((rows, height), (rows + 1, width)):
            old = x.shape[axis]
            if old != new:
                places = ((2 * np.arange(new) + 1) * old) // (2 * new)
                x = take(x, places.astype(np.int32), axis=axis)
        return x
    dtype = x.dtype
    x = cast(x, dtypes.result_type(dtype, "float32"))
    for axis, new in ((rows, height), (rows + 1, width)):
        old = x.shape[axis]
        if old != new:
            letters = "abcd"[: len(x.shape)]
            out = letters.replace(letters[axis], "z")
            weights = _weights(old, new, interpolation, antialias, x.dtype)
            x = contract(x, weights, subscripts=f"{letters},{letters[axis]}z->{out}")
    return cast(x, dtype) if dtypes.is_floating(dtype) else saturate_cast(round(x), dtype)


def _unknown(name: str, value: Any, allowed: str) -> None:
    fail(ArgumentError, f"`{name}` is not one that can be used", received=f"{name}={value}", fix=f"use {allowed}")


def _cropped(x: Tensor, rows: int, height: int, width: int) -> Tensor:
    """The largest part from the middle that has the proportions height : width."""
    old_height, old_width = x.shape[rows], x.shape[rows + 1]
    new_height = max(min(old_height, int(old_width * height / width)), 1)
    new_width = max(min(old_width, int(old_height * width / height)), 1)
    top, left = (old_height - new_height) // 2, (old_width - new_width) // 2
    return x[(slice(None),) * rows + (slice(top, top + new_height), slice(left, left + new_width))]


def _bordered(x: Tensor, rows: int, height: int, width: int, value: float) -> Tensor:
    """The image with a border that gives it the proportions height : width."""
    old_height, old_width = x.shape[rows], x.shape[rows + 1]
    above = (max(old_height, int(old_width * height / width)) - old_height) // 2
    beside = (max(old_width, int(old_height * width / height)) - old_width) // 2
    widths = [(0, 0)] * len(x.shape)
    widths[rows], widths[rows + 1] = (above, above), (beside, beside)
    return pad(x, tuple(widths), mode="constant", constant_values=value)


export(__name__)

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
