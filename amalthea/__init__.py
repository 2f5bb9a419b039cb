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
from types import ModuleType
from typing import TYPE_CHECKING, Any

from amalthea import nn
from amalthea.core.public_face import public_face, unknown
from amalthea.module_alias import ModuleAlias
from amalthea.nn.registry import when_missing as _when_missing

if TYPE_CHECKING:  # what type checkers and editors see; the tables below say the same to Python
    from amalthea import activations as activations
    from amalthea import backend as backend
    from amalthea import callbacks as callbacks
    from amalthea import config as config
    from amalthea import constraints as constraints
    from amalthea import datasets as datasets
    from amalthea import dtype_policies as dtype_policies
    from amalthea import initializers as initializers
    from amalthea import layers as layers
    from amalthea import losses as losses
    from amalthea import metrics as metrics
    from amalthea import mixed_precision as mixed_precision
    from amalthea import models as models
    from amalthea import ops as ops
    from amalthea import optimizers as optimizers
    from amalthea import random as random
    from amalthea import regularizers as regularizers
    from amalthea import saving as saving
    from amalthea import tree as tree
    from amalthea import utils as utils
    from amalthea.compiler.explain import explain as explain
    from amalthea.config import backend_scope as backend_scope
    from amalthea.core.custom_gradient import custom_gradient as custom_gradient
    from amalthea.core.derivatives import grad as grad
    from amalthea.core.derivatives import value_and_grad as value_and_grad
    from amalthea.core.derivatives import vjp as vjp
    from amalthea.core.device import device as device
    from amalthea.core.device import devices as devices
    from amalthea.core.errors import AmaltheaError as AmaltheaError
    from amalthea.core.errors import ArgumentError as ArgumentError
    from amalthea.core.errors import DTypeError as DTypeError
    from amalthea.core.errors import GradientError as GradientError
    from amalthea.core.errors import ShapeError as ShapeError
    from amalthea.core.errors import TraceError as TraceError
    from amalthea.core.function import function as function
    from amalthea.core.graph import Graph as Graph
    from amalthea.core.tape import GradientTape as GradientTape
    from amalthea.core.tensor import KerasTensor as KerasTensor
    from amalthea.core.tensor import Tensor as Tensor
    from amalthea.core.tensor import TensorSpec as TensorSpec
    from amalthea.core.trace import trace as trace
    from amalthea.core.variable import Variable as Variable
    from amalthea.dtype_policies import DTypePolicy as DTypePolicy
    from amalthea.dtype_policies import FloatDTypePolicy as FloatDTypePolicy
    from amalthea.initializers import Initializer as Initializer
    from amalthea.losses import Loss as Loss
    from amalthea.metrics import Metric as Metric
    from amalthea.models.crossing_over import from_torch_state as from_torch_state
    from amalthea.models.model import Model as Model
    from amalthea.models.sequential import Sequential as Sequential
    from amalthea.nn.input_spec import InputSpec as InputSpec
    from amalthea.nn.layer import Layer as Layer
    from amalthea.nn.layers.input_layer import Input as Input
    from amalthea.optimizers import Optimizer as Optimizer
    from amalthea.regularizers import Regularizer as Regularizer
    from amalthea.tensorflow_names.top import *  # noqa: F403

__version__ = "0.1.0"

# Names and where they live. Everything is imported when it is first used, so that `import amalthea` is quick.
_MODULES = (
    "activations",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "dtype_policies",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "nn",
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
    "amalthea.models.crossing_over": ("from_torch_state",),
    "amalthea.models.model": ("Model",),
    "amalthea.models.sequential": ("Sequential",),
    "amalthea.nn.input_spec": ("InputSpec",),
    "amalthea.nn.layer": ("Layer",),
    "amalthea.nn.layers.input_layer": ("Input",),
    "amalthea.optimizers": ("Optimizer",),
    "amalthea.regularizers": ("Regularizer",),
    "amalthea.config": ("backend_scope",),
}
_WHERE = {name: module for module, names in _NAMES.items() for name in names}

ModuleAlias("amalthea.keras", "amalthea").install()  # from amalthea.keras.layers import Dense


def _neural_network_modules() -> list[ModuleType]:
    return [importlib.import_module("amalthea.tensorflow_names.nn"), importlib.import_module("amalthea.ops.nn")]


nn.show(public_face("amalthea.nn", more=_neural_network_modules))


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


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name == "keras":
            return sys.modules[__name__]
        if name in _MODULES:
            return importlib.import_module(f"amalthea.{name}")
        if name.startswith("__"):
            raise AttributeError(f"module 'amalthea' has no attribute {name!r}")
        if name in _WHERE:
            found = getattr(importlib.import_module(_WHERE[name]), name)
        else:
            tensorflow = importlib.import_module("amalthea.tensorflow_names.top")
            if name not in tensorflow.__all__:
                raise unknown("amalthea", name, _everything)
            found = getattr(tensorflow, name)
        globals()[name] = found
        return found

    def _everything() -> list[str]:
        inside = ("layers", "losses", "metrics", "ops", "optimizers")
        return [*__dir__(), *(f"{module}.{name}" for module in inside for name in dir(__getattr__(module)))]

    def __dir__() -> list[str]:
        tensorflow = importlib.import_module("amalthea.tensorflow_names.top")
        return sorted({*_MODULES, *_WHERE, *tensorflow.__all__, "keras", "version", "__version__", "__doc__"})
