"""How `fit`, `evaluate` and `predict` show where they are: a bar on a terminal, one line an epoch elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from amalthea.core.errors import ArgumentError, fail

REDRAW_EVERY = 0.1
"""Seconds between two drawings of the bar."""

BAR_WIDTH = 20
"""Width of the bar in characters."""


def is_interactive() -> bool:
    """Whether standard output is a terminal or a notebook, where a line can be drawn again.

    >>> isinstance(is_interactive(), bool)
    True
    """
    return "ipykernel" in sys.modules or bool(getattr(sys.stdout, "isatty", lambda: False)())


def check_verbose(verbose: Any, where: str) -> None:
    """Refuse a `verbose` that is none of 0, 1, 2 and "auto".

    >>> check_verbose("auto", "fit")
    """
    if verbose != "auto" and (not isinstance(verbose, (int, np.integer)) or verbose not in (0, 1, 2)):
        fail(
            ArgumentError,
            '`verbose` must be 0, 1, 2 or "auto"',
            where=where,
            received=f"verbose={verbose!r}",
            fix="0 is silent, 1 shows a bar, 2 one line an epoch",
        )


def format_duration(seconds: float) -> str:
    """Duration in words of two parts at most.

    >>> format_duration(0.25), format_duration(83), format_duration(4000)
    ('0.2s', '1m23s', '1h06m')
    """
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    if seconds < 3600:
        return f"{seconds // 60:.0f}m{seconds % 60:02.0f}s"
    return f"{seconds // 3600:.0f}h{seconds % 3600 // 60:02.0f}m"


def format_step_time(seconds: float) -> str:
    """Time of one step, with a unit that suits it.

    >>> format_step_time(0.0123), format_step_time(2.5)
    ('12ms/step', '2.5s/step')
    """
    if seconds >= 1:
        return f"{seconds:.1f}s/step"
    if seconds >= 0.01:
        return f"{seconds * 1e3:.0f}ms/step"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.1f}ms/step"
    return f"{seconds * 1e6:.0f}us/step"


def format_results(logs: Mapping[str, Any] | None) -> str:
    """Results in one line, the loss first.

    >>> format_results({"accuracy": 0.5, "loss": 1.25, "val_loss": 0.0001})
    'loss: 1.2500 - accuracy: 0.5000 - val_loss: 1.0000e-04'
    """
    logs = logs or {}
    names = [n for n in logs if n == "loss"] + [n for n in logs if n != "loss" and not n.startswith("val_")]
    names += [n for n in logs if n == "val_loss"] + [n for n in logs if n.startswith("val_") and n != "val_loss"]
    return " - ".join(f"{name}: {_number(logs[name])}" for name in names)


def in_lines(text: str, first: int, others: int) -> list[str]:
    """Break results into lines between two of them, so that no line ends in a hyphen.

    Args:
        text: results with " - " between them.
        first: characters that the first line has room for; with too few it stays empty.
        others: characters of each other line.

    >>> in_lines("0.2s - loss: 1.25 - accuracy: 0.50", 20, 40)
    ['0.2s - loss: 1.25', 'accuracy: 0.50']
    """
    lines, room = [""], first
    for part in text.split(" - "):
        longer = f"{lines[-1]} - {part}" if lines[-1] else part
        if len(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(part)
            room = others
    return lines


def _number(value: Any) -> str:
    try:
        value = float(value)
    except (TypeError, ValueError):
        return str(value)
    return f"{value:.4f}" if value == 0 or abs(value) > 1e-3 else f"{value:.4e}"


class Progress:
    """Show one pass over some data.

    Args:
        target: number of steps, or None where it is not known.
        title: words before the count, such as `"Epoch 1/10"`.
        bar: whether to draw a bar; otherwise one line is printed at the end.

    >>> progress = Progress(2, "Epoch 1/1", bar=False)
    >>> progress.update(1, lambda: {"loss": 2.0})
    >>> progress.seen
    1
    """

    def __init__(self, target: int | None, title: str = "", bar: bool = True) -> None:
        self.target = target
        self.title = title
        self.seen = 0
        self._began = time.perf_counter()
        self._drawn = 0.0
        self._first_step_ended: float | None = None
        self._steps_before = 0
        self._bar = _Bar() if bar else None

    def update(self, seen: int, results: Callable[[], Mapping[str, Any]] = dict) -> None:
        """Note that `seen` steps are done; draw the bar if it has not been drawn for a while.

        `results` is called only when it is drawn: reading results at every step would cost time.
        """
        now = time.perf_counter()
        if self._first_step_ended is None and seen > self.seen:
            self._first_step_ended = now
            self._steps_before = seen
        self.seen = seen
        if self._bar is not None and now - self._drawn >= REDRAW_EVERY:
            self._drawn = now
            self._bar.draw(self.title, seen, self.target, self._describe(now, results(), final=False))

    def finish(self, logs: Mapping[str, Any] | None = None) -> None:
        """Show the final results and end the line."""
        now = time.perf_counter()
        text = self._describe(now, logs, final=True)
        total = self.target if self.target is not None else self.seen
        if self._bar is not None:
            self._bar.draw(self.title, self.seen, total, text)
            self._bar.close()
        else:
            head = f"{self.title} - " if self.title else ""
            print(f"{head}{self.seen}/{total} - {text}", flush=True)

    def close(self) -> None:
        """Leave the bar as it stands: the pass was broken off."""
        if self._bar is not None:
            self._bar.close()

    def _describe(self, now: float, logs: Mapping[str, Any] | None, final: bool) -> str:
        elapsed = now - self._began
        step = self._step_time(now)
        if final or self.target is None or self.seen >= self.target:
            duration = format_duration(elapsed)
        else:
            duration = "ETA " + format_duration(step * max(self.target - self.seen, 0))
        parts = [duration, format_step_time(step), format_results(logs)]
        return " - ".join(part for part in parts if part)

    def _step_time(self, now: float) -> float:
        # The first step traces and compiles; its time would distort the mean of the others.
        if self._first_step_ended is not None and self.seen > self._steps_before:
            return (now - self._first_step_ended) / (self.seen - self._steps_before)
        return (now - self._began) / max(self.seen, 1)


class _Bar:
    """The bar itself, drawn by rich; what others print meanwhile appears above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(), auto_refresh=False, transient=False)
        self._started = False

    def draw(self, title: str, seen: int, target: int | None, text: str) -> None:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        if not self._started:
            self._live.start()
            self._started = True
        count = f"{seen}/{target or '?'}"
        cells: list[Any] = [Text(title)] if title else []
        cells.append(Text(count, style="bold"))
        if target:
            cells.append(ProgressBar(total=target, completed=seen, width=BAR_WIDTH))
        used = len(title) + len(count) + (BAR_WIDTH if target else 0) + len(cells)
        first, *others = in_lines(text, self._live.console.width - used, self._live.console.width - 2)
        line = Table.grid(padding=(0, 1))
        line.add_row(*cells, Text(first))
        self._live.update(Group(line, *(Text("  " + other) for other in others)), refresh=True)

    def close(self) -> None:
        if self._started:
            self._started = False
            self._live.stop()
