"""`keras.regularizers`: every name that `amalthea/nn/regularizers.py` makes public."""

import amalthea.nn.regularizers  # noqa: F401  (defines the names)
from amalthea.nn.registry import exports

globals().update(exports("keras.regularizers"))
