"""Names of serialisable classes and functions: ours by public path, users' by `package>name`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

Object = TypeVar("Object")

_PUBLIC: dict[str, Any] = {}  # "keras.layers.Dense" -> the class
_PATHS: dict[Any, str] = {}  # the class -> its first public path
_CUSTOM: dict[str, Any] = {}  # "package>Name" -> a user's class or function
_CUSTOM_NAMES: dict[Any, str] = {}
_WAITING: list[Callable[[], Any]] = []  # what registers more classes, called when a name is not found
_state = threading.local()


def public(path: str, *aliases: str) -> Callable[[Object], Object]:
    """Decorator: give a class or function its public path, under which files name it and the thin modules export it.

    Args:
        path: the path that is written to files, for example `"keras.layers.Dense"`.
        aliases: further paths of the same object.
    """

    def register(obj: Object) -> Object:
        for name in (path, *aliases):
            if _PUBLIC.setdefault(name, obj) is not obj:
                raise ValueError(
                    f"[public] the path {name!r} is taken. Received: {obj!r}, while it names {_PUBLIC[name]!r}. "
                    "Fix: choose another path, or drop the second definition."
                )
        _PATHS.setdefault(obj, path)
        return obj

    return register


def public_path(obj: Any) -> str | None:
    """The path that was given by `public`, or None."""
    try:
        return _PATHS.get(obj)
    except TypeError:  # not hashable, so nothing that was registered
        return None


def public_object(path: str) -> Any:
    """The object of a public path, or None."""
    if path not in _PUBLIC:
        while _WAITING:
            _WAITING.pop()()
    return _PUBLIC.get(path)


def when_missing(load: Callable[[], Any]) -> None:
    """Call `load` once, when a name is asked for that is not registered yet.

    The package's own modules are imported when they are first used; a file may name any class of theirs before that.
    """
    _WAITING.append(load)


def exports(module: str) -> dict[str, Any]:
    """Everything public in one module: `exports("keras.layers")["Dense"]`.

    >>> import amalthea as am
    >>> exports("keras.layers")["Dense"] is am.layers.Dense
    True
    """
    start = module + "."
    return {
        path[len(start) :]: obj
        for path, obj in _PUBLIC.items()
        if path.startswith(start) and "." not in path[len(start) :]
    }


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Object], Object]:
    """Decorator: make a class (with `get_config`) or function of yours loadable from saved files.

    It is written to files as `package>name` and found again by that name, in whatever module it then lives.

    Args:
        package: your package's name.
        name: its name inside the package; by default the class's or function's own.

    >>> @register_keras_serializable("my_package")
    ... def double(x):
    ...     return 2 * x
    >>> get_registered_name(double)
    'my_package>double'
    """

    def register(obj: Object) -> Object:
        registered = f"{package}>{name if name is not None else obj.__name__}"  # type: ignore[attr-defined]
        if isinstance(obj, type) and not hasattr(obj, "get_config"):
            raise ValueError(
                "[register_keras_serializable] a registered class needs a `get_config()` method. "
                f"Received: {obj!r}. Fix: write `get_config`, returning the arguments of `__init__` as a dict."
            )
        if registered in _CUSTOM:
            _CUSTOM_NAMES.pop(_CUSTOM[registered], None)  # run again, as in a notebook cell: the newest counts
        _CUSTOM[registered] = obj
        _CUSTOM_NAMES[obj] = registered
        return obj

    return register


def get_registered_name(obj: Any) -> str:
    """The name under which a class or function is written: `package>Name` if registered, else its own name.

    >>> import amalthea as am
    >>> get_registered_name(am.layers.Dense)
    'Dense'
    """
    try:
        registered = _CUSTOM_NAMES.get(obj)
    except TypeError:
        registered = None
    return registered if registered is not None else obj.__name__


def get_registered_object(
    name: str, custom_objects: dict[str, Any] | None = None, module_objects: dict[str, Any] | None = None
) -> Any:
    """The class or function of a registered name, or None.

    Looked up in the active `custom_object_scope`, then among the registered ones, then in the two dicts.

    >>> get_registered_object("Mine>Layer", {"Mine>Layer": dict})
    <class 'dict'>
    """
    for objects in (scoped_objects(), _CUSTOM, custom_objects or {}, module_objects or {}):
        if name in objects:
            return objects[name]
    return None


def get_custom_objects() -> dict[str, Any]:
    """The live dict of all registered custom objects, by name.

    >>> isinstance(get_custom_objects(), dict)
    True
    """
    return _CUSTOM


def scoped_objects() -> dict[str, Any]:
    """The objects of the active `custom_object_scope`s of this thread."""
    return getattr(_state, "scope", {})


class CustomObjectScope:
    """Inside this scope the given names stand for the given classes and functions when configs are read.

    Args:
        custom_objects: `{name: class or function}`.

    >>> def double(x):
    ...     return 2 * x
    >>> with CustomObjectScope({"double": double}):
    ...     get_registered_object("double") is double
    True
    """

    def __init__(self, custom_objects: dict[str, Any] | None) -> None:
        self.custom_objects = custom_objects or {}
        self._before: list[dict[str, Any]] = []

    def __enter__(self) -> CustomObjectScope:
        self._before.append(scoped_objects())
        _state.scope = {**scoped_objects(), **self.custom_objects}
        return self

    def __exit__(self, *error: Any) -> None:
        _state.scope = self._before.pop()


custom_object_scope = CustomObjectScope

for _name in ("register_keras_serializable", "get_registered_name", "get_registered_object", "get_custom_objects"):
    public(f"keras.saving.{_name}", f"keras.utils.{_name}")(globals()[_name])
public("keras.saving.CustomObjectScope", "keras.saving.custom_object_scope")(CustomObjectScope)
public("keras.utils.CustomObjectScope", "keras.utils.custom_object_scope")(CustomObjectScope)


@contextlib.contextmanager
def sharing_scope() -> Iterator[None]:
    """Inside this scope an object that is written twice is read back as one object."""
    before = getattr(_state, "shared", None)
    _state.shared = ({}, {})  # id -> config written, id -> object read
    try:
        yield
    finally:
        _state.shared = before


def shared_maps() -> tuple[dict[int, dict[str, Any]], dict[int, Any]] | None:
    """(configs written by id, objects read by id) of the active sharing scope, or None."""
    return getattr(_state, "shared", None)


class SafeModeScope:
    """Sets for nested reads whether configs may carry byte code (`safe_mode=False`) or not."""

    def __init__(self, safe_mode: bool = True) -> None:
        self.safe_mode = safe_mode

    def __enter__(self) -> SafeModeScope:
        self._before = getattr(_state, "safe_mode", None)
        _state.safe_mode = self.safe_mode
        return self

    def __exit__(self, *error: Any) -> None:
        _state.safe_mode = self._before


def in_safe_mode() -> bool | None:
    """The active safe mode: True, False, or None when no scope and no global switch says anything."""
    scoped = getattr(_state, "safe_mode", None)
    return scoped if scoped is not None else _UNSAFE[0]


_UNSAFE: list[bool | None] = [None]


@public("keras.config.enable_unsafe_deserialization")
def enable_unsafe_deserialization() -> None:
    """Allow byte code in every file that this process reads from now on. Only for files that you wrote yourself."""
    _UNSAFE[0] = False
