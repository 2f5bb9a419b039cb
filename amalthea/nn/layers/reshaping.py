"""Layers that move values without changing them: Flatten, Reshape, Permute, RepeatVector."""

from __future__ import annotations

import math
from typing import Any

from amalthea import ops
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn.arguments import checked_data_format, whole_number
from amalthea.nn.input_spec import InputSpec
from amalthea.nn.layer import Layer
from amalthea.nn.registry import public

__all__ = ["Flatten", "Permute", "RepeatVector", "Reshape"]


@public("keras.layers.Flatten")
class Flatten(Layer):
    """One axis in place of all but the batch axis.

    Args:
        data_format: where images have their channels; `"channels_first"` ones are flattened in the order of
            `"channels_last"` ones.

    >>> import amalthea as am
    >>> am.layers.Flatten()(am.ops.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = checked_data_format(data_format, "Flatten")
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: Tensor) -> Tensor:
        """The inputs as a matrix."""
        if self.data_format == "channels_first" and inputs.ndim > 1:
            inputs = ops.transpose(inputs, (0, *range(2, inputs.ndim), 1))
        return ops.reshape(inputs, (inputs.shape[0], math.prod(inputs.shape[1:])))

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "data_format": self.data_format}


@public("keras.layers.Reshape")
class Reshape(Layer):
    """A new shape for each example, with the values in the same order.

    Args:
        target_shape: the shape without the batch axis; one size may be -1, to be worked out.

    >>> import amalthea as am
    >>> am.layers.Reshape((2, -1))(am.ops.ones((5, 6))).shape
    (5, 2, 3)
    """

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        target_shape = (target_shape,) if isinstance(target_shape, int) else tuple(target_shape)
        if target_shape.count(-1) > 1 or any(size < -1 for size in target_shape):
            fail(
                ArgumentError,
                "`target_shape` may hold one -1 and otherwise sizes that are not negative",
                where="Reshape",
                received=f"target_shape={target_shape}",
                fix="give all other sizes",
            )
        self.target_shape = target_shape
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """The inputs in the new shape."""
        size, known = math.prod(inputs.shape[1:]), math.prod(n for n in self.target_shape if n != -1)
        fits = known and size % known == 0 if -1 in self.target_shape else size == known
        if not fits and size:
            fail(
                ShapeError,
                f"an example of shape {tuple(inputs.shape[1:])} does not fit `target_shape`",
                where="Reshape",
                received=f"input of shape {tuple(inputs.shape)}, target_shape={self.target_shape}",
                fix=f"the product of the sizes must be {size}",
            )
        return ops.reshape(inputs, (inputs.shape[0], *self.target_shape))

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "target_shape": self.target_shape}


@public("keras.layers.Permute")
class Permute(Layer):
    """The axes of each example in another order.

    Args:
        dims: for each axis of the output the axis of the input, counted from 1 (0 is the batch axis).

    >>> import amalthea as am
    >>> am.layers.Permute((2, 1))(am.ops.ones((5, 3, 4))).shape
    (5, 4, 3)
    """

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            fail(
                ArgumentError,
                "`dims` must name each axis from 1 on once",
                where="Permute",
                received=f"dims={self.dims}",
                fix="for example dims=(2, 1)",
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: Tensor) -> Tensor:
        """The inputs with permuted axes."""
        return ops.transpose(inputs, (0, *self.dims))

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "dims": self.dims}


@public("keras.layers.RepeatVector")
class RepeatVector(Layer):
    """Each vector `n` times: `(batch, features)` becomes `(batch, n, features)`.

    Args:
        n: how often.

    >>> import amalthea as am
    >>> am.layers.RepeatVector(3)(am.ops.ones((2, 4))).shape
    (2, 3, 4)
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = whole_number(n, "RepeatVector", "n")
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: Tensor) -> Tensor:
        """The repeated inputs."""
        return ops.repeat(ops.expand_dims(inputs, 1), self.n, axis=1)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "n": self.n}
