"""`Reshape`: a new shape for each example."""

from __future__ import annotations

import math
from typing import Any

from amalthea import ops
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn.layer import Layer
from amalthea.nn.registry import public

__all__ = ["Reshape"]


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
