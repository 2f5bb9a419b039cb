"""Stop training at a loss that is no number."""

from __future__ import annotations

import math

from amalthea.core.errors import fail
from amalthea.train.callbacks.callback import Callback, Logs


class TerminateOnNaN(Callback):
    """Stop training when the loss is NaN or infinite.

    Args:
        raise_error: False ends training as at the end of an epoch; True raises at once, so that callbacks that clean up
            at the end of training (such as `BackupAndRestore`) keep their files.

    Raises:
        RuntimeError: at the first bad loss, with `raise_error=True`.

    >>> TerminateOnNaN().on_batch_end(0, {"loss": 0.5})
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            fail(
                RuntimeError,
                "the loss is no longer a finite number",
                where="TerminateOnNaN",
                received=f"loss {loss} at batch {batch}",
                fix="look for NaN in the data; lower the learning rate; clip the gradients (clipnorm=1.0)",
            )
        print(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
