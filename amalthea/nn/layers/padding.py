"""Layers that cut or pad the edges of sequences and images."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.errors import ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn.arguments import checked_data_format, edges, whole_numbers
from amalthea.nn.input_spec import InputSpec
from amalthea.nn.layer import Layer
from amalthea.nn.registry import public

__all__ = ["Cropping1D", "Cropping2D", "Cropping3D", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"]


def _cropped(inputs: Tensor, cropping: tuple[tuple[int, int], ...], first: int, where: str) -> Tensor:
    """`inputs` without (before, after) entries along each axis from `first` on."""
    index = [slice(None)] * inputs.ndim
    for axis, (before, after) in enumerate(cropping, start=first):
        size = inputs.shape[axis]
        if before + after >= size:
            fail(
                ShapeError,
                f"nothing is left of axis {axis}",
                where=where,
                received=f"input of shape {tuple(inputs.shape)}, cropping={cropping}",
                fix=f"crop less than {size} there",
            )
        index[axis] = slice(before, size - after)
    return inputs[tuple(index)]


@public("keras.layers.Cropping1D")
class Cropping1D(Layer):
    """A sequence `(batch, steps, features)` without some of its first and last steps.

    Args:
        cropping: (first, last) steps to take away, or one number for both.

    >>> import amalthea as am
    >>> am.layers.Cropping1D(1)(am.ops.ones((2, 5, 3))).shape
    (2, 3, 3)
    """

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping = whole_numbers(cropping, 2, "Cropping1D", "cropping", minimum=0)
        self.input_spec = InputSpec(ndim=3)

    def call(self, inputs: Tensor) -> Tensor:
        """The cropped inputs."""
        return _cropped(inputs, (self.cropping,), 1, "Cropping1D")  # type: ignore[arg-type]

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "cropping": self.cropping}


class _Cropping(Layer):
    """Base of the croppings of two and three axes."""

    _axes: int

    def __init__(self, cropping: Any, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        where = type(self).__name__
        self.data_format = checked_data_format(data_format, where)
        self.cropping = edges(cropping, self._axes, where, "cropping")
        self.input_spec = InputSpec(ndim=self._axes + 2)

    def call(self, inputs: Tensor) -> Tensor:
        """The cropped inputs."""
        first = 2 if self.data_format == "channels_first" else 1
        return _cropped(inputs, self.cropping, first, type(self).__name__)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "cropping": self.cropping, "data_format": self.data_format}


@public("keras.layers.Cropping2D")
class Cropping2D(_Cropping):
    """Images without some of their first and last rows and columns.

    Args:
        cropping: one number for all edges, `(rows, columns)`, or `((top, bottom), (left, right))`.
        data_format: where the channels are.

    >>> import amalthea as am
    >>> am.layers.Cropping2D(((1, 0), (2, 2)))(am.ops.ones((2, 5, 6, 3))).shape
    (2, 4, 2, 3)
    """

    _axes = 2

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


@public("keras.layers.Cropping3D")
class Cropping3D(_Cropping):
    """Volumes without some of their first and last planes, rows and columns.

    Args:
        cropping: one number for all edges, one per axis, or a pair per axis.
        data_format: where the channels are.

    >>> import amalthea as am
    >>> am.layers.Cropping3D(1)(am.ops.ones((2, 4, 5, 6, 3))).shape
    (2, 2, 3, 4, 3)
    """

    _axes = 3

    def __init__(self, cropping: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


class _ZeroPadding(Layer):
    """Base of the paddings."""

    _axes: int
    padding: Any

    def __init__(self, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = checked_data_format(data_format, type(self).__name__)
        self.input_spec = InputSpec(ndim=self._axes + 2)

    def _edges(self) -> Any:
        return self.padding

    def call(self, inputs: Tensor) -> Tensor:
        """The padded inputs."""
        first = ((0, 0), (0, 0)) if self.data_format == "channels_first" else ((0, 0),)
        last = () if self.data_format == "channels_first" else ((0, 0),)
        return ops.pad(inputs, (*first, *self._edges(), *last))

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "padding": self.padding, "data_format": self.data_format}


@public("keras.layers.ZeroPadding1D")
class ZeroPadding1D(_ZeroPadding):
    """A sequence with zeros before and after it.

    Args:
        padding: (before, after), or one number for both.
        data_format: where the features are.

    >>> import amalthea as am
    >>> am.layers.ZeroPadding1D(2)(am.ops.ones((2, 5, 3))).shape
    (2, 9, 3)
    """

    _axes = 1

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.padding = whole_numbers(padding, 2, "ZeroPadding1D", "padding", minimum=0)

    def _edges(self) -> Any:
        return (self.padding,)


@public("keras.layers.ZeroPadding2D")
class ZeroPadding2D(_ZeroPadding):
    """Images with zeros around them.

    Args:
        padding: one number for all edges, `(rows, columns)`, or `((top, bottom), (left, right))`.
        data_format: where the channels are.

    >>> import amalthea as am
    >>> am.layers.ZeroPadding2D((1, 2))(am.ops.ones((2, 5, 6, 3))).shape
    (2, 7, 10, 3)
    """

    _axes = 2

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.padding = edges(padding, 2, "ZeroPadding2D", "padding")


@public("keras.layers.ZeroPadding3D")
class ZeroPadding3D(_ZeroPadding):
    """Volumes with zeros around them.

    Args:
        padding: one number for all edges, one per axis, or a pair per axis.
        data_format: where the channels are.

    >>> import amalthea as am
    >>> am.layers.ZeroPadding3D(1)(am.ops.ones((2, 4, 5, 6, 3))).shape
    (2, 6, 7, 8, 3)
    """

    _axes = 3

    def __init__(self, padding: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.padding = edges(padding, 3, "ZeroPadding3D", "padding")
