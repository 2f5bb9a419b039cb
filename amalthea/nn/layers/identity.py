"""`Identity`: the input itself."""

from __future__ import annotations

from typing import Any

from amalthea.nn.layer import Layer
from amalthea.nn.registry import public

__all__ = ["Identity"]


@public("keras.layers.Identity")
class Identity(Layer):
    """Returns its input, a tensor or any structure of tensors: a placeholder.

    >>> import amalthea as am
    >>> am.layers.Identity()(am.ops.ones((2, 3))).shape
    (2, 3)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        """The input."""
        return inputs
