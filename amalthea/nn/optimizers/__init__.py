"""Optimizers, and finding one by its name."""

from __future__ import annotations

from typing import Any

from amalthea.nn.identifiers import resolve, unknown
from amalthea.nn.objects import get_registered_object, public, serialize_keras_object
from amalthea.nn.optimizers import schedules
from amalthea.nn.optimizers.adafactor import Adafactor
from amalthea.nn.optimizers.adagrad import Adadelta, Adagrad
from amalthea.nn.optimizers.adam import Adam, AdamW
from amalthea.nn.optimizers.adamax import Adamax, Nadam
from amalthea.nn.optimizers.ftrl import Ftrl
from amalthea.nn.optimizers.lamb import Lamb
from amalthea.nn.optimizers.lion import Lion
from amalthea.nn.optimizers.loss_scale import LossScaleOptimizer
from amalthea.nn.optimizers.muon import Muon
from amalthea.nn.optimizers.optimizer import Optimizer
from amalthea.nn.optimizers.rmsprop import RMSprop
from amalthea.nn.optimizers.schedule_free import ScheduleFreeAdamW
from amalthea.nn.optimizers.sgd import SGD

CLASSES = (
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    AdamW,
    Adamax,
    Ftrl,
    Lamb,
    Lion,
    LossScaleOptimizer,
    Muon,
    Nadam,
    Optimizer,
    RMSprop,
    ScheduleFreeAdamW,
)
BY_NAME: dict[str, Any] = {c.__name__.lower(): c for c in CLASSES}
_SHOWN = {c.__name__: c for c in CLASSES}


@public("keras.optimizers.serialize")
def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """The config of an optimizer, as plain data that `deserialize` and Keras read.

    >>> import amalthea as am
    >>> am.optimizers.serialize(am.optimizers.SGD(0.5))["config"]["learning_rate"]
    0.5
    """
    return serialize_keras_object(optimizer)


@public("keras.optimizers.deserialize")
def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer:
    """The optimizer that a config describes; built-in class names may be in any case.

    Args:
        config: config of an optimizer.
        custom_objects: classes of your own, by name.

    Raises:
        ValueError: there is no such optimizer.

    Example:
    >>> import amalthea as am
    >>> am.optimizers.deserialize({"class_name": "adam", "config": {"learning_rate": 0.5}}).learning_rate.item()
    0.5
    """
    if str(config.get("class_name")).lower() in BY_NAME:
        config = {**config, "class_name": config["class_name"].lower()}
    return resolve("optimizer", config, BY_NAME, "optimizers", custom_objects)


@public("keras.optimizers.get")
def get(identifier: Any) -> Any:
    """The optimizer meant by a name (in any case), a config, or an optimizer itself.

    Args:
        identifier: for example `"adam"`, a config dict, an `Optimizer`, or None.

    Returns:
        An `Optimizer`; None for None.

    Raises:
        ValueError: nothing has this name (the message lists near ones), or it is no optimizer.

    Example:
    >>> import amalthea as am
    >>> type(am.optimizers.get("rmsprop")).__name__
    'RMSprop'
    """
    if identifier is None or isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str):
        found = BY_NAME.get(identifier.lower()) or get_registered_object(identifier)
        if found is None:
            raise ValueError(unknown("optimizer", identifier, _SHOWN, "optimizers"))
        return found()
    found = deserialize(identifier) if isinstance(identifier, dict) else identifier
    if isinstance(found, type) and issubclass(found, Optimizer):
        found = found()  # type: ignore[call-arg]
    if not isinstance(found, Optimizer):
        raise ValueError(
            f"[optimizers.get] this is no optimizer. Received: {identifier!r} of type {type(identifier).__name__}. "
            "Fix: pass a name such as 'adam', a config, or an am.optimizers.Optimizer."
        )
    return found


__all__ = ["deserialize", "get", "schedules", "serialize", *(c.__name__ for c in CLASSES)]
