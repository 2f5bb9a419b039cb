"""`Masking`: marks the steps of a sequence that are padding."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.nn.layer import Layer
from amalthea.nn.objects import deserialize_keras_object
from amalthea.nn.registry import public

__all__ = ["Masking"]


@public("keras.layers.Masking")
class Masking(Layer):
    """Masks the steps in which all features equal `mask_value`, and sets them to 0.

    Args:
        mask_value: the value of padding.

    >>> import amalthea as am
    >>> y = am.layers.Masking()(am.ops.array([[[1.0, 2.0], [0.0, 0.0]]]))
    >>> y._keras_mask.numpy().tolist()
    [[True, False]]
    """

    def __init__(self, mask_value: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = deserialize_keras_object(mask_value) if isinstance(mask_value, dict) else mask_value
        self.supports_masking = True
        self._build_at_init()

    def compute_mask(self, inputs: Any, mask: Any = None) -> Tensor:
        """True for the steps with a feature other than `mask_value`."""
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs: Tensor) -> Tensor:
        """The inputs with 0 in masked steps."""
        return ops.where(ops.expand_dims(self.compute_mask(inputs), -1), inputs, ops.zeros_like(inputs))

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "mask_value": self.mask_value}
