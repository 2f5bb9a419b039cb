"""Normalization, dropout and the like, under TensorFlow's names (all in `tf.nn`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.ops import random
from amalthea.tensorflow_names.adapting import refuse
from amalthea.tensorflow_names.clipping import clip_by_norm


def moments(
    x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """The mean and the variance along axes; `shift` has no effect, as in TensorFlow.

    >>> import amalthea as tf
    >>> [float(m) for m in tf.nn.moments(tf.constant([1.0, 3.0]), axes=[0])]
    [2.0, 1.0]
    """
    mean, variance = ops.moments(x, tuple(axes) if isinstance(axes, list | tuple) else axes, keepdims=keepdims)
    return mean, variance


def batch_normalization(
    x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: float, name: str | None = None
) -> Tensor:
    """(x - mean) / sqrt(variance + variance_epsilon) * scale + offset, all broadcast; offset and scale may be None."""
    x = as_tensor(x)
    inverse = ops.rsqrt(ops.add(variance, variance_epsilon))
    inverse = inverse if scale is None else inverse * scale
    shift = -mean * inverse if offset is None else offset - mean * inverse
    return x * ops.cast(inverse, x.dtype) + ops.cast(shift, x.dtype)


def bias_add(value: Any, bias: Any, data_format: str | None = None, name: str | None = None) -> Tensor:
    """A vector added to the channels: the last axis, or the second where data_format starts with "NC"."""
    value = as_tensor(value)
    if data_format is not None and data_format.startswith("NC"):
        bias = ops.reshape(bias, (-1,) + (1,) * (len(value.shape) - 2))
    return ops.add(value, bias)


def dropout(
    x: Any, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Any = None, name: str | None = None
) -> Tensor:
    """Sets a random part (`rate`) of the elements to 0 and divides the others by 1 - rate."""
    return random.dropout(x, rate, noise_shape=noise_shape, seed=seed)


def embedding_lookup(params: Any, ids: Any, max_norm: float | None = None, name: str | None = None) -> Tensor:
    """The rows of a table at the given places, made no longer than `max_norm`.

    >>> import amalthea as tf
    >>> tf.nn.embedding_lookup(tf.eye(3), [2, 0]).numpy().tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    if isinstance(params, list | tuple):
        refuse("nn.embedding_lookup", "join the parts with tf.concat", params=None if len(params) == 1 else params)
        params = params[0]
    rows = ops.take(params, ids, axis=0)
    if max_norm is None:
        return rows
    ids_rank = len(as_tensor(ids).shape)
    return clip_by_norm(rows, max_norm, axes=list(range(ids_rank, len(rows.shape))))


def local_response_normalization(
    input: Any,
    depth_radius: int = 5,
    bias: float = 1,
    alpha: float = 1,
    beta: float = 0.5,
    name: str | None = None,
) -> Tensor:
    """Each element over (bias + alpha * the sum of squares of the channels up to depth_radius away) ** beta."""
    x = as_tensor(input)
    channels = x.shape[-1]
    near = ops.arange(channels)
    band = ops.cast(ops.absolute(ops.expand_dims(near, 0) - ops.expand_dims(near, 1)) <= depth_radius, x.dtype)
    return x / ops.power(bias + alpha * ops.matmul(ops.square(x), band), beta)


lrn = local_response_normalization
