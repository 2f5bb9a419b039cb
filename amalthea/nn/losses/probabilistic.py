"""Losses of probabilities: cross-entropies and other divergences, as functions."""

from __future__ import annotations

import warnings

from amalthea import ops
from amalthea.core.config import epsilon
from amalthea.core.errors import ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn.losses.alignment import TensorLike, same_rank, shapes_agree, target_and_prediction
from amalthea.nn.objects import public
from amalthea.ops.whole_numbers import as_whole_numbers


@public("keras.losses.kl_divergence", "keras.metrics.kl_divergence")
def kl_divergence(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Kullback-Leibler divergence, the sum over the last axis of `y_true * log(y_true / y_pred)`.

    Args:
        y_true: target probabilities, shape `(batch, ..., d)`.
        y_pred: predicted probabilities, same shape. Both are kept between `am.config.epsilon()` and 1.

    Returns:
        Losses of shape `(batch, ...)`, in nats.

    Raises:
        ShapeError: the shapes differ (by more than a last axis of size one).

    Example:
    >>> import amalthea as am
    >>> float(am.losses.kl_divergence([[0.5, 0.5]], [[0.5, 0.5]])[0])
    0.0
    """
    y_true, y_pred = target_and_prediction("kl_divergence", y_true, y_pred)
    y_true = ops.clip(y_true, epsilon(), 1)
    y_pred = ops.clip(y_pred, epsilon(), 1)
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


@public("keras.losses.poisson", "keras.metrics.poisson")
def poisson(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Mean over the last axis of `y_pred - y_true * log(y_pred)`: counts `y_true` at the predicted rates `y_pred`.

    Args:
        y_true: counts, shape `(batch, ..., d)`.
        y_pred: rates, same shape, not negative.

    Returns:
        Losses of shape `(batch, ...)`.

    Raises:
        ShapeError: the shapes differ.

    Example:
    >>> import amalthea as am
    >>> am.losses.poisson([[1.0, 0.0]], [[1.0, 1.0]]).shape
    (1,)
    """
    y_true, y_pred = target_and_prediction("poisson", y_true, y_pred)
    return ops.mean(y_pred - y_true * ops.log(y_pred + epsilon()), axis=-1)


@public("keras.losses.binary_crossentropy", "keras.metrics.binary_crossentropy")
def binary_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Cross-entropy of independent yes/no answers, the mean over `axis`.

    Args:
        y_true: targets 0 or 1 (or probabilities), shape `(batch, ..., d)`.
        y_pred: predicted probabilities, or logits; same shape.
        from_logits: whether `y_pred` holds logits (no sigmoid yet). This is the better-conditioned way.
        label_smoothing: pulls the targets towards 0.5 by this fraction.
        axis: axis over which the mean is taken.

    Returns:
        Losses, without `axis`, in nats.

    Raises:
        ShapeError: the shapes differ (by more than a last axis of size one).

    Example:
    >>> import amalthea as am
    >>> round(float(am.losses.binary_crossentropy([[1.0, 0.0]], [[0.5, 0.5]])[0]), 4)
    0.6931
    """
    y_true, y_pred = target_and_prediction("binary_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits), axis=axis)


@public("keras.losses.binary_focal_crossentropy", "keras.metrics.binary_focal_crossentropy")
def binary_focal_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Binary cross-entropy that pays less to what is right already (Lin et al., 2018, arXiv:1708.02002).

    Each term is multiplied by `(1 - p)**gamma`, where `p` is the probability given to the true answer.

    Args:
        y_true: as in `binary_crossentropy`.
        y_pred: as in `binary_crossentropy`.
        apply_class_balancing: whether to weigh answer 1 by `alpha` and answer 0 by `1 - alpha`.
        alpha: weight of answer 1.
        gamma: how much less; 0 gives the plain cross-entropy.
        from_logits: whether `y_pred` holds logits.
        label_smoothing: as in `binary_crossentropy`.
        axis: axis over which the mean is taken.

    Returns:
        Losses, without `axis`.

    Raises:
        ShapeError: the shapes differ.

    Example:
    >>> import amalthea as am
    >>> round(float(am.losses.binary_focal_crossentropy([[1.0, 0.0]], [[0.5, 0.5]])[0]), 4)
    0.1733
    """
    y_true, y_pred = target_and_prediction("binary_focal_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        y_pred = ops.sigmoid(y_pred)
    right = y_true * y_pred + (1 - y_true) * (1 - y_pred)
    loss = ops.power(1.0 - right, gamma) * ops.binary_crossentropy(y_true, y_pred)
    if apply_class_balancing:
        loss = (y_true * alpha + (1 - y_true) * (1 - alpha)) * loss
    return ops.mean(loss, axis=axis)


def _smooth_one_hot(
    where: str, y_true: TensorLike, y_pred: TensorLike, label_smoothing: float, axis: int
) -> tuple[Tensor, Tensor]:
    """One-hot targets and predictions of the same shape, the targets smoothed over the classes on `axis`."""
    if isinstance(axis, bool) or not isinstance(axis, int):
        raise ValueError(f"[{where}] `axis` must be an int. Received: axis={axis!r}. Fix: pass for example -1.")
    y_true = ops.convert_to_tensor(y_true)
    y_pred = ops.convert_to_tensor(y_pred)
    if y_true.ndim + 1 == y_pred.ndim and shapes_agree(y_true.shape, y_pred.shape[:-1]):
        fail(
            ShapeError,
            "the targets must be one-hot, one number per class",
            where=where,
            received=f"y_true of shape {y_true.shape}, y_pred of shape {y_pred.shape}",
            fix=f"use sparse_{where} if y_true holds class numbers, or one-hot targets of shape {y_pred.shape}"
            if where == "categorical_crossentropy"
            else f"pass one-hot targets of shape {y_pred.shape}",
        )
    y_true, y_pred = target_and_prediction(where, y_true, y_pred)
    if y_pred.ndim == 0:
        fail(ShapeError, "the predictions need a class axis", where=where, received="y_pred of shape ()", fix=None)
    if y_pred.shape[axis] == 1:
        warnings.warn(
            f"[{where}] y_pred of shape {y_pred.shape} has a single class, so the loss is always 0. "
            "Fix: use binary_crossentropy for one yes/no output.",
            SyntaxWarning,
            stacklevel=4,
        )
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / y_true.shape[axis]
    return y_true, y_pred


@public("keras.losses.categorical_crossentropy", "keras.metrics.categorical_crossentropy")
def categorical_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Cross-entropy of one-hot targets.

    Args:
        y_true: one-hot targets (or probabilities), shape `(batch, ..., classes)`.
        y_pred: predicted probabilities, or logits; same shape. Probabilities are made to sum to 1.
        from_logits: whether `y_pred` holds logits (no softmax yet). This is the better-conditioned way.
        label_smoothing: spreads this fraction of the targets evenly over the classes.
        axis: the class axis.

    Returns:
        Losses, without the class axis, in nats.

    Raises:
        ShapeError: the shapes differ.
        ValueError: `axis` is no int.

    Warns:
        SyntaxWarning: there is only one class.

    Example:
    >>> import amalthea as am
    >>> round(float(am.losses.categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])[0]), 4)
    0.6931
    """
    y_true, y_pred = _smooth_one_hot("categorical_crossentropy", y_true, y_pred, label_smoothing, axis)
    return ops.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


@public("keras.losses.categorical_focal_crossentropy", "keras.metrics.categorical_focal_crossentropy")
def categorical_focal_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Categorical cross-entropy with each term times `alpha * (1 - p)**gamma` (Lin et al., 2018, arXiv:1708.02002).

    Args:
        y_true: as in `categorical_crossentropy`.
        y_pred: as in `categorical_crossentropy`.
        alpha: weight of the loss, a number or one per class.
        gamma: how much less is paid to what is right already.
        from_logits: whether `y_pred` holds logits.
        label_smoothing: as in `categorical_crossentropy`.
        axis: the class axis.

    Returns:
        Losses, without the class axis.

    Raises:
        ShapeError: the shapes differ.
        ValueError: `axis` is no int.

    Example:
    >>> import amalthea as am
    >>> round(float(am.losses.categorical_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])[0]), 4)
    0.0433
    """
    y_true, y_pred = _smooth_one_hot("categorical_focal_crossentropy", y_true, y_pred, label_smoothing, axis)
    if from_logits:
        y_pred = ops.softmax(y_pred, axis=axis)
    y_pred = y_pred / ops.sum(y_pred, axis=axis, keepdims=True)
    y_pred = ops.clip(y_pred, epsilon(), 1.0 - epsilon())
    weight = alpha if isinstance(alpha, (int, float)) else ops.convert_to_tensor(alpha, dtype=y_pred.dtype)
    return ops.sum(weight * ops.power(1.0 - y_pred, gamma) * (-y_true * ops.log(y_pred)), axis=axis)


