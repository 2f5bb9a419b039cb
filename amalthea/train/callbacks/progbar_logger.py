"""Show progress and results on standard output."""

from __future__ import annotations

from typing import Any

from amalthea.train.callbacks.callback import Callback, Logs
from amalthea.train.callbacks.logs import pythonify_logs
from amalthea.train.progress import Progress, is_interactive


class ProgbarLogger(Callback):
    """Show progress: a bar on a terminal or in a notebook, one plain line an epoch elsewhere.

    `fit`, `evaluate` and `predict` add one unless `verbose=0`; `verbose=2` asks for plain lines everywhere.

    >>> logger = ProgbarLogger()
    >>> logger.set_params({"verbose": 2, "epochs": 1, "steps": 1})
    """

    def __init__(self) -> None:
        super().__init__()
        self.verbose: int = 1
        self.epochs: int = 1
        self.target: int | None = None
        self.progbar: Progress | None = None
        self._called_in_fit = False

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        verbose = params.get("verbose", 1)
        self.verbose = 1 if verbose in ("auto", True) else int(verbose)
        self.epochs = params.get("epochs", 1)
        self.target = params.get("steps")

    def _begin(self, title: str = "") -> None:
        self._abort()
        if self.verbose:
            self.progbar = Progress(self.target, title, bar=self.verbose == 1 and is_interactive())

    def _step(self, batch: int, logs: Logs) -> None:
        if self.progbar is not None:
            self.progbar.update(batch + 1, lambda: pythonify_logs(logs))

    def _end(self, logs: Logs) -> None:
        if self.progbar is not None:
            if self.target is None:
                # what this pass saw is what the next one can expect
                self.target = self.progbar.seen
            self.progbar.finish(logs)
            self.progbar = None

    def _abort(self) -> None:
        if self.progbar is not None:
            self.progbar.close()
            self.progbar = None

    def on_train_begin(self, logs: Logs = None) -> None:
        # validation inside `fit` stays silent
        self._called_in_fit = True

    def on_train_end(self, logs: Logs = None) -> None:
        self._called_in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._begin(f"Epoch {epoch + 1}/{self.epochs}")

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._step(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._end(logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        if not self._called_in_fit:
            self._begin()

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        if not self._called_in_fit:
            self._step(batch, logs)

    def on_test_end(self, logs: Logs = None) -> None:
        if not self._called_in_fit:
            self._end(logs)

    def on_predict_begin(self, logs: Logs = None) -> None:
        self._begin()

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._step(batch, None)

    def on_predict_end(self, logs: Logs = None) -> None:
        self._end(None)
