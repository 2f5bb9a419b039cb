"""The base of callbacks that watch one result for improvement."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from typing import Any

from amalthea.core.errors import ArgumentError, fail
from amalthea.nn.signatures import near_names
from amalthea.train.callbacks.callback import Callback


class MonitorCallback(Callback):
    """Base class of callbacks that watch one result and judge whether it improves.

    Args:
        monitor: name of the result, as it stands in `history.history`.
        mode: `"min"`, `"max"`, or `"auto"`: losses and errors shall fall, scores shall rise, as the metric says.
        baseline: value that the first result must beat; None accepts any.
        min_delta: change that a result must exceed to count as an improvement.

    >>> watch = MonitorCallback("loss")
    >>> watch._is_improvement(0.9, 1.0), watch._is_improvement(1.1, 1.0)
    (True, False)
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", baseline: float | None = None, min_delta: float = 0
    ) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f"{type(self).__name__}: mode {mode!r} is unknown, 'auto' is used. Choose 'auto', 'min' or 'max'",
                stacklevel=3,
            )
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self.monitor_op: Callable[[Any, Any], bool] | None = None

    def _set_monitor_op(self) -> None:
        direction = {"min": "down", "max": "up"}.get(self.mode) or self._direction()
        if direction is None:
            known = self._result_names()
            near = near_names(self.monitor, known)
            if near and self.monitor not in known:
                fail(
                    ArgumentError,
                    f"there is no result {self.monitor!r}",
                    where=type(self).__name__,
                    received=f"monitor={self.monitor!r}",
                    fix=f"write monitor={' or monitor='.join(map(repr, near))}",
                )
            fail(
                ArgumentError,
                f"whether {self.monitor!r} shall rise or fall cannot be told from its name",
                where=type(self).__name__,
                received=f"monitor={self.monitor!r}, mode='auto'",
                fix="pass mode='max' or mode='min'",
            )
        self.monitor_op = operator.gt if direction == "up" else operator.lt

    def _result_names(self) -> list[str]:
        """The names of the results that the model gives, with and without validation."""
        names = ["loss"]
        for metric in getattr(self._model, "metrics", None) or []:
            inner = getattr(metric, "metrics", None)
            names += [m.name for m in (inner if isinstance(inner, (list, tuple)) else [metric])]
        names = list(dict.fromkeys(names))
        return [*names, *(f"val_{name}" for name in names)]

    def _direction(self) -> str | None:
        name = self.monitor.removeprefix("val_")
        if name == "loss" or name.endswith("_loss"):
            return "down"
        metrics = getattr(self._model, "metrics", None) or []
        flat: list[Any] = []
        for metric in metrics:
            inner = getattr(metric, "metrics", None)
            flat.extend(inner if isinstance(inner, (list, tuple)) else [metric])
        # a model with several outputs puts the output's name before the metric's
        exact = [m for m in flat if m.name == name] or [m for m in flat if name.endswith("_" + m.name)]
        for metric in exact:
            direction = getattr(metric, "_direction", None)
            if direction is not None:
                return direction
        return None

    def _is_improvement(self, value: Any, reference: Any) -> bool:
        if reference is None:
            return True
        if self.monitor_op is None:
            self._set_monitor_op()
        delta = -self.min_delta if self.monitor_op is operator.lt else self.min_delta
        return bool(self.monitor_op(value - delta, reference))  # type: ignore[misc]

    def _missing(self, logs: dict[str, Any], consequence: str) -> None:
        near = near_names(self.monitor, logs)
        warnings.warn(
            f"{type(self).__name__}: there is no result {self.monitor!r}, so {consequence}. "
            f"Results: {', '.join(map(repr, logs)) or 'none'}"
            + (f". Fix: did you mean {' or '.join(map(repr, near))}?" if near else "")
            + (". Fix: pass validation_data to fit" if self.monitor.startswith("val_") and not near else ""),
            stacklevel=4,
        )
