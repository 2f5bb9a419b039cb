"""`keras.initializers`: every name that `amalthea/nn/initializers.py` makes public."""

import amalthea.nn.initializers
from amalthea.nn.registry import exports

globals().update(exports("keras.initializers"))
