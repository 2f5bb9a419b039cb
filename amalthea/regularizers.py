"""`am.regularizers`, with Keras' names; see `amalthea/nn/regularizers.py`."""

from typing import TYPE_CHECKING

from amalthea.core.public_face import public_face
from amalthea.nn.regularizers import L1, L1L2, L2, OrthogonalRegularizer, Regularizer, deserialize, get, serialize
from amalthea.nn.regularizers import L1 as l1
from amalthea.nn.regularizers import L1L2 as l1_l2
from amalthea.nn.regularizers import L2 as l2
from amalthea.nn.regularizers import OrthogonalRegularizer as orthogonal_regularizer

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "orthogonal_regularizer",
    "serialize",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
