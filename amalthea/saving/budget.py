"""A limit on the variables that a config may make, so that a small file cannot ask for all the memory there is."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from amalthea.core import dtypes
from amalthea.core.context import context
from amalthea.saving.errors import refuse

SLACK = 64 << 20  # for what is not saved: metrics, states of random generators, optimizers of other makes


@contextlib.contextmanager
def weight_budget(saved_bytes: int, where: str) -> Iterator[None]:
    """Inside, variables of at most twice the size of the saved weights (and some slack) may be made.

    Raises:
        SavedFileError: a variable goes beyond that; it has not been made.
    """
    limit = 2 * saved_bytes + SLACK
    used = 0

    def allocate(shape: tuple[int, ...], dtype: Any) -> None:
        nonlocal used
        wanted = math.prod(shape) * dtypes.to_numpy(dtypes.standardize(dtype)).itemsize
        used += wanted
        if used > limit:
            refuse(
                where,
                f"the configuration asks for weights of {used:,} bytes (now one of shape {shape}), while the file "
                f"holds {saved_bytes:,} bytes of weights",
                "save the model again",
            )

    before = context.enter(allocate=allocate)
    try:
        yield
    finally:
        context.restore(before)
