"""Save the model while it trains."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

from amalthea.core.errors import ArgumentError, fail
from amalthea.train.callbacks.callback import Logs
from amalthea.train.callbacks.monitor import MonitorCallback


class ModelCheckpoint(MonitorCallback):
    """Save the model, or its weights, after each epoch or after a number of batches.

    A file is replaced only once the new one is complete, so an interrupted save leaves the old file whole.

    Args:
        filepath: path, which may hold `{epoch}`, `{batch}` and names of results, as in
            `"{epoch:02d}-{val_loss:.2f}.keras"`. It ends in `.weights.h5` with `save_weights_only`, else in `.keras`.
        monitor: name of the result to watch with `save_best_only`.
        verbose: 1 prints what is saved.
        save_best_only: whether to save only when the watched result improves.
        save_weights_only: whether to call `model.save_weights` instead of `model.save`.
        mode: `"auto"`, `"min"` or `"max"`.
        save_freq: `"epoch"`, or a number of batches.
        initial_value_threshold: value that the first saved result must beat.

    Raises:
        ValueError: if `filepath` has another ending, or `save_freq` is something else.

    >>> keep = ModelCheckpoint("best.keras", save_best_only=True)
    """

    def __init__(
        self,
        filepath: str | os.PathLike,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.verbose = verbose
        self.filepath = os.fspath(filepath)
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._batches_seen_since_last_saving = 0
        self._last_batch_seen: int | None = None
        self._current_epoch = 0
        check_save_freq(save_freq, "ModelCheckpoint")
        endings = (".weights.h5",) if save_weights_only else (".keras", ".h5")
        if not self.filepath.endswith(endings):
            fail(
                ArgumentError,
                f"`filepath` must end in {' or '.join(endings)}"
                + (" where only weights are saved" if save_weights_only else ""),
                where="ModelCheckpoint",
                received=f"filepath={self.filepath!r}",
                fix=f"write filepath={os.path.splitext(self.filepath)[0] + endings[0]!r}",
            )

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._current_epoch = epoch

    @property
    def looks_at_each_batch(self) -> bool:
        """Whether it may save between two batches."""
        return self.save_freq != "epoch"

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        if self.save_freq == "epoch":
            return
        last = self._last_batch_seen
        new_epoch = last is None or batch <= last
        self._batches_seen_since_last_saving += batch + 1 if new_epoch else batch - last  # type: ignore[operator]
        self._last_batch_seen = batch
        if self._batches_seen_since_last_saving >= self.save_freq:  # type: ignore[operator]
            self._batches_seen_since_last_saving = 0
            self._save_model(self._current_epoch, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.save_best_only and self.monitor_op is None:
            self._set_monitor_op()
        if self.save_freq == "epoch":
            self._save_model(epoch, None, logs)

    def _save_model(self, epoch: int, batch: int | None, logs: Logs) -> None:
        logs = logs or {}
        path = self._path(epoch, batch, logs)
        if not self._should_save(epoch, logs, path):
            return
        if os.path.isdir(path):
            fail(
                IsADirectoryError,
                "a directory stands where the checkpoint shall go",
                where="ModelCheckpoint",
                received=f"filepath={path!r}",
                fix="choose another filepath",
            )
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)
        if self.verbose > 0:
            print(f"\nEpoch {epoch + 1}: finished saving model to {path}")

    def _should_save(self, epoch: int, logs: dict[str, Any], path: str) -> bool:
        if not self.save_best_only:
            if self.verbose > 0:
                print(f"\nEpoch {epoch + 1}: saving model to {path}")
            return True
        current = logs.get(self.monitor)
        if current is None:
            self._missing(logs, "the model is saved without comparing")
            return True
        if np.ndim(current) > 0:
            warnings.warn(
                f"ModelCheckpoint: the result {self.monitor!r} is no single number, so the model is saved without "
                f"comparing. Received: an array of shape {np.shape(current)}",
                stacklevel=4,
            )
            return True
        best = "None" if self.best is None else f"{self.best:.5f}"
        improved = self._is_improvement(current, self.best)
        if self.verbose > 0:
            outcome = f"improved from {best} to {current:.5f}, saving model to {path}"
            print(f"\nEpoch {epoch + 1}: {self.monitor} {outcome if improved else f'did not improve from {best}'}")
        if improved:
            self.best = current
        return improved

    def _path(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> str:
        values = {**logs, "epoch": epoch + 1}
        if batch is not None:
            values["batch"] = batch + 1
        try:
            return self.filepath.format(**values)
        except (KeyError, IndexError, ValueError) as error:
            return fail(
                KeyError,
                f"`filepath` cannot be filled in ({error})",
                where="ModelCheckpoint",
                received=f"filepath={self.filepath!r}, values {sorted(values)}",
                fix="use only these names; val_ results need validation_data in fit",
            )


def check_save_freq(save_freq: Any, where: str) -> None:
    """Check that a `save_freq` argument is `"epoch"` or a positive integer."""
    if save_freq != "epoch" and not (isinstance(save_freq, int) and not isinstance(save_freq, bool) and save_freq > 0):
        fail(
            ArgumentError,
            '`save_freq` must be "epoch" or a number of batches',
            where=where,
            received=f"save_freq={save_freq!r}",
            fix='write save_freq="epoch" or save_freq=100',
        )
