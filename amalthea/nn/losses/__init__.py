"""Losses, and finding one by its name."""

from __future__ import annotations

from typing import Any

from amalthea.nn.identifiers import resolve
from amalthea.nn.losses.crossentropy import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
)
from amalthea.nn.losses.hinge import CategoricalHinge, Hinge, SquaredHinge, categorical_hinge, hinge, squared_hinge
from amalthea.nn.losses.loss import Loss, LossFunctionWrapper
from amalthea.nn.losses.probabilistic import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    kl_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from amalthea.nn.losses.regions import Circle, Dice, Tversky, circle, dice, tversky
from amalthea.nn.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from amalthea.nn.objects import public, serialize_keras_object

CLASSES = (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    CategoricalHinge,
    Circle,
    CosineSimilarity,
    Dice,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    Tversky,
)
FUNCTIONS = (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    categorical_hinge,
    circle,
    cosine_similarity,
    dice,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
    tversky,
)
SHORT = {
    "bce": binary_crossentropy,
    "kld": kl_divergence,
    "mae": mean_absolute_error,
    "mape": mean_absolute_percentage_error,
    "mse": mean_squared_error,
    "msle": mean_squared_logarithmic_error,
}
BY_NAME: dict[str, Any] = {
    **{c.__name__: c for c in (Loss, LossFunctionWrapper, *CLASSES)},
    **{f.__name__: f for f in FUNCTIONS},
    **SHORT,
    **{name.upper(): f for name, f in SHORT.items()},
}


@public("keras.losses.serialize")
def serialize(loss: Any) -> Any:
    """The config of a loss, as plain data that `deserialize` and Keras read.

    Args:
        loss: a `Loss` or a loss function.

    Example:
    >>> import amalthea as am
    >>> am.losses.serialize(am.losses.MeanSquaredError())["class_name"]
    'MeanSquaredError'
    """
    return serialize_keras_object(loss)


@public("keras.losses.deserialize")
def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The loss that a config (or a name) describes.

    Args:
        name: config of a loss, or the name of one.
        custom_objects: classes and functions of your own, by name.

    Raises:
        ValueError: there is no such loss.

    Example:
    >>> import amalthea as am
    >>> am.losses.deserialize(am.losses.serialize(am.losses.Huber())).name
    'huber_loss'
    """
    return resolve("loss", name, BY_NAME, "losses", custom_objects)


@public("keras.losses.get")
def get(identifier: Any) -> Any:
    """The loss meant by a name, a config, a class, a function or a loss.

    Args:
        identifier: `"mse"`, `"mean_squared_error"` (functions), `"MeanSquaredError"` (a class, of which an instance is
            made), a config dict, anything callable, or None.

    Returns:
        A function or a `Loss`; None for None.

    Raises:
        ValueError: nothing has this name; the message lists near ones.

    Example:
    >>> import amalthea as am
    >>> am.losses.get("mse").__name__
    'mean_squared_error'
    """
    found = resolve("loss", identifier, BY_NAME, "losses")
    return found() if isinstance(found, type) else found


__all__ = [
    "Loss",
    "LossFunctionWrapper",
    "deserialize",
    "get",
    "serialize",
    *(c.__name__ for c in CLASSES),
    *(f.__name__ for f in FUNCTIONS),
]
