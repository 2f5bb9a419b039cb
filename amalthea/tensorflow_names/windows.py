"""Convolutions and pooling, under TensorFlow's names (all in `tf.nn`)."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.tensor import Tensor, as_tensor

_FORMATS: dict[str | None, str] = {
    **dict.fromkeys((None, "NWC", "NHWC", "NDHWC"), "channels_last"),
    **dict.fromkeys(("NCW", "NCHW", "NCDHW"), "channels_first"),
}


def conv1d(
    input: Any,
    filters: Any,
    stride: Any,
    padding: Any,
    data_format: str = "NWC",
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """A convolution over 1 axis; the filters are (*size, channels in, channels out)."""
    return _convolve("conv1d", 1, ops.conv, input, filters, stride, padding, data_format, dilations)


def conv1d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    strides: Any,
    padding: str = "SAME",
    data_format: str = "NWC",
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """The gradient of `conv1d` by its input; the filters are (*size, channels out, channels in)."""
    return _transposed("conv1d_transpose", 1, input, filters, output_shape, strides, padding, data_format, dilations)


def conv2d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """A convolution over 2 axes; the filters are (*size, channels in, channels out).

    Args:
        input: (batch, height, width, channels).
        filters: (height, width, channels in, channels out).
        strides: a number, one for each axis, or four.
        padding: "SAME", "VALID", or pairs (before, after) for all axes of the input.
        data_format: "NHWC" or "NCHW".
        dilations: as strides; 1 by default.

    >>> import amalthea as tf
    >>> tf.nn.conv2d(tf.ones((1, 8, 8, 3)), tf.ones((3, 3, 3, 4)), strides=2, padding="SAME").shape
    (1, 4, 4, 4)
    """
    return _convolve("conv2d", 2, ops.conv, input, filters, strides, padding, data_format, dilations)


def conv2d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    strides: Any,
    padding: str = "SAME",
    data_format: str = "NHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """The gradient of `conv2d` by its input; the filters are (*size, channels out, channels in)."""
    return _transposed("conv2d_transpose", 2, input, filters, output_shape, strides, padding, data_format, dilations)


def conv3d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NDHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """A convolution over 3 axes; the filters are (*size, channels in, channels out)."""
    return _convolve("conv3d", 3, ops.conv, input, filters, strides, padding, data_format, dilations)


def conv3d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    strides: Any,
    padding: str = "SAME",
    data_format: str = "NDHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """The gradient of `conv3d` by its input; the filters are (*size, channels out, channels in)."""
    return _transposed("conv3d_transpose", 3, input, filters, output_shape, strides, padding, data_format, dilations)


def convolution(
    input: Any,
    filters: Any,
    strides: Any = None,
    padding: Any = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """A convolution over as many axes as the filters have."""
    n = len(as_tensor(filters).shape) - 2
    strides = 1 if strides is None else strides
    return _convolve("convolution", n, ops.conv, input, filters, strides, padding, data_format, dilations)


def depthwise_conv2d(
    input: Any,
    filter: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """A convolution of each channel by itself; the filter is (height, width, channels, filters of each)."""
    where = "depthwise_conv2d"
    return _convolve(where, 2, ops.depthwise_conv, input, filter, strides, padding, data_format, dilations)


def separable_conv2d(
    input: Any,
    depthwise_filter: Any,
    pointwise_filter: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """`depthwise_conv2d`, and then a convolution with a filter of size 1."""
    inner = depthwise_conv2d(input, depthwise_filter, strides, padding, data_format, dilations)
    return _convolve("separable_conv2d", 2, ops.conv, inner, pointwise_filter, 1, "VALID", data_format, None)


def max_pool1d(
    input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NWC", name: str | None = None
) -> Tensor:
    """The largest element of each window over 1 axis."""
    return _pooled("max_pool1d", 1, ops.max_pool, input, ksize, strides, padding, data_format)


def max_pool2d(
    input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NHWC", name: str | None = None
) -> Tensor:
    """The largest element of each window over 2 axes."""
    return _pooled("max_pool2d", 2, ops.max_pool, input, ksize, strides, padding, data_format)


def max_pool3d(
    input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NDHWC", name: str | None = None
) -> Tensor:
    """The largest element of each window over 3 axes."""
    return _pooled("max_pool3d", 3, ops.max_pool, input, ksize, strides, padding, data_format)


def avg_pool1d(
    input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NWC", name: str | None = None
) -> Tensor:
    """The mean of each window over 1 axis."""
    return _pooled("avg_pool1d", 1, ops.average_pool, input, ksize, strides, padding, data_format)


def avg_pool2d(
    input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NHWC", name: str | None = None
) -> Tensor:
    """The mean of each window over 2 axes."""
    return _pooled("avg_pool2d", 2, ops.average_pool, input, ksize, strides, padding, data_format)


def avg_pool3d(
    input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NDHWC", name: str | None = None
) -> Tensor:
    """The mean of each window over 3 axes."""
    return _pooled("avg_pool3d", 3, ops.average_pool, input, ksize, strides, padding, data_format)


def max_pool(
    input: Any, ksize: Any, strides: Any, padding: str, data_format: str | None = None, name: str | None = None
) -> Tensor:
    """The largest element of each window, over as many axes as there are between batch and channels.

    >>> import amalthea as tf
    >>> tf.nn.max_pool(tf.ones((1, 4, 4, 3)), ksize=2, strides=2, padding="VALID").shape
    (1, 2, 2, 3)
    """
    n = len(as_tensor(input).shape) - 2
    return _pooled("max_pool", n, ops.max_pool, input, ksize, strides, padding, data_format)


def avg_pool(
    input: Any, ksize: Any, strides: Any, padding: str, data_format: str | None = None, name: str | None = None
) -> Tensor:
    """The mean of each window, over as many axes as there are between batch and channels."""
    n = len(as_tensor(input).shape) - 2
    return _pooled("avg_pool", n, ops.average_pool, input, ksize, strides, padding, data_format)


def _convolve(
    where: str, n: int, op: Any, input: Any, filters: Any, strides: Any, padding: Any, data_format: Any, dilations: Any
) -> Tensor:
    form = _format(where, data_format)
    steps, spread = _sizes(where, "strides", strides, n, form), _sizes(where, "dilations", dilations, n, form)
    if not isinstance(padding, str):
        input = ops.pad(input, tuple((int(before), int(after)) for before, after in padding))
        padding = "VALID"
    rates = {} if spread == (1,) * n else {"dilation_rate": spread}
    return op(input, filters, strides=steps, padding=_padding(where, padding), data_format=form, **rates)


def _transposed(
    where: str,
    n: int,
    input: Any,
    filters: Any,
    output_shape: Any,
    strides: Any,
    padding: str,
    data_format: Any,
    dilations: Any,
) -> Tensor:
    form = _format(where, data_format)
    steps, spread = _sizes(where, "strides", strides, n, form), _sizes(where, "dilations", dilations, n, form)
    rates = {} if spread == (1,) * n else {"dilation_rate": spread}
    result = ops.conv_transpose(
        input, filters, strides=steps, padding=_padding(where, padding), data_format=form, **rates
    )
    wanted = output_shape.numpy().tolist() if isinstance(output_shape, Tensor) else output_shape
    wanted = tuple(int(size) for size in wanted)
    if wanted not in (result.shape, result.shape[1:-1] if form == "channels_last" else result.shape[2:]):
        fail(
            ShapeError,
            "this output_shape is not supported",
            where=f"nn.{where}",
            received=f"output_shape={list(wanted)}, input {as_tensor(input).shape}, strides={strides!r}",
            fix=f"use {list(result.shape)}, and crop or pad the result",
        )
    return result


def _pooled(
    where: str, n: int, op: Any, input: Any, ksize: Any, strides: Any, padding: str, data_format: Any
) -> Tensor:
    form = _format(where, data_format)
    window, steps = _sizes(where, "ksize", ksize, n, form), _sizes(where, "strides", strides, n, form)
    return op(input, window, strides=steps, padding=_padding(where, padding), data_format=form)


def _format(where: str, data_format: Any) -> str:
    if data_format not in _FORMATS:
        fail(
            ArgumentError,
            "unknown data_format",
            where=f"nn.{where}",
            received=repr(data_format),
            fix='use for example "NHWC" (channels last) or "NCHW" (channels first)',
        )
    return _FORMATS[data_format]


def _padding(where: str, padding: Any) -> str:
    if str(padding).upper() not in ("SAME", "VALID"):
        fail(ArgumentError, 'padding is "SAME" or "VALID"', where=f"nn.{where}", received=repr(padding))
    return padding.lower()


def _sizes(where: str, argument: str, sizes: Any, n: int, form: str) -> tuple[int, ...]:
    """One size for each axis with windows, of a number, one or n sizes, or n + 2 with those of batch and channels."""
    given = [1] if sizes is None else list(sizes) if isinstance(sizes, list | tuple) else [sizes]
    if len(given) == n + 2:
        axes = given[1:-1] if form == "channels_last" else given[2:]
        if sorted(given) != sorted([1, 1, *axes]):
            fail(
                ArgumentError,
                f"{argument} must be 1 for the batch and the channels",
                where=f"nn.{where}",
                received=f"{argument}={sizes!r}",
            )
        given = axes
    given = given * n if len(given) == 1 else given
    if len(given) != n:
        fail(
            ArgumentError,
            f"{argument} must be one number, {n} or {n + 2}",
            where=f"nn.{where}",
            received=f"{argument}={sizes!r}",
        )
    return tuple(int(size) for size in given)
