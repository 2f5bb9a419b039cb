"""Callbacks: code that runs between the steps and epochs of `fit`, `evaluate` and `predict`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amalthea.core.public_face import public_face
from amalthea.train.callbacks import *  # noqa: F403
from amalthea.train.callbacks import __all__ as __all__

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
