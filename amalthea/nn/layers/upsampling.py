"""Layers that enlarge sequences and images."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn.arguments import checked_data_format, whole_number, whole_numbers
from amalthea.nn.input_spec import InputSpec
from amalthea.nn.layer import Layer
from amalthea.nn.registry import public

__all__ = ["UpSampling1D", "UpSampling2D", "UpSampling3D"]


@public("keras.layers.UpSampling1D")
class UpSampling1D(Layer):
    """Each step of a sequence `size` times.

    Args:
        size: how often.

    >>> import amalthea as am
    >>> am.layers.UpSampling1D(2)(am.ops.ones((2, 3, 4))).shape
    (2, 6, 4)
    """

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = whole_number(size, "UpSampling1D", "size")
        self.input_spec = InputSpec(ndim=3)

    def call(self, inputs: Tensor) -> Tensor:
        """The repeated inputs."""
        return ops.repeat(inputs, self.size, axis=1)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "size": self.size}


@public("keras.layers.UpSampling2D")
class UpSampling2D(Layer):
    """Images enlarged by whole factors.

    Args:
        size: (rows, columns) factors, or one for both.
        data_format: where the channels are.
        interpolation: `"nearest"` (each pixel repeated), `"bilinear"`, `"bicubic"`, `"lanczos3"` or `"lanczos5"`.

    >>> import amalthea as am
    >>> am.layers.UpSampling2D((2, 3))(am.ops.ones((1, 4, 5, 3))).shape
    (1, 8, 15, 3)
    """

    def __init__(
        self, size: Any = (2, 2), data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = checked_data_format(data_format, "UpSampling2D")
        self.size = whole_numbers(size, 2, "UpSampling2D", "size")
        self.interpolation = interpolation.lower()
        known = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        if self.interpolation not in known:
            fail(
                ArgumentError,
                "unknown interpolation",
                where="UpSampling2D",
                received=f"interpolation={interpolation!r}",
                fix=f"one of {known}",
            )
        self.input_spec = InputSpec(ndim=4)

    def call(self, inputs: Tensor) -> Tensor:
        """The enlarged inputs."""
        first = 2 if self.data_format == "channels_first" else 1
        if self.interpolation == "nearest":
            return ops.repeat(ops.repeat(inputs, self.size[0], axis=first), self.size[1], axis=first + 1)
        size = (inputs.shape[first] * self.size[0], inputs.shape[first + 1] * self.size[1])
        return ops.image.resize(inputs, size, interpolation=self.interpolation, data_format=self.data_format)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {
            **super().get_config(),
            "size": self.size,
            "data_format": self.data_format,
            "interpolation": self.interpolation,
        }


@public("keras.layers.UpSampling3D")
class UpSampling3D(Layer):
    """Volumes with each voxel repeated.

    Args:
        size: factors of the three axes, or one for all.
        data_format: where the channels are.

    >>> import amalthea as am
    >>> am.layers.UpSampling3D(2)(am.ops.ones((1, 2, 3, 4, 5))).shape
    (1, 4, 6, 8, 5)
    """

    def __init__(self, size: Any = (2, 2, 2), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = checked_data_format(data_format, "UpSampling3D")
        self.size = whole_numbers(size, 3, "UpSampling3D", "size")
        self.input_spec = InputSpec(ndim=5)

    def call(self, inputs: Tensor) -> Tensor:
        """The enlarged inputs."""
        first = 2 if self.data_format == "channels_first" else 1
        for axis, factor in enumerate(self.size, start=first):
            inputs = ops.repeat(inputs, factor, axis=axis)
        return inputs

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "size": self.size, "data_format": self.data_format}
