"""Go on with training that was cut off."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

import numpy as np

from amalthea.core.errors import ArgumentError, fail
from amalthea.ops.seeds import global_seed_generator
from amalthea.train.callbacks.callback import Callback, Logs
from amalthea.train.callbacks.model_checkpoint import check_save_freq

RECORD = "training_metadata.json"
PLAIN_WEIGHTS = "latest.weights.h5"


class BackupAndRestore(Callback):
    """Save the state of training as it goes, and go on from it when the same script is run again after a crash.

    The weights, the optimizer's state, the epoch's number and the state of the global seed are saved, so that training
    goes on as if it had never stopped. A backup is a weights file and a record that
    names it; the record is replaced in one step once the weights file is complete, so that a process killed at any
    moment leaves a backup whose parts belong together. Backups written by Keras are understood too.

    Args:
        backup_dir: folder for the backup, used by nothing else.
        save_freq: `"epoch"`, or a number of batches; training always goes on at the start of an epoch.
        double_checkpoint: whether to keep the backup before the last one too, and use it if the last cannot be read.
        delete_checkpoint: whether to remove the backup once training is complete.

    Raises:
        ValueError: if `backup_dir` is empty, `save_freq` something else, or the model is not built when training
            starts.

    >>> backup = BackupAndRestore("backup")
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike,
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._batches_seen_since_last_saving = 0
        self._last_batch_seen = 0
        self._current_epoch = 0
        if not backup_dir:
            fail(
                ArgumentError,
                "`backup_dir` is empty",
                where="BackupAndRestore",
                received=f"backup_dir={backup_dir!r}",
                fix="name a folder for the backup",
            )
        self.backup_dir = os.fspath(backup_dir)
        if save_freq is not False:
            check_save_freq(save_freq, "BackupAndRestore")

    def on_train_begin(self, logs: Logs = None) -> None:
        self._current_epoch = self._last_batch_seen = self._batches_seen_since_last_saving = 0
        problems = []
        for name in (RECORD, RECORD + ".bkp"):
            try:
                if self._restore(os.path.join(self.backup_dir, name)):
                    return
            except (OSError, ValueError, KeyError) as error:
                problems.append(f"{name}: {error}")
        if problems:
            fail(
                OSError,
                "the backup cannot be read",
                where="BackupAndRestore",
                received="; ".join(problems),
                fix=f"remove the folder {self.backup_dir!r} to train from the beginning",
            )

    def _restore(self, record_path: str) -> bool:
        try:
            with open(record_path) as file:
                record = json.load(file)
        except FileNotFoundError:
            return False
        model = self.model
        if not model.built:
            fail(
                ArgumentError,
                "a backup can only be restored into a model that is built",
                where="BackupAndRestore",
                received=f"model {model.name!r}, which has no weights yet",
                fix="call the model on a batch, or give it an Input, before fit",
            )
        if model.optimizer is not None and not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        model.load_weights(os.path.join(self.backup_dir, record.get("weights", PLAIN_WEIGHTS)))
        self._current_epoch = model._initial_epoch = int(record["epoch"])
        if "random" in record:
            global_seed_generator().state.assign(np.array(record["random"], np.uint32))
        return True

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._current_epoch = epoch + 1
        self._last_batch_seen = 0
        if self.save_freq == "epoch":
            self._back_up()

    @property
    def looks_at_each_batch(self) -> bool:
        """Whether it may save between two batches."""
        return self.save_freq != "epoch"

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        if self.save_freq == "epoch" or not self.save_freq:
            return
        self._batches_seen_since_last_saving += (
            batch + 1 if batch <= self._last_batch_seen else batch - self._last_batch_seen
        )
        self._last_batch_seen = batch
        if self._batches_seen_since_last_saving >= self.save_freq:  # type: ignore[operator]
            self._batches_seen_since_last_saving = 0
            self._back_up()

    def _back_up(self) -> None:
        os.makedirs(self.backup_dir, exist_ok=True)
        record_path = os.path.join(self.backup_dir, RECORD)
        previous = self._weights_named_by(record_path)
        weights = f"step-{self._current_epoch}-{self._last_batch_seen}.weights.h5"
        if weights in (previous, self._weights_named_by(record_path + ".bkp")):
            weights = "again-" + weights
        self.model.save_weights(os.path.join(self.backup_dir, weights), overwrite=True)
        if self.double_checkpoint and previous is not None:
            shutil.copy2(record_path, record_path + ".new")
            os.replace(record_path + ".new", record_path + ".bkp")
        record = {
            "epoch": self._current_epoch,
            "batch": self._last_batch_seen,
            "weights": weights,
            "random": global_seed_generator().state.numpy().tolist(),
        }
        _write_whole(record_path, record)
        keep = {weights, self._weights_named_by(record_path + ".bkp")}
        for name in os.listdir(self.backup_dir):
            if name.endswith(".weights.h5") and name not in keep:
                os.remove(os.path.join(self.backup_dir, name))

    def _weights_named_by(self, record_path: str) -> str | None:
        try:
            with open(record_path) as file:
                return json.load(file).get("weights", PLAIN_WEIGHTS)
        except (OSError, ValueError):
            return None

    def on_train_end(self, logs: Logs = None) -> None:
        if self.delete_checkpoint and os.path.exists(self.backup_dir):
            shutil.rmtree(self.backup_dir)


def _write_whole(path: str, content: dict[str, Any]) -> None:
    temporary = path + ".new"
    with open(temporary, "w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
