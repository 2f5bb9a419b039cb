"""Convolutions: three primitives, each the gradient of the other two, and Keras' convolutions written in them.

The primitives have channels last and explicit padding. With x the input, k the kernel and y the output, all three are
the one trilinear form sum(y * convolution(x, k)) with one of x, k, y left open; so they are closed under gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from amalthea.core.config import standardize_data_format
from amalthea.core.errors import ShapeError, fail
from amalthea.core.op import composite, export, primitive
from amalthea.core.spec import UnknownDim
from amalthea.core.tensor import Tensor
from amalthea.ops.shaping import reshape
from amalthea.ops.specs import show, tensor_of
from amalthea.ops.windows import (
    Ints,
    Pairs,
    channels_to_first,
    channels_to_last,
    convolved_size,
    padding_pairs,
    per_axis,
    transposed_geometry,
)


def _geometry_samples(
    shape: Ints, kernel: Ints, **attrs: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    r = np.random.default_rng(3)
    n = len(shape) - 2
    plain: dict[str, Any] = {"strides": (1,) * n, "padding": ((0, 0),) * n, "dilation": (1,) * n, "groups": 1}
    attrs = plain | attrs
    out = [
        convolved_size(*sizes)
        for sizes in zip(shape[1:-1], kernel[:-2], attrs["strides"], attrs["padding"], attrs["dilation"], strict=True)
    ]
    return r.normal(size=shape), r.normal(size=kernel), r.normal(size=(shape[0], *out, kernel[-1])), attrs


def _samples(
    pick: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[Any, ...]], extra: str = ""
) -> Callable[[], Any]:
    def samples() -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        made = [
            _geometry_samples((2, 5, 2), (3, 2, 2)),
            _geometry_samples((1, 5, 4, 2), (2, 3, 2, 2), strides=(2, 1), padding=((1, 0), (1, 1))),
            _geometry_samples((1, 5, 4, 2), (2, 2, 1, 4), dilation=(2, 1), groups=2),
            _geometry_samples((1, 4, 4, 4), (2, 2, 2, 2), groups=2, padding=((0, -1), (2, 0))),
            _geometry_samples((1, 3, 3, 2, 1), (2, 2, 1, 1, 2), strides=(1, 2, 1)),
        ]
        sizes = {"input_size": lambda x, k: x.shape[1:-1], "kernel_size": lambda x, k: k.shape[:-2]}
        return [(pick(x, k, y), attrs | ({extra: sizes[extra](x, k)} if extra else {})) for x, k, y, attrs in made]

    return samples


@primitive(
    promote="common",
    gradient=(
        lambda g, out, x, kernel, **attrs: conv_input_gradient(g, kernel, input_size=tuple(x.shape[1:-1]), **attrs),
        lambda g, out, x, kernel, **attrs: conv_kernel_gradient(x, g, kernel_size=tuple(kernel.shape[:-2]), **attrs),
    ),
    samples=_samples(lambda x, k, y: (x, k)),
)
def convolution(x: Tensor, kernel: Tensor, strides: Ints, padding: Pairs, dilation: Ints, groups: int) -> Tensor:
    """The convolution (cross-correlation) that backends compute; `ops.conv` is the one to call.

    Args:
        x: The input, `(batch, *sizes, groups * channels)`.
        kernel: `(*kernel_sizes, channels, filters)`; the filters are `groups` equal parts, one for each part of the
            input's channels.
        strides: The step of the kernel along each axis.
        padding: Zeros put (before, after) each axis; negative numbers crop.
        dilation: The distance of the kernel's elements along each axis.
        groups: The number of groups.

    Returns:
        A tensor of shape `(batch, *places, filters)`.

    Example:

    >>> import amalthea as am
    >>> x, kernel = am.ops.ones((1, 5, 1)), am.ops.ones((3, 1, 1))
    >>> am.ops.convolution(x, kernel, strides=(2,), padding=((0, 0),), dilation=(1,), groups=1).numpy().ravel().tolist()
    [3.0, 3.0]
    """
    if len(x.shape) != len(kernel.shape) or len(x.shape) < 3:
        _fail("the input and the kernel must have the same rank, of at least 3", x, kernel)
    channels, part = x.shape[-1], kernel.shape[-2]
    if channels != part * groups and not isinstance(channels, UnknownDim):
        _fail(f"the input has {channels} channels and the kernel expects {part * groups}", x, kernel)
    sizes = [
        convolved_size(*each) for each in zip(x.shape[1:-1], kernel.shape[:-2], strides, padding, dilation, strict=True)
    ]
    if any(size <= 0 for size in sizes) and all(size > 0 for size in x.shape[1:-1]):
        _fail(f"the kernel of size {show(kernel.shape[:-2])} does not fit into the input", x, kernel)
    return tensor_of((x.shape[0], *(max(size, 0) for size in sizes), kernel.shape[-1]), x.dtype)


@primitive(
    promote="common",
    gradient=(
        lambda g, out, y, kernel, input_size, **attrs: convolution(g, kernel, **attrs),
        lambda g, out, y, kernel, input_size, **attrs: conv_kernel_gradient(
            g, y, kernel_size=tuple(kernel.shape[:-2]), **attrs
        ),
    ),
    samples=_samples(lambda x, k, y: (y, k), "input_size"),
)
def conv_input_gradient(
    y: Tensor, kernel: Tensor, input_size: Ints, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Tensor:
    """The adjoint of `convolution` in its input: spreads `y` back over the places the kernel has seen.

    Args:
        y: A tensor of the shape that `convolution` returns.
        kernel: As for `convolution`.
        input_size: The sizes between batch and channels of the convolution's input.
        strides: As for `convolution`.
        padding: As for `convolution`.
        dilation: As for `convolution`.
        groups: As for `convolution`.

    Returns:
        A tensor of shape `(batch, *input_size, groups * channels)`.

    Example:

    >>> import amalthea as am
    >>> y, kernel = am.ops.ones((1, 2, 1)), am.ops.ones((3, 1, 1))
    >>> am.ops.conv_input_gradient(
    ...     y, kernel, input_size=(5,), strides=(2,), padding=((0, 0),), dilation=(1,), groups=1
    ... ).numpy().ravel().tolist()
    [1.0, 1.0, 2.0, 1.0, 1.0]
    """
    return tensor_of((y.shape[0], *input_size, kernel.shape[-2] * groups), y.dtype)


@primitive(
    promote="common",
    gradient=(
        lambda g, out, x, y, kernel_size, **attrs: conv_input_gradient(y, g, input_size=tuple(x.shape[1:-1]), **attrs),
        lambda g, out, x, y, kernel_size, **attrs: convolution(x, g, **attrs),
    ),
    samples=_samples(lambda x, k, y: (x, y), "kernel_size"),
)
def conv_kernel_gradient(
    x: Tensor, y: Tensor, kernel_size: Ints, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Tensor:
    """The adjoint of `convolution` in its kernel: how each place of the kernel correlates `x` with `y`.

    Args:
        x: As for `convolution`.
        y: A tensor of the shape that `convolution` returns.
        kernel_size: The sizes of the kernel.
        strides: As for `convolution`.
        padding: As for `convolution`.
        dilation: As for `convolution`.
        groups: As for `convolution`.

    Returns:
        A tensor of shape `(*kernel_size, channels, filters)`.

    Example:

    >>> import amalthea as am
    >>> x, y = am.ops.reshape(am.ops.arange(5.0), (1, 5, 1)), am.ops.ones((1, 2, 1))
    >>> am.ops.conv_kernel_gradient(
    ...     x, y, kernel_size=(3,), strides=(2,), padding=((0, 0),), dilation=(1,), groups=1
    ... ).numpy().ravel().tolist()
    [2.0, 4.0, 6.0]
    """
    return tensor_of((*kernel_size, x.shape[-1] // groups, y.shape[-1]), x.dtype)


def _fail(message: str, x: Any, kernel: Any, fix: str | None = None) -> NoReturn:
    fail(
        ShapeError,
        message,
        received=f"input {show(x.shape)}, kernel {show(kernel.shape)} (sizes, input channels, filters)",
        fix=fix or "check the kernel size, padding and data_format against the input's shape",
    )


def _image_and_kernel(**attrs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    r = np.random.default_rng(4)
    shape, kernel = attrs.pop("shape", (1, 5, 4, 2)), attrs.pop("kernel", (3, 2, 2, 3))
    return (r.normal(size=shape), r.normal(size=kernel)), attrs


@composite(
    samples=lambda: [
        _image_and_kernel(),
        _image_and_kernel(padding="same", strides=2),
        _image_and_kernel(shape=(2, 2, 6), kernel=(2, 2, 3), data_format="channels_first", dilation_rate=2),
    ]
)
def conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """An N-dimensional convolution (cross-correlation), as neural networks use it.

    Args:
        inputs: `(batch, *sizes, channels)`, or `(batch, channels, *sizes)` for "channels_first".
        kernel: `(*kernel_sizes, channels / groups, filters)` in either data format. Where the kernel has fewer input
            channels than the input, the channels are convolved in groups.
        strides: The step of the kernel, one int or one for each axis.
        padding: "valid" (none) or "same" (zeros, so that each size becomes size / stride, rounded up).
        data_format: "channels_last" or "channels_first"; None: `am.config.image_data_format()`.
        dilation_rate: The distance of the kernel's elements, one int or one for each axis.

    Returns:
        A tensor of shape `(batch, *places, filters)`, channels where the input has them.

    Raises:
        ShapeError: If ranks or channels do not match, or the kernel does not fit into the input.

    Example:

    >>> import amalthea as am
    >>> am.ops.conv(am.ops.ones((8, 28, 28, 1)), am.ops.ones((3, 3, 1, 16)), strides=2, padding="same").shape
    (8, 14, 14, 16)
    """
    first = standardize_data_format(data_format) == "channels_first"
    if len(inputs.shape) != len(kernel.shape) or len(inputs.shape) < 3:
        _fail("the input and the kernel must have the same rank, of at least 3", inputs, kernel)
    x = channels_to_last(inputs) if first else inputs
    n = len(x.shape) - 2
    strides, dilation = per_axis(strides, n, "strides"), per_axis(dilation_rate, n, "dilation_rate")
    channels, part, filters = x.shape[-1], kernel.shape[-2], kernel.shape[-1]
    if not part or channels % part or filters % (channels // part):
        _fail(
            f"the input has {channels} channels and the kernel expects {part} "
            f"(or a divisor that makes groups of equally many of the {filters} filters)",
            inputs,
            kernel,
        )
    pairs = padding_pairs(padding, x.shape[1:-1], tuple(kernel.shape[:-2]), strides, dilation)
    y = convolution(x, kernel, strides=strides, padding=pairs, dilation=dilation, groups=channels // part)
    return channels_to_first(y) if first else y


@composite(
    samples=lambda: [
        _image_and_kernel(),
        _image_and_kernel(padding="same", strides=2, kernel=(2, 2, 2, 1)),
        _image_and_kernel(shape=(2, 2, 6), kernel=(3, 2, 2), data_format="channels_first"),
    ]
)
def depthwise_conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """A convolution of each channel on its own, with `multiplier` filters for each.

    Args:
        inputs: `(batch, *sizes, channels)`, or `(batch, channels, *sizes)` for "channels_first".
        kernel: `(*kernel_sizes, channels, multiplier)`.
        strides: The step of the kernel, one int or one for each axis.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; None: `am.config.image_data_format()`.
        dilation_rate: The distance of the kernel's elements, one int or one for each axis.

    Returns:
        A tensor of shape `(batch, *places, channels * multiplier)`, channels where the input has them.

    Raises:
        ShapeError: If ranks or channels do not match.

    Example:

    >>> import amalthea as am
    >>> am.ops.depthwise_conv(am.ops.ones((2, 8, 8, 3)), am.ops.ones((3, 3, 3, 2))).shape
    (2, 6, 6, 6)
    """
    channels = inputs.shape[1 if standardize_data_format(data_format) == "channels_first" else -1]
    if len(inputs.shape) != len(kernel.shape) or channels != kernel.shape[-2]:
        _fail(f"the input has {channels} channels and the kernel expects {kernel.shape[-2]}", inputs, kernel)
    *sizes, _, multiplier = kernel.shape
    grouped = reshape(kernel, (*sizes, 1, channels * multiplier))
    return conv(inputs, grouped, strides, padding, data_format, dilation_rate)


def _separable_samples() -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    (x, depthwise), _ = _image_and_kernel()
    return [((x, depthwise, np.random.default_rng(5).normal(size=(1, 1, 6, 2))), {"padding": "same"})]


@composite(samples=_separable_samples)
def separable_conv(
    inputs: Tensor,
    depthwise_kernel: Tensor,
    pointwise_kernel: Tensor,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """A depthwise convolution and then a convolution of size 1 that mixes the channels.

    Args:
        inputs: `(batch, *sizes, channels)`, or `(batch, channels, *sizes)` for "channels_first".
        depthwise_kernel: `(*kernel_sizes, channels, multiplier)`.
        pointwise_kernel: `(1, ..., 1, channels * multiplier, filters)`.
        strides: The step of the depthwise kernel.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; None: `am.config.image_data_format()`.
        dilation_rate: The distance of the depthwise kernel's elements.

    Returns:
        A tensor of shape `(batch, *places, filters)`, channels where the input has them.

    Raises:
        ShapeError: If ranks or channels do not match.

    Example:

    >>> import amalthea as am
    >>> am.ops.separable_conv(am.ops.ones((2, 8, 3)), am.ops.ones((3, 3, 2)), am.ops.ones((1, 6, 4))).shape
    (2, 6, 4)
    """
    spread = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(spread, pointwise_kernel, 1, "valid", data_format)


@composite(
    samples=lambda: [
        _image_and_kernel(shape=(1, 3, 2, 3)),
        _image_and_kernel(shape=(1, 3, 2, 3), strides=2, padding="same"),
        _image_and_kernel(shape=(1, 3, 4), kernel=(3, 2, 3), strides=2, output_padding=1, data_format="channels_first"),
    ]
)
def conv_transpose(
    inputs: Tensor,
    kernel: Tensor,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    output_padding: int | Sequence[int] | None = None,
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """The transposed convolution ("deconvolution"): the adjoint of `conv` in its input, which enlarges by the strides.

    Args:
        inputs: `(batch, *sizes, channels)`, or `(batch, channels, *sizes)` for "channels_first".
        kernel: `(*kernel_sizes, filters, channels)`: note the order of the last two.
        strides: The factor of enlargement, one int or one for each axis.
        padding: "valid" (the result has every place that is reached) or "same" (each size times its stride).
        output_padding: How much to add after each axis instead of the default; one int or one for each axis.
        data_format: "channels_last" or "channels_first"; None: `am.config.image_data_format()`.
        dilation_rate: The distance of the kernel's elements, one int or one for each axis.

    Returns:
        A tensor of shape `(batch, *new_sizes, filters)`, channels where the input has them.

    Raises:
        ShapeError: If ranks or channels do not match.

    Example:

    >>> import amalthea as am
    >>> am.ops.conv_transpose(am.ops.ones((2, 7, 7, 8)), am.ops.ones((3, 3, 4, 8)), strides=2, padding="same").shape
    (2, 14, 14, 4)
    """
    first = standardize_data_format(data_format) == "channels_first"
    x = channels_to_last(inputs) if first else inputs
    if len(x.shape) != len(kernel.shape) or len(x.shape) < 3 or x.shape[-1] != kernel.shape[-1]:
        _fail(
            f"the input has {x.shape[-1]} channels and the kernel, whose last axis counts them, has {kernel.shape[-1]}",
            inputs,
            kernel,
            "give the kernel the shape (*sizes, filters, input channels)",
        )
    n = len(x.shape) - 2
    strides, dilation = per_axis(strides, n, "strides"), per_axis(dilation_rate, n, "dilation_rate")
    mode = str(padding).lower()
    padding_pairs(mode, x.shape[1:-1], tuple(kernel.shape[:-2]), strides, dilation)  # refuses an unknown mode
    extra = (
        (output_padding,) * n if output_padding is None or isinstance(output_padding, int) else tuple(output_padding)
    )
    geometry = [
        transposed_geometry(size, k, stride, step, mode, more)
        for size, k, stride, step, more in zip(x.shape[1:-1], kernel.shape[:-2], strides, dilation, extra, strict=True)
    ]
    y = conv_input_gradient(
        x,
        kernel,
        input_size=tuple(size for size, _ in geometry),
        strides=strides,
        padding=tuple(pair for _, pair in geometry),
        dilation=dilation,
        groups=1,
    )
    return channels_to_first(y) if first else y


export(__name__)
