"""Projections that are applied to weights after each update of an optimizer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from amalthea import ops
from amalthea.core import config as core_config
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.nn.naming import to_snake_case
from amalthea.nn.objects import deserialize_named, public, serialize_keras_object


def _norms(w: Tensor, axis: Any) -> Tensor:
    axis = tuple(axis) if isinstance(axis, list) else axis
    return ops.sqrt(ops.sum(ops.square(w), axis=axis, keepdims=True))


@public("keras.constraints.Constraint", "keras.Constraint")
class Constraint:
    """Base class of weight constraints. A subclass writes `__call__(w)`, returning the nearest allowed weight.

    >>> class Positive(Constraint):
    ...     def __call__(self, w):
    ...         return ops.maximum(w, 1e-3)
    >>> Positive()(ops.zeros((1,))).shape
    (1,)
    """

    def __call__(self, w: Any) -> Any:
        """The allowed weight nearest to `w`, of the same shape."""
        return w

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal constraint."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constraint:
        """The constraint that `get_config` described."""
        return cls(**config)


@public("keras.constraints.MaxNorm", "keras.constraints.max_norm")
class MaxNorm(Constraint):
    """Norms of at most `max_value` along `axis`.

    Args:
        max_value: the largest norm allowed.
        axis: axis or axes along which the norm is taken (0 for the incoming weights of each unit of a Dense kernel,
            `[0, 1, 2]` for each filter of a Conv2D kernel).

    Source: Srivastava et al., 2014, "Dropout".

    >>> MaxNorm(1.0)(ops.ones((4, 2))).shape
    (4, 2)
    """

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        """The weight, scaled down where its norm was too large."""
        w = as_tensor(w)
        norms = _norms(w, self.axis)
        return w * (ops.clip(norms, 0, self.max_value) / (core_config.epsilon() + norms))

    def get_config(self) -> dict[str, Any]:
        """Bound and axis."""
        return {"max_value": self.max_value, "axis": self.axis}


@public("keras.constraints.NonNeg", "keras.constraints.non_neg")
class NonNeg(Constraint):
    """No negative weights.

    >>> float(NonNeg()(ops.array([-1.0]))[0])
    0.0
    """

    def __call__(self, w: Any) -> Tensor:
        """The weight with its negative entries set to 0."""
        return ops.maximum(as_tensor(w), 0)


@public("keras.constraints.UnitNorm", "keras.constraints.unit_norm")
class UnitNorm(Constraint):
    """Norms of 1 along `axis`.

    Args:
        axis: axis or axes along which the norm is taken.

    >>> UnitNorm()(ops.ones((4, 2))).shape
    (4, 2)
    """

    def __init__(self, axis: Any = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        """The weight, scaled to norm 1."""
        w = as_tensor(w)
        return w / (core_config.epsilon() + _norms(w, self.axis))

    def get_config(self) -> dict[str, Any]:
        """The axis."""
        return {"axis": self.axis}


@public("keras.constraints.MinMaxNorm", "keras.constraints.min_max_norm")
class MinMaxNorm(Constraint):
    """Norms between two bounds along `axis`.

    Args:
        min_value, max_value: the bounds.
        rate: how far a norm outside moves to its bound at each step: 1 is all the way.
        axis: axis or axes along which the norm is taken.

    >>> MinMaxNorm(0.5, 1.0)(ops.ones((4, 2))).shape
    (4, 2)
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0) -> None:
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        """The weight, scaled towards the allowed norms."""
        w = as_tensor(w)
        norms = _norms(w, self.axis)
        desired = self.rate * ops.clip(norms, self.min_value, self.max_value) + (1 - self.rate) * norms
        return w * (desired / (core_config.epsilon() + norms))

    def get_config(self) -> dict[str, Any]:
        """Bounds, rate and axis."""
        return {"min_value": self.min_value, "max_value": self.max_value, "rate": self.rate, "axis": self.axis}


_CLASSES = (Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm)
_NAMED: dict[str, Any] = {cls.__name__: cls for cls in _CLASSES}
_NAMED |= {to_snake_case(cls.__name__): cls for cls in _CLASSES}


@public("keras.constraints.serialize")
def serialize(constraint: Any) -> Any:
    """The config of a constraint.

    >>> serialize(NonNeg())["class_name"]
    'NonNeg'
    """
    return serialize_keras_object(constraint)


@public("keras.constraints.deserialize")
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The constraint of a config.

    >>> deserialize({"class_name": "NonNeg", "config": {}})(ops.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return deserialize_named(config, _NAMED, custom_objects)


@public("keras.constraints.get")
def get(identifier: Any) -> Callable[[Any], Any] | None:
    """A constraint from None, a name (`"non_neg"`), a config, a class, or any function of a tensor.

    >>> type(get("unit_norm")).__name__
    'UnitNorm'
    """
    if identifier is None:
        return None
    found = deserialize(identifier) if isinstance(identifier, (dict, str)) else identifier
    if inspect.isclass(found):
        found = found()
    if not callable(found):
        raise ValueError(
            f"[constraints.get] there is no such constraint. Received: {identifier!r}. "
            f"Fix: one of {sorted(to_snake_case(cls.__name__) for cls in _CLASSES[1:])}, an object, or a function."
        )
    return found
