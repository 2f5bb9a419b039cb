"""Joining equal calls on many tensors into one call on lists of them: the updates of all variables of a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from amalthea.backends.torch.compiled.adam import adam_step
from amalthea.backends.torch.compiled.calls import Call
from amalthea.core.value import Value

ON_LISTS: frozenset[Callable[..., Any]] = frozenset({adam_step})
"""Functions that take lists of tensors, whose calls are joined by joining the lists."""


def join(calls: Sequence[Call]) -> list[Call]:
    """The calls, those of one function on lists joined in the last one's place where nothing needs them before."""
    first_use: dict[Value, int] = {}
    for i, call in enumerate(calls):
        for value in call.inputs:
            first_use.setdefault(value, i)
    groups: dict[Any, list[int]] = {}
    for i, call in enumerate(calls):
        if call.function in ON_LISTS:
            plain = tuple([len(arg) if isinstance(arg, list) else arg for arg in call.args])
            dtype = str(call.outputs[0].spec.dtype) if call.outputs[0] is not None else ""
            groups.setdefault((call.function, plain, dtype), []).append(i)
    found: list[Call | None] = list(calls)
    for places in groups.values():
        last = places[-1]
        members = [i for i in places if all(first_use.get(v, last + 1) > last for v in calls[i].made)]
        if len(members) > 1 and last in members:
            joined = _joined([calls[i] for i in members])
            taken = Counter(joined.inputs)
            if any(taken[value] > 1 for value in joined.writes.values()):  # two new values of one old one
                continue
            for i in members:
                found[i] = None
            found[last] = joined
    return [call for call in found if call is not None]


def _joined(calls: Sequence[Call]) -> Call:
    """One call for several whose arguments differ only in the tensors in their lists."""
    args = [
        [item for call in calls for item in call.args[i]] if isinstance(arg, list) else arg
        for i, arg in enumerate(calls[0].args)
    ]
    outputs: list[Value | None] = []
    writes: dict[int, Value] = {}
    for call in calls:
        writes.update({len(outputs) + place: value for place, value in call.writes.items()})
        outputs += call.outputs
    return Call(calls[0].function, *args, outputs=outputs, writes=writes)
