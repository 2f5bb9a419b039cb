"""Who computes: one folder per backend, each a table from op name to kernel plus `compile(graph)`."""

from amalthea.backends.accelerators import REACHES_ONE

__all__ = ["REACHES_ONE"]
