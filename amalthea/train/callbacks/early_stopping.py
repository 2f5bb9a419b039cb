"""Stop training when a result no longer improves."""

from __future__ import annotations

from typing import Any

from amalthea.train.callbacks.callback import Logs
from amalthea.train.callbacks.monitor import MonitorCallback


class EarlyStopping(MonitorCallback):
    """Stop training when a result has not improved for some epochs.

    Args:
        monitor: name of the result to watch.
        min_delta: change that counts as an improvement.
        patience: number of epochs without improvement after which training stops.
        verbose: 1 prints when training is stopped or weights are restored.
        mode: `"auto"`, `"min"` or `"max"`.
        baseline: value that must be beaten for the patience to start anew.
        restore_best_weights: whether to bring back the weights of the best epoch at the end.
        start_from_epoch: number of epochs before watching begins.

    >>> stop = EarlyStopping("loss", patience=2)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.wait = 0
        self.stopped_epoch = 0
        self.restore_best_weights = restore_best_weights
        self.best_weights: list[Any] | None = None
        self.best_epoch = 0
        self.start_from_epoch = start_from_epoch

    def on_train_begin(self, logs: Logs = None) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_weights = None
        self.best_epoch = 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.monitor_op is None:
            self._set_monitor_op()
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            # the first epoch watched is the best so far, also where its value is NaN and never improves on anything
            self._keep(epoch)
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best = current
            self.best_epoch = epoch
            if self.restore_best_weights:
                self._keep(epoch)
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _keep(self, epoch: int) -> None:
        self.best_weights = self.model.get_weights()
        self.best_epoch = epoch

    def on_train_end(self, logs: Logs = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)

    def get_monitor_value(self, logs: Logs) -> Any:
        """The watched result, or None with a warning where it is missing.

        >>> EarlyStopping("loss").get_monitor_value({"loss": 0.5})
        0.5
        """
        value = (logs or {}).get(self.monitor)
        if value is None:
            self._missing(logs or {}, "training is not stopped early")
        return value
