"""`Flatten`: each example as one vector."""

from __future__ import annotations

import math
from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.nn.arguments import checked_data_format
from amalthea.nn.input_spec import InputSpec
from amalthea.nn.layer import Layer
from amalthea.nn.registry import public

__all__ = ["Flatten"]


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
