"""Layers to configs and back."""

from __future__ import annotations

from typing import Any

from amalthea.core.errors import ArgumentError, fail
from amalthea.nn.layer import Layer
from amalthea.nn.objects import deserialize_keras_object, serialize_keras_object
from amalthea.nn.registry import public

__all__ = ["deserialize", "serialize"]


@public("keras.layers.serialize")
def serialize(layer: Layer) -> dict[str, Any]:
    """The config of a layer, as `{"class_name": ..., "config": ...}`.

    >>> import amalthea as am
    >>> serialize(am.layers.Dense(3))["class_name"]
    'Dense'
    """
    return serialize_keras_object(layer)


@public("keras.layers.deserialize")
def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Layer:
    """The layer of a config. Raises ArgumentError if the config describes something else.

    >>> import amalthea as am
    >>> deserialize(serialize(am.layers.Dense(3))).units
    3
    """
    layer = deserialize_keras_object(config, custom_objects=custom_objects)
    if not isinstance(layer, Layer):
        fail(
            ArgumentError,
            "the config does not describe a layer",
            where="layers.deserialize",
            received=f"config={config!r}",
            fix="use the `deserialize` of the module that the object belongs to",
        )
    return layer
