"""Checks of what optimizers and schedules are given: learning rates, pairs of gradients and variables."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any

from amalthea.core.errors import ArgumentError, fail
from amalthea.core.variable import Variable


def is_number(value: Any) -> bool:
    """Whether this is one real number, or a tensor or array of one.

    >>> is_number(0.1), is_number("0.1")
    (True, False)
    """
    if isinstance(value, numbers.Real):
        return not isinstance(value, bool)
    return getattr(value, "shape", None) == () and not callable(value)


def checked_rate(value: Any, where: str) -> float:
    """A learning rate as a float.

    Raises:
        ValueError: it is no number, or below 0.

    >>> checked_rate(1, "SGD")
    1.0
    """
    if not is_number(value):
        fail(
            ArgumentError,
            "`learning_rate` must be a number, a LearningRateSchedule, or a function that gives one",
            where=where,
            received=f"learning_rate={value!r} of type {type(value).__name__}",
            fix="pass for example 0.001",
        )
    rate = float(value)
    if not rate >= 0:
        fail(
            ArgumentError,
            "`learning_rate` must not be below 0, or the loss would rise",
            where=where,
            received=f"learning_rate={rate}",
            fix="pass for example 0.001",
        )
    return rate


def check_numbers(where: str, **arguments: Any) -> None:
    """Refuse arguments of a schedule that are no numbers; None is left alone.

    >>> check_numbers("ExponentialDecay", decay_rate=0.9)
    """
    for name, value in arguments.items():
        if value is not None and not is_number(value):
            fail(
                ArgumentError,
                f"`{name}` must be a number",
                where=where,
                received=f"{name}={value!r} of type {type(value).__name__}",
                fix=f"pass for example {name}=0.1",
            )


def checked_pairs(grads_and_vars: Iterable[Any], where: str) -> tuple[list[Any], list[Any]]:
    """The gradients and the variables of pairs `(gradient, variable)`.

    >>> checked_pairs([], "SGD")
    ([], [])
    """
    pairs = list(grads_and_vars)
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            fail(
                ArgumentError,
                "`apply_gradients` takes pairs (gradient, variable)",
                where=where,
                received=f"an item of type {type(pair).__name__}",
                fix="apply_gradients(zip(gradients, model.trainable_variables))",
            )
    return [gradient for gradient, _ in pairs], [variable for _, variable in pairs]


def check_variables(variables: Iterable[Any], where: str) -> None:
    """Refuse what an optimizer cannot change: tensors, which never change, and anything else that is no variable."""
    for variable in variables:
        if not isinstance(variable, Variable):
            fail(
                ArgumentError,
                "an optimizer changes variables, and this is none",
                where=where,
                received=f"a {type(variable).__name__}"
                + (f" of shape {tuple(variable.shape)}" if hasattr(variable, "shape") else ""),
                fix="pass am.Variable objects, such as model.trainable_variables, each after its gradient",
            )
