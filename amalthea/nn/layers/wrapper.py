"""Wrapper: base of the layers that hold another layer."""

from __future__ import annotations

import inspect
from typing import Any

from amalthea.core.errors import ArgumentError, fail
from amalthea.nn.layer import Layer
from amalthea.nn.objects import deserialize_keras_object, public, serialize_keras_object


def check_layer(value: Any, argument: str, where: str) -> None:
    """Refuse anything but a layer."""
    if not isinstance(value, Layer):
        fail(
            ArgumentError,
            f"`{argument}` must be a layer",
            where=where,
            received=f"{argument}={value!r}",
            fix=f"pass an instance, for example `{where}(LSTM(32))`"
            if where == "Bidirectional"
            else f"pass an instance, for example `{where}(Dense(32))`",
        )


def takes(layer: Any, argument: str) -> bool:
    """Whether a layer's `call` has an argument of this name (`training`, `mask`, ...)."""
    return isinstance(layer, Layer) and argument in inspect.signature(layer.call).parameters


@public("keras.layers.Wrapper")
class Wrapper(Layer):
    """Base of layers that hold another layer and change how it is used. Not for direct use: subclass it.

    Args:
        layer: the layer to hold, which is then `self.layer`.

    >>> import amalthea as am
    >>> class Twice(am.layers.Wrapper):
    ...     def call(self, inputs):
    ...         return 2 * self.layer(inputs)
    >>> Twice(am.layers.Dense(4))(am.ops.ones((2, 3))).shape
    (2, 4)
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        check_layer(layer, "layer", type(self).__name__)
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        """Build the layer that is held."""
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values."""
        return {**super().get_config(), "layer": serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """The layer that a config describes."""
        config = dict(config)
        layer = deserialize_keras_object(config.pop("layer"), custom_objects=custom_objects)
        return cls(layer, **config)
