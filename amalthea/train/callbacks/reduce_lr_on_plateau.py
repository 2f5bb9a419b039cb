"""Lower the learning rate when a result no longer improves."""

from __future__ import annotations

from typing import Any

import numpy as np

from amalthea.core.errors import ArgumentError, fail
from amalthea.train.callbacks.callback import Logs
from amalthea.train.callbacks.learning_rate_scheduler import learning_rate_of, set_learning_rate
from amalthea.train.callbacks.monitor import MonitorCallback


class ReduceLROnPlateau(MonitorCallback):
    """Multiply the learning rate by a factor when a result has not improved for some epochs.

    It also records the learning rate as `learning_rate` in the history.

    Args:
        monitor: name of the result to watch.
        factor: what the learning rate is multiplied by, below 1.
        patience: number of epochs without improvement before that.
        verbose: 1 prints each reduction.
        mode: `"auto"`, `"min"` or `"max"`.
        min_delta: change that counts as an improvement.
        cooldown: number of epochs to wait after a reduction before counting again.
        min_lr: the learning rate does not fall below this.

    Raises:
        ValueError: if `factor` is 1 or more.

    >>> ReduceLROnPlateau("loss", factor=0.5, patience=3).in_cooldown()
    False
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            fail(
                ArgumentError,
                "`factor` must be below 1",
                where="ReduceLROnPlateau",
                received=f"factor={factor!r}",
                fix="0.1 divides the learning rate by ten",
            )
        self.factor = factor
        self.min_lr = min_lr
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.monitor_op is None:
            self._set_monitor_op()
        logs = logs if logs is not None else {}
        logs["learning_rate"] = learning_rate_of(self.model.optimizer)
        current = logs.get(self.monitor)
        if current is None:
            self._missing(logs, "the learning rate is not reduced")
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def _reduce(self, epoch: int) -> bool:
        old = learning_rate_of(self.model.optimizer)
        # compared in float32, as the optimizer holds it
        if not old > np.float32(self.min_lr):
            return False
        new = max(old * self.factor, self.min_lr)
        set_learning_rate(self.model.optimizer, new, type(self).__name__)
        if self.verbose > 0:
            print(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new}.")
        return True

    def in_cooldown(self) -> bool:
        """Whether epochs are not counted at the moment."""
        return self.cooldown_counter > 0
