"""`am.tree`: nested structures, as `keras.tree` names what there is."""

from typing import TYPE_CHECKING

from amalthea.core.public_face import public_face
from amalthea.core.tree import assert_same as assert_same_structure
from amalthea.core.tree import flatten, is_nested, map_structure
from amalthea.core.tree import pack as pack_sequence_as

__all__ = ["assert_same_structure", "flatten", "is_nested", "map_structure", "pack_sequence_as"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
