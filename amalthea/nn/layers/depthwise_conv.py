"""Depthwise convolution layers: DepthwiseConv1D and DepthwiseConv2D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.nn.arguments import whole_number
from amalthea.nn.layers.conv_base import ConvolutionLayer
from amalthea.nn.objects import public


class BaseDepthwiseConv(ConvolutionLayer):
    """Depthwise convolution over `rank` axes (base of DepthwiseConv1D and DepthwiseConv2D)."""

    depthwise_initializer: Any
    depthwise_regularizer: Any
    depthwise_constraint: Any

    def __init__(
        self,
        rank: int,
        depth_multiplier: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        settings = {
            "activation": activation,
            "depthwise_initializer": depthwise_initializer,
            "bias_initializer": bias_initializer,
            "depthwise_regularizer": depthwise_regularizer,
            "bias_regularizer": bias_regularizer,
            "depthwise_constraint": depthwise_constraint,
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
        whole_number(depth_multiplier, type(self).__name__, "depth_multiplier")
        self.depth_multiplier = depth_multiplier

    def _output_channels(self, channels: int) -> int:
        return channels * self.depth_multiplier

    def _expected(self) -> tuple[int, Sequence[int]] | None:
        return (self.kernel.shape[-2], self.kernel.shape) if self.built else None

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Add the kernel (*kernel_size, channels, depth_multiplier) and the bias (channels * depth_multiplier,)."""
        channels = self._input_channels(input_shape)
        self.compute_output_shape(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, channels, self.depth_multiplier),
            initializer=self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
        )
        self._add_bias(channels * self.depth_multiplier)
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve each channel of `inputs` alone, add the bias and apply the activation."""
        self.compute_output_shape(inputs.shape)  # refuses inputs that do not fit
        outputs = ops.depthwise_conv(
            inputs,
            self.kernel,
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )
        return self._finish(outputs)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values."""
        return {**super().get_config(), "depth_multiplier": self.depth_multiplier}


@public("keras.layers.DepthwiseConv1D")
class DepthwiseConv1D(BaseDepthwiseConv):
    """Depthwise convolution of sequences: every channel is convolved alone, with depth_multiplier kernels of its own.

    Input (batch, steps, channels), output (batch, new steps, channels * depth_multiplier).

    Args:
        kernel_size: size of the window, one integer or one per axis.
        strides: step of the window, the same on all axes.
        padding: "valid" or "same".
        depth_multiplier: how many output channels each input channel gives.
        data_format: "channels_last" or "channels_first"; default: the configured image data format.
        dilation_rate: distance between the taps of the window.

    The kernel has shape (*kernel_size, channels, depth_multiplier).

    >>> import amalthea as am
    >>> am.layers.DepthwiseConv1D(3, depth_multiplier=2)(am.ops.ones((2, 10, 3))).shape
    (2, 8, 6)
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            rank=1,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            depth_multiplier=depth_multiplier,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            depthwise_initializer=depthwise_initializer,
            bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            depthwise_constraint=depthwise_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )


@public("keras.layers.DepthwiseConv2D")
class DepthwiseConv2D(BaseDepthwiseConv):
    """Depthwise convolution of images: every channel is convolved alone, with depth_multiplier kernels of its own.

    Input (batch, height, width, channels), output (batch, new height, width, channels * depth_multiplier).

    Args:
        kernel_size: size of the window, one integer or one per axis.
        strides: step of the window, the same on all axes.
        padding: "valid" or "same".
        depth_multiplier: how many output channels each input channel gives.
        data_format: "channels_last" or "channels_first"; default: the configured image data format.
        dilation_rate: distance between the taps of the window.

    The kernel has shape (*kernel_size, channels, depth_multiplier).

    >>> import amalthea as am
    >>> am.layers.DepthwiseConv2D(3, depth_multiplier=2)(am.ops.ones((2, 8, 8, 3))).shape
    (2, 6, 6, 6)
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1),
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            rank=2,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            depth_multiplier=depth_multiplier,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            depthwise_initializer=depthwise_initializer,
            bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            depthwise_constraint=depthwise_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )
