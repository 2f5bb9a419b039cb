"""Amalthea: deep learning in one install.

The Keras 3 API on a small core of its own. `import amalthea as am` is enough; existing code also runs with
`import amalthea as keras` and `import amalthea as tf`, for what exists.

>>> import amalthea as am
>>> model = am.Sequential([am.Input((3,)), am.layers.Dense(2)])
>>> model(am.ops.ones((1, 3))).shape
(1, 2)
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from amalthea.nn.registry import when_missing as _when_missing

__version__ = "0.1.0"

# Names and where they live. Everything is imported when it is first used, so that `import amalthea` is quick.
_MODULES = (
    "activations",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "dtype_policies",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "random",
    "regularizers",
    "saving",
    "tree",
    "utils",
)
_NAMES = {
    "amalthea.compiler.explain": ("explain",),
    "amalthea.core.device": ("device", "devices"),
    "amalthea.core.custom_gradient": ("custom_gradient",),
    "amalthea.core.derivatives": ("grad", "value_and_grad", "vjp"),
    "amalthea.core.errors": (
        "AmaltheaError",
        "ArgumentError",
        "DTypeError",
        "GradientError",
        "ShapeError",
        "TraceError",
    ),
    "amalthea.core.function": ("function",),
    "amalthea.core.graph": ("Graph",),
    "amalthea.core.tape": ("GradientTape",),
    "amalthea.core.tensor": ("KerasTensor", "Tensor", "TensorSpec"),
    "amalthea.core.trace": ("trace",),
    "amalthea.core.variable": ("Variable",),
    "amalthea.dtype_policies": ("DTypePolicy", "FloatDTypePolicy"),
    "amalthea.initializers": ("Initializer",),
    "amalthea.losses": ("Loss",),
    "amalthea.metrics": ("Metric",),
    "amalthea.models.model": ("Model",),
    "amalthea.models.sequential": ("Sequential",),
    "amalthea.nn.input_spec": ("InputSpec",),
    "amalthea.nn.layer": ("Layer",),
    "amalthea.nn.layers.input_layer": ("Input",),
    "amalthea.ops": ("stop_gradient",),
    "amalthea.optimizers": ("Optimizer",),
    "amalthea.regularizers": ("Regularizer",),
    "amalthea.config": ("backend_scope",),
}
_WHERE = {name: module for module, names in _NAMES.items() for name in names}


def version() -> str:
    """The version of this package.

    >>> import amalthea as am
    >>> am.version() == am.__version__
    True
    """
    return __version__


def _load_everything() -> None:
    """Import all modules whose classes files may name."""
    for module in ("activations", "constraints", "dtype_policies", "initializers", "layers", "losses", "metrics"):
        importlib.import_module(f"amalthea.{module}")
    for module in ("models", "optimizers", "random", "regularizers"):
        importlib.import_module(f"amalthea.{module}")


_when_missing(_load_everything)


def __getattr__(name: str) -> Any:
    if name == "keras":
        return sys.modules[__name__]
    if name in _MODULES:
        return importlib.import_module(f"amalthea.{name}")
    if name in _WHERE:
        found = getattr(importlib.import_module(_WHERE[name]), name)
    elif name.startswith("__"):
        raise AttributeError(f"module 'amalthea' has no attribute {name!r}")
    else:
        try:
            found = importlib.import_module("amalthea.aliases").find(name)
        except AttributeError:
            raise AttributeError(
                f"module 'amalthea' has no attribute {name!r}. Fix: see dir(amalthea) for what there is; ops are in "
                "amalthea.ops, layers in amalthea.layers."
            ) from None
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_WHERE, "keras"})
