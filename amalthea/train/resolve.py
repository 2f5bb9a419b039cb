"""From what a person writes in `compile` (a name, a function, an object) to a loss or a metric."""

from __future__ import annotations

import re
from typing import Any

from amalthea.core.errors import ArgumentError, fail
from amalthea.nn import losses, metrics

ACCURACY = ("accuracy", "acc")
CROSSENTROPY = ("crossentropy", "ce")


def target_kind(y_true: Any, y_pred: Any) -> str:
    """What the shapes say about a classification problem: `"binary"`, `"sparse"` (class indices) or `"one_hot"`.

    Args:
        y_true: targets, anything with a `shape`.
        y_pred: outputs.

    >>> from amalthea.core.tensor import TensorSpec
    >>> target_kind(TensorSpec((8,), "int32"), TensorSpec((8, 10), "float32"))
    'sparse'
    """
    true, pred = tuple(y_true.shape), tuple(y_pred.shape)
    if pred and pred[-1] == 1:
        return "binary"
    if len(true) < len(pred) or (true and true[-1] == 1 and (pred[-1] or 2) > 1):
        return "sparse"
    return "one_hot"


def check_names(structure: Any, argument: str) -> None:
    """Look up every name in a `loss`, `metrics` or `weighted_metrics` argument, so that a misspelt one fails at once.

    >>> check_names({"a": "mse", "b": None}, "loss")
    """
    if isinstance(structure, dict):
        structure = list(structure.values())
    if isinstance(structure, (list, tuple)):
        for item in structure:
            check_names(item, argument)
    elif isinstance(structure, str):
        if structure.lower() in (CROSSENTROPY if argument == "loss" else ACCURACY):
            return
        (losses if argument == "loss" else metrics).get(structure)
    elif structure is not None and not callable(structure):
        module, example = ("losses", 'loss="mse"') if argument == "loss" else ("metrics", f'{argument}=["accuracy"]')
        fail(
            ArgumentError,
            f"`{argument}` must hold names, functions or objects of amalthea.{module}",
            where="compile",
            received=f"{structure!r} of type {type(structure).__name__}",
            fix=f"write for example {example}",
        )


def get_loss(identifier: Any, y_true: Any, y_pred: Any) -> Any:
    """The loss for one output, or None.

    Args:
        identifier: name, function of `(y_true, y_pred)`, `Loss`, or None. `"crossentropy"` and `"ce"` choose by shapes.
        y_true: targets, anything with a `shape`.
        y_pred: outputs.

    Returns:
        An object called with `(y_true, y_pred, sample_weight)`, with a `name`.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str) and identifier.lower() in CROSSENTROPY:
        kind = target_kind(y_true, y_pred)
        found = {
            "binary": losses.binary_crossentropy,
            "sparse": losses.sparse_categorical_crossentropy,
            "one_hot": losses.categorical_crossentropy,
        }[kind]
    else:
        found = losses.get(identifier)
    if isinstance(found, losses.Loss):
        return found
    return losses.LossFunctionWrapper(found, name=identifier if isinstance(identifier, str) else name_of(found))


def get_metric(identifier: Any, y_true: Any, y_pred: Any) -> Any:
    """The metric for one output.

    Args:
        identifier: name, function of `(y_true, y_pred)`, or `Metric`. `"accuracy"` and `"acc"` choose by shapes.
        y_true: targets, anything with a `shape`.
        y_pred: outputs.

    Returns:
        A `Metric`, named as it was asked for.
    """
    if isinstance(identifier, str) and identifier.lower() in ACCURACY:
        kind = target_kind(y_true, y_pred)
        found = {
            "binary": metrics.BinaryAccuracy,
            "sparse": metrics.SparseCategoricalAccuracy,
            "one_hot": metrics.CategoricalAccuracy,
        }[kind](name=identifier)
    else:
        found = metrics.get(identifier)
    name = identifier if isinstance(identifier, str) else name_of(found)
    if not isinstance(found, metrics.Metric):
        found = metrics.MeanMetricWrapper(found, name=name)
    if found.name != name:
        found.name = name
    return found


def name_of(thing: Any) -> str:
    """Name of an object or function, in snake_case.

    >>> name_of(name_of)
    'name_of'
    """
    name = getattr(thing, "name", None)
    if isinstance(name, str):
        return name
    name = getattr(thing, "__name__", None) or type(thing).__name__
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
