"""TensorFlow kernels of the pooling primitives.

TensorFlow's own maxima pass NaNs over. So they are taken where the sum of the input is finite, and else one pass over
the input for each place of the window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from amalthea.backends.numpy.convolution import positions
from amalthea.backends.tensorflow.convolution import padded
from amalthea.backends.tensorflow.shaping import constant_pad
from amalthea.backends.tensorflow.types import wide

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def _lowest(dtype: Any) -> float:
    return 0 if dtype == tf.bool else dtype.min if not dtype.is_floating else float("-inf")


def _best(x: Any, size: Ints, places: Sequence[int], strides: Ints) -> Any:
    best = None
    for _, where in positions(size, places, strides, (1,) * len(size)):
        if best is None:
            best = x[where]
        else:
            best = best | x[where] if x.dtype == tf.bool else tf.maximum(best, x[where])
    return best


def max_pooling(x: Any, *, size: Ints, strides: Ints, padding: Pairs) -> Any:
    """The greatest element of each window; NaN if there is one."""
    kind, whole = x.dtype, padded(x, padding, _lowest(x.dtype))

    def slowly() -> Any:
        places = [(n - k) // s + 1 for n, k, s in zip(whole.shape[1:-1], size, strides, strict=True)]
        return tf.cast(_best(wide(whole), size, places, strides), kind)

    return _where_finite(x, size, lambda: _own(whole, size, strides), slowly)


def _where_finite(x: Any, size: Ints, fast: Callable[[], Any], slowly: Callable[[], Any]) -> Any:
    """What TensorFlow's own kernels compute if they can, and all elements are finite; else by places of the window."""
    if len(size) != 2 or x.dtype not in (tf.float32, tf.float64) or 0 in x.shape:
        return slowly()
    return tf.cond(tf.math.is_finite(tf.reduce_sum(x)), fast, slowly)


def _own(x: Any, size: Ints, strides: Ints) -> Any:
    return tf.raw_ops.MaxPool(input=x, ksize=[1, *size, 1], strides=[1, *strides, 1], padding="VALID")


def _add_up(parts: Any, x_shape: Sequence[int], size: Ints, places: Sequence[int], strides: Ints) -> Any:
    """Blocks (batch, *places, channels), one for each place of the window, added where they lie."""
    total = None
    for (index, _), part in zip(positions(size, places, strides, (1,) * len(size)), parts, strict=True):
        low = (0, *index, 0)
        spread = [(n - 1) * s + 1 if n else 0 for n, s in zip(places, strides, strict=True)]
        high = (0, *(full - i - n for full, i, n in zip(x_shape, index, spread, strict=True)), 0)
        placed = constant_pad(part, low, high, (0, *(s - 1 for s in strides), 0), 0)
        if total is None:
            total = placed
        else:
            total = total | placed if placed.dtype == tf.bool else total + placed
    return total


def max_pooling_gradient(x: Any, g: Any, *, size: Ints, strides: Ints, padding: Pairs) -> Any:
    """The gradient of each window at its first greatest element."""
    whole = padded(x, padding, _lowest(x.dtype))

    def fast() -> Any:
        return tf.raw_ops.MaxPoolGrad(
            orig_input=whole,
            orig_output=_own(whole, size, strides),
            grad=g,
            ksize=[1, *size, 1],
            strides=[1, *strides, 1],
            padding="VALID",
        )

    def slowly() -> Any:
        places = tuple(g.shape[1:-1])
        best = _best(whole, size, places, strides)
        left = tf.ones(g.shape, tf.bool)
        parts = []
        for _, where in positions(size, places, strides, (1,) * len(size)):
            here = left & (tf.equal(whole[where], best) | tf.not_equal(best, best))
            parts.append(tf.where(here, g, tf.zeros_like(g)))
            left &= ~here
        return _add_up(parts, tuple(whole.shape[1:-1]), size, places, strides)

    return padded(_where_finite(x, size, fast, slowly), [(-lo, -hi) for lo, hi in padding])


def extract_windows(x: Any, *, size: Ints, strides: Ints) -> Any:
    """All windows: (batch, *places, *size, channels)."""
    places = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], size, strides, strict=True)]
    views = [x[where] for _, where in positions(size, places, strides, (1,) * len(size))]
    return tf.reshape(tf.stack(views, 1 + len(size)), (x.shape[0], *places, *size, x.shape[-1]))


def overlap_add(x: Any, *, input_size: Ints, size: Ints, strides: Ints) -> Any:
    """The transpose of `extract_windows`: windows are added where they lie."""
    n = len(size)
    places = tuple(x.shape[1 : 1 + n])
    parts = [x[(slice(None),) * (1 + n) + i] for i, _ in positions(size, places, strides, (1,) * n)]
    return _add_up(parts, input_size, size, places, strides)


KERNELS: dict[str, Callable[..., Any]] = {
    "max_pooling": max_pooling,
    "max_pooling_gradient": max_pooling_gradient,
    "extract_windows": extract_windows,
    "overlap_add": overlap_add,
}
