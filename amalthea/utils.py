"""`am.utils`: small helpers around data, seeds and serialisation, under Keras' names."""

from typing import TYPE_CHECKING

from amalthea.core.dtypes import standardize_dtype
from amalthea.core.public_face import public_face
from amalthea.data.batches import pack_x_y_sample_weight, unpack_x_y_sample_weight
from amalthea.data.encoding import normalize, to_categorical
from amalthea.data.pydataset import PyDataset
from amalthea.data.pydataset import PyDataset as Sequence
from amalthea.data.sequences import pad_sequences
from amalthea.models.sources import get_source_inputs, is_keras_tensor
from amalthea.nn.naming import clear_session
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
from amalthea.ops.seeds import set_random_seed

__all__ = [
    "CustomObjectScope",
    "PyDataset",
    "Sequence",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "is_keras_tensor",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "register_keras_serializable",
    "serialize_keras_object",
    "set_random_seed",
    "standardize_dtype",
    "to_categorical",
    "unpack_x_y_sample_weight",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
