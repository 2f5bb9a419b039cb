"""How threads run one program together, in LLVM's language: waiting, the barrier, the workers' loop.

Every thread runs the same function `void program(ptr args, i64 thread, i64 threads, ptr barrier)`; where one needs what
another computed, all call `void @amalthea_barrier(ptr barrier, i64 threads)`.

Waiting goes in three steps, so that it costs little time on an idle machine and little of a busy one: look again and
again for `spin` ticks; then hand the processor to whoever wants it between looks, until `patience` ticks have passed;
then sleep until woken (Linux: a futex, which wakes in some tens of microseconds; elsewhere: short sleeps that grow
longer). A sleeping thread costs nothing.

The layout of the shared memory, in lines of 64 bytes so that threads do not disturb each other's:

| line | at | what |
|---|---|---|
| 0 | 0 | i32: jobs given so far |
| 1 | 64 | i32: workers asleep until the next job |
| 2 | 128, 136, 144, 152 | the job: program, its arguments, threads (i64), stop (i64) |
| 3 | 192 | the barrier: i32: threads that have arrived |
| 4 | 256 | i32: meetings so far |
| 5 | 320, 328, 336 | i32: threads asleep at the barrier; spin and patience in ticks (i64) |
"""

from __future__ import annotations

import ctypes
import functools
import platform
import sys

from amalthea.compiler.emitter import Emitter

SIZE = 384
"""Bytes of the shared memory of a pool."""

JOBS, JOBS_ASLEEP, PROGRAM, ARGUMENTS, THREADS, STOP, BARRIER = 0, 64, 128, 136, 144, 152, 192
ARRIVED, MEETINGS, ASLEEP, SPIN, PATIENCE = 0, 64, 128, 136, 144
"""Places: first of a pool, then relative to its barrier."""

_FUTEX = {"x86_64": 202, "AMD64": 202, "aarch64": 98, "arm64": 98}
_WAIT_PRIVATE, _WAKE_PRIVATE, _EVERYBODY = 128, 129, 2**31 - 1


def ticks(microseconds: float, machine: str | None = None) -> int:
    """A time in the ticks that waiting is counted in.

    On x86 a tick is one of the processor's time stamp counter, taken to run at 2.5 GHz (they run at 2 to 4, and the
    bounds need not be exact); elsewhere it is a nanosecond.

    >>> ticks(10, "aarch64")
    10000
    """
    return round(microseconds * (2500 if (machine or platform.machine()) in ("x86_64", "AMD64") else 1000))


def _at(e: Emitter, base: str, offset: int) -> str:
    return e.value(f"getelementptr i8, ptr {base}, i64 {offset}")


def _now(e: Emitter, machine: str) -> str:
    if machine in ("x86_64", "AMD64"):
        e.need("declare i64 @llvm.readcyclecounter()")
        return e.value("call i64 @llvm.readcyclecounter()")
    clock = 6 if sys.platform == "darwin" else 1  # CLOCK_MONOTONIC
    e.need("declare i32 @clock_gettime(i32, ptr)")
    e.value(f"call i32 @clock_gettime(i32 {clock}, ptr %time)")
    seconds, nanoseconds = e.value("load i64, ptr %time"), e.value(f"load i64, ptr {_at(e, '%time', 8)}")
    return e.value(f"add i64 {e.value(f'mul i64 {seconds}, 1000000000')}, {nanoseconds}")


def _pause(e: Emitter, machine: str) -> None:
    """Tell the processor that this is a waiting loop."""
    if machine in ("x86_64", "AMD64"):
        e.need("declare void @llvm.x86.sse2.pause()")
        e.line("call void @llvm.x86.sse2.pause()")
    elif machine in ("aarch64", "arm64"):
        e.need("declare void @llvm.aarch64.isb(i32)")
        e.line("call void @llvm.aarch64.isb(i32 15)")  # the hint `yield` does nothing on most; this takes some cycles


def _sleep(e: Emitter, machine: str) -> None:
    """Sleep until the word is changed, or for a while."""
    if sys.platform == "linux" and machine in _FUTEX:
        e.need("declare i64 @syscall(i64, ...)")
        old = e.value("zext i32 %old to i64")
        e.value(
            f"call i64 (i64, ...) @syscall(i64 {_FUTEX[machine]}, ptr %word, i64 {_WAIT_PRIVATE}, i64 {old}, ptr null)"
        )
        return
    # Growing from 50 microseconds to 5 milliseconds.
    longer = e.value("shl i64 %length, 1")
    e.line(f"store i64 {e.value(f'call i64 @llvm.umin.i64(i64 {longer}, i64 5000)')}, ptr %slept")
    e.need("declare i64 @llvm.umin.i64(i64, i64)")
    if sys.platform == "win32":
        e.need("declare void @Sleep(i32)")
        e.line("call void @Sleep(i32 1)")
    else:
        e.need("declare i32 @usleep(i32)")
        e.value(f"call i32 @usleep(i32 {e.value('trunc i64 %length to i32')})")


