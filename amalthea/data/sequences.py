"""Sequences of different lengths as one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Sequences of different lengths as one array.

    Args:
        sequences: a list of lists (or arrays, with further axes of equal sizes).
        maxlen: the length of all; by default that of the longest.
        dtype: dtype of the array.
        padding: whether `value` is put before ("pre") or after ("post") short ones.
        truncating: whether long ones lose their start ("pre") or end ("post").
        value: what to fill with.

    Returns:
        An array of shape `(len(sequences), maxlen, ...)`.

    >>> pad_sequences([[1], [2, 3]]).tolist()
    [[0, 1], [2, 3]]
    """
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in ("pre", "post"):
            raise ValueError(f'[pad_sequences] `{name}` is "pre" or "post". Received: {side!r}. Fix: choose one.')
    try:
        items = [np.asarray(item) if len(item) else None for item in sequences]
    except TypeError as error:
        raise ValueError(
            f"[pad_sequences] each sequence must be a list or an array. Received: {sequences!r:.200}. "
            "Fix: pass a list of lists."
        ) from error
    shapes = {item.shape[1:] for item in items if item is not None}
    if len(shapes) > 1:
        raise ValueError(
            f"[pad_sequences] the elements of all sequences must have one shape. Received: {sorted(shapes)}. "
            "Fix: bring them to one shape first."
        )
    length = maxlen if maxlen is not None else max((len(item) for item in items if item is not None), default=0)
    padded = np.full((len(items), length, *(shapes.pop() if shapes else ())), value, dtype=dtype)
    for row, item in zip(padded, items, strict=True):
        if item is None or not length:
            continue
        kept = item[-length:] if truncating == "pre" else item[:length]
        if padding == "post":
            row[: len(kept)] = kept
        else:
            row[-len(kept) :] = kept
    return padded
