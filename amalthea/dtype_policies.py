"""`am.dtype_policies`, with Keras' names; see `amalthea/nn/dtype_policies.py`."""

from typing import TYPE_CHECKING

from amalthea.core.public_face import public_face
from amalthea.nn.dtype_policies import DTypePolicy, DTypePolicyMap, FloatDTypePolicy, deserialize, get, serialize

__all__ = [
    "DTypePolicy",
    "DTypePolicyMap",
    "FloatDTypePolicy",
    "deserialize",
    "get",
    "serialize",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
