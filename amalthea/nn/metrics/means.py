"""Sums and means over batches, and means of a function of targets and predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.nn.losses.alignment import TensorLike, same_rank
from amalthea.nn.losses.loss import apply_mask, check_weights, mask_of
from amalthea.nn.metrics.metric import Metric
from amalthea.nn.objects import deserialize_keras_object, public, serialize_keras_object


def per_sample(
    where: str, values: TensorLike, sample_weight: TensorLike | None, reduce: Callable[..., Tensor], dtype: Any
) -> tuple[Tensor, Tensor | None]:
    """Weighted values and their weights, reduced to one each per sample.

    Args:
        where: name of the metric, for errors.
        values: any shape `(batch, ...)`. A mask that they carry joins the weights.
        sample_weight: None, a scalar, or weights over the leading axes of `values`.
        reduce: `ops.mean` or `ops.sum`, taken over the axes beyond the weights' and then beyond the batch.
        dtype: dtype of the results.

    Raises:
        ShapeError: the weights do not fit the values.
    """
    mask = mask_of(values)
    values = ops.cast(values, dtype)
    if sample_weight is None:
        return (reduce(values, axis=tuple(range(1, values.ndim))) if values.ndim > 1 else values), None
    weight: Any = ops.convert_to_tensor(sample_weight, dtype=dtype)
    if mask is not None:
        weight = apply_mask(weight, mask, dtype=dtype, reduction="sum")  # type: ignore[assignment]
    values, weight = same_rank(values, weight)
    if values.ndim > weight.ndim:
        values = reduce(values, axis=tuple(range(weight.ndim, values.ndim)))
    check_weights(where, values.shape, weight.shape)
    weighted_axes = tuple(range(1, weight.ndim))
    weight = ops.broadcast_to(weight, values.shape)
    values = values * weight
    if weighted_axes:
        weight = reduce(weight, axis=weighted_axes)
        values = reduce(values, axis=weighted_axes)
    return values, weight


@public("keras.metrics.Sum")
class Sum(Metric):
    """The weighted sum of all values seen.

    Args:
        name: name of the metric.
        dtype: see `Metric`.

    Example:
    >>> import amalthea as am
    >>> metric = am.metrics.Sum()
    >>> metric.update_state([1.0, 3.0])
    >>> float(metric.result())
    4.0
    """

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable(shape=(), initializer="zeros", dtype=self.dtype, name="total")

    def update_state(self, values: TensorLike, sample_weight: TensorLike | None = None) -> None:
        """Add values of any shape, times their weights."""
        values, _ = per_sample(self.name, values, sample_weight, ops.sum, self.dtype)
        self.total.assign_add(ops.sum(values))

    def reset_state(self) -> None:
        self.total.assign(ops.zeros((), dtype=self.total.dtype))

    def result(self) -> Tensor:
        return ops.cast(self.total, self.dtype)


@public("keras.metrics.Mean")
class Mean(Metric):
    """The weighted mean of all values seen; 0 before any.

    Args:
        name: name of the metric.
        dtype: see `Metric`.

    Example:
    >>> import amalthea as am
    >>> metric = am.metrics.Mean()
    >>> metric.update_state([1.0, 3.0])
    >>> metric.update_state([8.0])
    >>> float(metric.result())
    4.0
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable(shape=(), initializer="zeros", dtype=self.dtype, name="total")
        self.count = self.add_variable(shape=(), initializer="zeros", dtype=self.dtype, name="count")

    def update_state(self, values: TensorLike, sample_weight: TensorLike | None = None) -> None:
        """Take values of shape `(batch, ...)` in; those of one sample count as their mean."""
        values, weight = per_sample(self.name, values, sample_weight, ops.mean, self.dtype)
        self.total.assign_add(ops.sum(values))
        if weight is not None:
            self.count.assign_add(ops.sum(weight))
        else:
            number = values.shape[0] if values.ndim else 1
            self.count.assign_add(ops.shape(values)[0] if number is None else float(number))

    def reset_state(self) -> None:
        self.total.assign(ops.zeros((), dtype=self.total.dtype))
        self.count.assign(ops.zeros((), dtype=self.count.dtype))

    def result(self) -> Tensor:
        return ops.divide_no_nan(self.total, self.count)


@public("keras.metrics.MeanMetricWrapper")
class MeanMetricWrapper(Mean):
    """The mean of a function `fn(y_true, y_pred, **kwargs)` of each sample.

    Args:
        fn: the function; it returns one value per sample (or per time step, pixel ...).
        name: name of the metric.
        dtype: see `Metric`.
        **kwargs: passed to `fn` at each update.

    Example:
    >>> import amalthea as am
    >>> metric = am.metrics.MeanMetricWrapper(am.losses.mean_squared_error)
    >>> float(metric([[0.0]], [[2.0]]))
    4.0
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self._fn = fn
        self._fn_kwargs = kwargs

    def update_state(  # type: ignore[override]
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> None:
        """Take a batch in; a mask that `y_pred` carries takes its elements out."""
        values = self._fn(y_true, y_pred, **self._fn_kwargs)
        weight = apply_mask(sample_weight, mask_of(y_pred), dtype=self.dtype, reduction="sum")
        super().update_state(values, sample_weight=weight)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "fn": serialize_keras_object(self._fn),
            **serialize_keras_object(self._fn_kwargs),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        if "fn" in config:
            config = deserialize_keras_object(config)
        return cls(**config)


class FunctionMetric(MeanMetricWrapper):
    """The shape of the built-in metrics that are means: a fixed function, its arguments attributes and config.

    `_left_out` names arguments that Keras leaves out of its configs, with their defaults: they are written only where
    they differ, so that configs are the same as Keras' and nothing is lost.
    """

    _left_out: dict[str, Any] = {}

    def __init__(self, fn: Callable[..., Any], name: str | None, dtype: Any, **kwargs: Any) -> None:
        super().__init__(fn, name=name, dtype=dtype, **kwargs)
        for key, value in kwargs.items():
            setattr(self, key, value)

    def get_config(self) -> dict[str, Any]:
        return {
            **Metric.get_config(self),
            **{k: v for k, v in self._fn_kwargs.items() if k not in self._left_out or v != self._left_out[k]},
        }
