"""What all convolution layers share: a kernel that slides over 1 to 3 axes, a bias, an activation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn.arguments import checked_data_format, whole_numbers
from amalthea.nn.layer import Layer
from amalthea.nn.layers.settings import keep, written
from amalthea.nn.layers.sliding import (
    Shape,
    check_rank,
    join_shape,
    known,
    padding_mode,
    slid_sizes,
    split_shape,
)


class ConvolutionLayer(Layer):
    """Base of the convolution layers (not for direct use).

    A subclass adds its kernels in `build`, says how many channels come out (`_output_channels`), and convolves in
    `call`, which ends in `_finish` (bias and activation).
    """

    activation: Any
    bias_initializer: Any
    bias_regularizer: Any
    bias_constraint: Any
    _settings: tuple[str, ...] = ()

    def __init__(
        self,
        rank: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: str,
        data_format: str | None,
        dilation_rate: int | Sequence[int],
        use_bias: bool,
        paddings: tuple[str, ...] = ("valid", "same"),
        activity_regularizer: Any = None,
        settings: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        where = type(self).__name__
        self.rank = rank
        self.kernel_size = whole_numbers(kernel_size, rank, where, "kernel_size")
        self.strides = whole_numbers(strides, rank, where, "strides")
        self.dilation_rate = whole_numbers(dilation_rate, rank, where, "dilation_rate")
        self.padding = padding_mode(padding, where, paddings)
        self.data_format = checked_data_format(data_format, where)
        self.use_bias = use_bias
        self.bias: Any = None
        self._settings = tuple(settings or ())
        keep(self, **(settings or {}))

    def _refuse_strided_dilation(self) -> None:
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            fail(
                ArgumentError,
                "`strides` and `dilation_rate` cannot both be greater than 1",
                where=type(self).__name__,
                received=f"strides={self.strides}, dilation_rate={self.dilation_rate}",
                fix="set one of them to 1",
            )

    def _output_channels(self, channels: int) -> int:
        raise NotImplementedError

    def _input_channels(self, shape: Sequence[int | None]) -> int:
        """The number of channels of an input shape of the right rank; refuses an unknown number."""
        check_rank(shape, self.rank, self.data_format, type(self).__name__)
        channels = split_shape(shape, self.data_format)[1]
        if channels is None:
            fail(
                ShapeError,
                "the number of channels of the input must be known, because it sets the size of the kernel",
                where=type(self).__name__,
                received=f"input {known(shape)}",
                fix="give the channels a size in `Input(shape=...)`",
            )
        return int(channels)  # type: ignore[arg-type]

    def _expected(self) -> tuple[int, Sequence[int]] | None:
        """The number of input channels that the layer was built for and the kernel's shape; None before the build."""
        raise NotImplementedError

    def _check_input(self, shape: Sequence[int | None]) -> None:
        """Refuse an input of another rank or number of channels than the layer was built for."""
        check_rank(shape, self.rank, self.data_format, type(self).__name__)
        channels = split_shape(shape, self.data_format)[1]
        expected, kernel = self._expected() or (channels, ())
        if channels is not None and channels != expected:
            fail(
                ShapeError,
                f"the input has {channels} channels and the kernel expects {expected}",
                where=type(self).__name__,
                received=f"input {known(shape)}, kernel {tuple(kernel)}",
                fix=f"pass inputs with {expected} channels ({self.data_format}), or make a new layer for these",
            )

    def _add_bias(self, size: int) -> None:
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(size,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _finish(self, outputs: Tensor) -> Tensor:
        """Add the bias on the channel axis and apply the activation."""
        if self.use_bias:
            bias = self.bias
            if self.data_format == "channels_first":
                bias = ops.reshape(bias, (-1,) + (1,) * self.rank)
            outputs = ops.add(outputs, bias)
        return outputs if self.activation is None else self.activation(outputs)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """The output shape for an input shape; unknown sizes are None."""
        self._check_input(input_shape)
        spatial, channels = split_shape(input_shape, self.data_format)
        sizes = slid_sizes(
            spatial,
            self.kernel_size,
            self.strides,
            self.padding,
            self.dilation_rate,
            type(self).__name__,
            "kernel_size",
        )
        filters = self._output_channels(channels)  # type: ignore[arg-type]
        return join_shape(input_shape[0], sizes, filters, self.data_format)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "use_bias": self.use_bias,
            **written(self, "activity_regularizer", *self._settings),
        }
