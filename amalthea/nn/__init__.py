"""Layers, losses, metrics, optimizers and what they are made of, written in ops alone.

For users `am.nn` is `tf.nn` and `keras.ops.nn`: the names of both are found here, and `dir()` shows them alone. Which
modules hold them is said from above, by the package itself; the modules in this folder are reached by importing them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

_faces: list[tuple[Callable[[str], Any], Callable[[], list[str]]]] = []


def show(face: tuple[Callable[[str], Any], Callable[[], list[str]]]) -> None:
    """Find names that users ask for, and list them, by this `(__getattr__, __dir__)`."""
    _faces[:] = [face]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if not _faces or name.startswith("_") or importlib.util.find_spec(f"{__name__}.{name}") is not None:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'", name=name)
        return _faces[0][0](name)

    def __dir__() -> list[str]:
        return _faces[0][1]() if _faces else []
