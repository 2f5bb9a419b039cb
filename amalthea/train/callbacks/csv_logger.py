"""Write the results of each epoch to a CSV file."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from amalthea.core.errors import fail
from amalthea.train.callbacks.callback import Callback, Logs


class CSVLogger(Callback):
    """Write one line an epoch to a CSV file, with a header; the file is up to date after each epoch.

    Args:
        filename: path of the file.
        separator: string between columns.
        append: whether to go on with a file that is there, for training that is continued; otherwise it is replaced.

    >>> logger = CSVLogger("log.csv", append=True)
    """

    def __init__(self, filename: str | os.PathLike, separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.sep = separator
        self.filename = os.fspath(filename)
        self.append = append
        self.writer: csv.DictWriter | None = None
        self.keys: list[str] | None = None
        self.append_header = True
        self.csv_file: Any = None

    def on_train_begin(self, logs: Logs = None) -> None:
        self._abort()
        folder = os.path.dirname(self.filename)
        if folder and not os.path.isdir(folder):
            fail(
                FileNotFoundError,
                f"the folder {folder!r} does not exist",
                where="CSVLogger",
                received=f"filename={self.filename!r}",
                fix="create it, or choose another path",
            )
        self.append_header = True
        if self.append and os.path.exists(self.filename):
            with open(self.filename) as there:
                self.append_header = not there.readline()
        self.csv_file = open(self.filename, "a" if self.append else "w", newline="")
        self.keys = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        logs = logs or {}
        if self.writer is None:
            self.keys = sorted(logs)
            if self.keys and not any(key.startswith("val_") for key in self.keys):
                # validation may begin in a later epoch (validation_freq), and the header cannot change then
                self.keys += [f"val_{key}" for key in self.keys]
            self.writer = csv.DictWriter(self.csv_file, fieldnames=["epoch", *self.keys], delimiter=self.sep)
            if self.append_header:
                self.writer.writeheader()
        row = {key: _as_cell(logs.get(key, "NA")) for key in self.keys or ()}
        self.writer.writerow({"epoch": epoch, **row})
        self.csv_file.flush()

    def on_train_end(self, logs: Logs = None) -> None:
        self._abort()

    def _abort(self) -> None:
        if self.csv_file is not None and not self.csv_file.closed:
            self.csv_file.close()
        self.writer = None


def _as_cell(value: Any) -> Any:
    if isinstance(value, (str, np.generic)) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
        return value
    return f'"[{", ".join(map(str, value))}]"'
