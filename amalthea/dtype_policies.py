"""`keras.dtype_policies`: every name that `amalthea/nn/dtype_policies.py` makes public."""

import amalthea.nn.dtype_policies  # noqa: F401  (defines the names)
from amalthea.nn.registry import exports

globals().update(exports("keras.dtype_policies"))
