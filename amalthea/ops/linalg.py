"""Linear algebra under the name that Keras also gives it, `ops.linalg`."""

from typing import TYPE_CHECKING

from amalthea.core.public_face import public_face
from amalthea.ops.contractions import norm as norm

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
