"""`keras.backend`: settings and checks under their older names."""

from typing import TYPE_CHECKING

from amalthea.core.backend import backend
from amalthea.core.config import (
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from amalthea.core.dtypes import is_floating as is_float_dtype
from amalthea.core.dtypes import is_integer as is_int_dtype
from amalthea.core.dtypes import result_type, standardize_dtype
from amalthea.core.public_face import public_face
from amalthea.models.sources import is_keras_tensor
from amalthea.nn.naming import clear_session, get_uid

__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "get_uid",
    "image_data_format",
    "is_float_dtype",
    "is_int_dtype",
    "is_keras_tensor",
    "result_type",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "standardize_dtype",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
