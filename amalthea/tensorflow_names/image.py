"""`tf.image`: what there is of image operations, under TensorFlow's names. Images are (height, width, channels)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amalthea import ops
from amalthea.core import dtypes
from amalthea.core.public_face import public_face
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.ops import image as image_ops
from amalthea.tensorflow_names.adapting import refuse

__all__ = [
    "convert_image_dtype",
    "flip_left_right",
    "flip_up_down",
    "grayscale_to_rgb",
    "per_image_standardization",
    "resize",
    "rgb_to_grayscale",
    "rot90",
    "transpose",
]


def resize(
    images: Any,
    size: Any,
    method: str = "bilinear",
    preserve_aspect_ratio: bool = False,
    antialias: bool = False,
    name: str | None = None,
) -> Tensor:
    """Images in another size (height, width); float32 unless the method is "nearest".

    >>> import amalthea as tf
    >>> tf.image.resize(tf.ones((4, 4, 3)), (2, 2)).shape
    (2, 2, 3)
    """
    refuse("image.resize", preserve_aspect_ratio=preserve_aspect_ratio)
    images = as_tensor(images)
    if method != "nearest":
        images = ops.cast(images, "float32")
    height, width = (int(n) for n in size)
    return image_ops.resize(
        images, (height, width), interpolation=method, antialias=antialias, data_format="channels_last"
    )


def flip_left_right(image: Any) -> Tensor:
    """Images mirrored from left to right."""
    return ops.flip(image, -2)


def flip_up_down(image: Any) -> Tensor:
    """Images mirrored from top to bottom."""
    return ops.flip(image, -3)


def rot90(image: Any, k: int = 1, name: str | None = None) -> Tensor:
    """Images turned k times by 90 degrees against the clock."""
    return ops.rot90(image, k=k, axes=(-3, -2))


def transpose(image: Any, name: str | None = None) -> Tensor:
    """Images with rows and columns swapped."""
    return ops.swapaxes(image, -3, -2)


def rgb_to_grayscale(images: Any, name: str | None = None) -> Tensor:
    """The brightness of RGB images, with one channel: 0.2989 red + 0.587 green + 0.114 blue (ITU-R BT.601)."""
    images = as_tensor(images)
    gray = ops.tensordot(convert_image_dtype(images, "float32"), as_tensor([0.2989, 0.587, 0.114]), axes=[[-1], [-1]])
    return convert_image_dtype(ops.expand_dims(gray, -1), images.dtype)


def grayscale_to_rgb(images: Any, name: str | None = None) -> Tensor:
    """Images of one channel with that channel three times."""
    return ops.repeat(images, 3, axis=-1)


def per_image_standardization(image: Any) -> Tensor:
    """Each image less its mean, over its standard deviation (but at least 1 / sqrt(number of elements))."""
    image = ops.cast(image, "float32")
    count = image.shape[-1] * image.shape[-2] * image.shape[-3]
    mean, deviation = (of(image, axis=(-3, -2, -1), keepdims=True) for of in (ops.mean, ops.std))
    return (image - mean) / ops.maximum(deviation, count**-0.5)


def convert_image_dtype(image: Any, dtype: Any, saturate: bool = False, name: str | None = None) -> Tensor:
    """Images in another dtype, scaled: floating values are from 0 to 1, whole numbers fill their dtype's range.

    >>> import amalthea as tf
    >>> float(tf.image.convert_image_dtype(tf.constant(255, dtype=tf.uint8), tf.float32))
    1.0
    """
    image, dtype = as_tensor(image), dtypes.standardize(dtype)
    if image.dtype == dtype:
        return image
    convert = ops.saturate_cast if saturate else ops.cast
    if dtypes.is_floating(image.dtype):
        if dtypes.is_floating(dtype):
            return ops.cast(image, dtype)
        return convert(image * (_largest(dtype) + 0.5), dtype)
    if dtypes.is_floating(dtype):
        return ops.cast(image, dtype) * (1.0 / _largest(image.dtype))
    low, high = _largest(image.dtype), _largest(dtype)
    return (
        convert(image // ((low + 1) // (high + 1)), dtype)
        if low > high
        else (ops.cast(image, dtype) * ((high + 1) // (low + 1)))
    )


def _largest(dtype: Any) -> int:
    bits = dtypes.to_numpy(dtype).itemsize * 8
    return 2 ** (bits if str(dtype).startswith("u") else bits - 1) - 1


if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