def _wake(e: Emitter, word: str, asleep: str, machine: str) -> None:
    """Wake all who sleep on a word that was just changed, by an operation in the one order of all threads (seq_cst)."""
    if not (sys.platform == "linux" and machine in _FUTEX):
        return
    sleepers = e.value(f"load atomic i32, ptr {asleep} seq_cst, align 4")
    e.branch(e.value(f"icmp ne i32 {sleepers}, 0"), "wake", "awake")
    e.label("wake")
    e.need("declare i64 @syscall(i64, ...)")
    number = _FUTEX[machine]
    e.value(f"call i64 (i64, ...) @syscall(i64 {number}, ptr {word}, i64 {_WAKE_PRIVATE}, i64 {_EVERYBODY})")
    e.jump("awake")
    e.label("awake")


def _wait(machine: str) -> Emitter:
    """`i32 wait(ptr word, i32 old, ptr asleep, ptr barrier)`: return the word's value once it is not `old`."""
    parameters = [("ptr", "word"), ("i32", "old"), ("ptr", "asleep"), ("ptr", "barrier")]
    e = Emitter("amalthea_wait", parameters, "i32", "nounwind noinline", "internal")
    e.line("%time = alloca [2 x i64], align 8")
    e.line("%slept = alloca i64, align 8")
    e.line("store i64 50, ptr %slept")
    spin = e.value(f"load i64, ptr {_at(e, '%barrier', SPIN)}")
    patience = e.value(f"load i64, ptr {_at(e, '%barrier', PATIENCE)}")
    begin = _now(e, machine)
    e.jump("look")

    e.label("look")
    word = e.value("load atomic i32, ptr %word acquire, align 4")
    e.branch(e.value(f"icmp ne i32 {word}, %old"), "ready", "again")
    e.label("again")
    waited = e.value(f"sub i64 {_now(e, machine)}, {begin}")
    e.branch(e.value(f"icmp ult i64 {waited}, {spin}"), "pause", "longer")
    e.label("pause")
    _pause(e, machine)
    e.jump("look")

    e.label("longer")
    e.branch(e.value(f"icmp ult i64 {waited}, {patience}"), "give", "sleep")
    e.label("give")
    if sys.platform == "win32":
        e.need("declare i32 @SwitchToThread()")
        e.value("call i32 @SwitchToThread()")
    else:
        e.need("declare i32 @sched_yield()")
        e.value("call i32 @sched_yield()")
    e.jump("look")

    # First say that there is somebody to wake, then look once more: whoever changes the word looks for sleepers after
    # the change, so one of the two sees the other.
    e.label("sleep")
    e.value("atomicrmw add ptr %asleep, i32 1 seq_cst")
    last = e.value("load atomic i32, ptr %word seq_cst, align 4")
    e.branch(e.value(f"icmp ne i32 {last}, %old"), "woken", "asleep_now")
    e.label("asleep_now")
    e.line("%length = load i64, ptr %slept")
    _sleep(e, machine)
    e.jump("woken")
    e.label("woken")
    e.value("atomicrmw sub ptr %asleep, i32 1 seq_cst")
    e.jump("look")

    e.label("ready")
    e.ret("i32", word)
    return e


def _barrier(machine: str) -> Emitter:
    """`void amalthea_barrier(ptr barrier, i64 threads)`: return when all threads have called it.

    The last to arrive counts the meeting, on which the others wait; it resets the count of arrivals before, so that
    a thread that runs ahead to the next meeting finds it ready.
    """
    parameters = [("ptr", "barrier"), ("i64", "threads")]
    e = Emitter("amalthea_barrier", parameters, "void", "nounwind noinline", "internal")
    e.branch(e.value("icmp sle i64 %threads, 1"), "alone", "meet")
    e.label("alone")
    e.ret()
    e.label("meet")
    meetings, asleep = _at(e, "%barrier", MEETINGS), _at(e, "%barrier", ASLEEP)
    meeting = e.value(f"load atomic i32, ptr {meetings} acquire, align 4")
    before = e.value("atomicrmw add ptr %barrier, i32 1 acq_rel")
    missing = e.value(f"sub i64 %threads, {e.value(f'zext i32 {before} to i64')}")
    e.branch(e.value(f"icmp eq i64 {missing}, 1"), "last", "wait")
    e.label("last")
    e.line("store atomic i32 0, ptr %barrier monotonic, align 4")
    e.value(f"atomicrmw add ptr {meetings}, i32 1 seq_cst")
    _wake(e, meetings, asleep, machine)
    e.ret()
    e.label("wait")
    e.value(f"call i32 @amalthea_wait(ptr {meetings}, i32 {meeting}, ptr {asleep}, ptr %barrier)")
    e.need("declare i32 @amalthea_wait(ptr, i32, ptr, ptr)")
    e.ret()
    return e


