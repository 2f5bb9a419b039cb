"""Calls that do not fit a signature, restated in words: which argument is unknown, missing or one too many."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar

from amalthea.core.errors import ArgumentError, fail

F = TypeVar("F", bound=Callable[..., Any])
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class CallError(ArgumentError, TypeError):
    """Arguments that a function, a constructor or a layer's `call` does not take."""


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """The known names that look like a misspelt one, best first.

    >>> near_names("activaton", ["units", "activation"])
    ['activation']
    """
    return difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)


def own_parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The named parameters of a method or constructor, without `self`."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return [p for p in parameters if p.kind not in _VARIADIC]


def refuse_unknown(where: str, unknown: dict[str, Any], known: Iterable[str]) -> NoReturn:
    """Raise CallError for arguments that do not exist, with the names that do.

    Args:
        where: the public name of the function.
        unknown: the arguments, by name.
        known: the names that it takes.
    """
    known = list(known)
    near = {name: near_names(name, known) for name in unknown}
    hints = [
        " or ".join(f"`{one}`" for one in found) + (f" for `{name}`" if len(unknown) > 1 else "")
        for name, found in near.items()
        if found
    ]
    names = ", ".join(f"`{name}`" for name in unknown)
    fail(
        CallError,
        f"there is no argument {names}" if len(unknown) == 1 else f"there are no arguments {names}",
        where=where,
        received=", ".join(f"{name}={_short(value)}" for name, value in unknown.items()),
        fix=(f"did you mean {', '.join(hints)}? " if hints else "") + f"It takes {', '.join(known) or 'none'}",
    )


def refuse_call(where: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise CallError if `function(self, *args, **kwargs)` does not fit its signature; return if it does.

    Args:
        where: the public name of the function.
        function: the method or constructor, its first parameter being `self`.
        args: the positional arguments, without `self`.
        kwargs: the arguments by name.
    """
    every = list(inspect.signature(function).parameters.values())[1:]
    parameters = [p for p in every if p.kind not in _VARIADIC]
    names = [p.name for p in parameters]
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in every):
        unknown = {name: value for name, value in kwargs.items() if name not in names}
        if unknown:
            refuse_unknown(where, unknown, names)
    positional = [p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    if len(args) > len(positional) and not any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in every):
        fail(
            CallError,
            f"it takes {len(positional) or 'no'} argument(s) by position",
            where=where,
            received=f"{len(args)}: {', '.join(map(_short, args))}",
            fix=f"pass the others by name; it takes {', '.join(names)}",
        )
    twice = [name for name in positional[: len(args)] if name in kwargs]
    if twice:
        fail(
            CallError,
            f"the argument `{twice[0]}` is given twice, by position and by name",
            where=where,
            received=f"{_short(args[positional.index(twice[0])])} and {twice[0]}={_short(kwargs[twice[0]])}",
            fix="give it once",
        )
    filled = {*kwargs, *positional[: len(args)]}
    missing = [p.name for p in parameters if p.default is p.empty and p.name not in filled]
    if missing:
        given = [*map(_short, args), *(f"{name}={_short(value)}" for name, value in kwargs.items())]
        what = ", ".join(f"`{name}`" for name in missing)
        fail(
            CallError,
            f"the argument {what} is missing" if len(missing) == 1 else f"the arguments {what} are missing",
            where=where,
            received=", ".join(given) or "no arguments",
            fix=f"{where}({', '.join(f'{name}=...' for name in missing)}{', ...' if given else ''})",
        )


def clear_signature(function: F, where: str | None = None) -> F:
    """A method or constructor whose errors for wrong arguments name what users call it.

    A call that fits costs nothing more than the wrapper. `where` is the public name; for constructors None, which is
    the name of the class that is made (or of the parent, where `super().__init__` does not fit).
    """
    owner = function.__qualname__.split(".")[-2:][0]

    @functools.wraps(function)
    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return function(self, *args, **kwargs)
        except TypeError as error:
            # Python refused the call itself: no frame lies below this one.
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:
                made = type(self).__name__ if type(self).__init__ is checked else owner
                refuse_call(where or made, function, args, kwargs)
            raise

    return checked  # type: ignore[return-value]


def named(where: str) -> Callable[[F], F]:
    """Decorator of a method: wrong arguments are explained under this name (see `clear_signature`)."""
    return lambda function: clear_signature(function, where)


def _short(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= 60 else f"a {type(value).__name__}"
