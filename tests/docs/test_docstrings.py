"""The examples in docstrings are run.

An example without output lines must run; one with output must print that (spaces do not matter and `...` stands for
anything). Each docstring starts with `am`, `np` and the names of its own module.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import amalthea as am

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


NEED_ENGINES = re.compile(r"amalthea\.(backends\.(jax|torch|tensorflow)|models\.crossing_over)")
"""Modules whose examples run in tests/engines, where all engines are installed."""


def module_names(engines: bool = False) -> list[str]:
    """All modules of the package that do not (or do) need engines, found without importing any."""
    root = Path(am.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        parts = ("amalthea", *path.relative_to(root).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if "__main__" not in name and name != "amalthea" and bool(NEED_ENGINES.match(name)) is engines:
            found.add(name)
    return sorted(found)


class Finder(doctest.DocTestFinder):
    """Finds what a module defines, ops too: those are wrapped, and the wrapper was made elsewhere."""

    def _from_module(self, module: types.ModuleType | None, object: object) -> bool:
        if module is not None and (inspect.isfunction(object) or inspect.isclass(object)):
            return inspect.unwrap(object).__module__ == module.__name__
        return super()._from_module(module, object)  # type: ignore[misc]


def examples_of(module: types.ModuleType) -> Iterator[doctest.DocTest]:
    for test in Finder(exclude_empty=True).find(module, extraglobs={"am": am, "np": np}):
        if test.examples:
            yield test


class OutputIsOptional(doctest.OutputChecker):
    """An example that shows no output may print one: long numbers need not be written out."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return not want or super().check_output(want, got, optionflags)


@pytest.mark.parametrize("name", module_names())
def test_the_examples_in_docstrings_run(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_examples(name)


def run_examples(name: str) -> None:
    """Run the examples of a module."""
    problems: list[str] = []
    for test in examples_of(importlib.import_module(name)):
        am.utils.set_random_seed(0)
        runner = doctest.DocTestRunner(checker=OutputIsOptional(), optionflags=FLAGS)
        runner.run(test, out=problems.append)
    assert not problems, "\n".join(problems)


def public_objects() -> Iterator[tuple[str, object]]:
    """What the package and its public modules offer, by name."""
    for name in sorted({"version", *am._MODULES, *am._WHERE}):
        found = getattr(am, name)
        if isinstance(found, types.ModuleType):
            yield from ((f"{name}.{public}", getattr(found, public)) for public in getattr(found, "__all__", ()))
        else:
            yield name, found


def without_example() -> list[str]:
    """Public functions and classes (but not exceptions) whose documentation shows no example."""
    return [
        name
        for name, found in public_objects()
        if callable(found)
        and str(getattr(found, "__module__", "")).startswith("amalthea")
        and not (isinstance(found, type) and issubclass(found, Exception))
        and ">>>" not in str(found.__doc__)
    ]


def test_everything_public_has_an_example() -> None:
    assert without_example() == []
