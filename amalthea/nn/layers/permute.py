"""`Permute`: the axes of each example in another order."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn.input_spec import InputSpec
from amalthea.nn.layer import Layer
from amalthea.nn.registry import public

__all__ = ["Permute"]


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
