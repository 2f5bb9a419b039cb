"""Run code on borrowed values of variables: the functional (stateless) form of anything that assigns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from amalthea.core.tensor import Tensor
from amalthea.core.variable import Variable


@contextlib.contextmanager
def borrowed_values(variables: Sequence[Variable], values: Sequence[Any]) -> Iterator[None]:
    """Inside the scope the variables hold `values`; afterwards, or on an error, what they held before.

    The same eagerly and in a trace: what is assigned inside is seen only inside.

    Args:
        variables: variables, each once.
        values: one value each, of the same shape.
    """
    before = [v.value for v in variables]
    try:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


def current_values(variables: Sequence[Variable]) -> list[Tensor]:
    """The values that the variables hold now."""
    return [v.value for v in variables]
