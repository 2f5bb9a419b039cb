"""Penalties on weights and outputs that are added to the loss."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from amalthea import ops
from amalthea.core.errors import ShapeError
from amalthea.core.tensor import Tensor
from amalthea.nn.naming import to_snake_case
from amalthea.nn.objects import deserialize_named, public, serialize_keras_object


def _checked(value: Any, where: str, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError(
            f"[{where}] `{name}` must be a finite number that is not negative. Received: {name}={value!r}. "
            "Fix: for example 0.01."
        )
    return float(value)


@public("keras.Regularizer", "keras.regularizers.Regularizer")
class Regularizer:
    """Base class of penalties. A subclass writes `__call__(x) -> scalar tensor` and `get_config()`.

    >>> class Half(Regularizer):
    ...     def __call__(self, x):
    ...         return 0.5 * ops.sum(ops.square(x))
    ...     def get_config(self):
    ...         return {}
    >>> float(Half()(ops.ones((2,))))
    1.0
    """

    def __call__(self, x: Any) -> Any:
        """The penalty of `x`, a scalar."""
        return 0.0

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        """The regularizer that `get_config` described."""
        return cls(**config)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal regularizer."""
        raise NotImplementedError(f"{type(self).__name__} has no `get_config()`. Fix: return its arguments as a dict.")


@public("keras.regularizers.L1L2", "keras.regularizers.l1_l2")
class L1L2(Regularizer):
    """`l1 * sum(|x|) + l2 * sum(x**2)`.

    Args:
        l1: factor of the absolute values.
        l2: factor of the squares.

    >>> float(L1L2(l1=1.0, l2=2.0)(ops.ones((3,))))
    9.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _checked(0.0 if l1 is None else l1, "L1L2", "l1")
        self.l2 = _checked(0.0 if l2 is None else l2, "L1L2", "l2")

    def __call__(self, x: Any) -> Tensor:
        """The penalty of `x`, a scalar of its dtype."""
        penalty = ops.zeros((), dtype=x.dtype)
        if self.l1:
            penalty = penalty + self.l1 * ops.sum(ops.abs(x))
        if self.l2:
            penalty = penalty + self.l2 * ops.sum(ops.square(x))
        return penalty

    def get_config(self) -> dict[str, Any]:
        """The factors."""
        return {"l1": self.l1, "l2": self.l2}


@public("keras.regularizers.L1", "keras.regularizers.l1")
class L1(Regularizer):
    """`l1 * sum(|x|)`, which drives weights to exactly zero.

    Args:
        l1: the factor.

    >>> float(L1(0.5)(ops.ones((4,))))
    2.0
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = _checked(0.01 if l1 is None else l1, "L1", "l1")

    def __call__(self, x: Any) -> Tensor:
        """The penalty of `x`, a scalar of its dtype."""
        return self.l1 * ops.sum(ops.abs(x))

    def get_config(self) -> dict[str, Any]:
        """The factor, as float32 holds it (as Keras writes it)."""
        return {"l1": _float32(self.l1)}


@public("keras.regularizers.L2", "keras.regularizers.l2")
class L2(Regularizer):
    """`l2 * sum(x**2)`, which keeps weights small.

    Args:
        l2: the factor.

    >>> float(L2(0.5)(ops.ones((4,))))
    2.0
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = _checked(0.01 if l2 is None else l2, "L2", "l2")

    def __call__(self, x: Any) -> Tensor:
        """The penalty of `x`, a scalar of its dtype."""
        return self.l2 * ops.sum(ops.square(x))

    def get_config(self) -> dict[str, Any]:
        """The factor."""
        return {"l2": self.l2}


@public("keras.regularizers.OrthogonalRegularizer", "keras.regularizers.orthogonal_regularizer")
class OrthogonalRegularizer(Regularizer):
    """Drives the rows or columns of a matrix to stand at right angles to each other.

    The penalty is `factor` times the mean absolute cosine between different rows (or columns).

    Args:
        factor: the factor.
        mode: `"rows"` or `"columns"`.

    >>> float(OrthogonalRegularizer(1.0)(ops.eye(3)))
    0.0
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _checked(factor, "OrthogonalRegularizer", "factor")
        if mode not in ("rows", "columns"):
            raise ValueError(
                f"[OrthogonalRegularizer] unknown mode. Received: mode={mode!r}. Fix: 'rows' or 'columns'."
            )
        self.mode = mode

    def __call__(self, inputs: Any) -> Tensor:
        """The penalty of a matrix, a scalar."""
        if len(inputs.shape) != 2:
            raise ShapeError(
                "[OrthogonalRegularizer] the weight must be a matrix. "
                f"Received: a weight of shape {tuple(inputs.shape)}. Fix: use it on kernels of rank 2 only."
            )
        axis = 1 if self.mode == "rows" else 0
        norm = ops.sqrt(ops.sum(ops.square(inputs), axis=axis, keepdims=True))
        unit = inputs / ops.maximum(norm, 1e-12)
        vectors = unit if self.mode == "rows" else ops.transpose(unit)
        count = vectors.shape[0]
        cosines = ops.matmul(vectors, ops.transpose(vectors)) * (1.0 - ops.eye(count, dtype=inputs.dtype))
        pairs = count * (count - 1.0) / 2.0
        return self.factor * 0.5 * ops.sum(ops.abs(cosines)) / pairs

    def get_config(self) -> dict[str, Any]:
        """Factor (as float32 holds it, as Keras writes it) and mode."""
        return {"factor": _float32(self.factor), "mode": self.mode}


def _float32(value: float) -> float:
    import numpy as np

    return float(np.float32(value))


_CLASSES = (Regularizer, L1, L2, L1L2, OrthogonalRegularizer)
_NAMED: dict[str, Any] = {cls.__name__: cls for cls in _CLASSES}
_NAMED |= {to_snake_case(cls.__name__): cls for cls in _CLASSES}
_NAMED["l1_l2"] = L1L2


@public("keras.regularizers.serialize")
def serialize(regularizer: Any) -> Any:
    """The config of a regularizer.

    >>> serialize(L1(0.5))["config"]
    {'l1': 0.5}
    """
    return serialize_keras_object(regularizer)


@public("keras.regularizers.deserialize")
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The regularizer of a config.

    >>> float(deserialize({"class_name": "L2", "config": {"l2": 0.5}})(ops.array([2.0])))
    2.0
    """
    return deserialize_named(config, _NAMED, custom_objects)


@public("keras.regularizers.get")
def get(identifier: Any) -> Callable[[Any], Any] | None:
    """A regularizer from None, a name (`"l2"`), a config, a class, or any function of a tensor.

    >>> type(get("l2")).__name__
    'L2'
    """
    if identifier is None:
        return None
    found = deserialize(identifier) if isinstance(identifier, (dict, str)) else identifier
    if inspect.isclass(found):
        found = found()
    if not callable(found):
        raise ValueError(
            f"[regularizers.get] there is no such regularizer. Received: {identifier!r}. "
            f"Fix: one of {sorted(to_snake_case(cls.__name__) for cls in _CLASSES[1:])}, an object, or a function."
        )
    return found
