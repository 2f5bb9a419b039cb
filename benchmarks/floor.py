"""The machine's floor: multiply-adds per second and bytes per second, measured on as many threads as the engines have.

Both are measured by loops of our own, compiled like the programs of the `native` backend. Arithmetic runs on registers.
Memory is a block much larger than the caches of a core: `read` adds it up, `write` fills it, `copy` does both.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from amalthea.compiler.emitter import Emitter, llvm_type
from amalthea.compiler.engine import Loaded, compile_module
from amalthea.compiler.target import Target
from amalthea.core.dtypes import float32

_SUMS = 12  # independent sums: as many multiply-adds as are under way at once, and a few more
_UNROLL = 8  # vectors of one turn of a memory loop
_TURNS = 100_000


@dataclass(frozen=True)
class Floor:
    """What the machine can do at most.

    Attributes:
        flops: floating point operations per second, two for a multiply-add, float32.
        read, write, copy: bytes per second; a copied byte counts twice, once read and once written.
        threads: how many threads did it.
    """

    flops: float
    read: float
    write: float
    copy: float
    threads: int

    def describe(self) -> str:
        return (
            f"floor of this machine, {self.threads} threads: {self.flops / 1e9:.0f} GFLOP/s float32; memory "
            f"read {self.read / 1e9:.1f}, write {self.write / 1e9:.1f}, copy {self.copy / 1e9:.1f} GB/s"
        )


def measure(threads: int, megabytes: int = 1024, seconds: float = 1.0) -> Floor:
    """Measure all four, in turns, keeping the fastest of each: a floor is what the machine can do undisturbed.

    Args:
        threads: how many threads share the work.
        megabytes: memory of all blocks together; far more than the caches.
        seconds: how long to measure.
    """
    speeds = _speeds(("flops", "read", "write", "copy"), threads, megabytes * 1_000_000, seconds)
    return Floor(**speeds, threads=threads)


def bandwidth(threads: int, held: float, seconds: float = 0.2) -> float:
    """Bytes per second that a step can read and write whose data takes `held` bytes: a small one lives in caches.

    Args:
        threads: how many threads share the work.
        held: bytes of all that the step touches.
        seconds: how long to measure.
    """
    return _speeds(("copy",), threads, int(held), seconds)["copy"]


def _speeds(names: Sequence[str], threads: int, held: int, seconds: float) -> dict[str, float]:
    """The best speed of each loop, operations or bytes per second of all threads."""
    target = Target.host()
    loaded, lanes = _compile(target), target.lanes("float32")
    vectors = max(1, held // (8 * threads * lanes * _UNROLL))  # a turn reads one block and writes another
    size = vectors * lanes * _UNROLL
    blocks = [[np.ones(size, np.float32) for _ in range(2)] for _ in range(threads)]
    passes = max(1, 50_000_000 // (8 * size))  # long enough to be timed
    amounts = {"flops": 2 * _SUMS * lanes * _TURNS, "read": 4 * size, "write": 4 * size, "copy": 8 * size}
    best = dict.fromkeys(names, 0.0)
    rounds, end = 0, time.perf_counter() + seconds
    while rounds < 2 or time.perf_counter() < end:
        for name in names:
            f = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 2)(loaded.address(name))
            turns, times = (_TURNS, 1) if name == "flops" else (vectors, passes)
            arguments = [(x.ctypes.data, y.ctypes.data, turns, times) for x, y in blocks]
            best[name] = max(best[name], threads * amounts[name] * times / _together(f, arguments))
        rounds += 1
    return best


def _together(f: Callable[..., object], arguments: Sequence[tuple[int, ...]]) -> float:
    """Seconds from the common start of `f` on all arguments, a thread for each, to the end of the last."""
    gate = threading.Barrier(len(arguments) + 1)

    def work(one: tuple[int, ...]) -> None:
        gate.wait()
        f(*one)

    workers = [threading.Thread(target=work, args=(one,)) for one in arguments]
    for worker in workers:
        worker.start()
    gate.wait()
    begin = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - begin


def _compile(target: Target) -> Loaded:
    """The four loops, each `(x, y, count, passes)`: so many turns on the memory at x, copying from y, so many times."""
    lanes = target.lanes("float32")
    kind = llvm_type(float32, lanes)
    functions = [_arithmetic(kind, lanes), *(_memory(name, kind, lanes) for name in ("read", "write", "copy"))]
    return compile_module(
        [e.text() for e in functions], sorted(set().union(*(e.declarations for e in functions))), target
    )


def _emitter(name: str) -> Emitter:
    return Emitter(name, [("ptr", "x"), ("ptr", "y"), ("i64", "count"), ("i64", "passes")])


def _arithmetic(kind: str, lanes: int) -> Emitter:
    e = _emitter("flops")
    factor = e.value(f"load {kind}, ptr %x, align 4")

    def body(i: str, carried: list[str]) -> list[str]:
        pair = ((kind, factor), (kind, factor))
        return [e.call(kind, f"llvm.fmuladd.v{lanes}f32", *pair, (kind, total)) for total in carried]

    for total in e.repeat("%count", body, [(kind, "zeroinitializer")] * _SUMS):
        e.line(f"store volatile {kind} {total}, ptr %x, align 4")
    e.ret()
    return e


def _memory(name: str, kind: str, lanes: int) -> Emitter:
    e = _emitter(name)
    reads, writes = name != "write", name != "read"

    def body(i: str, carried: list[str]) -> list[str]:
        first = e.value(f"mul nsw i64 {i}, {lanes * _UNROLL}")
        totals = []
        for k in range(_UNROLL):
            at = e.value(f"add nsw i64 {first}, {k * lanes}")
            value = "zeroinitializer"
            if reads:
                value = e.value(f"load {kind}, ptr {e.value(f'getelementptr float, ptr %y, i64 {at}')}, align 4")
            if writes:
                e.line(f"store {kind} {value}, ptr {e.value(f'getelementptr float, ptr %x, i64 {at}')}, align 4")
            else:
                totals.append(e.value(f"fadd {kind} {carried[k]}, {value}"))
        return totals

    def once(i: str, carried: list[str]) -> list[str]:
        e.line('call void asm sideeffect "", "~{memory}"()')  # each pass is made, whatever the optimiser thinks of it
        return e.repeat("%count", body, list(zip([kind] * len(carried), carried, strict=True)))

    for total in e.repeat("%passes", once, [] if writes else [(kind, "zeroinitializer")] * _UNROLL):
        e.line(f"store volatile {kind} {total}, ptr %x, align 4")
    e.ret()
    return e
