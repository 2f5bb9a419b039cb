"""What is going on in this thread: the trace, the tapes, the layers being called, and the like."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any


class Context(threading.local):
    """The state of one thread; class attributes are what a new thread starts with."""

    trace: Any = None  # the innermost `Trace`
    tapes: tuple[Any, ...] = ()  # the `GradientTape`s that record, outermost first
    layers: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    autocast: Any = None
    device: str | None = None
    allocate: Any = None  # told (shape, dtype) of each variable before its first value is made; may refuse
    busy: bool = False  # whether ops have more to do than to compute: a trace or a tape is active

    def enter(self, **changes: Any) -> dict[str, Any]:
        """Set attributes and return their former values, for `restore`."""
        before = {name: getattr(self, name) for name in changes}
        for name, value in changes.items():
            setattr(self, name, value)
        self.busy = self.trace is not None or bool(self.tapes)
        return before

    def restore(self, before: dict[str, Any]) -> None:
        for name, value in before.items():
            setattr(self, name, value)
        self.busy = self.trace is not None or bool(self.tapes)


context = Context()


def is_tracing(number: int) -> bool:
    """Whether the trace of this number is in progress, the innermost one or one around it."""
    trace = context.trace
    while trace is not None and trace.id != number:
        trace = trace.parent
    return trace is not None


@contextlib.contextmanager
def _changed(**changes: Any) -> Iterator[None]:
    before = context.enter(**changes)
    try:
        yield
    finally:
        context.restore(before)


def layer_scope(name: str, kind: str = "layer") -> contextlib.AbstractContextManager[None]:
    """While a layer (or, with kind="model", a model) of this name is called: errors and graph nodes name it."""
    return _changed(layers=(*context.layers, f"{kind} '{name}'"))


def name_scope(name: str) -> contextlib.AbstractContextManager[None]:
    """Variables created inside get `name/` in front of their path."""
    return _changed(names=(*context.names, name))


def autocast_scope(dtype: Any) -> contextlib.AbstractContextManager[None]:
    """Floating variables read inside are cast to this dtype; None turns casting off."""
    return _changed(autocast=dtype)


def eager_scope() -> contextlib.AbstractContextManager[None]:
    """Leave the trace and the tapes: what runs inside is computed at once (e.g. a variable's first value)."""
    return _changed(trace=None, tapes=(), autocast=None)


def no_tapes() -> contextlib.AbstractContextManager[None]:
    """No tape records what runs inside."""
    return _changed(tapes=())
