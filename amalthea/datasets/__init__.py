"""Data sets that come with the package: `am.datasets.digits.load_data()`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amalthea.core.public_face import public_face
from amalthea.datasets import digits as digits

__all__ = ["digits"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
