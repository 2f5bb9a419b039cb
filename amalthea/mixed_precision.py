"""`keras.mixed_precision`: the dtype policy of layers, under its older names."""

from typing import TYPE_CHECKING

from amalthea.core.public_face import public_face
from amalthea.nn.dtype_policies import DTypePolicy, dtype_policy, set_dtype_policy
from amalthea.nn.dtype_policies import DTypePolicy as Policy
from amalthea.nn.dtype_policies import dtype_policy as global_policy
from amalthea.nn.dtype_policies import set_dtype_policy as set_global_policy
from amalthea.nn.optimizers.loss_scale import LossScaleOptimizer

__all__ = [
    "DTypePolicy",
    "LossScaleOptimizer",
    "Policy",
    "dtype_policy",
    "global_policy",
    "set_dtype_policy",
    "set_global_policy",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
