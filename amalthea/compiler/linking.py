"""From a planned routine to loaded machine code: its stretches of native steps as functions, and what they call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amalthea.compiler.emitter import Emitter
from amalthea.compiler.engine import Loaded, compile_module
from amalthea.compiler.kernel_code import CALLS_ONLY, SPMD_PARAMETERS, KernelCode
from amalthea.compiler.routine import Routine


@dataclass(frozen=True)
class Stretch:
    """Steps that run without Python in between, as the function `name`; or one step that falls back, without a name.

    `shared` says whether it gains from more than one thread.
    """

    name: str
    steps: tuple[int, ...]
    shared: bool = False


def link(routine: Routine, separate: bool = False) -> tuple[list[Stretch], Loaded | None]:
    """Compile and load a routine: its stretches in order, and their functions (None where all falls back).

    With `separate` each step is a stretch of its own, to be timed.
    """
    stretches, texts, declarations = written(routine, separate)
    return stretches, compile_module(texts, declarations, routine.target) if texts else None


def written(routine: Routine, separate: bool = False) -> tuple[list[Stretch], list[str], set[str]]:
    """A routine's stretches, the LLVM functions that they and their kernels are, and what those declare."""
    stretches: list[Stretch] = []
    codes: dict[str, KernelCode] = {}
    texts: list[str] = []
    declarations: set[str] = set()
    for numbers in _runs(routine, separate):
        if routine.steps[numbers[0]].node is not None:
            stretches.append(Stretch("", tuple(numbers)))
            continue
        e, shared = _function(f"program_{len(stretches)}", routine, numbers)
        stretches.append(Stretch(e.name, tuple(numbers), shared))
        texts.append(e.text())
        declarations |= e.declarations
        for number in numbers:
            for code, _ in routine.steps[number].codes:
                codes |= {part.name: part for part in code.all_codes()}
    for code in codes.values():
        texts.append(code.text)
        declarations |= code.declarations
    return stretches, texts, declarations


def _runs(routine: Routine, separate: bool) -> list[list[int]]:
    """The numbers of the steps: those that run without Python in between together."""
    runs: list[list[int]] = []
    for number, step in enumerate(routine.steps):
        together = runs and step.node is None and routine.steps[runs[-1][0]].node is None
        if together and not separate:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def _function(name: str, routine: Routine, numbers: Sequence[int]) -> tuple[Emitter, bool]:
    """One function that runs steps in order, and whether threads pay; it gets all pointers in a table."""
    e = Emitter(name, [("ptr", "args"), *SPMD_PARAMETERS], attributes=CALLS_ONLY)
    pointers = {}
    for i, parameter in enumerate(routine.parameters()):
        pointers[parameter] = e.value(f"load ptr, ptr {e.value(f'getelementptr ptr, ptr %args, i64 {i}')}")
    sharing = routine.emit(e, numbers, pointers)
    e.ret()
    return e, sharing.pays
