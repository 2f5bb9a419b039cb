"""From what a user writes for a loss, metric or optimizer (a name, a config, an object) to the object."""

from __future__ import annotations

import difflib
from typing import Any

from amalthea.nn.objects import deserialize_named, get_registered_object


def resolve(
    kind: str, identifier: Any, names: dict[str, Any], module: str, custom_objects: dict[str, Any] | None = None
) -> Any:
    """Find the object that `identifier` means.

    Args:
        kind: what it is, for errors: `"loss"`.
        identifier: None, a name, a config dict, or the object itself.
        names: the built-in objects by name.
        module: the public module that they are in, for errors and for configs that name none.
        custom_objects: objects of the user's, by name; these come first.

    Returns:
        The object (a class where a name means one); None for None.

    Raises:
        ValueError: nothing has this name; the message lists near ones.
        TypeError: `identifier` is none of these.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        return deserialize_named(identifier, names, custom_objects)
    if isinstance(identifier, str):
        found = (custom_objects or {}).get(identifier) or names.get(identifier)
        found = found or get_registered_object(identifier)
        if found is None:
            raise ValueError(unknown(kind, identifier, names, module))
        return found
    if callable(identifier) or hasattr(identifier, "get_config"):
        return identifier
    raise TypeError(
        f"[{module}.get] cannot make a {kind} of this. Received: {identifier!r} of type {type(identifier).__name__}. "
        f"Fix: pass the name of a {kind}, a {kind} object, or its config."
    )


def unknown(kind: str, name: str, names: dict[str, Any], module: str) -> str:
    """The message for a name that nothing has."""
    by_lower: dict[str, str] = {}
    for known in names:
        by_lower.setdefault(known.lower(), known)
    near = [by_lower[n] for n in difflib.get_close_matches(name.lower(), by_lower, n=4, cutoff=0.5)]
    fix = f"did you mean {' or '.join(repr(n) for n in near)}? " if near else ""
    return (
        f"[{module}.get] there is no {kind} of this name. Received: {name!r}. "
        f"Fix: {fix}For one of your own pass the object itself, or register its class with "
        f"am.saving.register_keras_serializable."
    )
