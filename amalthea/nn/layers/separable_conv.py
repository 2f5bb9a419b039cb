"""Separable convolution layers: SeparableConv1D and SeparableConv2D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.nn.arguments import whole_number
from amalthea.nn.layers.conv_base import ConvolutionLayer
from amalthea.nn.objects import public


class BaseSeparableConv(ConvolutionLayer):
    """Separable convolution over `rank` axes (base of SeparableConv1D and SeparableConv2D)."""

    depthwise_initializer: Any
    depthwise_regularizer: Any
    depthwise_constraint: Any
    pointwise_initializer: Any
    pointwise_regularizer: Any
    pointwise_constraint: Any

    def __init__(
        self,
        rank: int,
        depth_multiplier: int,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        settings = {
            "activation": activation,
            "depthwise_initializer": depthwise_initializer,
            "pointwise_initializer": pointwise_initializer,
            "bias_initializer": bias_initializer,
            "depthwise_regularizer": depthwise_regularizer,
            "pointwise_regularizer": pointwise_regularizer,
            "bias_regularizer": bias_regularizer,
            "depthwise_constraint": depthwise_constraint,
            "pointwise_constraint": pointwise_constraint,
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
        whole_number(depth_multiplier, where, "depth_multiplier")
        whole_number(filters, where, "filters")
        self.depth_multiplier = depth_multiplier
        self.filters = filters

    def _output_channels(self, channels: int) -> int:
        return self.filters

    def _expected(self) -> tuple[int, Sequence[int]] | None:
        return (self.depthwise_kernel.shape[-2], self.depthwise_kernel.shape) if self.built else None

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Add the depthwise kernel, the pointwise kernel and the bias (filters,)."""
        channels = self._input_channels(input_shape)
        self.compute_output_shape(input_shape)
        self.depthwise_kernel = self.add_weight(
            name="depthwise_kernel",
            shape=(*self.kernel_size, channels, self.depth_multiplier),
            initializer=self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
        )
        self.pointwise_kernel = self.add_weight(
            name="pointwise_kernel",
            shape=(1,) * self.rank + (channels * self.depth_multiplier, self.filters),
            initializer=self.pointwise_initializer,
            regularizer=self.pointwise_regularizer,
            constraint=self.pointwise_constraint,
        )
        self._add_bias(self.filters)
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve each channel of `inputs` alone, mix the channels, add the bias and apply the activation."""
        self.compute_output_shape(inputs.shape)  # refuses inputs that do not fit
        outputs = ops.separable_conv(
            inputs,
            self.depthwise_kernel,
            self.pointwise_kernel,
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )
        return self._finish(outputs)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values."""
        return {**super().get_config(), "filters": self.filters, "depth_multiplier": self.depth_multiplier}


@public("keras.layers.SeparableConv1D", "keras.layers.SeparableConvolution1D")
class SeparableConv1D(BaseSeparableConv):
    """Separable convolution of sequences: a depthwise convolution, then a 1x1 convolution that mixes the channels.

    Input (batch, steps, channels), output (batch, new steps, filters).

    Args:
        filters: number of output channels.
        kernel_size: size of the window of the depthwise part, one integer or one per axis.
        strides: step of the window, the same on all axes.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; default: the configured image data format.
        dilation_rate: distance between the taps of the window.
        depth_multiplier: how many channels the depthwise part makes of each input channel.

    The kernels have shapes (*kernel_size, channels, depth_multiplier) and
    (1, ..., channels * depth_multiplier, filters). See https://arxiv.org/abs/1610.02357.

    >>> import amalthea as am
    >>> am.layers.SeparableConv1D(4, 3)(am.ops.ones((2, 10, 3))).shape
    (2, 8, 4)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            rank=1,
            filters=filters,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            depth_multiplier=depth_multiplier,
            activation=activation,
            use_bias=use_bias,
            depthwise_initializer=depthwise_initializer,
            pointwise_initializer=pointwise_initializer,
            bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            pointwise_regularizer=pointwise_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            depthwise_constraint=depthwise_constraint,
            pointwise_constraint=pointwise_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )


@public("keras.layers.SeparableConv2D", "keras.layers.SeparableConvolution2D")
class SeparableConv2D(BaseSeparableConv):
    """Separable convolution of images: a depthwise convolution, then a 1x1 convolution that mixes the channels.

    Input (batch, height, width, channels), output (batch, new height, width, filters).

    Args:
        filters: number of output channels.
        kernel_size: size of the window of the depthwise part, one integer or one per axis.
        strides: step of the window, the same on all axes.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; default: the configured image data format.
        dilation_rate: distance between the taps of the window.
        depth_multiplier: how many channels the depthwise part makes of each input channel.

    The kernels have shapes (*kernel_size, channels, depth_multiplier) and
    (1, ..., channels * depth_multiplier, filters). See https://arxiv.org/abs/1610.02357.

    >>> import amalthea as am
    >>> am.layers.SeparableConv2D(4, 3)(am.ops.ones((2, 8, 8, 3))).shape
    (2, 6, 6, 4)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = (1, 1),
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            rank=2,
            filters=filters,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            depth_multiplier=depth_multiplier,
            activation=activation,
            use_bias=use_bias,
            depthwise_initializer=depthwise_initializer,
            pointwise_initializer=pointwise_initializer,
            bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            pointwise_regularizer=pointwise_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            depthwise_constraint=depthwise_constraint,
            pointwise_constraint=pointwise_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )
