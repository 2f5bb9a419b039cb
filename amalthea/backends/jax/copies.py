"""Arrays of NumPy for JAX: one copy, where `jax.numpy.asarray` makes two on a processor."""

from __future__ import annotations

import jax
import numpy as np

ALIGNMENT = 64
"""Bytes; XLA's CPU takes memory over as it lies if its address is a multiple of it. NumPy's rarely is."""

LARGE = 1 << 20
"""Bytes from which the second copy costs more than the longer way through Python."""


def from_numpy(array: np.ndarray, dtype: np.dtype | None = None) -> jax.Array:
    """A JAX array of the same elements, in the dtype if one is given, in memory that nobody else writes to.

    >>> import numpy as np
    >>> from_numpy(np.zeros((2, 3), "float32")).shape
    (2, 3)
    """
    wanted = array.dtype if dtype is None else np.dtype(dtype)
    if array.nbytes < LARGE or wanted.hasobject or not wanted.isnative or not _on_processor():
        return jax.numpy.asarray(array, dtype)
    memory = np.empty(array.size * wanted.itemsize + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    copy = memory[start : start + array.size * wanted.itemsize].view(wanted).reshape(array.shape)
    copy[...] = array
    return jax.device_put(copy)  # type: ignore[no-any-return]


def _on_processor() -> bool:
    device = jax.config.jax_default_device or jax.local_devices()[0]  # type: ignore[attr-defined]
    return getattr(device, "platform", device) == "cpu"  # the option takes the name of a platform too
