"""The record of results that `fit` returns."""

from __future__ import annotations

from typing import Any

from amalthea.train.callbacks.callback import Callback, Logs


class History(Callback):
    """Record the results of each epoch. `fit` adds one by itself and returns it.

    Attributes:
        history: dict from metric name to the list of its values, one an epoch.
        epoch: list of the epochs' numbers.

    >>> record = History()
    >>> record.on_train_begin()
    >>> record.on_epoch_end(0, {"loss": 0.5})
    >>> record.history
    {'loss': [0.5]}
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        if self._model is not None:
            self._model.history = self
