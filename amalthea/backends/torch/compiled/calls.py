"""Calls of torch functions, and a list of them as one straight Python function.

A generated function costs less than a loop over a list of calls: values are its local variables, functions and
constants its globals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from amalthea.core.value import Value


class Call:
    """One call: `outputs = function(*args, **options)`.

    Attributes:
        function: what is called.
        args: values, lists of values, and literals.
        options: literals by name.
        outputs: the values made; several stand for a tuple, of which None is left out.
        fresh: whether the results share no memory with anything else.
        packed: whether the function returns a tuple also where there is one output.
        refuses: whether it may raise an exception because of the numbers it gets.
        writes: by place among `outputs`, the value in whose memory the result stands: the call overwrites it.
    """

    refuses = False

    def __init__(
        self,
        function: Callable[..., Any],
        *args: Any,
        outputs: Sequence[Value | None],
        fresh: bool = False,
        packed: bool = False,
        writes: dict[int, Value] | None = None,
        **options: Any,
    ) -> None:
        self.function, self.args, self.options = function, args, options
        self.outputs, self.fresh, self.packed, self.writes = tuple(outputs), fresh, packed, writes or {}

    @property
    def inputs(self) -> list[Value]:
        """The values taken, in order."""
        found: list[Value] = []
        for arg in self.args:
            if isinstance(arg, Value):
                found.append(arg)
            elif isinstance(arg, list):
                found.extend(item for item in arg if isinstance(item, Value))
        return found

    @property
    def made(self) -> list[Value]:
        """The values made."""
        return [value for value in self.outputs if value is not None]

    def __repr__(self) -> str:
        return f"Call({getattr(self.function, '__name__', self.function)})"


class Source:
    """The text of a function, made call by call, and the objects that it names."""

    def __init__(self, constants: dict[Value, Any]) -> None:
        self.lines: list[str] = []
        self.space: dict[str, Any] = {}
        self._constants, self._names, self._objects = constants, {}, {}  # type: ignore[var-annotated]

    def name(self, value: Value) -> str:
        """The variable that holds a value; a constant is a global."""
        found = self._names.get(value)
        if found is None:
            if value in self._constants:
                found = self.bind(self._constants[value], "c")
            else:
                found = f"v{len(self._names)}"
            self._names[value] = found
        return str(found)

    def constant(self, value: Value) -> bool:
        """Whether the value is a global, not a variable of the function."""
        return value in self._constants

    def bind(self, thing: Any, prefix: str = "f") -> str:
        """A global name for an object."""
        if id(thing) not in self._objects:
            self._objects[id(thing)] = f"{prefix}{len(self._objects)}"
            self.space[self._objects[id(thing)]] = thing
        return str(self._objects[id(thing)])

    def text(self, arg: Any) -> str:
        """An argument as Python writes it."""
        if isinstance(arg, Value):
            return self.name(arg)
        if isinstance(arg, list):
            return f"[{', '.join(map(self.text, arg))}]"
        if isinstance(arg, tuple):
            return f"({''.join(f'{self.text(item)}, ' for item in arg)})"
        if type(arg) in (type(None), bool, int, str) or (type(arg) is float and math.isfinite(arg)):
            return repr(arg)
        return self.bind(arg, "k")

    def add(self, call: Call) -> None:
        """A line for the call. What it writes into the memory of another value has that one's name from now on."""
        args = [*map(self.text, call.args), *(f"{key}={self.text(item)}" for key, item in call.options.items())]
        text = f"{self.bind(call.function)}({', '.join(args)})"
        for place, written in call.writes.items():
            self._names[call.outputs[place]] = self.name(written)
        if len(call.writes) < len(call.outputs):
            left = ["_" if value is None else self.name(value) for value in call.outputs]
            text = f"{', '.join(left)}{',' if call.packed and len(left) == 1 else ''} = {text}"
        self.lines.append(text)

    def drop(self, names: Iterable[str]) -> None:
        """Let go of variables that nobody needs any more: their memory serves what comes after."""
        self.lines.append(f"del {', '.join(names)}")

    def function(self, head: str, result: str, name: str) -> Callable[..., Any]:
        """The function with this head (`def run(...)`, which must be called `run`) and result."""
        text = "\n    ".join([f"def {head}:", *self.lines, f"return {result}"])
        exec(compile(text, f"<program {name}>", "exec"), self.space)
        made: Callable[..., Any] = self.space["run"]
        return made


def write(source: Source, calls: Sequence[Call], kept: Iterable[Value]) -> None:
    """All calls in order; each variable goes after its last use, except those of the values `kept`."""
    used: list[set[str]] = []
    for call in calls:
        source.add(call)
        used.append({source.name(value) for value in (*call.inputs, *call.made) if not source.constant(value)})
    lines, source.lines = source.lines, []
    seen = {source.name(value) for value in kept}
    last: list[set[str]] = []
    for names in reversed(used):
        last.append(names - seen)
        seen |= names
    for line, names in zip(lines, reversed(last), strict=True):
        source.lines.append(line)
        if names:
            source.drop(sorted(names))
