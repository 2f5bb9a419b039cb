"""`RepeatVector`: a vector as a sequence of equal steps."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.nn.arguments import whole_number
from amalthea.nn.input_spec import InputSpec
from amalthea.nn.layer import Layer
from amalthea.nn.registry import public

__all__ = ["RepeatVector"]


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
