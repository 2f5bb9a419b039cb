"""`tf.Module`: an object that finds the variables in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from amalthea.core.context import name_scope
from amalthea.core.variable import Variable
from amalthea.nn.naming import to_snake_case


class Module:
    """A base class for objects with variables, found in their attributes and in lists, dicts and modules there.

    Args:
        name: its name; by default the name of its class in snake case.

    >>> import amalthea as tf
    >>> class Line(tf.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = tf.Variable(2.0)
    ...         self.b = tf.Variable(1.0, trainable=False)
    ...     def __call__(self, x):
    ...         return self.w * x + self.b
    >>> line = Line()
    >>> float(line(3.0)), len(line.variables), len(line.trainable_variables)
    (7.0, 2, 1)
    """

    def __init__(self, name: str | None = None) -> None:
        self._name = name or to_snake_case(type(self).__name__)

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def name_scope(self) -> AbstractContextManager[None]:
        """A scope in which variables get its name in front of theirs."""
        return name_scope(self._name)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """All variables in it, its own (sorted by attribute) before those of modules inside."""
        found: dict[int, Variable] = {}
        for part in self._parts():
            for variable in [part] if isinstance(part, Variable) else getattr(part, "variables", ()):
                found.setdefault(id(variable), variable)
        return tuple(found.values())

    @property
    def trainable_variables(self) -> tuple[Variable, ...]:
        """The variables that are trained."""
        return tuple(variable for variable in self.variables if variable.trainable)

    @property
    def non_trainable_variables(self) -> tuple[Variable, ...]:
        """The variables that are not trained."""
        return tuple(variable for variable in self.variables if not variable.trainable)

    @property
    def submodules(self) -> tuple[Any, ...]:
        """All modules and layers in it, those inside others too."""
        found: dict[int, Any] = {}
        for part in self._parts():
            if not isinstance(part, Variable):
                inner: Any = part.submodules if isinstance(part, Module) else getattr(part, "_flatten_layers", list)()
                for module in (part, *inner):
                    found.setdefault(id(module), module)
        return tuple(found.values())

    def _parts(self) -> Iterator[Any]:
        """The variables of its own, then the modules and layers."""
        parts = list(_parts_of([value for _, value in sorted(vars(self).items())], set()))
        yield from (part for part in parts if isinstance(part, Variable))
        yield from (part for part in parts if not isinstance(part, Variable))


def _parts_of(value: Any, seen: set[int]) -> Iterator[Any]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Variable | Module) or (hasattr(value, "trainable_variables") and hasattr(value, "variables")):
        yield value
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from _parts_of(value[key], seen)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _parts_of(part, seen)
