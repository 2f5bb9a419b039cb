"""Cross-entropies, divergences and hinge losses as metrics: their mean over all samples."""

from __future__ import annotations

from typing import Any

from amalthea.nn import losses
from amalthea.nn.metrics.means import FunctionMetric
from amalthea.nn.objects import public


@public("keras.metrics.KLDivergence")
class KLDivergence(FunctionMetric):
    """The mean of `am.losses.kl_divergence`.

    >>> import amalthea as am
    >>> float(am.metrics.KLDivergence()([[0.5, 0.5]], [[0.5, 0.5]]))
    0.0
    """

    def __init__(self, name: str | None = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(losses.kl_divergence, name, dtype)


@public("keras.metrics.Poisson")
class Poisson(FunctionMetric):
    """The mean of `am.losses.poisson`.

    >>> import amalthea as am
    >>> round(float(am.metrics.Poisson()([[1.0]], [[1.0]])), 4)
    1.0
    """

    def __init__(self, name: str | None = "poisson", dtype: Any = None) -> None:
        super().__init__(losses.poisson, name, dtype)


@public("keras.metrics.BinaryCrossentropy")
class BinaryCrossentropy(FunctionMetric):
    """The mean of `am.losses.binary_crossentropy`, whose arguments it takes.

    >>> import amalthea as am
    >>> round(float(am.metrics.BinaryCrossentropy()([[1.0]], [[0.5]])), 4)
    0.6931
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(
            losses.binary_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing
        )


@public("keras.metrics.CategoricalCrossentropy")
class CategoricalCrossentropy(FunctionMetric):
    """The mean of `am.losses.categorical_crossentropy`, whose arguments it takes.

    >>> import amalthea as am
    >>> round(float(am.metrics.CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
    0.6931
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


@public("keras.metrics.SparseCategoricalCrossentropy")
class SparseCategoricalCrossentropy(FunctionMetric):
    """The mean of `am.losses.sparse_categorical_crossentropy`, whose arguments it takes.

    >>> import amalthea as am
    >>> round(float(am.metrics.SparseCategoricalCrossentropy()([1], [[0.5, 0.5]])), 4)
    0.6931
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.sparse_categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )


@public("keras.metrics.Hinge")
class Hinge(FunctionMetric):
    """The mean of `am.losses.hinge`.

    >>> import amalthea as am
    >>> float(am.metrics.Hinge()([[-1.0, 1.0]], [[0.5, 2.0]]))
    0.75
    """

    _direction = "down"

    def __init__(self, name: str | None = "hinge", dtype: Any = None) -> None:
        super().__init__(losses.hinge, name, dtype)


@public("keras.metrics.SquaredHinge")
class SquaredHinge(FunctionMetric):
    """The mean of `am.losses.squared_hinge`.

    >>> import amalthea as am
    >>> float(am.metrics.SquaredHinge()([[-1.0, 1.0]], [[1.0, 2.0]]))
    2.0
    """

    _direction = "down"

    def __init__(self, name: str | None = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(losses.squared_hinge, name, dtype)


@public("keras.metrics.CategoricalHinge")
class CategoricalHinge(FunctionMetric):
    """The mean of `am.losses.categorical_hinge`.

    >>> import amalthea as am
    >>> float(am.metrics.CategoricalHinge()([[0.0, 1.0]], [[0.5, 1.0]]))
    0.5
    """

    _direction = "down"

    def __init__(self, name: str | None = "categorical_hinge", dtype: Any = None) -> None:
        super().__init__(losses.categorical_hinge, name, dtype)
