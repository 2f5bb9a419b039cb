"""Arrays of other frameworks: tensors of PyTorch and TensorFlow, arrays of JAX, columns of pandas, what NumPy reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from amalthea.core import dtypes
from amalthea.core.backend import Backend

_CPU = 1  # the number of main memory among DLPack's devices


def is_array(x: Any) -> bool:
    """Whether `x` is one array of NumPy or of another framework.

    >>> is_array(np.zeros(3)), is_array([1, 2]), is_array(np.float32)
    (True, False, False)
    """
    return isinstance(x, (np.ndarray, np.generic)) or (
        hasattr(x, "__array__") and not isinstance(x, type) and getattr(x, "shape", None) is not None
    )


def read(x: Any) -> np.ndarray:
    """An array as NumPy, without a copy where none is needed; lists and numbers as NumPy understands them.

    >>> read(np.float32(2))
    array(2., dtype=float32)
    """
    if _of_torch(x):  # it may be on a device or have a gradient
        x = x.detach().cpu()
        name = str(x.dtype).removeprefix("torch.")
        if name.startswith(("bfloat", "float8")):  # NumPy asks torch in vain for these; float32 holds them exactly
            return np.asarray(x.float()).astype(dtypes.to_numpy(name))
    return np.asarray(x)


def taken(x: Any, backend: Backend) -> Any | None:
    """An array of the backend's own engine, or one on an accelerator, as the backend's; None for all others.

    These need not pass through NumPy. A tensor of PyTorch is copied, as it can be changed where it came from.
    """
    if backend.array_type is np.ndarray:
        return None
    if not isinstance(x, backend.array_type):
        place = getattr(x, "__dlpack_device__", None)
        if place is None or isinstance(x, (np.ndarray, np.generic)) or place()[0] == _CPU:
            return None
    return backend.to_array(x.detach().clone() if _of_torch(x) else x)


def _of_torch(x: Any) -> bool:
    return hasattr(x, "detach") and hasattr(x, "cpu")
