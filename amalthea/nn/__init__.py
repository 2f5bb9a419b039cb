"""Layers, losses, metrics, optimizers and what they are made of, written in ops alone.

`tf.nn.relu` and the like, for code that says `import amalthea as tf`, find the op of that name.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any


def __getattr__(name: str) -> Any:
    from amalthea import ops

    found = None if name.startswith("_") else getattr(ops, name, None)
    if found is None or isinstance(found, ModuleType):  # `from amalthea.nn import activations` means our own submodule
        raise AttributeError(f"module 'amalthea.nn' has no attribute {name!r}")
    return found
