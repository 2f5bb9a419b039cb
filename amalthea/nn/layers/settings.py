"""What many layers share in their arguments: initializers, regularizers, constraints and activations by name.

A layer takes such an argument as a name, a config or an object, keeps the object, and writes a config for it again.
Which kind an argument is follows from the last word of its name (`kernel_initializer`, `recurrent_activation`, ...).
"""

from __future__ import annotations

from typing import Any

from amalthea.nn import activations, constraints, initializers, regularizers

_KINDS: dict[str, Any] = {
    "initializer": initializers,
    "regularizer": regularizers,
    "constraint": constraints,
    "activation": activations,
}


def keep(layer: Any, **arguments: Any) -> None:
    """Set each argument as an attribute of `layer`, turned from a name or config into its object."""
    for name, value in arguments.items():
        setattr(layer, name, _KINDS[name.rsplit("_", 1)[-1]].get(value))


def written(layer: Any, *names: str) -> dict[str, Any]:
    """The part of a layer's config that holds these attributes, as `keep` set them."""
    return {name: _KINDS[name.rsplit("_", 1)[-1]].serialize(getattr(layer, name)) for name in names}
