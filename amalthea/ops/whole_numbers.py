"""Indices and class numbers that come as floats, as data sets often have them: 2.0 means 2, and 1.5 is a mistake."""

from __future__ import annotations

import numpy as np

from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Tensor
from amalthea.core.tracing import has_values
from amalthea.ops.core_ops import cast


def as_whole_numbers(x: Tensor, name: str, where: str | None = None) -> Tensor:
    """The tensor itself if it is of an integer dtype, else its values as int32.

    Raises ArgumentError for a value with a fraction, unless x is symbolic and its values are not known.

    >>> import amalthea as am
    >>> from amalthea.ops.whole_numbers import as_whole_numbers
    >>> as_whole_numbers(am.Tensor([0.0, 2.0]), "labels").tolist()
    [0, 2]
    """
    if dtypes.is_integer(x.dtype):
        return x
    if dtypes.is_floating(x.dtype) and has_values(x):
        array = np.asarray(x.numpy(), np.float64)
        bad = array != np.floor(array)
        if bad.any():
            place = tuple(int(i) for i in np.argwhere(bad)[0])
            fail(
                ArgumentError,
                f"{name} must be whole numbers",
                where=where,
                received=f"{name} of dtype {x.dtype} with {array[place]:g}" + (f" at {list(place)}" if place else ""),
                fix="pass integers; if fractions are meant, round them first with ops.round or ops.floor",
            )
    return cast(x, "int32")
