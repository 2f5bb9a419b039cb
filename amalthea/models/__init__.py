"""`am.models`: models made of layers, and what makes, copies, saves and loads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amalthea.core.public_face import public_face
from amalthea.models.cloning import clone_model
from amalthea.models.crossing_over import from_torch_state
from amalthea.models.functional import Functional
from amalthea.models.model import Model, model_from_json
from amalthea.models.sequential import Sequential
from amalthea.saving.model_files import load_model, save_model

__all__ = [
    "Functional",
    "Model",
    "Sequential",
    "clone_model",
    "from_torch_state",
    "load_model",
    "model_from_json",
    "save_model",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