_PROGRAM_ARGUMENTS = "ptr {args}, i64 {thread}, i64 {threads}, ptr {barrier}"


def _run(machine: str) -> Emitter:
    """`void amalthea_run(ptr pool, ptr program, ptr args)`: give the job to the workers, take part, wait for all."""
    e = Emitter("amalthea_run", [("ptr", "pool"), ("ptr", "program"), ("ptr", "args")], "void", "nounwind")
    barrier = _at(e, "%pool", BARRIER)
    threads = e.value(f"load i64, ptr {_at(e, '%pool', THREADS)}")
    arguments = _PROGRAM_ARGUMENTS.format(args="%args", thread=0, threads=threads, barrier=barrier)
    e.branch(e.value(f"icmp sgt i64 {threads}, 1"), "share", "awake")
    e.label("share")
    e.line(f"store ptr %program, ptr {_at(e, '%pool', PROGRAM)}")
    e.line(f"store ptr %args, ptr {_at(e, '%pool', ARGUMENTS)}")
    e.value("atomicrmw add ptr %pool, i32 1 seq_cst")
    _wake(e, "%pool", _at(e, "%pool", JOBS_ASLEEP), machine)
    if e.current == "share":  # nobody needs waking on this system
        e.jump("awake")
        e.label("awake")
    e.line(f"call void %program({arguments})")
    _end(e, barrier, threads)
    e.ret()
    return e


def _end(e: Emitter, barrier: str, threads: str) -> None:
    e.line(f"call void @amalthea_barrier(ptr {barrier}, i64 {threads})")
    e.need("declare void @amalthea_barrier(ptr, i64)")


def _work(machine: str) -> Emitter:
    """`void amalthea_work(ptr pool, i64 thread)`: do a worker's part of every job until told to stop."""
    e = Emitter("amalthea_work", [("ptr", "pool"), ("i64", "thread")], "void", "nounwind")
    barrier, asleep = _at(e, "%pool", BARRIER), _at(e, "%pool", JOBS_ASLEEP)
    threads = e.value(f"load i64, ptr {_at(e, '%pool', THREADS)}")
    e.jump("next")
    e.label("next")
    e.line("%done = phi i32 [ 0, %entry ], [ %job, %work ]")
    e.line(f"%job = call i32 @amalthea_wait(ptr %pool, i32 %done, ptr {asleep}, ptr {barrier})")
    e.need("declare i32 @amalthea_wait(ptr, i32, ptr, ptr)")
    stop = e.value(f"load i64, ptr {_at(e, '%pool', STOP)}")
    e.branch(e.value(f"icmp ne i64 {stop}, 0"), "leave", "work")
    e.label("leave")
    e.ret()
    e.label("work")
    program = e.value(f"load ptr, ptr {_at(e, '%pool', PROGRAM)}")
    args = e.value(f"load ptr, ptr {_at(e, '%pool', ARGUMENTS)}")
    arguments = _PROGRAM_ARGUMENTS.format(args=args, thread="%thread", threads=threads, barrier=barrier)
    e.line(f"call void {program}({arguments})")
    _end(e, barrier, threads)
    e.jump("next")
    return e


def _stop(machine: str) -> Emitter:
    """`void amalthea_stop(ptr pool)`: send the workers home."""
    e = Emitter("amalthea_stop", [("ptr", "pool")], "void", "nounwind")
    e.line(f"store i64 1, ptr {_at(e, '%pool', STOP)}")
    e.value("atomicrmw add ptr %pool, i32 1 seq_cst")
    _wake(e, "%pool", _at(e, "%pool", JOBS_ASLEEP), machine)
    e.ret()
    return e


_WRITERS = {
    "amalthea_wait": _wait,
    "amalthea_barrier": _barrier,
    "amalthea_run": _run,
    "amalthea_work": _work,
    "amalthea_stop": _stop,
}


@functools.cache
def functions(name: str = "", machine: str = "") -> tuple[str, ...]:
    """The texts of these functions and of what they call: of all, or of one by name.

    >>> any("define internal void @amalthea_barrier" in text for text in functions("amalthea_barrier"))
    True
    """
    wanted = ["amalthea_wait", "amalthea_barrier"] if name == "amalthea_barrier" else list(_WRITERS)
    emitters = [_WRITERS[wanted_name](machine or platform.machine()) for wanted_name in wanted]
    declared = sorted({line for e in emitters for line in e.declarations if "@amalthea_" not in line})
    return (*declared, *(e.text() for e in emitters))


@functools.cache
def system_symbols() -> dict[str, int]:
    """Addresses of the system's functions that the loader does not find by itself: those of Windows' kernel32."""
    if sys.platform != "win32":
        return {}
    kernel = ctypes.WinDLL("kernel32")
    return {
        name: ctypes.cast(getattr(kernel, name), ctypes.c_void_p).value or 0 for name in ("Sleep", "SwitchToThread")
    }
