"""Assignments that count only where a condition holds, in eager code and in graphs alike."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from amalthea import ops
from amalthea.core.variable import Variable


@contextlib.contextmanager
def only_where(condition: Any, variables: Iterable[Variable]) -> Iterator[None]:
    """What the code inside assigns to `variables` is kept where `condition` (a scalar bool tensor) is true.

    Everything inside is computed in any case and selected afterwards: an optimizer's arithmetic is small beside the
    gradients it is given, and one straight piece of code fuses better than two branches.
    """
    before = [(v, v.value) for v in variables]
    yield
    for variable, old in before:
        new = variable.value
        if new is not old:
            variable.assign(ops.where(condition, new, old))
