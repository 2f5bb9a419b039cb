"""Evaluate and save with averaged weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from amalthea.core.errors import ArgumentError, fail
from amalthea.train.callbacks.callback import Callback, Logs


class SwapEMAWeights(Callback):
    """Put the optimizer's moving averages of the weights into the model while it is evaluated, and at the end.

    The optimizer must have been made with `use_ema=True`.

    Args:
        swap_on_epoch: whether to swap already at the end of each epoch, so that callbacks after this one (such as
            `ModelCheckpoint`) see the averages.

    Raises:
        ValueError: if the optimizer keeps no averages.

    >>> swap = SwapEMAWeights(swap_on_epoch=True)
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._ema_weights_in_model = False

    def _pairs(self) -> list[tuple[Any, Any]]:
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        averages = getattr(optimizer, "_model_variables_moving_average", None)
        if not getattr(optimizer, "use_ema", False) or not averages:
            fail(
                ArgumentError,
                "the optimizer keeps no moving averages of the weights",
                where="SwapEMAWeights",
                received=f"optimizer {type(optimizer).__name__} with use_ema={getattr(optimizer, 'use_ema', False)}",
                fix="compile with an optimizer made with use_ema=True",
            )
        return list(zip(optimizer._trainable_variables, averages, strict=True))

    def _swap(self, into_model: bool) -> None:
        if self._ema_weights_in_model == into_model:
            return
        for variable, average in self._pairs():
            kept = np.array(variable.numpy())
            variable.assign(average)
            average.assign(kept)
        self._ema_weights_in_model = into_model

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        if self.swap_on_epoch:
            self._swap(into_model=False)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.swap_on_epoch:
            self._swap(into_model=True)
            # After the last epoch `fit` writes the averages into the model, so they must hold what the model holds now.
            if self.model.stop_training or (self.params and epoch == self.params.get("epochs", 0) - 1):
                for variable, average in self._pairs():
                    average.assign(variable)
                self._ema_weights_in_model = False

    def on_test_begin(self, logs: Logs = None) -> None:
        self._swap(into_model=True)

    def on_test_end(self, logs: Logs = None) -> None:
        self._swap(into_model=False)

    def on_predict_begin(self, logs: Logs = None) -> None:
        self._swap(into_model=True)

    def on_predict_end(self, logs: Logs = None) -> None:
        self._swap(into_model=False)
