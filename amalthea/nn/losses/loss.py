"""The base class of losses, and how a tensor of losses becomes one number."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core import tree
from amalthea.core.config import floatx
from amalthea.core.dtypes import is_integer
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn import dtype_policies
from amalthea.nn.losses.alignment import TensorLike, same_rank
from amalthea.nn.naming import auto_name
from amalthea.nn.objects import deserialize_keras_object, public, serialize_keras_object

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


@public("keras.losses.Loss", "keras.Loss")
class Loss:
    """A loss: from targets and predictions to the number that training makes small.

    Subclass it and write `call(y_true, y_pred)`, which returns one loss per sample (or per time step, pixel ...); this
    class casts the inputs, applies sample weights and masks, and reduces.

    Args:
        name: name of the loss; made from the class name when absent.
        reduction: how the losses become the result. `"sum_over_batch_size"` and `"mean"`: their sum divided by their
            number. `"mean_with_sample_weight"`: their sum divided by the sum of the sample weights. `"sum"`: their sum.
            `"none"` or None: all of them, as they are.
        dtype: dtype (or dtype policy, whose compute dtype counts) of the computation; default `am.config.floatx()`.

    Raises:
        ValueError: `reduction` is none of these.

    Example:
    >>> import amalthea as am
    >>> class Quartic(am.losses.Loss):
    ...     def call(self, y_true, y_pred):
    ...         return am.ops.mean((y_true - y_pred) ** 4, axis=-1)
    >>> float(Quartic()(am.Tensor([[0.0, 0.0]]), am.Tensor([[1.0, 2.0]])))
    8.5
    """

    # Class numbers: a low-precision dtype of the loss must not round them.
    _keeps_integer_targets = False

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        self.name = name or auto_name(self.__class__.__name__)
        self.reduction = standardize_reduction(reduction)
        self._dtype_policy = dtype_policies.get(dtype or floatx())
        self._dtype = self._dtype_policy.compute_dtype

    @property
    def dtype(self) -> str:
        """The dtype in which the loss is computed."""
        return self._dtype

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: TensorLike | None = None) -> Tensor:
        """The reduced loss.

        Args:
            y_true: targets; a tensor, or a structure of tensors where `call` takes one.
            y_pred: predictions of the same structure. A mask that they carry takes its elements out.
            sample_weight: a weight per sample (or per element of what `call` returns), or one number.

        Returns:
            A scalar, or with reduction `"none"` what `call` gave, weighted.

        Raises:
            ShapeError: shapes do not belong together.
        """
        for argument, value in (("y_true", y_true), ("y_pred", y_pred)):
            if value is None:
                fail(
                    ArgumentError,
                    f"the loss compares targets with predictions, and `{argument}` is missing",
                    where=self.name,
                    received=f"{argument}=None",
                    fix="pass loss(y_true, y_pred), two tensors of the same shape",
                )
        in_mask = mask_of(y_pred)
        dtype = self.dtype
        if isinstance(y_pred, (list, tuple, dict)) or isinstance(y_true, (tuple, dict)):
            y_pred = tree.map_structure(lambda x: ops.convert_to_tensor(x, dtype=dtype), y_pred)
            y_true = tree.map_structure(lambda x: ops.convert_to_tensor(x, dtype=dtype), y_true)
        else:
            y_pred = ops.convert_to_tensor(y_pred, dtype=dtype)
            y_true = self._convert_target(y_true)
        losses = self.call(y_true, y_pred)
        if losses is None:
            fail(
                ArgumentError,
                "the loss returned nothing",
                where=self.name,
                received="None",
                fix="end it with `return` and one loss for each sample",
            )
        out_mask = mask_of(losses)
        if in_mask is not None and out_mask is not None:
            in_mask = ops.logical_and(in_mask, out_mask)
        mask = in_mask if in_mask is not None else out_mask
        return reduce_weighted_values(losses, sample_weight, mask, self.reduction, dtype, where=self.name)

    def _convert_target(self, y_true: TensorLike) -> Tensor:
        if self._keeps_integer_targets:
            y_true = ops.convert_to_tensor(y_true)
            if is_integer(y_true.dtype):
                return y_true
        return ops.convert_to_tensor(y_true, dtype=self.dtype)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The unreduced losses; every subclass writes this."""
        raise NotImplementedError(
            f"[{self.name}] {type(self).__name__} has no `call`. Fix: define call(self, y_true, y_pred) in the class."
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that build this loss again, as plain data."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """The loss that `get_config` described."""
        return cls(**config)

    def _obj_type(self) -> str:
        return "Loss"


@public("keras.losses.LossFunctionWrapper")
class LossFunctionWrapper(Loss):
    """A `Loss` around a function `fn(y_true, y_pred, **kwargs)`.

    Args:
        fn: the function; it returns one loss per sample.
        reduction: see `Loss`.
        name: see `Loss`.
        dtype: see `Loss`.
        **kwargs: passed to `fn` at each call.

    Example:
    >>> import amalthea as am
    >>> loss = am.losses.LossFunctionWrapper(am.losses.huber, delta=2.0)
    >>> float(loss([[0.0]], [[1.0]]))
    0.5
    """

    def __init__(
        self,
        fn: Any,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn = fn
        self._fn_kwargs = kwargs

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """`fn(y_true, y_pred, **kwargs)`, after making up for a missing last axis of size one."""
        if isinstance(y_true, Tensor) and isinstance(y_pred, Tensor):
            y_true, y_pred = same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "fn": serialize_keras_object(self.fn),
            **serialize_keras_object(self._fn_kwargs),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        if "fn" in config:
            config = deserialize_keras_object(config)
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({getattr(self.fn, '__name__', self.fn)}, kwargs={self._fn_kwargs})>"


class FunctionLoss(LossFunctionWrapper):
    """The shape of the built-in losses: a fixed function whose arguments are attributes and the config.

    `_left_out` names arguments that Keras leaves out of its configs, with their defaults: they are written only where
    they differ, so that configs are the same as Keras' and nothing is lost.
    """

    _left_out: dict[str, Any] = {}

    def __init__(self, fn: Any, reduction: str | None, name: str | None, dtype: Any, **kwargs: Any) -> None:
        super().__init__(fn, reduction=reduction, name=name, dtype=dtype, **kwargs)
        for key, value in kwargs.items():
            setattr(self, key, value)

    def get_config(self) -> dict[str, Any]:
        return {
            **Loss.get_config(self),
            **{k: v for k, v in self._fn_kwargs.items() if k not in self._left_out or v != self._left_out[k]},
        }


def mask_of(x: Any) -> Tensor | None:
    """The mask that a layer attached to `x`, or None."""
    return getattr(x, "_keras_mask", None)


def standardize_reduction(reduction: str | None) -> str | None:
    """`reduction` itself, if it is one.

    Raises:
        ValueError: it is not.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"Unknown loss reduction. Received: reduction={reduction!r}. Fix: use one of "
            + ", ".join(repr(r) for r in REDUCTIONS)
            + "."
        )
    return reduction


