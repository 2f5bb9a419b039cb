"""`keras.regularizers`: every name that `amalthea/nn/regularizers.py` makes public."""

import amalthea.nn.regularizers
from amalthea.nn.registry import exports

globals().update(exports("keras.regularizers"))
