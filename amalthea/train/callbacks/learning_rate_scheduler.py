"""Set the learning rate at the start of each epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from amalthea.core.errors import ArgumentError, fail
from amalthea.train.callbacks.callback import Callback, Logs


class LearningRateScheduler(Callback):
    """Set the learning rate at the start of each epoch from a function; record it as `learning_rate`.

    Args:
        schedule: function of the epoch (from 0) and the current learning rate, which returns the new one as a float.
        verbose: 1 prints each learning rate.

    >>> halve = LearningRateScheduler(lambda epoch, lr: lr / 2)
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        optimizer = self.model.optimizer
        if not hasattr(optimizer, "learning_rate"):
            fail(
                ArgumentError,
                "the optimizer has no learning rate",
                where="LearningRateScheduler",
                received=f"optimizer {optimizer!r}",
                fix="compile the model with an optimizer",
            )
        arguments = (epoch, learning_rate_of(optimizer))
        rate = self.schedule(*arguments[: _arity(self.schedule)])
        if not isinstance(rate, (float, np.floating)):
            converted = getattr(rate, "numpy", None)
            if converted is None or np.ndim(rate) != 0:
                fail(
                    ArgumentError,
                    "`schedule` must return a float",
                    where="LearningRateScheduler",
                    received=f"{rate!r} of type {type(rate).__name__}",
                    fix="return float(rate)",
                )
            rate = float(converted())
        set_learning_rate(optimizer, rate, type(self).__name__)
        if self.verbose > 0:
            print(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if logs is not None:
            logs["learning_rate"] = learning_rate_of(self.model.optimizer)


def learning_rate_of(optimizer: Any) -> float:
    """The learning rate of an optimizer at its present step, as a float."""
    return float(np.asarray(optimizer.learning_rate))


def set_learning_rate(optimizer: Any, rate: float, where: str) -> None:
    """Set the learning rate of an optimizer, with a clear error where a schedule of its own is in charge."""
    try:
        optimizer.learning_rate = rate
    except TypeError:
        fail(
            TypeError,
            "the optimizer follows a learning-rate schedule of its own",
            where=where,
            received=f"optimizer {type(optimizer).__name__} with a LearningRateSchedule",
            fix="compile with a plain number as learning_rate, or leave this callback out",
        )


def _arity(schedule: Callable[..., Any]) -> int:
    # older code has schedules of the epoch alone
    try:
        inspect.signature(schedule).bind(0, 0.0)
    except TypeError:
        return 1
    except ValueError:
        return 2
    return 2
