"""Handwritten digits, 8 x 8 pixels: `load_data()`."""

from __future__ import annotations

from amalthea.data.datasets.digits import load_data as load_data

__all__ = ["load_data"]
