"""`KernelCode`: one generated kernel, as every generator returns it; `SpmdCode`: a function of all threads together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from amalthea.compiler.emitter import Emitter

SERIAL = 1 << 15
"""Work (flops and bytes) below which a kernel is left to one thread."""


@dataclass(frozen=True)
class KernelCode:
    """An LLVM function `void name(ptr ..., i64 lo, i64 hi)` that computes its part [lo, hi) of a parallel index.

    Attributes:
        name: unique by content, so equal kernels are compiled once.
        text: the LLVM function.
        declarations: `declare` lines and helper functions that the module needs once.
        extent: of the parallel index.
        flops, bytes: arithmetic and memory traffic of the whole kernel, for `am.explain`.
        note: one line for people, e.g. the tile sizes.
    """

    name: str
    text: str
    declarations: frozenset[str]
    extent: int
    flops: int = 0
    bytes: int = 0
    note: str = ""

    @property
    def work(self) -> int:
        """What decides whether threads share it."""
        return self.flops + self.bytes

    @property
    def alone(self) -> bool:
        """Whether one thread does better without the others."""
        return self.extent <= 1 or self.work < SERIAL

    def all_codes(self) -> Iterator[KernelCode]:
        """The kernel itself and what it calls."""
        yield self


@dataclass(frozen=True)
class SpmdCode(KernelCode):
    """An LLVM function `void name(ptr ..., i64 thread, i64 threads, ptr barrier)` that calls kernels.

    All threads enter it together and share what is in it; an `extent` of 1 says that one does better alone.

    Attributes:
        calls: the kernels and functions that it calls.
        inside: for people: (label, `Routine`) of each graph inside a node of control flow.
    """

    calls: tuple[KernelCode, ...] = ()
    inside: tuple[tuple[str, Any], ...] = ()

    @property
    def alone(self) -> bool:
        return self.extent <= 1

    def all_codes(self) -> Iterator[KernelCode]:
        yield self
        for code in self.calls:
            yield from code.all_codes()


PLACEHOLDER = "kernel_name"


def finished(kind: str, e: Emitter, extent: int, flops: int = 0, bytes: int = 0, note: str = "") -> KernelCode:
    """The kernel in an emitter whose function was begun with the name `PLACEHOLDER`."""
    digest = hashlib.sha256((e.text() + "".join(sorted(e.declarations))).encode()).hexdigest()[:12]
    name = f"{kind}_{digest}"
    text = e.text().replace(f"@{PLACEHOLDER}(", f"@{name}(", 1)
    metadata = sorted(line for line in e.declarations if line.startswith("!"))  # it belongs to the function
    return KernelCode(
        name, "\n".join([text, *metadata]), frozenset(e.declarations - set(metadata)), extent, flops, bytes, note
    )


SPMD_PARAMETERS = [("i64", "thread"), ("i64", "threads"), ("ptr", "barrier")]
"""The last parameters of a function that threads enter together."""

CALLS_ONLY = "nounwind noinline optnone"
"""Attributes of such a function: nothing is to be gained, and keeping hundreds of pointers in registers takes long."""


def finished_spmd(
    kind: str, e: Emitter, calls: Sequence[KernelCode], extent: int, flops: int = 0, bytes: int = 0, note: str = ""
) -> SpmdCode:
    """The function in an emitter, begun with the name `PLACEHOLDER`, that calls these."""
    made = finished(kind, e, extent, flops, bytes, note)
    return SpmdCode(**vars(made), calls=tuple({code.name: code for code in calls}.values()))


def with_inside(code: SpmdCode, inside: Sequence[tuple[str, Any]]) -> SpmdCode:
    """The code with what `describe` shows of its inside."""
    return replace(code, inside=tuple(inside))
