"""Batch normalisation and its gradient by TensorFlow's fused ops.

The gradient takes what the forward op leaves for it. Within one `tf.function` the forward call of the same batch is
looked up; where there is none it is made again.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

import tensorflow as tf

from amalthea.backends.tensorflow.types import HALF, ints
from amalthea.core import dtypes

LEAST_EPSILON = 1.001e-5
"""What cuDNN refuses to go below."""

_made: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()
"""For each graph under construction the fused forward calls in it, by batch, scale, axis and epsilon."""


def _real(x: Any) -> Any:
    """Integers and bools as the default floating dtype."""
    return x if x.dtype.is_floating else tf.cast(x, dtypes.floatx().name)


def _fits(x: Any, epsilon: float) -> bool:
    """Whether the fused ops take such batches."""
    return x.dtype == tf.float32 and x.shape.rank > 1 and x.shape.num_elements() > 0 and epsilon >= LEAST_EPSILON


def _images(x: Any, axis: int) -> tuple[Any, str]:
    """The batch with four axes, and where its channels are."""
    sizes, axis = tuple(x.shape), axis % x.shape.rank
    if axis == len(sizes) - 1:
        shape, layout = (sizes[0], prod(sizes[1:-1]), 1, sizes[-1]), "NHWC"
    else:
        shape, layout = (prod(sizes[:axis]), sizes[axis], prod(sizes[axis + 1 :]), 1), "NCHW"
    if len(sizes) == 4 and axis in (1, 3):
        return x, layout
    return tf.raw_ops.Reshape(tensor=x, shape=ints(shape)), layout


def _back(made: Any, x: Any) -> Any:
    return made if made.shape == x.shape else tf.raw_ops.Reshape(tensor=made, shape=ints(tuple(x.shape)))


def _fused(x: Any, scale: Any, offset: Any, axis: int, epsilon: float) -> Any:
    """TensorFlow's results: its variance is that of a sample, which counts one element less."""
    channels, none = x.shape[axis], tf.zeros((0,))
    batch, layout = _images(x, axis)
    made = tf.raw_ops.FusedBatchNormV3(
        x=batch,
        scale=tf.ones((channels,)) if scale is None else scale,
        offset=tf.zeros((channels,)) if offset is None else offset,
        mean=none,
        variance=none,
        epsilon=epsilon,
        data_format=layout,
        is_training=True,
    )
    if not tf.executing_eagerly():
        _made.setdefault(tf.compat.v1.get_default_graph(), {})[_key(x, scale, axis, epsilon)] = made
    return made


def _key(x: Any, scale: Any, axis: int, epsilon: float) -> tuple[Any, ...]:
    return x.ref(), None if scale is None else scale.ref(), axis % x.shape.rank, epsilon


def _statistics(x: Any, axis: int) -> tuple[Any, Any, list[int]]:
    """The mean and variance of each channel in at least float32, with all axes, and the axes that are gone over."""
    axes = [i for i in range(x.shape.rank) if i != axis % x.shape.rank]
    mean = tf.reduce_mean(x, axes, keepdims=True)
    return mean, tf.reduce_mean(tf.square(x - mean), axes, keepdims=True), axes


def _along(v: Any, axis: int, x: Any) -> Any:
    """One number a channel in a shape that broadcasts with `x`."""
    return tf.reshape(tf.cast(v, x.dtype), [n if i == axis % x.shape.rank else 1 for i, n in enumerate(x.shape)])


def batch_normalization_training(
    x: Any, scale: Any = None, offset: Any = None, axis: int = -1, epsilon: float = 1e-3
) -> tuple[Any, Any, Any]:
    """The normalised batch, and the mean and variance of each channel."""
    x = _real(x)
    kind, channels = x.dtype, x.shape[axis]
    scale, offset = (None if v is None else tf.cast(v, kind) for v in (scale, offset))
    if _fits(x, epsilon):
        made, count = _fused(x, scale, offset, axis, epsilon), x.shape.num_elements() // channels
        return _back(made.y, x), made.batch_mean, made.batch_variance * ((count - 1) / count)
    wide = tf.cast(x, tf.float32) if kind in HALF else x
    mean, variance, _ = _statistics(wide, axis)
    made = (wide - mean) * tf.math.rsqrt(variance + epsilon)
    made = made if scale is None else made * _along(scale, axis, wide)
    made = made if offset is None else made + _along(offset, axis, wide)
    return tf.cast(made, kind), *(tf.cast(tf.reshape(v, (channels,)), kind) for v in (mean, variance))


