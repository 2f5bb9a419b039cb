"""`keras.activations`: every name that `amalthea/nn/activations.py` makes public."""

import amalthea.nn.activations  # noqa: F401  (defines the names)
from amalthea.nn.registry import exports

globals().update(exports("keras.activations"))
