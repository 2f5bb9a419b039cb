"""TensorFlow kernels of the elementwise ops: mostly `tf.math`'s own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from amalthea.backends.tensorflow.types import HALF, compared, in_float32, wide, widened
from amalthea.core.errors import ArgumentError, fail


def cast(x: Any, dtype: str) -> Any:
    """Convert to a dtype; into bool by being nonzero, into integers to the nearest end of their range, NaN to 0."""
    wanted = tf.as_dtype(str(dtype))
    if wanted.is_integer and x.dtype.is_floating:
        return _to_integers(tf.cast(x, tf.float32) if x.dtype in HALF else x, wanted)
    if wanted == tf.bool and x.dtype != tf.bool:
        x = wide(x)
        return tf.not_equal(x, tf.zeros((), x.dtype))
    return tf.cast(x, wanted)


def _to_integers(x: Any, wanted: Any) -> Any:
    kind = x.dtype.as_numpy_dtype
    beyond = kind(wanted.max + 1)  # a power of two: no rounding
    inside = tf.clip_by_value(tf.where(tf.math.is_nan(x), kind(0), x), kind(wanted.min), np.nextafter(beyond, kind(0)))
    return tf.where(x >= beyond, tf.constant(wanted.max, wanted), tf.cast(inside, wanted))


def view(x: Any, dtype: str) -> Any:
    """The same bits read as another dtype; where widths differ the last axis grows or shrinks."""
    wanted = tf.as_dtype(str(dtype))
    if x.dtype == tf.bool:
        x = tf.cast(x, tf.uint8)
    if wanted == tf.bool:
        return cast(x, "bool")
    if wanted.size > x.dtype.size:
        x = tf.reshape(x, (*x.shape[:-1], -1, wanted.size // x.dtype.size))
    made = tf.bitcast(x, wanted)
    return tf.reshape(made, (*x.shape[:-1], -1)) if wanted.size < x.dtype.size else made


def _logical(integers: Callable[..., Any], bools: Callable[..., Any]) -> Callable[..., Any]:
    """Arithmetic that means logic between bools, as in NumPy."""

    def run(*xs: Any) -> Any:
        return bools(*xs) if xs[0].dtype == tf.bool else integers(*xs)

    return run


def _divided(function: Callable[..., Any]) -> Callable[..., Any]:
    """A division whose integers give 0 by zero."""

    def run(x1: Any, x2: Any) -> Any:
        if x1.dtype.is_floating:
            return function(x1, x2)
        zero = tf.equal(x2, 0)
        made = function(x1, tf.where(zero, tf.ones_like(x2), x2))
        return tf.where(zero, tf.zeros_like(made), made)

    return run


def mod(x1: Any, x2: Any) -> Any:
    """The remainder of floor_divide, with the divisor's sign."""
    made = tf.math.floormod(x1, x2)
    if not x1.dtype.is_floating:
        return made
    far = tf.math.is_inf(x2) & tf.math.is_finite(x1)
    return tf.where(far, tf.where(tf.equal(x1 < 0, x2 < 0) | tf.equal(x1, 0), x1, x2), made)


def power(x1: Any, x2: Any) -> Any:
    """x1 to the power of x2; ArgumentError for a negative power of integers (looked for eagerly only)."""
    if not x2.dtype.is_floating and tf.executing_eagerly() and (x2.numpy() < 0).any():
        fail(ArgumentError, "there are no negative integer powers of integers", where="power", fix="use floats")
    return tf.raw_ops.Pow(x=x1, y=x2)


def _erf64(x: Any) -> Any:
    """TensorFlow's erf, which is NaN at infinity in float64; it is 1 from 6 on."""
    return tf.math.erf(tf.clip_by_value(x, tf.constant(-6, x.dtype), tf.constant(6, x.dtype)))


def _rounded_once(in_float64: Callable[..., Any], in_float32: Callable[..., Any]) -> Callable[..., Any]:
    """Eager calls in float64, as TensorFlow's own float32 errs in the seventh digit; programs would pay for that."""

    def run(x: Any) -> Any:
        if x.dtype == tf.float64:
            return in_float64(x)
        return tf.cast(in_float64(tf.cast(x, tf.float64)), x.dtype) if tf.executing_eagerly() else in_float32(x)

    return run


