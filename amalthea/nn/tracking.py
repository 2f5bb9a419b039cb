"""Finds the variables, layers, metrics and seed generators that a layer holds in its attributes."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from amalthea.core.variable import Variable
from amalthea.ops.random import SeedGenerator

Function = TypeVar("Function", bound=Callable[..., Any])

_state = threading.local()


@contextlib.contextmanager
def untracked() -> Iterator[None]:
    """Attributes set inside this scope are stored as they are: nothing in them becomes state of the layer."""
    before = getattr(_state, "off", False)
    _state.off = True
    try:
        yield
    finally:
        _state.off = before


def no_automatic_dependency_tracking(fn: Function) -> Function:
    """Decorator: run the method inside `untracked()`."""

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with untracked():
            return fn(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


def kind_of(value: Any) -> str | None:
    """Which of a tracker's lists a value belongs to; None for values that are no state.

    Layers and metrics say so themselves in a class attribute `_tracked_as`, so that this file needs to import neither.
    """
    if isinstance(value, Variable):
        return "trainable_variables" if value.trainable else "non_trainable_variables"
    if isinstance(value, SeedGenerator):
        return "seed_generators"
    return getattr(type(value), "_tracked_as", None)


class Tracker:
    """Lists of what a layer holds, in the order in which it was attached, each object once."""

    KINDS = ("trainable_variables", "non_trainable_variables", "layers", "metrics", "seed_generators")

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.stores: dict[str, list[Any]] = {kind: [] for kind in self.KINDS}
        self.ids: set[int] = set()
        self.locked = False

    def lock(self) -> None:
        """From now on, attaching new state is an error."""
        self.locked = True

    def unlock(self) -> None:
        """Allow new state again."""
        self.locked = False

    def track(self, value: Any) -> Any:
        """Record `value` (or what is inside the container `value`); returns what the attribute should hold."""
        if getattr(_state, "off", False):
            return value
        kind = kind_of(value)
        if kind is not None:
            self.add(kind, value)
            return value
        if isinstance(value, (TrackedList, TrackedDict, TrackedSet)):
            return value if value.tracker is self else type(value)(value, self)
        if type(value) is list:
            return TrackedList(value, self)
        if type(value) is dict:
            return TrackedDict(value, self)
        if type(value) is set:
            return TrackedSet(value, self)
        if isinstance(value, tuple):
            tracked = [self.track(item) for item in value]
            if type(value) is tuple:
                return tuple(tracked)
            if hasattr(value, "_fields"):
                return type(value)(*tracked)
        return value

    def add(self, kind: str, value: Any) -> None:
        """Record one variable, layer, metric or seed generator."""
        if id(value) in self.ids:
            return
        if self.locked:
            raise ValueError(
                f"[{self.owner}] cannot take new state (variables, layers, metrics) once it is built, because it would "
                f"never be trained or saved. Received: {value!r}. "
                "Fix: create all state in `__init__()` or in `build()`."
            )
        self.stores[kind].append(value)
        self.ids.add(id(value))

    def remove(self, value: Any) -> None:
        """Forget `value`, if it was recorded."""
        if id(value) not in self.ids:
            return
        self.ids.discard(id(value))
        for store in self.stores.values():
            for position, item in enumerate(store):
                if item is value:
                    del store[position]
                    break


class TrackedList(list):
    """A list whose items are tracked by a layer."""

    def __init__(self, values: Iterable[Any] = (), tracker: Tracker | None = None) -> None:
        self.tracker = tracker
        super().__init__(self._track(value) for value in values)

    def _track(self, value: Any) -> Any:
        return self.tracker.track(value) if self.tracker is not None else value

    def append(self, value: Any) -> None:
        super().append(self._track(value))

    def insert(self, index: Any, value: Any) -> None:
        super().insert(index, self._track(value))

    def extend(self, values: Iterable[Any]) -> None:
        super().extend([self._track(value) for value in values])

    def __iadd__(self, values: Iterable[Any]) -> TrackedList:  # type: ignore[misc]
        self.extend(values)
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            super().__setitem__(index, [self._track(item) for item in value])
        else:
            super().__setitem__(index, self._track(value))

    def _untrack(self, value: Any) -> None:
        if self.tracker is not None and not any(value is item for item in self):
            self.tracker.remove(value)

    def pop(self, index: Any = -1) -> Any:
        value = super().pop(index)
        self._untrack(value)
        return value

    def remove(self, value: Any) -> None:
        super().remove(value)
        self._untrack(value)

    def clear(self) -> None:
        values = list(self)
        super().clear()
        for value in values:
            self._untrack(value)

    def __delitem__(self, index: Any) -> None:
        removed = self[index] if isinstance(index, slice) else [self[index]]
        super().__delitem__(index)
        for value in removed:
            self._untrack(value)

    def __reduce__(self) -> Any:
        return (list, (list(self),))


class TrackedDict(dict):
    """A dict whose values are tracked by a layer."""

    def __init__(self, values: Any = (), tracker: Tracker | None = None) -> None:
        self.tracker = tracker
        super().__init__({key: self._track(value) for key, value in dict(values).items()})

    def _track(self, value: Any) -> Any:
        return self.tracker.track(value) if self.tracker is not None else value

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, self._track(value))

    def update(self, *args: Any, **kwargs: Any) -> None:
        super().update({key: self._track(value) for key, value in dict(*args, **kwargs).items()})

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def _untrack(self, value: Any) -> None:
        if self.tracker is not None and not any(value is item for item in self.values()):
            self.tracker.remove(value)

    def pop(self, key: Any, *default: Any) -> Any:
        value = super().pop(key, *default)
        self._untrack(value)
        return value

    def popitem(self) -> Any:
        key, value = super().popitem()
        self._untrack(value)
        return key, value

    def clear(self) -> None:
        values = list(self.values())
        super().clear()
        for value in values:
            self._untrack(value)

    def __delitem__(self, key: Any) -> None:
        value = self[key]
        super().__delitem__(key)
        self._untrack(value)

    def __reduce__(self) -> Any:
        return (dict, (dict(self),))


class TrackedSet(set):
    """A set whose items are tracked by a layer."""

    def __init__(self, values: Iterable[Any] = (), tracker: Tracker | None = None) -> None:
        self.tracker = tracker
        super().__init__(self._track(value) for value in values)

    def _track(self, value: Any) -> Any:
        return self.tracker.track(value) if self.tracker is not None else value

    def add(self, value: Any) -> None:
        super().add(self._track(value))

    def update(self, *values: Iterable[Any]) -> None:
        super().update(*[[self._track(item) for item in items] for items in values])

    def _untrack(self, value: Any) -> None:
        if self.tracker is not None:
            self.tracker.remove(value)

    def remove(self, value: Any) -> None:
        super().remove(value)
        self._untrack(value)

    def discard(self, value: Any) -> None:
        super().discard(value)
        self._untrack(value)

    def pop(self) -> Any:
        value = super().pop()
        self._untrack(value)
        return value

    def clear(self) -> None:
        values = list(self)
        super().clear()
        for value in values:
            self._untrack(value)

    def __reduce__(self) -> Any:
        return (set, (list(self),))
