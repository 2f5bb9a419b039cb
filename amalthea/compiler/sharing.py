"""How threads share a sequence of kernels: who computes what, and where they meet.

A kernel's parallel index is split evenly among the threads; one too small to share is left to the first thread. The
threads meet at a barrier only where one needs what another wrote, or would overwrite what another may still read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amalthea.compiler.emitter import Emitter
from amalthea.compiler.kernel_code import SERIAL, KernelCode, SpmdCode

MEETING = SERIAL // 2
"""Work that takes as long as a meeting of the threads."""


@dataclass(frozen=True)
class Span:
    """A stretch of memory: of the buffers between steps, or (`outside`) the whole of an array that is named so."""

    outside: Any
    begin: int
    end: int

    def overlaps(self, other: Span) -> bool:
        """Whether they have a byte in common."""
        return self.outside == other.outside and self.begin < other.end and other.begin < self.end


@dataclass(frozen=True)
class Argument:
    """A pointer given to a kernel: LLVM's name, the memory behind it, and whether the kernel writes there."""

    pointer: str
    span: Span
    writes: bool


class Sharing:
    """Writes calls into a function that all threads run, with `%thread`, `%threads` and `%barrier`.

    Attributes:
        calls: the kernels called.
        meetings: how many barriers were written.
    """

    def __init__(self, e: Emitter) -> None:
        self.e = e
        self.calls: list[KernelCode] = []
        self.meetings = 0
        # Touched since the last meeting: where, whether written, whether by the first thread alone.
        self._since: list[tuple[Span, bool, bool]] = []

    @property
    def pays(self) -> bool:
        """Whether two threads gain: they save half of what they share, and wait at every meeting and at the end."""
        shared = sum(code.work for code in self.calls if not code.alone)
        inside = any(isinstance(code, SpmdCode) and not code.alone for code in self.calls)
        return inside or shared > 2 * MEETING * (self.meetings + 1)

    def call(self, code: KernelCode, arguments: Sequence[Argument]) -> None:
        """Call a kernel, after a meeting where it needs one."""
        if any(
            argument.span.overlaps(before) and (argument.writes or wrote) and not (code.alone and single)
            for argument in arguments
            for before, wrote, single in self._since
        ):
            self.meet()
        self._since += [(argument.span, argument.writes, code.alone) for argument in arguments]
        self.call_now(code, [argument.pointer for argument in arguments])

    def meet(self) -> None:
        """Let all threads wait for one another."""
        self.e.line("call void @amalthea_barrier(ptr %barrier, i64 %threads)")
        self.e.need("declare void @amalthea_barrier(ptr, i64)")
        self.meetings += 1
        self._since.clear()

    def leave_on(self, faults: str, numbers: Sequence[int]) -> None:
        """Meet, and return if there is a fault among those of these numbers: nothing must be made of a wrong index."""
        self.meet()
        leave, stay = self.e.block("leave"), self.e.block("stay")
        self.e.branch(any_fault(self.e, faults, numbers), leave, stay)
        self.e.label(leave)
        self.e.ret()
        self.e.label(stay)

    def call_now(self, code: KernelCode, pointers: Sequence[str]) -> None:
        """Call a kernel without looking at what it touches."""
        e = self.e
        self.calls.append(code)
        given = "".join(f"ptr {pointer}, " for pointer in pointers)
        spmd = isinstance(code, SpmdCode)
        e.need(f"declare void @{code.name}({'ptr, ' * len(pointers)}i64, i64{', ptr' if spmd else ''})")
        if code.alone:
            then, after = e.block("alone"), e.block("after")
            e.branch(e.value("icmp eq i64 %thread, 0"), then, after)
            e.label(then)
            rest = "i64 0, i64 1, ptr %barrier" if spmd else f"i64 0, i64 {code.extent}"
            e.line(f"call void @{code.name}({given}{rest})")
            e.jump(after)
            e.label(after)
        elif spmd:
            e.line(f"call void @{code.name}({given}i64 %thread, i64 %threads, ptr %barrier)")
        else:
            low = e.value(f"udiv i64 {e.value(f'mul i64 %thread, {code.extent}')}, %threads")
            following = e.value("add i64 %thread, 1")
            high = e.value(f"udiv i64 {e.value(f'mul i64 {following}, {code.extent}')}, %threads")
            e.line(f"call void @{code.name}({given}i64 {low}, i64 {high})")


def any_fault(e: Emitter, faults: str, numbers: Sequence[int]) -> str:
    """Whether one of these words among `faults` is not zero, an i1."""
    found = "0"
    for number in numbers:
        word = e.value(f"load i64, ptr {e.value(f'getelementptr i64, ptr {faults}, i64 {number}')}")
        found = e.value(f"or i64 {found}, {word}")
    return e.value(f"icmp ne i64 {found}, 0")