def _unsigned64(quotient: bool, function: Callable[..., Any]) -> Callable[..., Any]:
    """Division of unsigned 64-bit integers by signed arithmetic: halve, divide, double, and put right by one."""

    def run(x1: Any, x2: Any) -> Any:
        if x1.dtype != tf.uint64:
            return function(x1, x2)
        x, y = tf.bitcast(x1, tf.int64), tf.bitcast(x2, tf.int64)
        low = tf.constant(tf.int64.min, tf.int64)
        safe = tf.where(y > 0, y, tf.ones_like(y))
        half = tf.bitwise.bitwise_and(tf.bitwise.right_shift(x, tf.ones_like(x)), tf.bitwise.invert(low))
        q = (half // safe) * 2
        q = q + tf.cast(tf.bitwise.bitwise_xor(x - q * safe, low) >= tf.bitwise.bitwise_xor(safe, low), tf.int64)
        over = tf.bitwise.bitwise_xor(x, low) >= tf.bitwise.bitwise_xor(y, low)
        q = tf.where(y < 0, tf.cast(over, tf.int64), q)
        made = q if quotient else x - q * y
        return tf.bitcast(tf.where(tf.equal(y, 0), tf.zeros_like(made), made), tf.uint64)

    return run


def _compared(function: Callable[..., Any]) -> Callable[..., Any]:
    """Comparisons: bools as numbers, and unsigned 64-bit integers with the highest bit flipped as signed ones."""

    def run(x1: Any, x2: Any) -> Any:
        if x1.dtype == tf.uint64:
            return function(tf.bitcast(x1, tf.int64) ^ tf.int64.min, tf.bitcast(x2, tf.int64) ^ tf.int64.min)
        if x1.dtype == tf.bool:
            return function(tf.cast(x1, tf.int32), tf.cast(x2, tf.int32))
        return function(wide(x1), wide(x2))

    return run


def _integers_stay(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: function(x) if x.dtype.is_floating else x


def isfinite(x: Any) -> Any:
    """Whether each element is neither infinite nor NaN."""
    return tf.math.is_finite(x) if x.dtype.is_floating else tf.ones(x.shape, tf.bool)


def erfinv(x: Any) -> Any:
    """The inverse of erf, as exact for small numbers as for large.

    TensorFlow takes the normal quantile of (x + 1) / 2, in which the last digits of a small x are lost. So it is
    computed in double precision, on the side where nothing cancels, and near zero by its series there (DLMF 7.17.2).
    """
    double = tf.cast(x, tf.float64)
    square = double * double
    series = 0.886226925452758 * double * (1 + square * (0.261799387799149 + square * 0.143931730849219))
    far = -tf.sign(double) * tf.math.erfinv(-tf.abs(double))
    return tf.cast(tf.where(tf.abs(double) < 1e-3, series, far), x.dtype)


def _raw(name: str, *names: str) -> Callable[..., Any]:
    """An op of TensorFlow's without the layers of Python above it, called by place."""
    call = getattr(tf.raw_ops, name)
    if len(names) == 1:
        (only,) = names
        return lambda x: call(**{only: x})
    first, second = names
    return lambda x1, x2: call(**{first: x1, second: x2})


def where(condition: Any, x1: Any, x2: Any) -> Any:
    """x1 where the condition holds, x2 elsewhere."""
    if not x2.shape.rank and x1.shape == condition.shape:  # ten times faster than a choice that broadcasts
        x2 = tf.fill(x1.shape, x2)
    return tf.raw_ops.SelectV2(condition=condition, t=x1, e=x2)


KERNELS: dict[str, Callable[..., Any]] = {
    "negative": widened(_raw("Neg", "x")),
    "abs": _logical(widened(tf.math.abs), tf.identity),
    "sign": widened(tf.math.sign),
    "exp": _raw("Exp", "x"),
    "expm1": _raw("Expm1", "x"),
    "log": _raw("Log", "x"),
    "log1p": _raw("Log1p", "x"),
    "sqrt": _raw("Sqrt", "x"),
    "sin": _raw("Sin", "x"),
    "cos": _raw("Cos", "x"),
    "tanh": _raw("Tanh", "x"),
    "sigmoid": _rounded_once(tf.math.sigmoid, tf.math.sigmoid),
    "erf": in_float32(_rounded_once(_erf64, tf.math.erf)),
    "erfc": in_float32(_rounded_once(tf.math.erfc, tf.math.erfc)),
    "erfinv": erfinv,
    "floor": _integers_stay(tf.math.floor),
    "round_half_even": _integers_stay(tf.math.round),
    "isfinite": isfinite,
    "bitwise_not": _logical(tf.bitwise.invert, tf.logical_not),
    "add": _logical(widened(_raw("AddV2", "x", "y")), tf.logical_or),
    "subtract": widened(_raw("Sub", "x", "y")),
    "multiply": _logical(widened(_raw("Mul", "x", "y")), tf.logical_and),
    "divide": _raw("RealDiv", "x", "y"),
    "floor_divide": _unsigned64(True, widened(_divided(tf.math.floordiv))),
    "mod": _unsigned64(False, widened(_divided(mod))),
    "power": widened(power),
    "maximum": _logical(compared(_raw("Maximum", "x", "y")), tf.logical_or),
    "minimum": _logical(compared(_raw("Minimum", "x", "y")), tf.logical_and),
    "arctan2": tf.math.atan2,
    "equal": _compared(_raw("Equal", "x", "y")),
    "less": _compared(_raw("Less", "x", "y")),
    "less_equal": _compared(_raw("LessEqual", "x", "y")),
    "bitwise_and": _logical(tf.bitwise.bitwise_and, tf.logical_and),
    "bitwise_or": _logical(tf.bitwise.bitwise_or, tf.logical_or),
    "bitwise_xor": _logical(tf.bitwise.bitwise_xor, tf.math.logical_xor),
    "left_shift": tf.bitwise.left_shift,
    "right_shift": tf.bitwise.right_shift,
    "where": where,
    "cast": cast,
    "view": view,
    "stop_gradient": _raw("Identity", "input"),
}
