"""Where results stand: in memory that nobody needs any more, and the new value of a variable in that of the old one.

Values that may share memory (a result and its views) form a group. A call may overwrite a value if its group was made
by the program, or is a variable that is to be replaced by this result, and nothing of it is used later. A value whose
own elements may share memory, as those of one that was broadcast or of windows that overlap, is never overwritten.

Variables are overwritten after the last call that may refuse its numbers: they keep their values where one does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from amalthea.backends.torch.compiled.calls import Call
from amalthea.core.value import Value

IN_PLACE: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.add: torch.Tensor.add_,
    torch.sub: torch.Tensor.sub_,
    torch.mul: torch.Tensor.mul_,
    torch.true_divide: torch.Tensor.div_,
    torch.relu: torch.relu_,
    torch.exp: torch.Tensor.exp_,
    torch.sqrt: torch.Tensor.sqrt_,
    torch.tanh: torch.Tensor.tanh_,
    torch.sigmoid: torch.Tensor.sigmoid_,
    torch.neg: torch.Tensor.neg_,
}
"""Functions that overwrite their first argument, by those that do not."""

COMMUTATIVE = frozenset({torch.add, torch.mul})
REARRANGING = frozenset({torch.t, torch.permute, torch.reshape, torch.narrow, torch.Tensor.to})
"""Functions in whose results no two elements share memory, if none do in their first argument."""
NEVER = 1 << 60


class Places:
    """Finds places for the results of calls, in order.

    Args:
        calls: in order.
        inputs, outputs: of the program.
        updates: for the new value of each variable the old one, an input.

    Attributes:
        calls: the calls, with those that overwrite an argument changed so, and copies where one may not be.
        replaced: the inputs that are overwritten by the new values of their variables.
    """

    def __init__(
        self, calls: Sequence[Call], inputs: Sequence[Value], outputs: Sequence[Value], updates: Mapping[Value, Value]
    ) -> None:
        self.updates = updates
        self.replaced: dict[Value, Value] = {}
        self._inputs = set(inputs)
        self._parent: dict[Value, Value] = {}
        self._made: set[Value] = set()
        self._overlapping: set[Value] = set()
        calls = checks_first(calls, updates)
        self._settled = max((i for i, call in enumerate(calls) if call.refuses), default=-1)
        self._last: dict[Value, int] = {}
        for i, call in enumerate(calls):
            for value in call.inputs:
                self._last[value] = i
        self._returned = set(outputs)
        for value in outputs:
            self._last[value] = NEVER
        self._group_last: dict[Value, int] = {}
        for value in inputs:
            self._group_last[value] = self._last.get(value, -1)
        self._join_views(calls)
        self.calls: list[Call] = []
        for i, call in enumerate(calls):
            self.calls.extend(self._placed(i, call))

    def shared(self, outputs: Sequence[Value]) -> set[Value]:
        """The replaced inputs in whose memory another output stands too."""
        return {
            old
            for old, new in self.replaced.items()
            if any(self._root(value) is self._root(new) for value in outputs if value is not new)
        }

    def _root(self, value: Value) -> Value:
        while value in self._parent:
            value = self._parent[value]
        return value

    def _join(self, value: Value, other: Value) -> None:
        """Put a value into the group of another."""
        first, second = self._root(other), self._root(value)
        if first is not second:
            self._parent[second] = first
            later = max(self._group_last.get(v, self._last.get(v, -1)) for v in (first, second))
            self._group_last[first] = later
            if (first in self._made) != (second in self._made) or not {first, second} <= self._made:
                self._made.discard(first)

    def _join_views(self, calls: Sequence[Call]) -> None:
        for call in calls:
            for value in call.made:
                self._group_last[value] = self._last.get(value, -1)
                self._made.add(value)
            if call.fresh:
                continue
            others = [value for value in call.inputs if value not in call.writes.values()]
            for place, result in enumerate(call.outputs):
                if result is None or place in call.writes:
                    continue
                for other in others:
                    self._join(result, other)
                if call.function not in REARRANGING or not self._overlapping.isdisjoint(others):
                    self._overlapping.add(result)

    def _free(self, i: int, value: Value) -> bool:
        """Whether nothing of the value's group is used after call i, and the program made it."""
        root = self._root(value)
        return root in self._made and self._group_last[root] <= i and value not in self._overlapping

    def _replaces(self, i: int, value: Value, result: Value) -> bool:
        """Whether the result is the new value of the variable that the value is the old one of."""
        if self.updates.get(result) is not value or value in self.replaced or i < self._settled:
            return False
        return self._group_last[self._root(value)] <= i and self._root(value) is value

    def _writable(self, i: int, value: Value, result: Value, others: Sequence[Value]) -> bool:
        if value.spec != result.spec or any(self._root(o) is self._root(value) and o is not value for o in others):
            return False
        return self._free(i, value) or self._replaces(i, value, result)

    def _take(self, value: Value, result: Value) -> None:
        """Note that the result stands in the memory of the value."""
        if value in self._inputs:
            self.replaced[value] = result
        self._parent.setdefault(result, self._root(value))
        root = self._root(value)
        self._group_last[root] = self._group_last.get(result, self._last.get(result, -1))

    def _placed(self, i: int, call: Call) -> list[Call]:
        if call.writes:
            return self._overwriting(i, call)
        function = IN_PLACE.get(call.function)
        if function is None or call.options:
            return [call]
        values = [arg for arg in call.args if isinstance(arg, Value)]
        order = list(call.args)
        for candidate in values[: 2 if call.function in COMMUTATIVE else 1]:
            if candidate is order[0] or call.function in COMMUTATIVE:
                if self._writable(i, candidate, call.outputs[0], values):  # type: ignore[arg-type]
                    if candidate is not order[0]:
                        order.reverse()
                    self._take(candidate, call.outputs[0])  # type: ignore[arg-type]
                    return [Call(function, *order, outputs=call.outputs, writes={0: candidate})]
        return [call]

    def _overwriting(self, i: int, call: Call) -> list[Call]:
        """A call that always overwrites: what it may not is copied first."""
        copies: list[Call] = []
        others = call.inputs
        assert all(others.count(value) == 1 for value in call.writes.values()), "written and taken twice"
        for place, value in call.writes.items():
            result = call.outputs[place]
            assert result is not None
            if self._writable(i, value, result, others):
                self._take(value, result)
                continue
            copy = Value(value.spec, None, 0, value.trace)
            copies.append(Call(contiguous_copy, value, outputs=[copy], fresh=True))
            call.args = tuple(_replaced(arg, value, copy) for arg in call.args)
            call.writes[place] = copy
            self._made.add(copy)
            self._take(copy, result)
        return [*copies, call]


def checks_first(calls: Sequence[Call], updates: Mapping[Value, Value]) -> Sequence[Call]:
    """The calls, those that may refuse their numbers (and what these need) before the first new value of a variable."""
    first = next((i for i, call in enumerate(calls) if any(value in updates for value in call.made)), len(calls))
    needed: set[Value] = set()
    early: list[Call] = []
    late: list[Call] = []
    for call in reversed(calls[first:]):
        if call.refuses or not needed.isdisjoint(call.made):
            needed.update(call.inputs)
            early.append(call)
        else:
            late.append(call)
    return [*calls[:first], *reversed(early), *reversed(late)]


def _replaced(arg: Any, old: Value, new: Value) -> Any:
    if isinstance(arg, list):
        return [new if item is old else item for item in arg]
    return new if arg is old else arg


def contiguous_copy(x: Any) -> Any:
    """A copy whose elements lie in order."""
    return x.clone(memory_format=torch.contiguous_format)
