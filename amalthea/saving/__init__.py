"""`am.saving`: model and weights files, and the names under which classes are found in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amalthea.core.public_face import public_face
from amalthea.nn.objects import (
    CustomObjectScope,
    custom_object_scope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)
from amalthea.saving.errors import SavedFileError
from amalthea.saving.model_files import load_model, load_weights, save_model, save_weights

__all__ = [
    "CustomObjectScope",
    "SavedFileError",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
