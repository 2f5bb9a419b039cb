"""What TensorFlow computes in: it has few kernels for narrow and unsigned integers, and rounds half precision often."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

FEW_KERNELS = (tf.uint8, tf.uint16, tf.uint32, tf.uint64, tf.int8, tf.int16)
HALF = (tf.float16, tf.bfloat16)


def wide(x: Any) -> Any:
    """Integers with few kernels as int64."""
    return tf.cast(x, tf.int64) if x.dtype in FEW_KERNELS else x


def widened(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute integers with few kernels as int64 and cut the result to their width."""

    @functools.wraps(function)
    def run(*xs: Any, **attrs: Any) -> Any:
        few = [x.dtype for x in xs if x.dtype in FEW_KERNELS]
        if not few:
            return function(*xs, **attrs)
        made = function(*map(wide, xs), **attrs)
        return tf.cast(made, few[0]) if made.dtype == tf.int64 else made

    return run


def in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute half precision in float32 and round once."""

    @functools.wraps(function)
    def run(x: Any, *rest: Any, **attrs: Any) -> Any:
        if x.dtype not in HALF:
            return function(x, *rest, **attrs)
        return tf.cast(function(tf.cast(x, tf.float32), *[tf.cast(r, tf.float32) for r in rest], **attrs), x.dtype)

    return run
