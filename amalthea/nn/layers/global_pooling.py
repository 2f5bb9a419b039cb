"""Global pooling layers: the largest or the mean value over all of space or time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.nn.arguments import checked_data_format
from amalthea.nn.layer import Layer
from amalthea.nn.layers.sliding import Shape, check_rank, join_shape, split_shape
from amalthea.nn.objects import public


class BaseGlobalPooling(Layer):
    """Pooling over all of `rank` axes (base of GlobalMaxPooling1D ...; those describe the arguments)."""

    def __init__(self, rank: int, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rank = rank
        self.data_format = checked_data_format(data_format, type(self).__name__)
        self.keepdims = keepdims
        self._build_at_init()

    @property
    def _axes(self) -> tuple[int, ...]:
        first = 1 if self.data_format == "channels_last" else 2
        return tuple(range(first, first + self.rank))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """The output shape for an input shape: (batch, channels), or with axes of size 1 where `keepdims`."""
        check_rank(input_shape, self.rank, self.data_format, type(self).__name__)
        _, channels = split_shape(input_shape, self.data_format)
        spatial = (1,) * self.rank if self.keepdims else ()
        return join_shape(input_shape[0], spatial, channels, self.data_format)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values."""
        return {**super().get_config(), "data_format": self.data_format, "keepdims": self.keepdims}


class BaseGlobalMaxPooling(BaseGlobalPooling):
    """The largest value over all of `rank` axes."""

    def call(self, inputs: Tensor) -> Tensor:
        """Take the largest value of each channel."""
        check_rank(inputs.shape, self.rank, self.data_format, type(self).__name__)
        return ops.max(inputs, axis=self._axes, keepdims=self.keepdims)


class BaseGlobalAveragePooling(BaseGlobalPooling):
    """The mean over all of `rank` axes."""

    def call(self, inputs: Tensor) -> Tensor:
        """Take the mean of each channel."""
        check_rank(inputs.shape, self.rank, self.data_format, type(self).__name__)
        return ops.mean(inputs, axis=self._axes, keepdims=self.keepdims)


@public("keras.layers.GlobalAveragePooling1D", "keras.layers.GlobalAvgPool1D")
class GlobalAveragePooling1D(BaseGlobalAveragePooling):
    """The mean of each channel over all of the steps.

    Input (batch, steps, channels), output (batch, channels), or (batch, 1, channels) with keepdims.
    A mask (batch, steps) leaves the steps out where it is False.

    Args:
        data_format: "channels_last" or "channels_first"; default: the configured image data format.
        keepdims: keep the pooled axes, with size 1.

    >>> import amalthea as am
    >>> am.layers.GlobalAveragePooling1D()(am.ops.ones((2, 10, 3))).shape
    (2, 3)
    """

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(1, data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Take the mean of each channel over the steps that the mask keeps."""
        if mask is None:
            return super().call(inputs)
        check_rank(inputs.shape, self.rank, self.data_format, type(self).__name__)
        kept = ops.expand_dims(ops.cast(mask, "bool"), -1 if self.data_format == "channels_last" else 1)
        total = ops.sum(ops.where(kept, inputs, ops.zeros_like(inputs)), axis=self._axes, keepdims=self.keepdims)
        return total / ops.sum(ops.cast(kept, inputs.dtype), axis=self._axes, keepdims=self.keepdims)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None: no steps are left to mask."""
        return None


@public("keras.layers.GlobalAveragePooling2D", "keras.layers.GlobalAvgPool2D")
class GlobalAveragePooling2D(BaseGlobalAveragePooling):
    """The mean of each channel over all of height and width.

    Input (batch, height, width, channels), output (batch, channels), or (batch, 1, 1, channels) with keepdims.

    Args:
        data_format: "channels_last" or "channels_first"; default: the configured image data format.
        keepdims: keep the pooled axes, with size 1.

    >>> import amalthea as am
    >>> am.layers.GlobalAveragePooling2D()(am.ops.ones((2, 8, 8, 3))).shape
    (2, 3)
    """

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(2, data_format, keepdims, **kwargs)


@public("keras.layers.GlobalAveragePooling3D", "keras.layers.GlobalAvgPool3D")
class GlobalAveragePooling3D(BaseGlobalAveragePooling):
    """The mean of each channel over all of depth, height and width.

    Input (batch, depth, height, width, channels), output (batch, channels), or
    (batch, 1, 1, 1, channels) with keepdims.

    Args:
        data_format: "channels_last" or "channels_first"; default: the configured image data format.
        keepdims: keep the pooled axes, with size 1.

    >>> import amalthea as am
    >>> am.layers.GlobalAveragePooling3D()(am.ops.ones((2, 6, 6, 6, 3))).shape
    (2, 3)
    """

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(3, data_format, keepdims, **kwargs)


@public("keras.layers.GlobalMaxPooling1D", "keras.layers.GlobalMaxPool1D")
class GlobalMaxPooling1D(BaseGlobalMaxPooling):
    """The largest value of each channel over all of the steps.

    Input (batch, steps, channels), output (batch, channels), or (batch, 1, channels) with keepdims.

    Args:
        data_format: "channels_last" or "channels_first"; default: the configured image data format.
        keepdims: keep the pooled axes, with size 1.

    >>> import amalthea as am
    >>> am.layers.GlobalMaxPooling1D()(am.ops.ones((2, 10, 3))).shape
    (2, 3)
    """

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(1, data_format, keepdims, **kwargs)


@public("keras.layers.GlobalMaxPooling2D", "keras.layers.GlobalMaxPool2D")
class GlobalMaxPooling2D(BaseGlobalMaxPooling):
    """The largest value of each channel over all of height and width.

    Input (batch, height, width, channels), output (batch, channels), or (batch, 1, 1, channels) with keepdims.

    Args:
        data_format: "channels_last" or "channels_first"; default: the configured image data format.
        keepdims: keep the pooled axes, with size 1.

    >>> import amalthea as am
    >>> am.layers.GlobalMaxPooling2D()(am.ops.ones((2, 8, 8, 3))).shape
    (2, 3)
    """

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(2, data_format, keepdims, **kwargs)


@public("keras.layers.GlobalMaxPooling3D", "keras.layers.GlobalMaxPool3D")
class GlobalMaxPooling3D(BaseGlobalMaxPooling):
    """The largest value of each channel over all of depth, height and width.

    Input (batch, depth, height, width, channels), output (batch, channels), or
    (batch, 1, 1, 1, channels) with keepdims.

    Args:
        data_format: "channels_last" or "channels_first"; default: the configured image data format.
        keepdims: keep the pooled axes, with size 1.

    >>> import amalthea as am
    >>> am.layers.GlobalMaxPooling3D()(am.ops.ones((2, 6, 6, 6, 3))).shape
    (2, 3)
    """

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(3, data_format, keepdims, **kwargs)
