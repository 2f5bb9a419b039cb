"""Automatic names of layers, metrics, optimizers and the like: `dense`, `dense_1`, `dense_2`, ..."""

from __future__ import annotations

import collections
import re
import threading
from typing import Any

_state = threading.local()


def _counters() -> collections.defaultdict[str, int]:
    """How often each prefix has been handed out in this thread."""
    if not hasattr(_state, "counters"):
        _state.counters = collections.defaultdict(int)
    return _state.counters


def to_snake_case(name: str) -> str:
    """`LayerNormalization` -> `layer_normalization`.

    >>> to_snake_case("Conv2DTranspose")
    'conv2d_transpose'
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def auto_name(prefix: str) -> str:
    """A name that this thread has not used yet: `prefix`, then `prefix_1`, `prefix_2`, ..."""
    prefix = to_snake_case(prefix)
    counters = _counters()
    count = counters[prefix]
    counters[prefix] += 1
    return f"{prefix}_{count}" if count else prefix


def get_uid(prefix: str = "") -> int:
    """The next whole number of a prefix, counted from 1 (it shares the counters of automatic names).

    >>> get_uid("an example") < get_uid("an example")
    True
    """
    counters = _counters()
    counters[prefix] += 1
    return counters[prefix]


def reset_names() -> None:
    """Start all automatic names again from the bare prefix (part of `clear_session`)."""
    _counters().clear()


def object_name(obj: Any) -> str:
    """A readable name of any object: its `name`, its function name, or its class in snake case."""
    if hasattr(obj, "name"):
        return obj.name
    if hasattr(obj, "__name__"):
        return to_snake_case(obj.__name__)
    return to_snake_case(type(obj).__name__)


def checked_name(name: Any, owner: str) -> str:
    """`name` when it may be a layer's name; an error that says why when it may not."""
    if not isinstance(name, str) or "/" in name:
        raise ValueError(
            f"[{owner}] `name` must be a string without '/', because '/' separates the levels of a variable's path. "
            f"Received: name={name!r} (of type {type(name).__name__}). Fix: choose a name such as 'encoder_1'."
        )
    return name


def clear_session(free_memory: bool = True) -> None:
    """Start the automatic names of layers and the like again at the bare name.

    >>> import amalthea as am
    >>> am.utils.clear_session()
    """
    reset_names()
