"""Callbacks: code that runs between the steps and epochs of `fit`, `evaluate` and `predict`."""

from __future__ import annotations

from amalthea.train.callbacks import *  # noqa: F403
from amalthea.train.callbacks import __all__ as __all__
