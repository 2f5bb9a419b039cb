"""`keras.initializers`: every name that `amalthea/nn/initializers.py` makes public."""

import amalthea.nn.initializers  # noqa: F401  (defines the names)
from amalthea.nn.registry import exports

globals().update(exports("keras.initializers"))
