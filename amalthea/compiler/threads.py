"""Running compiled programs on several threads: how many, the pools of workers, `run`.

A pool has N - 1 workers for programs on N threads; the caller is the Nth. A worker is a Python thread that enters
native code once and stays there (`spmd.amalthea_work`), without the interpreter's lock: jobs reach it through
memory, and between jobs it soon sleeps.

Two Python threads may run programs at once: each call takes an idle pool or starts another, so a result never
depends on what else runs. A caller that is interrupted (Ctrl-C) gets KeyboardInterrupt as soon as the program that it
runs returns. Idle workers are sent home before a fork, and the child starts its own.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import math
import os
import threading
from pathlib import Path
from typing import Any

from amalthea.compiler import spmd
from amalthea.compiler.engine import compile_module
from amalthea.core.errors import ArgumentError, fail

_MOST = 1024
_IDLE = 4
"""Pools of one size that are kept for the next call."""

_SPIN, _PATIENCE = 2.0, 1000.0
"""Microseconds that a waiting thread looks without pause, and that it takes altogether before it sleeps: longer than
the time between two steps of `fit`, shorter than anybody would notice."""

_threads: int | None = None


def num_threads() -> int:
    """How many threads a program runs on.

    At first what the environment variable AMALTHEA_NUM_THREADS says, or else the physical cores that this process may
    use (its affinity mask and its container's share of processor time count).

    >>> num_threads() >= 1
    True
    """
    global _threads
    if _threads is None:
        text = os.environ.get("AMALTHEA_NUM_THREADS", "").strip()
        if not text:
            _threads = available_cores()
        elif text.isdecimal() and 1 <= int(text) <= _MOST:
            _threads = int(text)
        else:
            fail(
                ArgumentError,
                "AMALTHEA_NUM_THREADS must be a number of threads",
                where="num_threads",
                received=repr(text),
                fix=f"set it to a number from 1 to {_MOST}, or unset it",
            )
    return _threads


def set_num_threads(threads: int | None) -> None:
    """Set how many threads programs run on from now on.

    Args:
        threads: 1 to 1024; None goes back to the default.

    Raises:
        ArgumentError: for anything else.

    >>> set_num_threads(2)
    >>> num_threads()
    2
    >>> set_num_threads(None)
    """
    global _threads
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= _MOST):
        fail(
            ArgumentError,
            "the number of threads must be a positive integer",
            where="set_num_threads",
            received=repr(threads),
            fix=f"use 1 to {_MOST}, or None for the default",
        )
    _threads = threads


@functools.cache
def available_cores() -> int:
    """Physical cores that this process may use: siblings (hyper-threads) count once.

    >>> available_cores() >= 1
    True
    """
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores = _physical(usable, Path("/sys/devices/system/cpu"))
    share = _share(Path("/sys/fs/cgroup"))
    return max(1, cores if share is None else min(cores, math.ceil(share)))


def _physical(usable: set[int], folder: Path) -> int:
    siblings = set()
    for cpu in usable:
        try:
            siblings.add((folder / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text().strip())
        except OSError:
            siblings.add(str(cpu))
    return len(siblings)


def _share(folder: Path) -> float | None:
    """The processors' worth of time that a container gives (cgroup v2, then v1); None: no bound."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0:  # "max", or -1
        return None
    return int(quota) / int(period)


def run(program: int, args: int = 0, threads: int | None = None) -> None:
    """Run a compiled `void program(ptr args, i64 thread, i64 threads, ptr barrier)` on all threads; return at its end.

    The interpreter's lock is released meanwhile. May be called from several Python threads at once, and from a
    Python callback inside a program.

    Args:
        program: its address.
        args: the address that it gets as `args`.
        threads: how many threads; `num_threads()` unless given.

    >>> from amalthea.compiler.engine import compile_module
    >>> text = '''define void @count(ptr %args, i64 %thread, i64 %threads, ptr %barrier) {
    ...   %was = atomicrmw add ptr %args, i64 1 monotonic
    ...   ret void
    ... }'''
    >>> loaded, counter = compile_module([text]), ctypes.c_int64(0)
    >>> run(loaded.address("count"), ctypes.addressof(counter), threads=3)
    >>> counter.value
    3
    """
    size = num_threads() if threads is None else threads
    idle = _pools.get(size)
    if idle is None:
        idle = _pools.setdefault(size, [])
    try:
        pool = idle.pop()  # one step for the interpreter: needs no lock
    except IndexError:
        pool = _Pool(size)
    try:
        pool.run(pool.address, program, args)
    finally:
        if len(idle) < _IDLE and _pools.get(size) is idle:
            idle.append(pool)
        else:
            pool.close()


_pools: dict[int, list[_Pool]] = {}
"""Idle pools by number of threads."""


class _Runtime:
    """The compiled functions of `spmd` as Python functions."""

    def __init__(self) -> None:
        self.loaded = compile_module(spmd.functions())
        word, pointer = ctypes.c_int64, ctypes.c_void_p
        self.run = self._function("amalthea_run", pointer, pointer, pointer)
        self.work = self._function("amalthea_work", pointer, word)
        self.stop = self._function("amalthea_stop", pointer)

    def _function(self, name: str, *arguments: Any) -> Any:
        return ctypes.CFUNCTYPE(None, *arguments)(self.loaded.address(name))


@functools.cache
def _runtime() -> _Runtime:
    return _Runtime()


class _Pool:
    """The shared memory of a pool and its workers."""

    def __init__(self, threads: int) -> None:
        self.runtime = _runtime()
        self.run = self.runtime.run
        self._memory = ctypes.create_string_buffer(spmd.SIZE + 64)
        self.address = -(-ctypes.addressof(self._memory) // 64) * 64
        # With more threads than cores, looking without pause would only keep the others from running.
        self._set(spmd.BARRIER + spmd.SPIN, spmd.ticks(_SPIN if threads <= available_cores() else 0))
        self._set(spmd.BARRIER + spmd.PATIENCE, spmd.ticks(_PATIENCE))
        self._set(spmd.THREADS, threads)
        self.workers: list[threading.Thread] = []
        try:
            for thread in range(1, threads):
                worker = threading.Thread(
                    target=_work, args=(self.runtime, self._memory, self.address, thread), name=f"amalthea-{thread}"
                )
                worker.daemon = True
                worker.start()
                self.workers.append(worker)
        except RuntimeError:  # no more threads, or the interpreter is shutting down: the caller alone
            self.close()
            self._set(spmd.THREADS, 1)

    def _set(self, place: int, value: int) -> None:
        ctypes.c_int64.from_address(self.address + place).value = value

    def close(self) -> None:
        """Send the workers home and wait until they are gone; not while a program runs."""
        if self.workers:
            self.runtime.stop(self.address)
            for worker in self.workers:
                worker.join()
            self.workers = []


def _work(runtime: _Runtime, memory: Any, address: int, thread: int) -> None:
    """A worker; its arguments keep the code and the memory alive that it works in."""
    runtime.work(address, thread)


def close_idle_pools() -> None:
    """Send all idle workers home; they come back with the next program.

    >>> close_idle_pools()
    """
    for idle in list(_pools.values()):
        while idle:
            try:
                idle.pop().close()
            except IndexError:
                break


def _after_fork() -> None:
    # Pools that were busy in other threads have no workers here; their memory stays as it is.
    _pools.clear()


atexit.register(close_idle_pools)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=close_idle_pools, after_in_child=_after_fork)
