"""`am.config`: settings, as `keras.config` names them, the backend that computes and its threads."""

from typing import TYPE_CHECKING

from amalthea.compiler.threads import num_threads, set_num_threads
from amalthea.core.backend import backend, backend_scope, set_backend
from amalthea.core.config import (
    autotune,
    config_file,
    epsilon,
    fast_math,
    floatx,
    image_data_format,
    set_autotune,
    set_epsilon,
    set_fast_math,
    set_floatx,
    set_image_data_format,
)
from amalthea.core.public_face import public_face
from amalthea.nn.dtype_policies import dtype_policy, set_dtype_policy
from amalthea.tensorflow_names.config import list_logical_devices, list_physical_devices

__all__ = [
    "autotune",
    "backend",
    "backend_scope",
    "config_file",
    "dtype_policy",
    "epsilon",
    "fast_math",
    "floatx",
    "image_data_format",
    "list_logical_devices",
    "list_physical_devices",
    "num_threads",
    "set_autotune",
    "set_backend",
    "set_dtype_policy",
    "set_epsilon",
    "set_fast_math",
    "set_floatx",
    "set_image_data_format",
    "set_num_threads",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
