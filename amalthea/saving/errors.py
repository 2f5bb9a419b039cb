"""The error that every unreadable, damaged or unsafe saved file ends in."""

from __future__ import annotations

from typing import NoReturn

from amalthea.core.errors import AmaltheaError, fail


class SavedFileError(AmaltheaError, ValueError):
    """A saved file cannot be read: it is damaged, truncated, unsafe, or does not fit the model.

    Nothing has been changed when it is raised: a model whose weights were being loaded holds the values it had before.

    >>> import os, pathlib, tempfile
    >>> from amalthea.saving import load_model
    >>> path = os.path.join(tempfile.mkdtemp(), "notes.keras")
    >>> _ = pathlib.Path(path).write_text("this is no archive")
    >>> try:
    ...     load_model(path)
    ... except SavedFileError:
    ...     print("refused")
    refused
    """


class PathError(AmaltheaError, TypeError, ValueError):
    """What was given as a path is none."""


def refuse(where: str, message: str, fix: str | None = None) -> NoReturn:
    """Raise `SavedFileError` in the standard form; called in an `except` block it keeps the cause."""
    fail(SavedFileError, message, where=where, fix=fix)
