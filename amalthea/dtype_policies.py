"""`keras.dtype_policies`: every name that `amalthea/nn/dtype_policies.py` makes public."""

import amalthea.nn.dtype_policies
from amalthea.nn.registry import exports

globals().update(exports("keras.dtype_policies"))
