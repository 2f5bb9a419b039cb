"""`keras.constraints`: every name that `amalthea/nn/constraints.py` makes public."""

import amalthea.nn.constraints  # noqa: F401  (defines the names)
from amalthea.nn.registry import exports

globals().update(exports("keras.constraints"))
