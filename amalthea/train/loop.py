"""The loop over the batches of an epoch."""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from amalthea.data.arrays import Rows
from amalthea.data.batches import to_batch
from amalthea.data.protocol import DataAdapter

TARGET, MOST, FASTER = 0.1, 1 << 14, 8
"""Seconds that an execution aims at; the most steps that it may have, and times as many as the one before."""


class Execution:
    """How many steps run between two calls of the callbacks.

    Args:
        steps: a number, or `"auto"`: then executions have as many steps as take a tenth of a second, so that callbacks
            cost little and progress stays live.

    >>> execution = Execution("auto")
    >>> execution.note(0.001, 1)
    >>> execution.steps
    8
    """

    def __init__(self, steps: int | str = 1) -> None:
        self.adapts = steps == "auto"
        self.steps = 1 if self.adapts else int(steps)

    def note(self, seconds: float, steps: int) -> None:
        """Note how long an execution took."""
        if not self.adapts or (steps < self.steps and seconds < TARGET):
            return
        fitting = int(TARGET * steps / max(seconds, 1e-9))
        self.steps = max(1, min(fitting, steps * FASTER, MOST))


class Epochs:
    """Go over the data epoch by epoch.

    Args:
        adapter: the source of batches.
        steps_per_epoch: number of batches an epoch, or None for one pass over the data. With a number, each epoch goes
            on where the one before stopped.
        execution: how many batches to hand out at once.

    >>> import numpy as np
    >>> from amalthea.data.adapters import get_adapter
    >>> epochs = Epochs(get_adapter(np.zeros((5, 1)), batch_size=2), execution=Execution(2))
    >>> [(begin, end) for begin, end, batches in epochs.epoch()]
    [(0, 1), (2, 2)]
    """

    def __init__(
        self, adapter: DataAdapter, steps_per_epoch: int | None = None, execution: Execution | None = None
    ) -> None:
        self.adapter = adapter
        self.execution = execution or Execution()
        self._asked = steps_per_epoch
        self._steps = steps_per_epoch or adapter.num_batches
        self._rows: Rows | None = None  # what is left of this pass, where the data is in memory
        self._iterator: Iterator[Any] | None = None  # where it is not
        self._taken = 0

    @property
    def num_batches(self) -> int | None:
        """Number of batches in an epoch, or None where it is not known yet."""
        return self._steps

    def epoch(self) -> Iterator[tuple[int, int, Sequence[Any]]]:
        """Yield `(first step, last step, batches)`, with as many batches as one execution takes."""
        self.adapter.on_epoch_begin()
        if not self._begun or self._asked is None:
            self._restart()
        seen = 0
        while self._steps is None or seen < self._steps:
            wanted = self.execution.steps if self._steps is None else min(self.execution.steps, self._steps - seen)
            batches = self._take(wanted)
            if not batches and seen == 0 and self._taken and self.adapter.restarts:
                # the epoch before ended with the last batch of the data
                self._restart()
                continue
            if batches:
                began = time.perf_counter()
                yield seen, seen + len(batches) - 1, batches
                self.execution.note(time.perf_counter() - began, len(batches))
                seen += len(batches)
                self._taken += len(batches)
            if len(batches) < wanted:
                break
        if self._asked is not None and seen < self._asked:
            self._warn(seen)
            if self.adapter.restarts:
                self._rows = self._iterator = None
        elif self._steps is None and seen and self.adapter.restarts:
            self._steps = seen
        if self._taken == self.adapter.num_batches:
            self._rows = self._iterator = None
        self.adapter.on_epoch_end()

    def rewind(self) -> None:
        """Begin the next epoch at the start of the data, where the data can begin anew."""
        if self.adapter.restarts:
            self.close()

    def close(self) -> None:
        """Let go of the data: workers that read ahead stop."""
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()
        self._rows = self._iterator = None

    @property
    def _begun(self) -> bool:
        return self._rows is not None or self._iterator is not None

    def _restart(self) -> None:
        self.close()
        self._rows = self.adapter.rows()
        self._iterator = iter(self.adapter.batches()) if self._rows is None else None
        self._taken = 0

    def _take(self, count: int) -> Sequence[Any]:
        if self._rows is not None:
            batches, self._rows = self._rows[:count], self._rows[count:]
            return batches
        return [to_batch(batch, self.adapter.where) for batch in islice(self._iterator or (), count)]

    def _warn(self, seen: int) -> None:
        warnings.warn(
            f"the data ran out after {seen} of {self._asked} steps, so this epoch ends early. Give data for at least "
            "steps_per_epoch * epochs batches, or leave steps_per_epoch out",
            stacklevel=4,
        )


class Interrupts:
    """Hold Ctrl-C back until the running step is complete, so that no variable is left half updated.

    A second Ctrl-C interrupts at once. Outside of the main thread nothing is changed.

    >>> with Interrupts() as interrupts:
    ...     with interrupts.step():
    ...         pass
    """

    def __init__(self) -> None:
        self._in_step = False
        self._pending = False
        self._previous: Any = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            previous = signal.getsignal(signal.SIGINT)
            if previous is signal.default_int_handler:
                self._previous = previous
                signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *error: Any) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None
        if self._pending and error[0] is None:
            self._pending = False
            raise KeyboardInterrupt

    def _handle(self, signum: int, frame: Any) -> None:
        if self._in_step and not self._pending:
            self._pending = True
            return
        self._pending = False
        raise KeyboardInterrupt

    def step(self) -> _Step:
        """A context in which Ctrl-C waits."""
        return _Step(self)


class _Step:
    def __init__(self, owner: Interrupts) -> None:
        self._owner = owner

    def __enter__(self) -> None:
        self._owner._in_step = True

    def __exit__(self, *error: Any) -> None:
        owner = self._owner
        owner._in_step = False
        if owner._pending:
            owner._pending = False
            raise KeyboardInterrupt
