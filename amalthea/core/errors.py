"""Errors that say what failed, where, what was received and how to mend it."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

from amalthea.core.context import context

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class AmaltheaError(Exception):
    """An error in the standard form: `[where] in layer 'a' / 'b': message. Received: ... . Fix: ...`.

    `where` is the public op, layer or function that failed; an op called by another op gives way to its caller, so
    that the name is always one the user wrote.
    """

    def __init__(
        self, message: str, *, where: str | None = None, received: str | None = None, fix: str | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.where, self.received, self.fix = message, where, received, fix
        self.layers = context.layers

    def __str__(self) -> str:
        head = f"[{self.where}]" if self.where else ""
        if self.layers:
            head += (" in " if head else "In ") + " / ".join(self.layers)
        text = (f"{head}: " if head else "") + self.message.rstrip(". ") + "."
        if self.received:
            text += f" Received: {self.received.rstrip('. ')}."
        if self.fix:
            text += f" Fix: {self.fix.rstrip('. ')}."
        return text


class ShapeError(AmaltheaError, ValueError):
    """Shapes that do not go together."""


class DTypeError(AmaltheaError, TypeError):
    """A dtype that cannot be used there."""


class ArgumentError(AmaltheaError, ValueError):
    """An argument with a value that is not allowed."""


class TraceError(AmaltheaError, TypeError):
    """Something a traced (symbolic) tensor cannot do, because it has no value yet."""


class GradientError(AmaltheaError, ValueError):
    """A gradient that does not exist."""


class UnsupportedError(AmaltheaError, NotImplementedError):
    """Something that this backend or device cannot do."""


def fail(
    kind: type[Exception],
    message: str,
    *,
    where: str | None = None,
    received: str | None = None,
    fix: str | None = None,
) -> NoReturn:
    """Raise `kind`, one of these or a built-in exception, in the standard form; layers are added from the context."""
    if issubclass(kind, AmaltheaError):
        raise kind(message, where=where, received=received, fix=fix)
    raise kind(str(AmaltheaError(message, where=where, received=received, fix=fix)))


def user_line() -> str:
    """`file.py:12` of the innermost frame outside this package and NumPy, to name the user's own line."""
    frame: Any = sys._getframe(1)
    while frame is not None and (
        frame.f_code.co_filename.startswith(_PACKAGE) or str(frame.f_globals.get("__name__")).startswith("numpy.")
    ):
        frame = frame.f_back
    if frame is None:
        return "unknown line"
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