def _zero(x: Any) -> bool:
    """Whether it is known that a tensor is zero everywhere."""
    if not isinstance(x, tf.__internal__.EagerTensor) and x.op.type in ("BroadcastTo", "Reshape", "Identity"):
        return _zero(x.op.inputs[0])
    value = tf.get_static_value(x)
    return value is not None and not value.any()


def batch_normalization_gradient(
    g: Any, g_mean: Any, g_variance: Any, x: Any, scale: Any = None, axis: int = -1, epsilon: float = 1e-3
) -> tuple[Any, Any, Any]:
    """The gradients of x, scale and offset."""
    g, x = _real(g), _real(x)
    kind = x.dtype
    scale = None if scale is None else tf.cast(scale, kind)
    if _fits(x, epsilon) and g.dtype == kind:
        changes, of_scale, of_offset = _fused_gradient(g, x, scale, axis, epsilon)
    else:
        changes, of_scale, of_offset = _gradient(g, x, scale, axis, epsilon)
    if not (_zero(g_mean) and _zero(g_variance)):
        wide = tf.cast(x, tf.float32) if kind in HALF else x
        mean, _, _ = _statistics(wide, axis)
        of_mean, of_variance = (_along(v, axis, wide) for v in (g_mean, g_variance))
        share = x.shape[axis] / max(x.shape.num_elements(), 1)
        changes = changes + tf.cast((of_mean + 2 * of_variance * (wide - mean)) * share, kind)
    return changes, of_scale, of_offset


def _fused_gradient(g: Any, x: Any, scale: Any, axis: int, epsilon: float) -> tuple[Any, Any, Any]:
    known = {} if tf.executing_eagerly() else _made.get(tf.compat.v1.get_default_graph(), {})
    forward = known.get(_key(x, scale, axis, epsilon)) or _fused(x, scale, None, axis, epsilon)
    (batch, layout), (change, _) = _images(x, axis), _images(g, axis)
    found = tf.raw_ops.FusedBatchNormGradV3(
        y_backprop=change,
        x=batch,
        scale=tf.ones((x.shape[axis],)) if scale is None else scale,
        reserve_space_1=forward.reserve_space_1,
        reserve_space_2=forward.reserve_space_2,
        reserve_space_3=forward.reserve_space_3,
        epsilon=epsilon,
        data_format=layout,
        is_training=True,
    )
    return _back(found.x_backprop, x), found.scale_backprop, found.offset_backprop


def _gradient(g: Any, x: Any, scale: Any, axis: int, epsilon: float) -> tuple[Any, Any, Any]:
    kind = x.dtype
    g, x = (tf.cast(v, tf.float32) if v.dtype in HALF else v for v in (g, x))
    mean, variance, axes = _statistics(x, axis)
    factor = tf.math.rsqrt(variance + epsilon)
    centred = (x - mean) * factor
    scaled = g if scale is None else g * _along(scale, axis, x)
    slope = tf.reduce_mean(scaled * centred, axes, keepdims=True)
    changes = (scaled - tf.reduce_mean(scaled, axes, keepdims=True) - centred * slope) * factor
    found = changes, tf.reduce_sum(g * centred, axes), tf.reduce_sum(g, axes)
    return tuple(tf.cast(v, kind) for v in found)


KERNELS: dict[str, Callable[..., Any]] = {
    "batch_normalization_training": batch_normalization_training,
    "batch_normalization_gradient": batch_normalization_gradient,
}
