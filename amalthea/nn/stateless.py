"""Run code on borrowed values of variables: the functional (stateless) form of anything that assigns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from amalthea.core.context import context
from amalthea.core.tensor import Tensor, as_tensor
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
            _hold(variable, value)
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            _hold(variable, value)


def _hold(variable: Variable, value: Any) -> None:
    """Assign, but keep the tensor itself rather than a copy of it, so that gradients reach the tensor that was lent."""
    variable.assign(value)
    tensor = as_tensor(value)
    if tensor.dtype == variable._dtype:
        if context.trace is not None:
            context.trace.write(variable, tensor)
        else:
            variable._tensor = tensor


def current_values(variables: Sequence[Variable]) -> list[Tensor]:
    """The values that the variables hold now."""
    return [v.value for v in variables]
