"""Clipping by norms, under TensorFlow's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.tensorflow_names.linalg import global_norm


def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: str | None = None) -> Tensor:
    """The tensor, made shorter where its norm (along `axes`) is more than `clip_norm`.

    >>> import amalthea as tf
    >>> tf.clip_by_norm([3.0, 4.0], 1.0).numpy().round(2).astype(str).tolist()
    ['0.6', '0.8']
    """
    total = ops.sum(ops.square(t), axis=tuple(axes) if isinstance(axes, list) else axes, keepdims=True)
    some = ops.greater(total, 0)
    size = ops.where(some, ops.sqrt(ops.where(some, total, ops.ones_like(total))), total)
    return ops.true_divide(ops.multiply(t, clip_norm), ops.maximum(size, clip_norm))


def clip_by_global_norm(
    t_list: Sequence[Any], clip_norm: Any, use_norm: Any = None, name: str | None = None
) -> tuple[list[Any], Tensor]:
    """The tensors, all made shorter by one factor if their norm together is more than `clip_norm`; and that norm.

    Args:
        t_list: tensors; None among them stays None.
        clip_norm: the largest norm.
        use_norm: the norm, if it is known already.

    >>> import amalthea as tf
    >>> clipped, norm = tf.clip_by_global_norm([tf.constant([3.0]), None, tf.constant([4.0])], 1.0)
    >>> float(norm), clipped[1]
    (5.0, None)
    """
    size = global_norm(t_list) if use_norm is None else ops.convert_to_tensor(use_norm)
    factor = clip_norm * ops.minimum(1.0 / size, 1.0 / ops.convert_to_tensor(clip_norm, dtype=size.dtype))
    factor = ops.where(ops.isfinite(size), factor, float("nan"))
    return [None if t is None else ops.multiply(t, factor) for t in t_list], size
