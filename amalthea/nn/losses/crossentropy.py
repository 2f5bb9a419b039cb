"""The losses of probabilities as `Loss` classes."""

from __future__ import annotations

from typing import Any

from amalthea.nn.losses import probabilistic as functions
from amalthea.nn.losses.loss import FunctionLoss
from amalthea.nn.objects import public


@public("keras.losses.KLDivergence")
class KLDivergence(FunctionLoss):
    """`kl_divergence` as a `Loss`; the arguments are those of `Loss`.

    >>> import amalthea as am
    >>> float(am.losses.KLDivergence()([[0.5, 0.5]], [[0.5, 0.5]]))
    0.0
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "kl_divergence", dtype: Any = None
    ) -> None:
        super().__init__(functions.kl_divergence, reduction, name, dtype)


@public("keras.losses.Poisson")
class Poisson(FunctionLoss):
    """`poisson` as a `Loss`; the arguments are those of `Loss`.

    >>> import amalthea as am
    >>> round(float(am.losses.Poisson()([[1.0]], [[1.0]])), 4)
    1.0
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "poisson", dtype: Any = None
    ) -> None:
        super().__init__(functions.poisson, reduction, name, dtype)


@public("keras.losses.BinaryCrossentropy")
class BinaryCrossentropy(FunctionLoss):
    """`binary_crossentropy` as a `Loss`: yes/no answers, one or several per sample.

    Args:
        from_logits: whether predictions are logits (no sigmoid at the end of the model).
        label_smoothing: pulls the targets towards 0.5 by this fraction.
        axis: axis over which the mean of a sample is taken.
        reduction: see `Loss`.
        name: see `Loss`.
        dtype: see `Loss`.

    Example:
    >>> import amalthea as am
    >>> round(float(am.losses.BinaryCrossentropy(from_logits=True)([[1.0]], [[0.0]])), 4)
    0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            functions.binary_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


@public("keras.losses.BinaryFocalCrossentropy")
class BinaryFocalCrossentropy(FunctionLoss):
    """`binary_focal_crossentropy` as a `Loss`: for rare positives.

    Args:
        apply_class_balancing: whether to weigh answer 1 by `alpha` and answer 0 by `1 - alpha`.
        alpha: weight of answer 1.
        gamma: how much less is paid to what is right already.
        from_logits: whether predictions are logits.
        label_smoothing: pulls the targets towards 0.5 by this fraction.
        axis: axis over which the mean of a sample is taken.
        reduction: see `Loss`.
        name: see `Loss`.
        dtype: see `Loss`.

    Example:
    >>> import amalthea as am
    >>> round(float(am.losses.BinaryFocalCrossentropy()([[1.0]], [[0.5]])), 4)
    0.1733
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            functions.binary_focal_crossentropy,
            reduction,
            name,
            dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


@public("keras.losses.CategoricalCrossentropy")
class CategoricalCrossentropy(FunctionLoss):
    """`categorical_crossentropy` as a `Loss`: one class of several, one-hot targets.

    Args:
        from_logits: whether predictions are logits (no softmax at the end of the model).
        label_smoothing: spreads this fraction of the targets evenly over the classes.
        axis: the class axis.
        reduction: see `Loss`.
        name: see `Loss`.
        dtype: see `Loss`.

    Example:
    >>> import amalthea as am
    >>> round(float(am.losses.CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
    0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            functions.categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


@public("keras.losses.CategoricalFocalCrossentropy")
class CategoricalFocalCrossentropy(FunctionLoss):
    """`categorical_focal_crossentropy` as a `Loss`: for classes of unequal size.

    Args:
        alpha: weight of the loss, a number or one per class.
        gamma: how much less is paid to what is right already.
        from_logits: whether predictions are logits.
        label_smoothing: spreads this fraction of the targets evenly over the classes.
        axis: the class axis.
        reduction: see `Loss`.
        name: see `Loss`.
        dtype: see `Loss`.

    Example:
    >>> import amalthea as am
    >>> round(float(am.losses.CategoricalFocalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
    0.0433
    """

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            functions.categorical_focal_crossentropy,
            reduction,
            name,
            dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


@public("keras.losses.SparseCategoricalCrossentropy")
class SparseCategoricalCrossentropy(FunctionLoss):
    """`sparse_categorical_crossentropy` as a `Loss`: one class of several, targets are class numbers.

    Args:
        from_logits: whether predictions are logits (no softmax at the end of the model).
        ignore_class: class number whose samples do not count.
        reduction: see `Loss`.
        axis: the class axis of the predictions.
        name: see `Loss`.
        dtype: see `Loss`.

    Example:
    >>> import amalthea as am
    >>> round(float(am.losses.SparseCategoricalCrossentropy()([1], [[0.5, 0.5]])), 4)
    0.6931
    """

    _left_out = {"axis": -1}
    _keeps_integer_targets = True

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            functions.sparse_categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )


@public("keras.losses.CategoricalGeneralizedCrossEntropy")
class CategoricalGeneralizedCrossEntropy(FunctionLoss):
    """`categorical_generalized_cross_entropy` as a `Loss`: class numbers, some of them wrong.

    Args:
        q: between 0 (like cross-entropy) and 1 (like absolute error).
        reduction: see `Loss`.
        name: see `Loss`.
        dtype: see `Loss`.

    Raises:
        ValueError: `q` is not between 0 and 1.

    Example:
    >>> import amalthea as am
    >>> float(am.losses.CategoricalGeneralizedCrossEntropy()([1], [[0.75, 0.25]]))
    1.0
    """

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        if not 0 < q < 1:
            raise ValueError(f"[{name}] `q` must lie between 0 and 1. Received: q={q}. Fix: the default is 0.5.")
        super().__init__(functions.categorical_generalized_cross_entropy, reduction, name, dtype, q=q)