def reduce_values(
    values: Tensor, sample_weight: Tensor | None = None, reduction: str | None = "sum_over_batch_size"
) -> Tensor:
    """Reduce losses that are weighted already; `sample_weight` counts for `"mean_with_sample_weight"` alone."""
    if reduction in (None, "none") or values.shape in ((), (0,)):
        return values
    total = ops.sum(values)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and sample_weight is not None:
        return ops.divide_no_nan(total, ops.cast(ops.sum(sample_weight), total.dtype))
    return mean_of_sum(total, values)


def mean_of_sum(total: Tensor, values: Tensor) -> Tensor:
    """`total` divided by the number of elements of `values`; 0 where there are none."""
    if None in values.shape:
        return ops.divide_no_nan(total, ops.cast(ops.size(values), total.dtype))
    return total / max(values.size, 1)


def reduce_weighted_values(
    values: TensorLike,
    sample_weight: TensorLike | None = None,
    mask: TensorLike | None = None,
    reduction: str | None = "sum_over_batch_size",
    dtype: Any = None,
    where: str = "loss",
) -> Tensor:
    """Weight losses, take masked ones out, reduce.

    Args:
        values: losses of any shape.
        sample_weight: weights; a scalar, or a shape that broadcasts to that of `values`.
        mask: True where a loss counts; same shape rule.
        reduction: see `Loss`.
        dtype: dtype of the result.
        where: name of the loss, for errors.

    Raises:
        ShapeError: the weights do not fit the losses.
    """
    reduction = standardize_reduction(reduction)
    values = ops.convert_to_tensor(values, dtype=dtype)
    if sample_weight is None and mask is None:
        return reduce_values(values, None, reduction)
    weight = apply_mask(sample_weight, mask, dtype=values.dtype, reduction=reduction)
    assert weight is not None  # one of the two is there
    values, weight = same_rank(values, weight)
    check_weights(where, values.shape, weight.shape)
    return reduce_values(values * weight, weight, reduction)


def check_weights(where: str, shape: tuple[int | None, ...], weight_shape: tuple[int | None, ...]) -> None:
    """Refuse weights that are neither scalar nor, axis by axis, of the size of the losses or one."""
    if not weight_shape:
        return
    fits = len(shape) == len(weight_shape) or not shape
    if shape and fits:
        fits = all(w is None or s is None or w in (s, 1) or s == 1 for s, w in zip(shape, weight_shape, strict=True))
    if not fits:
        wanted = tuple(weight_shape) + (1,) * (len(shape) - len(weight_shape))
        hint = (
            f"reshape sample_weight to {wanted}"
            if len(weight_shape) < len(shape) and weight_shape[0] == shape[0]
            else f"pass one weight for each of the {shape[0]} samples"
        )
        fail(
            ShapeError,
            "the sample weights do not fit the losses",
            where=where,
            received=f"sample_weight of shape {tuple(weight_shape)}, losses of shape {tuple(shape)}",
            fix=hint,
        )


def apply_mask(
    sample_weight: TensorLike | None, mask: TensorLike | None, dtype: Any, reduction: str | None
) -> Tensor | None:
    """Merge a mask into sample weights.

    With a reduction that divides by the number of elements, the elements that count get the weight `total / counted`:
    the mean over all then is the mean over those that count. With every other reduction their weight is 1.

    Returns:
        The weights, or None where there are neither weights nor a mask.
    """
    weight = None if sample_weight is None else ops.convert_to_tensor(sample_weight, dtype=dtype)
    if mask is None:
        return weight
    mask = ops.cast(mask, dtype)
    if reduction in ("mean", "sum_over_batch_size"):
        counted = ops.sum(mask)
        mask = mask * ops.divide_no_nan(ops.cast(ops.size(mask), dtype), counted)
    if weight is None:
        return mask
    mask, weight = same_rank(mask, weight)
    if 0 < weight.ndim < mask.ndim:  # weights of samples and a mask of their time steps
        weight = ops.reshape(weight, weight.shape + (1,) * (mask.ndim - weight.ndim))
    return weight * mask
