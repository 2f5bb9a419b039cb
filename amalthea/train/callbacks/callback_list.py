"""Several callbacks, called as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amalthea.core import tree
from amalthea.core.errors import fail
from amalthea.train.callbacks.callback import Callback, Logs
from amalthea.train.callbacks.history import History
from amalthea.train.callbacks.logs import pythonify_logs
from amalthea.train.callbacks.progbar_logger import ProgbarLogger

BATCH_METHODS = tuple(
    f"on_{phase}_batch_{moment}" for phase in ("train", "test", "predict") for moment in ("begin", "end")
)


class CallbackList(Callback):
    """Call the methods of several callbacks in order.

    Batch methods are called only on callbacks that define them, and results are turned into floats only for those.

    Args:
        callbacks: callbacks, in any nested structure.
        add_history: whether to add a `History` where there is none.
        add_progbar: whether to add a `ProgbarLogger` where there is none.
        model: the model, given to each callback.
        **params: given to each callback's `set_params`.

    Raises:
        TypeError: if an entry is no `Callback`.

    >>> seen = []
    >>> class Note(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         seen.append(logs)
    >>> CallbackList([Note()]).on_epoch_end(0, {"loss": 2})
    >>> seen
    [{'loss': 2.0}]
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        self.callbacks: list[Callback] = [c for c in tree.flatten(callbacks) if c is not None] if callbacks else []
        for callback in self.callbacks:
            _check(callback)
        self._history = next((c for c in self.callbacks if isinstance(c, History)), None)
        self._progbar = next((c for c in self.callbacks if isinstance(c, ProgbarLogger)), None)
        if add_history and self._history is None:
            self._history = History()
            self.callbacks.append(self._history)
        if add_progbar and self._progbar is None:
            self._progbar = ProgbarLogger()
            self.callbacks.append(self._progbar)
        self._gather()
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def append(self, callback: Callback) -> None:
        """Add a callback at the end."""
        _check(callback)
        self.callbacks.append(callback)
        self._gather()

    def _gather(self) -> None:
        # which callbacks define each batch method: a step should not pay for those that do not
        self._takers: dict[str, list[Callable]] = {}
        self._raw_takers: dict[str, list[Callable]] = {}
        for name in BATCH_METHODS:
            chosen = [c for c in self.callbacks if _defines(c, name)]
            self._takers[name] = [getattr(c, name) for c in chosen if not _takes_raw_logs(c)]
            self._raw_takers[name] = [getattr(c, name) for c in chosen if _takes_raw_logs(c)]

    def looks_at_each_batch(self, phase: str) -> bool:
        """Whether a callback has work after every single batch of "train", "test" or "predict".

        The progress bar has not: it is drawn ten times a second.

        >>> CallbackList(add_progbar=True).looks_at_each_batch("train")
        False
        """
        names = [f"on_{phase}_batch_{moment}" for moment in ("begin", "end")]
        return any(
            _defines(c, name) and not _takes_raw_logs(c) and getattr(c, "looks_at_each_batch", True)
            for c in self.callbacks
            for name in names
        )

    def _each_batch(self, name: str, batch: int, logs: Logs) -> None:
        takers = self._takers[name]
        if takers:
            converted = pythonify_logs(logs)
            for method in takers:
                method(batch, logs=converted)
        for method in self._raw_takers[name]:
            method(batch, logs=logs)

    def _each(self, name: str, *args: Any, logs: Logs) -> None:
        converted = pythonify_logs(logs)
        for callback in self.callbacks:
            getattr(callback, name)(*args, converted)

    def set_params(self, params: dict[str, Any]) -> None:
        """Give the parameters to each callback."""
        self.params = params
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Give the model to each callback."""
        super().set_model(model)
        if self._history is not None:
            model.history = self._history
        for callback in self.callbacks:
            callback.set_model(model)

    def abort(self) -> None:
        """Let callbacks close what they hold open (a progress bar, a file) after an error or an interrupt."""
        for callback in self.callbacks:
            close = getattr(callback, "_abort", None)
            if close is not None:
                close()

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Call `on_batch_begin` of each."""
        for callback in self.callbacks:
            callback.on_batch_begin(batch, logs=pythonify_logs(logs))

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Call `on_batch_end` of each."""
        for callback in self.callbacks:
            callback.on_batch_end(batch, logs=pythonify_logs(logs))

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Call `on_epoch_begin` of each."""
        self._each("on_epoch_begin", epoch, logs=logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Call `on_epoch_end` of each."""
        self._each("on_epoch_end", epoch, logs=logs)

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Call `on_train_batch_begin` of each."""
        self._each_batch("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Call `on_train_batch_end` of each."""
        self._each_batch("on_train_batch_end", batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Call `on_test_batch_begin` of each."""
        self._each_batch("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Call `on_test_batch_end` of each."""
        self._each_batch("on_test_batch_end", batch, logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Call `on_predict_batch_begin` of each."""
        self._each_batch("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Call `on_predict_batch_end` of each."""
        self._each_batch("on_predict_batch_end", batch, logs)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Call `on_train_begin` of each."""
        self._gather()
        self._each("on_train_begin", logs=logs)

    def on_train_end(self, logs: Logs = None) -> None:
        """Call `on_train_end` of each."""
        self._each("on_train_end", logs=logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Call `on_test_begin` of each."""
        self._gather()
        self._each("on_test_begin", logs=logs)

    def on_test_end(self, logs: Logs = None) -> None:
        """Call `on_test_end` of each."""
        self._each("on_test_end", logs=logs)

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Call `on_predict_begin` of each."""
        self._gather()
        self._each("on_predict_begin", logs=logs)

    def on_predict_end(self, logs: Logs = None) -> None:
        """Call `on_predict_end` of each."""
        self._each("on_predict_end", logs=logs)


def _defines(callback: Callback, name: str) -> bool:
    if name in callback.__dict__ or getattr(type(callback), name, None) is not getattr(Callback, name):
        return True
    if name.startswith("on_train_batch"):
        older = name.replace("train_", "")
        return older in callback.__dict__ or getattr(type(callback), older, None) is not getattr(Callback, older)
    return False


def _takes_raw_logs(callback: Callback) -> bool:
    # The progress bar converts results only when it redraws, which is far less often than once a step.
    return type(callback) is ProgbarLogger


def _check(callback: Any) -> None:
    if isinstance(callback, type):
        fail(
            TypeError,
            "callbacks must be instances, not classes",
            where="callbacks",
            received=f"the class {callback.__name__}",
            fix=f"write {callback.__name__}(...)",
        )
    if not isinstance(callback, Callback) and not all(hasattr(callback, n) for n in ("set_model", "on_epoch_end")):
        fail(
            TypeError,
            "callbacks must be Callback instances",
            where="callbacks",
            received=f"{callback!r} of type {type(callback).__name__}",
            fix="subclass amalthea.callbacks.Callback, or wrap a function: LambdaCallback(on_epoch_end=function)",
        )
