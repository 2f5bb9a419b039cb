"""Pooling layers: the largest or the mean value of each window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.nn.arguments import checked_data_format, whole_numbers
from amalthea.nn.layer import Layer
from amalthea.nn.layers.sliding import (
    Shape,
    check_rank,
    join_shape,
    padding_mode,
    slid_sizes,
    split_shape,
)
from amalthea.nn.objects import public


class BasePooling(Layer):
    """Pooling over `rank` axes (base of MaxPooling1D ... AveragePooling3D; those describe the arguments)."""

    pool: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        rank: int,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None,
        padding: str,
        data_format: str | None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        where = type(self).__name__
        self.rank = rank
        self.pool_size = whole_numbers(pool_size, rank, where, "pool_size")
        self.strides = self.pool_size if strides is None else whole_numbers(strides, rank, where, "strides")
        self.padding = padding_mode(padding, where)
        self.data_format = checked_data_format(data_format, where)
        self._build_at_init()

    def call(self, inputs: Tensor) -> Tensor:
        """Pool `inputs`."""
        self.compute_output_shape(inputs.shape)  # refuses a wrong rank and a window that is larger than the input
        return type(self).pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """The output shape for an input shape; unknown sizes are None."""
        where = type(self).__name__
        check_rank(input_shape, self.rank, self.data_format, where)
        spatial, channels = split_shape(input_shape, self.data_format)
        sizes = slid_sizes(spatial, self.pool_size, self.strides, self.padding, (1,) * self.rank, where, "pool_size")
        return join_shape(input_shape[0], sizes, channels, self.data_format)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "padding": self.padding,
            "strides": self.strides,
            "data_format": self.data_format,
        }


@public("keras.layers.MaxPooling1D", "keras.layers.MaxPool1D")
class MaxPooling1D(BasePooling):
    """Max pooling of sequences: the largest value of each window, channel by channel.

    Input (batch, steps, channels), output (batch, new steps, channels).

    Args:
        pool_size: size of the window, one integer or one per axis.
        strides: step of the window; default: pool_size, so that windows do not overlap.
        padding: "valid" (only whole windows) or "same" (size / strides, rounded up).
        data_format: "channels_last" or "channels_first"; default: the configured image data format.

    >>> import amalthea as am
    >>> am.layers.MaxPooling1D(2)(am.ops.ones((2, 10, 3))).shape
    (2, 5, 3)
    """

    pool = staticmethod(ops.max_pool)

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(1, pool_size, strides, padding, data_format, name, **kwargs)


@public("keras.layers.MaxPooling2D", "keras.layers.MaxPool2D")
class MaxPooling2D(BasePooling):
    """Max pooling of images: the largest value of each window, channel by channel.

    Input (batch, height, width, channels), output (batch, new height, width, channels).

    Args:
        pool_size: size of the window, one integer or one per axis.
        strides: step of the window; default: pool_size, so that windows do not overlap.
        padding: "valid" (only whole windows) or "same" (size / strides, rounded up).
        data_format: "channels_last" or "channels_first"; default: the configured image data format.

    >>> import amalthea as am
    >>> am.layers.MaxPooling2D(2)(am.ops.ones((2, 8, 8, 3))).shape
    (2, 4, 4, 3)
    """

    pool = staticmethod(ops.max_pool)

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(2, pool_size, strides, padding, data_format, name, **kwargs)


@public("keras.layers.MaxPooling3D", "keras.layers.MaxPool3D")
class MaxPooling3D(BasePooling):
    """Max pooling of volumes: the largest value of each window, channel by channel.

    Input (batch, depth, height, width, channels), output (batch, new depth, height, width, channels).

    Args:
        pool_size: size of the window, one integer or one per axis.
        strides: step of the window; default: pool_size, so that windows do not overlap.
        padding: "valid" (only whole windows) or "same" (size / strides, rounded up).
        data_format: "channels_last" or "channels_first"; default: the configured image data format.

    >>> import amalthea as am
    >>> am.layers.MaxPooling3D(2)(am.ops.ones((2, 6, 6, 6, 3))).shape
    (2, 3, 3, 3, 3)
    """

    pool = staticmethod(ops.max_pool)

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(3, pool_size, strides, padding, data_format, name, **kwargs)


@public("keras.layers.AveragePooling1D", "keras.layers.AvgPool1D")
class AveragePooling1D(BasePooling):
    """Average pooling of sequences: the mean value of each window, channel by channel. Padded places do not count.

    Input (batch, steps, channels), output (batch, new steps, channels).

    Args:
        pool_size: size of the window, one integer or one per axis.
        strides: step of the window; default: pool_size, so that windows do not overlap.
        padding: "valid" (only whole windows) or "same" (size / strides, rounded up).
        data_format: "channels_last" or "channels_first"; default: the configured image data format.

    >>> import amalthea as am
    >>> am.layers.AveragePooling1D(2)(am.ops.ones((2, 10, 3))).shape
    (2, 5, 3)
    """

    pool = staticmethod(ops.average_pool)

    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(1, pool_size, strides, padding, data_format, name, **kwargs)


@public("keras.layers.AveragePooling2D", "keras.layers.AvgPool2D")
class AveragePooling2D(BasePooling):
    """Average pooling of images: the mean value of each window, channel by channel. Padded places do not count.

    Input (batch, height, width, channels), output (batch, new height, width, channels).

    Args:
        pool_size: size of the window, one integer or one per axis.
        strides: step of the window; default: pool_size, so that windows do not overlap.
        padding: "valid" (only whole windows) or "same" (size / strides, rounded up).
        data_format: "channels_last" or "channels_first"; default: the configured image data format.

    >>> import amalthea as am
    >>> am.layers.AveragePooling2D(2)(am.ops.ones((2, 8, 8, 3))).shape
    (2, 4, 4, 3)
    """

    pool = staticmethod(ops.average_pool)

    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(2, pool_size, strides, padding, data_format, name, **kwargs)


@public("keras.layers.AveragePooling3D", "keras.layers.AvgPool3D")
class AveragePooling3D(BasePooling):
    """Average pooling of volumes: the mean value of each window, channel by channel. Padded places do not count.

    Input (batch, depth, height, width, channels), output (batch, new depth, height, width, channels).

    Args:
        pool_size: size of the window, one integer or one per axis.
        strides: step of the window; default: pool_size, so that windows do not overlap.
        padding: "valid" (only whole windows) or "same" (size / strides, rounded up).
        data_format: "channels_last" or "channels_first"; default: the configured image data format.

    >>> import amalthea as am
    >>> am.layers.AveragePooling3D(2)(am.ops.ones((2, 6, 6, 6, 3))).shape
    (2, 3, 3, 3, 3)
    """

    pool = staticmethod(ops.average_pool)

    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(3, pool_size, strides, padding, data_format, name, **kwargs)
