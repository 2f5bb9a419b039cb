"""`am.constraints`, with Keras' names; see `amalthea/nn/constraints.py`."""

from typing import TYPE_CHECKING

from amalthea.core.public_face import public_face
from amalthea.nn.constraints import Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm, deserialize, get, serialize
from amalthea.nn.constraints import MaxNorm as max_norm
from amalthea.nn.constraints import MinMaxNorm as min_max_norm
from amalthea.nn.constraints import NonNeg as non_neg
from amalthea.nn.constraints import UnitNorm as unit_norm

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
