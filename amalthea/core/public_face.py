"""What a public module shows: its public names in `dir()`, and near names in the error for an unknown one."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any


def public_face(
    module: str, more: Callable[[], Iterable[ModuleType]] = tuple
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a public module.

    Args:
        module: its `__name__`.
        more: gives modules whose public names it has too; called when a name is asked for that it has not itself.

    Type checkers must not see the `__getattr__`, which would make every unknown name of the module one of type Any:

        if not TYPE_CHECKING:
            __getattr__, __dir__ = public_face(__name__)
    """

    def listed() -> list[str]:
        own = [] if more is not tuple else names(sys.modules[module])
        return sorted({*own, *(name for other in more() for name in names(other))})

    def find(name: str) -> Any:
        if not name.startswith("_"):
            for other in more():
                if name in names(other):
                    found = vars(sys.modules[module])[name] = getattr(other, name)
                    return found
        raise unknown(module, name, listed)

    return find, listed


def names(module: ModuleType) -> list[str]:
    """The public names of a module: its `__all__`, or what it has of this package without an underscore in front."""
    space = vars(module)
    if "__all__" in space:
        return list(space["__all__"])
    return [name for name, thing in space.items() if not name.startswith("_") and _own(thing)]


def _own(thing: Any) -> bool:
    home = str(getattr(thing, "__module__", ""))
    return callable(thing) and home.startswith("amalthea.") and home != __name__


def unknown(module: str, name: str, known: Callable[[], Iterable[str]]) -> AttributeError:
    """The error for a name that a module does not have, with the names that are near it."""
    shown = module.replace(".tensorflow_names", "")  # users know that room's modules as `tf.math` and the like
    message = f"module '{shown}' has no attribute '{name}'"
    if name.startswith("_"):  # Python itself asks for these
        return AttributeError(message, name=name)
    near = near_names(name, known())
    fix = f"did you mean {' or '.join(near)}?" if near else f"see dir({shown}) for what there is."
    return AttributeError(f"{message}. Fix: {fix}", name=name)


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Up to three of the known names that are written much like `name`, the nearest first.

    >>> near_names("matmull", ["matmul", "add"])
    ['matmul']
    """
    by_letters: dict[str, list[str]] = {}
    for one in known:  # "layers.Dense" is near if "Dense" is
        by_letters.setdefault(one.rpartition(".")[2].lower(), []).append(one)
    near = difflib.get_close_matches(name.lower(), by_letters, n=3, cutoff=0.76)
    found = [one for letters in near for one in by_letters[letters]]
    return sorted(found, key=lambda one: -difflib.SequenceMatcher(None, name, one.rpartition(".")[2]).ratio())[:3]
