"""A callback made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amalthea.core.errors import fail
from amalthea.train.callbacks.callback import Callback


class LambdaCallback(Callback):
    """Make a callback of functions.

    Args:
        on_epoch_begin: called with `epoch, logs`.
        on_epoch_end: called with `epoch, logs`.
        on_train_begin: called with `logs`.
        on_train_end: called with `logs`.
        on_train_batch_begin: called with `batch` and the keyword `logs`.
        on_train_batch_end: called with `batch` and the keyword `logs`.
        **kwargs: functions for the other methods of `Callback`, by name.

    Raises:
        TypeError: if a keyword names no method of `Callback`.

    >>> LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch)).on_epoch_end(3, {})
    3
    """

    def __init__(
        self,
        on_epoch_begin: Callable | None = None,
        on_epoch_end: Callable | None = None,
        on_train_begin: Callable | None = None,
        on_train_end: Callable | None = None,
        on_train_batch_begin: Callable | None = None,
        on_train_batch_end: Callable | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        for name, function in given.items():
            if name.startswith("on_") and not hasattr(Callback, name):
                fail(
                    TypeError,
                    f"there is no callback method {name!r}",
                    where="LambdaCallback",
                    received=f"{name}={function!r}",
                    fix="the names are those of the methods of Callback, such as on_test_end or on_predict_batch_end",
                )
            if function is not None:
                self.__dict__[name] = function
