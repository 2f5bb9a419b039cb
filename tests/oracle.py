"""Keras, the oracle of the suite, with the dtypes that it has by itself."""

from __future__ import annotations

import contextlib
from typing import Any

import jax


def keras_dtypes() -> contextlib.AbstractContextManager[Any]:
    """A context in which Keras, which runs on JAX, has its usual dtypes.

    They are those of JAX without 64-bit types, which Amalthea's jax backend switches on.
    """
    return jax.enable_x64(False)  # type: ignore[no-any-return]
