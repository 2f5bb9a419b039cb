"""Activations, under TensorFlow's names (all in `tf.nn`)."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor


def elu(features: Any, name: str | None = None) -> Tensor:
    """features, and exp(features) - 1 below 0."""
    return ops.elu(features)


def relu(features: Any, name: str | None = None) -> Tensor:
    """max(features, 0)."""
    return ops.relu(features)


def relu6(features: Any, name: str | None = None) -> Tensor:
    """min(max(features, 0), 6)."""
    return ops.relu6(features)


def selu(features: Any, name: str | None = None) -> Tensor:
    """The scaled exponential linear unit."""
    return ops.selu(features)


def leaky_relu(features: Any, alpha: float = 0.2, name: str | None = None) -> Tensor:
    """features, and alpha * features below 0.

    >>> import amalthea as tf
    >>> tf.nn.leaky_relu([-2.0, 2.0], alpha=0.5).numpy().tolist()
    [-1.0, 2.0]
    """
    return ops.leaky_relu(features, negative_slope=alpha)


def gelu(features: Any, approximate: bool = False, name: str | None = None) -> Tensor:
    """features * P(normal < features), exactly or (`approximate`) through tanh."""
    return ops.gelu(features, approximate=approximate)


def silu(features: Any, beta: float = 1.0) -> Tensor:
    """features * sigmoid(beta * features)."""
    return ops.multiply(features, ops.sigmoid(ops.multiply(features, beta)))


swish = silu


def crelu(features: Any, axis: int = -1, name: str | None = None) -> Tensor:
    """relu(features) and relu(-features) joined along an axis."""
    return ops.relu(ops.concatenate([features, ops.negative(features)], axis=axis))


def softmax(logits: Any, axis: int | None = None, name: str | None = None) -> Tensor:
    """exp(logits) over their sum along an axis, the last by default.

    >>> import amalthea as tf
    >>> tf.nn.softmax([0.0, 0.0]).numpy().tolist()
    [0.5, 0.5]
    """
    return ops.softmax(logits, axis=-1 if axis is None else axis)


def log_softmax(logits: Any, axis: int | None = None, name: str | None = None) -> Tensor:
    """The logarithm of `softmax`."""
    return ops.log_softmax(logits, axis=-1 if axis is None else axis)
