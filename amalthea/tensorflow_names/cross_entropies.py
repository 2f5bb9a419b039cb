"""Losses of logits, under TensorFlow's names (all in `tf.nn`)."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core import dtypes
from amalthea.core.errors import DTypeError, ShapeError, fail
from amalthea.core.tensor import Tensor, as_tensor


def sigmoid_cross_entropy_with_logits(labels: Any = None, logits: Any = None, name: str | None = None) -> Tensor:
    """The cross-entropy of each element: labels are probabilities, logits go through the sigmoid.

    >>> import amalthea as tf
    >>> tf.nn.sigmoid_cross_entropy_with_logits(labels=[1.0], logits=[0.0]).numpy().round(3).astype(str).tolist()
    ['0.693']
    """
    labels, logits = _pair("sigmoid_cross_entropy_with_logits", labels, logits)
    # max(x, 0) - x z + log(1 + exp(-|x|)), which is -z log(sigmoid(x)) - (1 - z) log(1 - sigmoid(x)) without overflow
    return ops.relu(logits) - logits * labels + ops.log1p(ops.exp(-ops.absolute(logits)))


def weighted_cross_entropy_with_logits(labels: Any, logits: Any, pos_weight: Any, name: str | None = None) -> Tensor:
    """As `sigmoid_cross_entropy_with_logits`, with the part of the positive labels multiplied by `pos_weight`."""
    labels, logits = _pair("weighted_cross_entropy_with_logits", labels, logits)
    weight = 1 + (pos_weight - 1) * labels
    return (1 - labels) * logits + weight * (ops.log1p(ops.exp(-ops.absolute(logits))) + ops.relu(-logits))


def softmax_cross_entropy_with_logits(labels: Any, logits: Any, axis: int = -1, name: str | None = None) -> Tensor:
    """The cross-entropy of each row: labels are probabilities, logits go through the softmax.

    >>> import amalthea as tf
    >>> loss = tf.nn.softmax_cross_entropy_with_logits(labels=[[0.0, 1.0]], logits=[[0.0, 0.0]])
    >>> f"{float(loss[0]):.3f}"
    '0.693'
    """
    logits = as_tensor(logits)
    return -ops.sum(ops.cast(labels, logits.dtype) * ops.log_softmax(logits, axis=axis), axis=axis)


def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any, name: str | None = None) -> Tensor:
    """The cross-entropy of each row: labels are class numbers, logits go through the softmax.

    >>> import amalthea as tf
    >>> loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[1], logits=[[0.0, 0.0]])
    >>> f"{float(loss[0]):.3f}"
    '0.693'
    """
    labels, logits = as_tensor(labels), as_tensor(logits)
    if not dtypes.is_integer(labels.dtype) or labels.shape != logits.shape[:-1]:
        fail(
            ShapeError if dtypes.is_integer(labels.dtype) else DTypeError,
            "labels must be one whole number for each row of logits",
            where="nn.sparse_softmax_cross_entropy_with_logits",
            received=f"labels {labels.shape} {labels.dtype}, logits {logits.shape}",
            fix="cast the labels with tf.cast(labels, tf.int32), or use softmax_cross_entropy_with_logits",
        )
    picked = ops.take_along_axis(ops.log_softmax(logits), ops.expand_dims(labels, -1), axis=-1)
    return -ops.squeeze(picked, axis=-1)


def log_poisson_loss(targets: Any, log_input: Any, compute_full_loss: bool = False, name: str | None = None) -> Tensor:
    """exp(log_input) - targets * log_input; in full, with Stirling's approximation of log(targets!) added."""
    targets, log_input = _pair("log_poisson_loss", targets, log_input)
    loss = ops.exp(log_input) - log_input * targets
    if not compute_full_loss:
        return loss
    safe = ops.where(targets > 1, targets, 2.0)
    stirling = safe * ops.log(safe) - safe + 0.5 * ops.log(6.283185307179586 * safe)
    return loss + ops.where(targets > 1, stirling, 0.0)


def l2_loss(t: Any, name: str | None = None) -> Tensor:
    """Half of the sum of squares.

    >>> import amalthea as tf
    >>> float(tf.nn.l2_loss([3.0, 4.0]))
    12.5
    """
    return ops.sum(ops.square(t)) / 2


def compute_average_loss(
    per_example_loss: Any, sample_weight: Any = None, global_batch_size: int | None = None
) -> Tensor:
    """The sum of the (weighted) losses of examples over the size of the batch."""
    loss = as_tensor(per_example_loss)
    if sample_weight is not None:
        loss = loss * ops.cast(sample_weight, loss.dtype)
    return ops.sum(loss) / (loss.shape[0] if global_batch_size is None else global_batch_size)


def _pair(where: str, labels: Any, logits: Any) -> tuple[Tensor, Tensor]:
    if labels is None or logits is None:
        fail(ValueError, "both labels and logits must be given", where=f"nn.{where}")
    logits = as_tensor(logits)
    labels = ops.cast(labels, logits.dtype)
    if labels.shape != logits.shape:
        fail(
            ShapeError,
            "labels and logits must have one shape",
            where=f"nn.{where}",
            received=f"labels {labels.shape}, logits {logits.shape}",
            fix="reshape the labels",
        )
    return labels, logits
