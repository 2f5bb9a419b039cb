"""The base class of callbacks."""

from __future__ import annotations

from typing import Any

Logs = dict[str, Any] | None


class Callback:
    """Base class of callbacks: override the methods for the moments that matter, and pass an instance to `fit`.

    Attributes:
        params: dict with `verbose`, `epochs` and `steps` of the running call.
        model: the model that trains. Setting `model.stop_training = True` ends training after the running step.

    `logs` is a dict from metric names to floats: the means over the epoch so far for batch methods, the epoch's
    results (with `val_` results where there was validation) in `on_epoch_end`. What one callback writes into it, later
    ones see.

    With `steps_per_execution=N` the batch methods run once for N batches.

    >>> class Shout(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(epoch, sorted(logs))
    >>> Shout().on_epoch_end(0, {"loss": 1.0})
    0 ['loss']
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] | None = None
        self._model: Any = None

    def set_params(self, params: dict[str, Any]) -> None:
        """Receive the parameters of the running call."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Receive the model."""
        self._model = model

    @property
    def model(self) -> Any:
        """The model that trains, or None outside of a call."""
        return self._model

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Older name of `on_train_batch_end`."""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Called at the start of each epoch of training; `epoch` counts from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Called at the end of each epoch of training, after validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before each step of training; `batch` counts from 0 in each epoch."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after each step of training."""
        self.on_batch_end(batch, logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before each step of evaluation, also of validation inside `fit`."""

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after each step of evaluation, also of validation inside `fit`."""

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before each step of prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after each step of prediction; `logs["outputs"]` holds the outputs of the batch."""

    def on_train_begin(self, logs: Logs = None) -> None:
        """Called once when training begins."""

    def on_train_end(self, logs: Logs = None) -> None:
        """Called once when training ends, with the results of the last epoch; not after an error."""

    def on_test_begin(self, logs: Logs = None) -> None:
        """Called when evaluation or validation begins."""

    def on_test_end(self, logs: Logs = None) -> None:
        """Called when evaluation or validation ends, with its results."""

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Called when prediction begins."""

    def on_predict_end(self, logs: Logs = None) -> None:
        """Called when prediction ends."""
