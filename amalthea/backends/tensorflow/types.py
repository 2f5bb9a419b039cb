"""What TensorFlow computes in: it has few kernels for narrow and unsigned integers, and rounds half precision often."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

FEW_KERNELS = frozenset((tf.uint8, tf.uint16, tf.uint32, tf.uint64, tf.int8, tf.int16))
HALF = frozenset((tf.float16, tf.bfloat16))


def ints(values: tuple[int, ...]) -> Any:
    """Axes or sizes as TensorFlow's ops take them fastest: eagerly as a tensor that is made once."""
    return _tensor(values) if tf.executing_eagerly() else tf.constant(values, tf.int32)


@functools.lru_cache(4096)
def _tensor(values: tuple[int, ...]) -> Any:
    with tf.device("cpu:0"):  # where ops read them
        return tf.constant(values, tf.int32, (len(values),))


def wide(x: Any) -> Any:
    """Integers with few kernels as int64."""
    return tf.cast(x, tf.int64) if x.dtype in FEW_KERNELS else x


_TOP = -(1 << 63)


def ordered(x: Any) -> Any:
    """As `wide`, but numbers that stand in the order of x: those of uint64 with the top bit flipped."""
    return (
        tf.bitwise.bitwise_xor(tf.bitcast(x, tf.int64), tf.constant(_TOP, tf.int64))
        if x.dtype == tf.uint64
        else wide(x)
    )


def unordered(made: Any, kind: Any) -> Any:
    """What `ordered` made, or one of its numbers, in the dtype that it was."""
    if kind == tf.uint64:
        return tf.bitcast(tf.bitwise.bitwise_xor(made, tf.constant(_TOP, tf.int64)), kind)
    return made if made.dtype == kind else tf.cast(made, kind)


def compared(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute integers with few kernels as int64 of the same order; the result is one of them."""

    @functools.wraps(function)
    def run(*xs: Any) -> Any:
        kind = xs[0].dtype
        return unordered(function(*map(ordered, xs)), kind) if kind in FEW_KERNELS else function(*xs)

    return run


def widened(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute integers with few kernels as int64 and cut the result to their width."""

    @functools.wraps(function)
    def run(*xs: Any, **attrs: Any) -> Any:
        kind = xs[0].dtype
        if kind not in FEW_KERNELS:
            return function(*xs, **attrs)
        made = function(*map(wide, xs), **attrs)
        return tf.cast(made, kind) if made.dtype == tf.int64 else made

    return run


def in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute half precision in float32 and round once."""

    @functools.wraps(function)
    def run(x: Any, *rest: Any, **attrs: Any) -> Any:
        if x.dtype not in HALF:
            return function(x, *rest, **attrs)
        return tf.cast(function(tf.cast(x, tf.float32), *[tf.cast(r, tf.float32) for r in rest], **attrs), x.dtype)

    return run
