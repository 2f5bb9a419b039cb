"""Intersection over union of segmentation masks, from a confusion matrix of classes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.config import epsilon
from amalthea.core.dtypes import is_floating
from amalthea.core.errors import ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn.losses.alignment import TensorLike, shapes_agree
from amalthea.nn.metrics.metric import Metric
from amalthea.nn.objects import public


@public("keras.metrics.IoU")
class IoU(Metric):
    """The mean over some classes of `TP / (TP + FP + FN)`, counted over all elements.

    Args:
        num_classes: number of classes.
        target_class_ids: the classes that the mean is taken of.
        name: name of the metric.
        dtype: dtype of the counts; default int32.
        ignore_class: target class whose elements do not count ("void").
        sparse_y_true: whether targets are class numbers; False: one-hot along `axis`.
        sparse_y_pred: whether predictions are class numbers; False: scores along `axis`.
        axis: the class axis.

    Raises:
        ValueError: a target class is not below `num_classes`.
        ShapeError: at an update, if targets and predictions differ in shape.

    Example:
    >>> import amalthea as am
    >>> round(float(am.metrics.IoU(num_classes=2, target_class_ids=[0])([0, 0, 1, 1], [0, 1, 0, 1])), 4)
    0.3333
    """

    _direction = "up"

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(name=name, dtype=dtype or "int32")
        if max(target_class_ids) >= num_classes:
            raise ValueError(
                f"[{self.name}] each of `target_class_ids` must be below `num_classes`. "
                f"Received: target_class_ids={list(target_class_ids)}, num_classes={num_classes}. "
                f"Fix: use class numbers 0 to {num_classes - 1}."
            )
        self.num_classes = num_classes
        self.target_class_ids = list(target_class_ids)
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        self.total_cm = self.add_variable(
            (num_classes, num_classes), "zeros", dtype=self.dtype, name="total_confusion_matrix"
        )

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        """Add a batch of any shape; elements whose class is out of range do not count."""
        y_true = self._classes(y_true, self.sparse_y_true)
        y_pred = self._classes(y_pred, self.sparse_y_pred)
        if not shapes_agree(y_true.shape, y_pred.shape):
            fail(
                ShapeError,
                "there must be one predicted class for each target",
                where=self.name,
                received=f"{y_true.shape[0]} target classes, {y_pred.shape[0]} predicted ones",
                fix="if y_true is one-hot pass sparse_y_true=False; if y_pred holds scores pass sparse_y_pred=False",
            )
        weight = self._weights(sample_weight, y_true)
        classes = self.num_classes
        counts = (y_true >= 0) & (y_true < classes) & (y_pred >= 0) & (y_pred < classes)
        if self.ignore_class is not None:
            counts = counts & ops.not_equal(y_true, self.ignore_class)
        cell = ops.where(counts, y_true * classes + y_pred, 0)
        weight = ops.where(counts, weight, ops.zeros_like(weight))
        added = ops.segment_sum(weight, cell, num_segments=classes * classes)
        self.total_cm.assign_add(ops.cast(ops.reshape(added, (classes, classes)), self.dtype))

    def _classes(self, y: TensorLike, sparse: bool) -> Tensor:
        y = ops.convert_to_tensor(y)
        return ops.reshape(ops.cast(y if sparse else ops.argmax(y, axis=self.axis), "int32"), (-1,))

    def _weights(self, sample_weight: TensorLike | None, y_true: Tensor) -> Tensor:
        if sample_weight is None:
            return ops.ones(y_true.shape, dtype=self.dtype)
        weight = ops.convert_to_tensor(sample_weight)
        if is_floating(weight.dtype) and not is_floating(self.dtype):
            warnings.warn(
                f"[{self.name}] sample weights of dtype {weight.dtype} are cut to whole numbers, since the metric "
                f"counts in {self.dtype}. Fix: make the metric with dtype='float32'.",
                stacklevel=4,
            )
        weight = ops.cast(weight, self.dtype)
        return ops.broadcast_to(ops.reshape(weight, (-1,)) if weight.ndim > 1 else weight, y_true.shape)

    def result(self) -> Tensor:
        total = self.total_cm.value
        right = ops.diagonal(total)
        union = ops.sum(total, axis=0) + ops.sum(total, axis=1) - right
        wanted = ops.convert_to_tensor(self.target_class_ids, dtype="int32")
        right = ops.cast(ops.take(right, wanted, axis=0), "float32")
        union = ops.cast(ops.take(union, wanted, axis=0), "float32")
        seen = ops.cast(union > 1e-9, "float32")
        return ops.sum(right / (union + epsilon()) * seen) / (ops.sum(seen) + epsilon())

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "target_class_ids": self.target_class_ids,
            "ignore_class": self.ignore_class,
            "sparse_y_true": self.sparse_y_true,
            "sparse_y_pred": self.sparse_y_pred,
            "axis": self.axis,
        }

    def _config_without(self, *names: str) -> dict[str, Any]:
        return {key: value for key, value in IoU.get_config(self).items() if key not in names}


@public("keras.metrics.BinaryIoU")
class BinaryIoU(IoU):
    """`IoU` of yes/no masks, predictions being probabilities.

    Args:
        target_class_ids: 0 for the background, 1 for the object, or both.
        threshold: from here on a prediction is the object.
        name: name of the metric.
        dtype: dtype of the counts; default int32.

    Example:
    >>> import amalthea as am
    >>> metric = am.metrics.BinaryIoU(target_class_ids=[0, 1], threshold=0.3)
    >>> round(float(metric([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7])), 4)
    0.3333
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_classes=2, target_class_ids=target_class_ids, name=name, dtype=dtype)
        self.threshold = threshold

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        """Add a batch of any shape."""
        yes = ops.convert_to_tensor(y_pred, dtype="float32") >= self.threshold
        super().update_state(y_true, ops.cast(yes, "int32"), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {
            **Metric.get_config(self),
            "target_class_ids": self.target_class_ids,
            "threshold": self.threshold,
        }


@public("keras.metrics.MeanIoU")
class MeanIoU(IoU):
    """`IoU`, the mean over all classes. The other arguments are those of `IoU`.

    >>> import amalthea as am
    >>> round(float(am.metrics.MeanIoU(num_classes=2)([0, 0, 1, 1], [0, 1, 0, 1])), 4)
    0.3333
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, range(num_classes), name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return self._config_without("target_class_ids")


@public("keras.metrics.OneHotIoU")
class OneHotIoU(IoU):
    """`IoU` of one-hot targets, predictions being scores (or, with `sparse_y_pred`, class numbers).

    >>> import amalthea as am
    >>> metric = am.metrics.OneHotIoU(num_classes=2, target_class_ids=[0])
    >>> round(float(metric([[1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8]])), 4)
    1.0
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return self._config_without("sparse_y_true")


@public("keras.metrics.OneHotMeanIoU")
class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` of one-hot targets, predictions being scores (or, with `sparse_y_pred`, class numbers).

    >>> import amalthea as am
    >>> metric = am.metrics.OneHotMeanIoU(num_classes=2)
    >>> round(float(metric([[1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8]])), 4)
    1.0
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return self._config_without("target_class_ids", "sparse_y_true")
