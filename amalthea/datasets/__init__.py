"""Data sets that come with the package: `am.datasets.digits.load_data()`."""

from __future__ import annotations

from amalthea.datasets import digits as digits

__all__ = ["digits"]