@public("keras.losses.sparse_categorical_crossentropy", "keras.metrics.sparse_categorical_crossentropy")
def sparse_categorical_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """Cross-entropy of class numbers.

    Args:
        y_true: class numbers 0 to `classes - 1`, shape `(batch, ...)`, or with a class axis of size one.
        y_pred: predicted probabilities, or logits; shape `(batch, ..., classes)`.
        from_logits: whether `y_pred` holds logits (no softmax yet). This is the better-conditioned way.
        ignore_class: class number whose samples do not count (they are masked): "void" pixels, padding.
        axis: the class axis of `y_pred`.

    Returns:
        Losses of the shape of `y_true`, in nats.

    Raises:
        ShapeError: the shapes do not belong together.

    Example:
    >>> import amalthea as am
    >>> round(float(am.losses.sparse_categorical_crossentropy([1], [[0.5, 0.5]])[0]), 4)
    0.6931
    """
    y_true = as_whole_numbers(ops.convert_to_tensor(y_true), "y_true", "sparse_categorical_crossentropy")
    y_true = ops.cast(y_true, "int32")
    y_pred = ops.convert_to_tensor(y_pred)
    received = f"y_true of shape {y_true.shape}, y_pred of shape {y_pred.shape}"
    if y_true.ndim == y_pred.ndim and y_true.ndim and y_true.shape[axis] == 1:
        y_true = ops.squeeze(y_true, axis)
    if y_pred.ndim and axis not in (-1, y_pred.ndim - 1):
        y_pred = ops.moveaxis(y_pred, axis, -1)
    if y_pred.ndim == 0 or not shapes_agree(y_true.shape, y_pred.shape[:-1]):
        fail(
            ShapeError,
            "the targets must be class numbers, one where the predictions have one row of classes",
            where="sparse_categorical_crossentropy",
            received=received,
            fix="use categorical_crossentropy, since y_true looks one-hot"
            if shapes_agree(y_true.shape, y_pred.shape)
            else f"pass y_true of shape {y_pred.shape[:-1]}",
        )
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits)
    counts = ops.not_equal(y_true, ignore_class)
    # The rows that do not count may hold anything, NaN too: they get harmless values before, not only after.
    losses = ops.sparse_categorical_crossentropy(
        ops.where(counts, y_true, 0), ops.where(ops.expand_dims(counts, -1), y_pred, 1.0), from_logits=from_logits
    )
    losses = ops.where(counts, losses, 0.0)
    losses._keras_mask = counts
    return losses


@public("keras.losses.categorical_generalized_cross_entropy")
def categorical_generalized_cross_entropy(y_true: TensorLike, y_pred: TensorLike, q: float) -> Tensor:
    """`(1 - p**q) / q` of the probability `p` of the true class: between cross-entropy (q near 0) and absolute error.

    It bears wrong labels better than cross-entropy (Zhang and Sabuncu, 2018, arXiv:1805.07836).

    Args:
        y_true: class numbers, shape `(batch, ...)`.
        y_pred: predicted probabilities, shape `(batch, ..., classes)`.
        q: between 0 and 1.

    Returns:
        Losses of shape `(batch, ...)`.

    Example:
    >>> import amalthea as am
    >>> float(am.losses.categorical_generalized_cross_entropy([1], [[0.75, 0.25]], q=0.5)[0])
    1.0
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, "int32")
    if y_true.ndim == y_pred.ndim:
        y_true, _ = same_rank(y_true, y_pred[..., 0])
    of_true = ops.sum(y_pred * ops.one_hot(y_true, y_pred.shape[-1], dtype=y_pred.dtype), axis=-1)
    return (1 - ops.power(of_true, q)) / q
