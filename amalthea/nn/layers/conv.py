"""Convolution layers: Conv1D, Conv2D and Conv3D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn import initializers
from amalthea.nn.arguments import whole_number
from amalthea.nn.layers.conv_base import ConvolutionLayer
from amalthea.nn.objects import public


class BaseConv(ConvolutionLayer):
    """Convolution over `rank` axes (base of Conv1D, Conv2D and Conv3D; those describe the arguments)."""

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
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
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
        paddings = ("valid", "same", "causal") if rank == 1 else ("valid", "same")
        super().__init__(
            rank,
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            use_bias,
            paddings=paddings,
            activity_regularizer=activity_regularizer,
            settings=settings,
            **kwargs,
        )
        where = type(self).__name__
        whole_number(filters, where, "filters")
        whole_number(groups, where, "groups")
        self.filters = filters
        self.groups = groups
        self._refuse_strided_dilation()
        if filters % groups:
            fail(
                ArgumentError,
                "`filters` must be divisible by `groups`",
                where=where,
                received=f"filters={filters}, groups={groups}",
                fix=f"use a multiple of {groups} filters",
            )
        self.lora_rank: Any = lora_rank
        self.lora_alpha: Any = lora_alpha if lora_alpha is not None else lora_rank
        self.lora_enabled = False

    def _output_channels(self, channels: int) -> int:
        return self.filters

    def _expected(self) -> tuple[int, Sequence[int]] | None:
        return (self._kernel.shape[-2] * self.groups, self._kernel.shape) if self.built else None

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Add the kernel (*kernel_size, channels / groups, filters) and the bias (filters,)."""
        channels = self._input_channels(input_shape)
        if channels % self.groups:
            fail(
                ShapeError,
                f"the number of input channels ({channels}) must be divisible by `groups` ({self.groups})",
                where=type(self).__name__,
                received=f"input {tuple(input_shape)}",
                fix="choose `groups` so that it divides the channels",
            )
        self.compute_output_shape(input_shape)
        self._kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, channels // self.groups, self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self._add_bias(self.filters)
        self.built = True
        if self.lora_rank:
            self.enable_lora(self.lora_rank, lora_alpha=self.lora_alpha)

    @property
    def kernel(self) -> Any:
        """The kernel that is used: the weight, plus the low-rank update where LoRA is on."""
        if not self.built:
            raise AttributeError(
                f"{type(self).__name__} '{self.name}' has no kernel before it is built or called once."
            )
        if not self.lora_enabled:
            return self._kernel
        update = ops.matmul(self.lora_kernel_a, self.lora_kernel_b) * (self.lora_alpha / self.lora_rank)
        return ops.cast(ops.add(self._kernel, update), self.compute_dtype)

    def convolution_op(self, inputs: Tensor, kernel: Any) -> Tensor:
        """The convolution itself, without bias and activation; a subclass may override it."""
        padding = self.padding
        if padding == "causal":
            left = self.dilation_rate[0] * (self.kernel_size[0] - 1)
            pads = ((0, 0), (left, 0), (0, 0)) if self.data_format == "channels_last" else ((0, 0), (0, 0), (left, 0))
            inputs, padding = ops.pad(inputs, pads), "valid"
        return ops.conv(
            inputs,
            kernel,
            strides=self.strides,
            padding=padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve `inputs`, add the bias and apply the activation."""
        self.compute_output_shape(inputs.shape)  # refuses inputs that do not fit
        return self._finish(self.convolution_op(inputs, self.kernel))

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: Any = "he_uniform",
        b_initializer: Any = "zeros",
    ) -> None:
        """Freeze the kernel and learn a low-rank update to it instead (LoRA, https://arxiv.org/abs/2106.09685).

        Args:
            rank: rank of the update; the smaller, the fewer weights are trained.
            lora_alpha: the update is scaled by lora_alpha / rank. Default: `rank`.
            a_initializer: initializer of the factor (*kernel_size, channels / groups, rank).
            b_initializer: initializer of the factor (rank, filters).
        """
        where = type(self).__name__
        if self.kernel_constraint:
            fail(
                ArgumentError,
                "LoRA cannot be combined with a kernel constraint",
                where=where,
                received=f"kernel_constraint={self.kernel_constraint}",
                fix="leave `kernel_constraint` out",
            )
        if not self.built:
            fail(
                ArgumentError,
                "LoRA needs the kernel, and this layer is not built yet",
                where=where,
                fix="call the layer once, or `layer.build(input_shape)`, before `enable_lora`",
            )
        if self.lora_enabled:
            fail(ArgumentError, "LoRA is on already", where=where, fix="call `enable_lora` once only")
        self._tracker.unlock()
        self.lora_kernel_a = self.add_weight(
            name="lora_kernel_a",
            shape=(*self._kernel.shape[:-1], rank),
            initializer=initializers.get(a_initializer),
            dtype="float32",
            regularizer=self.kernel_regularizer,
        )
        self.lora_kernel_b = self.add_weight(
            name="lora_kernel_b",
            shape=(rank, self.filters),
            initializer=initializers.get(b_initializer),
            dtype="float32",
            regularizer=self.kernel_regularizer,
        )
        self._tracker.lock()
        self._kernel.trainable = False
        self.lora_enabled = True
        self.lora_rank = rank
        self.lora_alpha = lora_alpha if lora_alpha is not None else rank

    def save_own_variables(self, store: Any) -> None:
        """Write the kernel (with a LoRA update merged into it) and the bias."""
        if not self.lora_enabled:
            super().save_own_variables(store)
        elif self.built:
            store["0"] = ops.convert_to_numpy(self.kernel)
            if self.use_bias:
                store["1"] = ops.convert_to_numpy(self.bias)

    def load_own_variables(self, store: Any) -> None:
        """Read the kernel and the bias; a LoRA update starts at zero again (its second factor is zero)."""
        if not self.lora_enabled:
            super().load_own_variables(store)
            return
        self._kernel.assign(store["0"])
        if self.use_bias:
            self.bias.assign(store["1"])
        self.lora_kernel_b.assign(ops.zeros_like(self.lora_kernel_b))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values."""
        config = {**super().get_config(), "filters": self.filters, "groups": self.groups}
        if self.lora_rank:
            config |= {"lora_rank": self.lora_rank, "lora_alpha": self.lora_alpha}
        return config


@public("keras.layers.Conv1D", "keras.layers.Convolution1D")
class Conv1D(BaseConv):
    """Convolution of sequences: each output is a weighted sum over a window of the input, the same weights everywhere.

    Input (batch, steps, channels), output (batch, new steps, filters); with
    data_format="channels_first" the channels come second.

    Args:
        filters: number of output channels.
        kernel_size: size of the window, one integer or one per axis.
        strides: step of the window. Not together with dilation_rate > 1.
        padding: "valid" (none) or "same" (zeros around, so that strides=1 keeps the size), or
            "causal" (a step sees itself and earlier steps only).
        data_format: "channels_last" or "channels_first"; default: the configured image data format.
        dilation_rate: distance between the taps of the window.
        groups: split the channels into this many groups, each convolved alone with filters / groups filters.
        activation: function of the result, by name or callable; default: none.
        use_bias: add one learned number per filter.

    The kernel has shape (*kernel_size, channels / groups, filters).

    >>> import amalthea as am
    >>> am.layers.Conv1D(4, 3, activation="relu")(am.ops.ones((2, 10, 3))).shape
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
        groups: int = 1,
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
            data_format=data_format,
            dilation_rate=dilation_rate,
            groups=groups,
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


@public("keras.layers.Conv2D", "keras.layers.Convolution2D")
class Conv2D(BaseConv):
    """Convolution of images: each output is a weighted sum over a window of the input, the same weights everywhere.

    Input (batch, height, width, channels), output (batch, new height, width, filters); with
    data_format="channels_first" the channels come second.

    Args:
        filters: number of output channels.
        kernel_size: size of the window, one integer or one per axis.
        strides: step of the window. Not together with dilation_rate > 1.
        padding: "valid" (none) or "same" (zeros around, so that strides=1 keeps the size).
        data_format: "channels_last" or "channels_first"; default: the configured image data format.
        dilation_rate: distance between the taps of the window.
        groups: split the channels into this many groups, each convolved alone with filters / groups filters.
        activation: function of the result, by name or callable; default: none.
        use_bias: add one learned number per filter.

    The kernel has shape (*kernel_size, channels / groups, filters).

    >>> import amalthea as am
    >>> am.layers.Conv2D(4, 3, activation="relu")(am.ops.ones((2, 8, 8, 3))).shape
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
        groups: int = 1,
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
            data_format=data_format,
            dilation_rate=dilation_rate,
            groups=groups,
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


@public("keras.layers.Conv3D", "keras.layers.Convolution3D")
class Conv3D(BaseConv):
    """Convolution of volumes: each output is a weighted sum over a window of the input, the same weights everywhere.

    Input (batch, depth, height, width, channels), output (batch, new depth, height, width, filters); with
    data_format="channels_first" the channels come second.

    Args:
        filters: number of output channels.
        kernel_size: size of the window, one integer or one per axis.
        strides: step of the window. Not together with dilation_rate > 1.
        padding: "valid" (none) or "same" (zeros around, so that strides=1 keeps the size).
        data_format: "channels_last" or "channels_first"; default: the configured image data format.
        dilation_rate: distance between the taps of the window.
        groups: split the channels into this many groups, each convolved alone with filters / groups filters.
        activation: function of the result, by name or callable; default: none.
        use_bias: add one learned number per filter.

    The kernel has shape (*kernel_size, channels / groups, filters).

    >>> import amalthea as am
    >>> am.layers.Conv3D(4, 3, activation="relu")(am.ops.ones((2, 6, 6, 6, 3))).shape
    (2, 4, 4, 4, 4)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = (1, 1, 1),
        groups: int = 1,
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
            dilation_rate=dilation_rate,
            groups=groups,
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
