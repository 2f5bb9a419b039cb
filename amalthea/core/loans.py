"""Variables whose values a running program may overwrite.

A program that computes the new value of a variable in the memory of the old one needs neither other memory nor the
time to fetch it. It may do so only if nobody else holds that memory: tensors do not change. So before each call the
references to the variable's tensor and array are counted, and an array that somebody else refers to (a tensor that was
read, a NumPy view, another variable) is left to them; the program copies it.

While the program works the variable holds a `Loan`; another Python thread that reads it waits for the new value. The
thread that runs the program cannot: what it runs meanwhile, a handler of signals or a finalizer, gets an error.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from amalthea.core.backend import active
from amalthea.core.errors import fail
from amalthea.core.tensor import array_of, wrap

LENT = 1 << 12
"""Elements from which a variable's memory is lent to a program: a copy of less takes no longer than lending it."""

# The lock is entered as such: Ctrl-C can come between a condition's taking of it and what it guards.
_lock = threading.RLock()
_returned = threading.Condition(_lock)


def _after_fork() -> None:
    # Whoever held the lock has no thread here; what was lent is found again by `Loan.wait`.
    global _lock, _returned
    _lock = threading.RLock()
    _returned = threading.Condition(_lock)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Loan:
    """What a variable holds instead of a tensor while a program works on its array."""

    __slots__ = ("lending", "place", "thread", "variable")

    def __init__(self, lending: Any, place: int, variable: Any) -> None:
        self.lending, self.place, self.variable = lending, place, variable
        self.thread = threading.current_thread()

    def wait(self) -> None:
        """Return when the variable holds a tensor again; RuntimeError where that would be never."""
        with _lock:
            while self.variable._tensor is self:
                own = self.thread is threading.current_thread()
                if own and self.lending.results is None and _in_use(self.lending):
                    fail(
                        RuntimeError,
                        f"variable '{self.variable.path}' is read or assigned while a program of the same thread "
                        "computes its new value",
                        where="Variable",
                        fix="let the handler of the signal, or the finalizer, only set a flag, and look at the flag "
                        "after the step, in a callback for example",
                    )
                # Else the borrower was interrupted before it could give the array back.
                if own or not self.thread.is_alive():
                    self.give_back()
                else:
                    _returned.wait(0.1)

    def give_back(self) -> None:
        """Let the variable hold its new value; the old one where there is none."""
        if self.variable._tensor is self:
            self.variable._tensor = wrap(self.lending.array(self.place))
            self.lending = None


def _in_use(lending: Lending) -> bool:
    """Whether this thread is inside of the code that lends: one of the callers here works with the lending."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        own = frame.f_globals.get("__package__") == __package__
        if own and any(value is lending for value in list(frame.f_locals.values())):
            return True
        frame = frame.f_back
    return False


class Lending:
    """A context in which a program may overwrite the arrays of those variables that nobody shares.

    Args:
        variables: each stands there once.
        updated: the places of those that the program could overwrite, with the places of their new values in `results`.

    Attributes:
        arrays: the arrays of all variables, in order.
        owned: the places among them that may be overwritten until the end of the context.
        results: what the program returned, to be set as soon as it did.
    """

    def __init__(self, variables: Sequence[Any], updated: Mapping[int, int]) -> None:
        self.variables, self.updated = variables, updated
        self.arrays: list[Any] = []
        self.owned: list[int] = []
        self.results: Sequence[Any] | None = None
        self._loans: list[Loan] = []

    def array(self, place: int) -> Any:
        """The array with the current value of a variable that was lent."""
        return self.arrays[place] if self.results is None else self.results[self.updated[place]]

    def __enter__(self) -> Lending:
        with _lock:
            # First wait for all, then take all: two threads that hold some each would wait for one another.
            while (lent := self._lent()) is not None:
                lent.wait()
            self.arrays = [variable._tensor._array for variable in self.variables]
            kind = active.array_type
            try:
                if _PRIVATE is not None:
                    kinds, lendable = (kind, *active.backend.state_types), active.backend.lendable
                    for place in self.updated:
                        if type(self.arrays[place]) in kinds and lendable(self.arrays[place]):
                            self._take(place)
                for place, array in enumerate(self.arrays):
                    if type(array) is not kind and place not in self.owned:
                        self.arrays[place] = array_of(self.variables[place]._tensor)
            except BaseException:  # interrupted
                self._give_back()
                raise
        return self

    def _take(self, place: int) -> None:
        """Lend a variable's array if nobody else holds it."""
        variable = self.variables[place]
        loan, tensor, counts = _lend(self, variable, self.arrays, place)
        if counts == _PRIVATE:
            self.owned.append(place)
            self._loans.append(loan)
        else:
            variable._tensor = tensor

    def _lent(self) -> Loan | None:
        for variable in self.variables:
            loan = variable._tensor
            if type(loan) is Loan:
                return loan
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._give_back(whole=kind is None)

    def _give_back(self, whole: bool = False) -> None:
        with _lock:
            for loan in self._loans:
                loan.give_back()
            if self._loans:
                _returned.notify_all()
            if whole:  # who borrows next counts references: none may be left here, nor in a cycle with the loans
                self.arrays, self.results, self._loans = [], None, []


def _lend(lending: Any, variable: Any, arrays: list[Any], place: int) -> tuple[Loan, Any, tuple[int, int]]:
    """Put a loan in the place of a variable's tensor; returns it, the tensor, and how many references there are.

    Counted are those to the tensor and to its array, after nobody can come by the tensor any more. What a count is with
    no other owner depends on the interpreter, so counts are compared with `_PRIVATE`.
    """
    tensor = variable._tensor
    loan = variable._tensor = Loan(lending, place, variable)
    counts = sys.getrefcount(tensor), sys.getrefcount(arrays[place])
    return loan, tensor, counts


class _Example:
    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor


def _private_counts() -> tuple[int, int] | None:
    """The counts if nobody else refers to a tensor; None where they tell nothing.

    So it is where threads run without the interpreter's lock, or a debugger holds references of its own.
    """
    example = _Example(wrap(bytearray(1)))
    counts = _lend(None, example, [example._tensor._array], 0)[2]
    counted = getattr(sys, "_is_gil_enabled", lambda: True)()
    return counts if counted and counts[0] <= 2 and counts[1] <= 4 else None


_PRIVATE = _private_counts()
