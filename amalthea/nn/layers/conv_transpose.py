"""Transposed convolution layers: Conv1DTranspose, Conv2DTranspose and Conv3DTranspose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn.arguments import whole_number
from amalthea.nn.layers.conv_base import ConvolutionLayer
from amalthea.nn.layers.sliding import Shape, join_shape, split_shape, transposed_sizes
from amalthea.nn.objects import public


class BaseConvTranspose(ConvolutionLayer):
    """Transposed convolution over `rank` axes (base of Conv1DTranspose ...; those describe the arguments)."""

    kernel_initializer: Any
    kernel_regularizer: Any
    kernel_constraint: Any

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        settings = {
            "activation": activation,
            "kernel_initializer": kernel_initializer,
            "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer,
            "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint,
            "bias_constraint": bias_constraint,
        }
        super().__init__(
            rank,
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            use_bias,
            activity_regularizer=activity_regularizer,
            settings=settings,
            **kwargs,
        )
        where = type(self).__name__
        whole_number(filters, where, "filters")
        self.filters = filters
        self._refuse_strided_dilation()
        self.output_padding = None if output_padding is None else self._output_padding(output_padding)

    def _output_padding(self, value: int | Sequence[int]) -> tuple[int, ...]:
        padding = (value,) * self.rank if isinstance(value, int) else tuple(value)
        good = len(padding) == self.rank and all(0 <= p < s for p, s in zip(padding, self.strides, strict=True))
        if not good:
            fail(
                ArgumentError,
                f"`output_padding` must be {self.rank} integers, each 0 or more and less than its stride",
                where=type(self).__name__,
                received=f"output_padding={value!r}, strides={self.strides}",
                fix="leave `output_padding` out, or use a larger stride",
            )
        return padding

    def _output_channels(self, channels: int) -> int:
        return self.filters

    def _expected(self) -> tuple[int, Sequence[int]] | None:
        return (self.kernel.shape[-1], self.kernel.shape) if self.built else None

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Add the kernel (*kernel_size, filters, channels) and the bias (filters,)."""
        channels = self._input_channels(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, self.filters, channels),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self._add_bias(self.filters)
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve `inputs` the transposed way, add the bias and apply the activation."""
        self.compute_output_shape(inputs.shape)  # refuses inputs that do not fit
        outputs = ops.conv_transpose(
            inputs,
            self.kernel,
            strides=self.strides,
            padding=self.padding,
            output_padding=self.output_padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )
        return self._finish(outputs)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """The output shape for an input shape; unknown sizes are None."""
        self._check_input(input_shape)
        spatial, _ = split_shape(input_shape, self.data_format)
        sizes = transposed_sizes(
            spatial, self.kernel_size, self.strides, self.padding, self.output_padding, self.dilation_rate
        )
        return join_shape(input_shape[0], sizes, self.filters, self.data_format)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values."""
        return {**super().get_config(), "filters": self.filters, "output_padding": self.output_padding}


@public("keras.layers.Conv1DTranspose", "keras.layers.Convolution1DTranspose")
class Conv1DTranspose(BaseConvTranspose):
    """Transposed convolution of sequences: the gradient of a convolution used as a layer, to go back to a larger size.

    Input (batch, steps, channels), output (batch, new steps, filters).
    Without output_padding, padding="same" gives size * strides
    and "valid" gives (size - 1) * strides + max(kernel_size, strides).

    Args:
        filters: number of output channels.
        kernel_size: size of the window, one integer or one per axis.
        strides: how far apart the input values are spread in the output.
        padding: "valid" or "same".
        output_padding: how much to add to the end of each output axis, less than its stride; default: as above.
        data_format: "channels_last" or "channels_first"; default: the configured image data format.
        dilation_rate: distance between the taps of the window. Not together with strides > 1.

    The kernel has shape (*kernel_size, filters, channels). See https://arxiv.org/abs/1603.07285.

    >>> import amalthea as am
    >>> am.layers.Conv1DTranspose(4, 3, strides=2)(am.ops.ones((2, 10, 3))).shape
    (2, 21, 4)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            rank=1,
            filters=filters,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            output_padding=output_padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )


@public("keras.layers.Conv2DTranspose", "keras.layers.Convolution2DTranspose")
class Conv2DTranspose(BaseConvTranspose):
    """Transposed convolution of images: the gradient of a convolution used as a layer, to go back to a larger size.

    Input (batch, height, width, channels), output (batch, new height, width, filters).
    Without output_padding, padding="same" gives size * strides
    and "valid" gives (size - 1) * strides + max(kernel_size, strides).

    Args:
        filters: number of output channels.
        kernel_size: size of the window, one integer or one per axis.
        strides: how far apart the input values are spread in the output.
        padding: "valid" or "same".
        output_padding: how much to add to the end of each output axis, less than its stride; default: as above.
        data_format: "channels_last" or "channels_first"; default: the configured image data format.
        dilation_rate: distance between the taps of the window. Not together with strides > 1.

    The kernel has shape (*kernel_size, filters, channels). See https://arxiv.org/abs/1603.07285.

    >>> import amalthea as am
    >>> am.layers.Conv2DTranspose(4, 3, strides=2)(am.ops.ones((2, 8, 8, 3))).shape
    (2, 17, 17, 4)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1),
        padding: str = "valid",
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            rank=2,
            filters=filters,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            output_padding=output_padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )


@public("keras.layers.Conv3DTranspose", "keras.layers.Convolution3DTranspose")
class Conv3DTranspose(BaseConvTranspose):
    """Transposed convolution of volumes: the gradient of a convolution used as a layer, to go back to a larger size.

    Input (batch, depth, height, width, channels), output (batch, new depth, height, width, filters).
    Without output_padding, padding="same" gives size * strides
    and "valid" gives (size - 1) * strides + max(kernel_size, strides).

    Args:
        filters: number of output channels.
        kernel_size: size of the window, one integer or one per axis.
        strides: how far apart the input values are spread in the output.
        padding: "valid" or "same".
        output_padding: how much to add to the end of each output axis, less than its stride; default: as above.
        data_format: "channels_last" or "channels_first"; default: the configured image data format.
        dilation_rate: distance between the taps of the window. Not together with strides > 1.

    The kernel has shape (*kernel_size, filters, channels). See https://arxiv.org/abs/1603.07285.

    >>> import amalthea as am
    >>> am.layers.Conv3DTranspose(4, 3, strides=2)(am.ops.ones((2, 6, 6, 6, 3))).shape
    (2, 13, 13, 13, 4)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: int | Sequence[int] | None = None,
        dilation_rate: int | Sequence[int] = (1, 1, 1),
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            rank=3,
            filters=filters,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            output_padding=output_padding,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )
