"""Choosing the kernels of a contraction by measuring: what `am.config.set_autotune(True)` asks for.

The version that the cost model prefers and the most promising other tilings are compiled and run in turns on this
machine, each several times, so that what else the machine does hits all alike; the shortest time of each counts. Only
the contraction itself is measured: its epilogue costs the same in every version.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from amalthea.compiler.cache import ObjectCache, folder, sources
from amalthea.compiler.contraction import Contraction, Generated, Strides, Tiling, choices, generate
from amalthea.compiler.emitter import Emitter
from amalthea.compiler.engine import Loaded, compile_module
from amalthea.compiler.target import Target
from amalthea.compiler.threads import run
from amalthea.core import dtypes

LIMIT = 8
"""Tilings measured beside the preferred version."""

ROUNDS, LEAST = 7, 0.002  # measurements of each version, and seconds that one takes at least
ALIGNMENT = 64


def fastest(contraction: Contraction, target: Target, threads: int) -> Tiling | None:
    """The tiling of the fastest version on this machine; None where that is the one the cost model prefers.

    >>> from amalthea.compiler.contraction import from_subscripts
    >>> from amalthea.core.dtypes import float32
    >>> product = from_subscripts("ij,jk->ik", (4, 4), (4, 4), float32)
    >>> foreign = Target.named("avx2" if Target.host().arch == "aarch64" else "neon")
    >>> fastest(product, foreign, 1) is None  # it cannot be measured here
    True
    """
    if not target.runs_here():
        return None
    plain = replace(contraction, epilogue=None)
    cache = ObjectCache(folder())
    key = hashlib.sha256(repr(("tuned", sources(), plain, target, threads)).encode()).hexdigest()
    kept = cache.get(key)
    if kept is not None:
        found = json.loads(kept[0])
        return None if found is None else Tiling(**found)
    versions: list[Tiling | None] = [None, *choices(plain, target, LIMIT)]
    seconds = measure(plain, target, versions, threads)
    best = versions[int(np.argmin(seconds))]
    cache.put(key, [json.dumps(None if best is None else asdict(best)).encode()])
    print(
        f"[autotune] {describe(plain)}: the fastest of {len(versions)} versions takes {min(seconds) * 1e6:.0f} us, "
        f"the cost model's {seconds[0] * 1e6:.0f} us",
        file=sys.stderr,
        flush=True,
    )
    return best


def describe(contraction: Contraction) -> str:
    """A contraction in a few words.

    >>> from amalthea.compiler.contraction import from_subscripts
    >>> from amalthea.core.dtypes import float32
    >>> describe(from_subscripts("ij,jk->ik", (32, 784), (784, 128), float32))
    'float32 rows 32, depth 784, columns 128'
    """
    roles = ("batch", "rows", "depth", "columns")
    sizes = [f"{role} {'x'.join(map(str, getattr(contraction, role)))}" for role in roles if getattr(contraction, role)]
    return f"{contraction.dtype} {', '.join(sizes)}"


def measure(
    contraction: Contraction, target: Target, versions: Sequence[Tiling | None], threads: int, rounds: int = ROUNDS
) -> list[float]:
    """Seconds that each version takes on so many threads, at best."""
    memory = _operands(contraction)
    runners = [_Runner(generate(contraction, target, tiling), target, memory) for tiling in versions]
    best = [float("inf")] * len(runners)
    turns = [max(1, int(LEAST / max(runner.seconds(threads, 1), 1e-9))) for runner in runners]
    for _ in range(rounds):
        for i, runner in enumerate(runners):
            best[i] = min(best[i], runner.seconds(threads, turns[i]))
    return best


class _Runner:
    """One version, loaded, with memory to run on."""

    def __init__(self, made: Generated, target: Target, memory: dict[str, np.ndarray]) -> None:
        self.memory = dict(memory)
        self.memory.update({f"scratch{i}": _aligned(size) for i, size in enumerate(made.scratch)})
        names = list(dict.fromkeys(name for names in made.arguments for name in names))
        self.arguments = (ctypes.c_void_p * len(names))(*(self.memory[name].ctypes.data for name in names))
        e = Emitter("tuned", [("ptr", "args"), ("i64", "thread"), ("i64", "threads"), ("ptr", "barrier")])
        pointers = {}
        for i, name in enumerate(names):
            place = e.value(f"getelementptr ptr, ptr %args, i64 {i}")
            pointers[name] = e.value(f"load ptr, ptr {place}")
        declarations: set[str] = set()
        for kernel, used in zip(made.kernels, made.arguments, strict=True):
            low = e.value(f"udiv i64 {e.value(f'mul i64 %thread, {kernel.extent}')}, %threads")
            following = e.value("add i64 %thread, 1")
            high = e.value(f"udiv i64 {e.value(f'mul i64 {following}, {kernel.extent}')}, %threads")
            given = ", ".join(f"ptr {pointers[name]}" for name in used)
            e.line(f"call void @{kernel.name}({given}, i64 {low}, i64 {high})")
            e.line("call void @amalthea_barrier(ptr %barrier, i64 %threads)")
            declarations |= kernel.declarations
        e.need("declare void @amalthea_barrier(ptr, i64)")
        e.ret()
        texts = [e.text(), *(kernel.text for kernel in made.kernels)]
        self.loaded: Loaded = compile_module(texts, sorted(declarations | e.declarations), target)
        self.address = self.loaded.address("tuned")

    def seconds(self, threads: int, times: int) -> float:
        """Of one run, the mean of several."""
        where = ctypes.addressof(self.arguments)
        begin = time.perf_counter()
        for _ in range(times):
            run(self.address, where, threads)
        return (time.perf_counter() - begin) / times


def _operands(c: Contraction) -> dict[str, np.ndarray]:
    """Memory for the operands and the output, filled with ones."""
    parts = {
        "x": (c.x, c.batch + c.rows + c.depth, c.dtype),
        "y": (c.y, c.batch + c.depth + c.columns, c.y_dtype or c.dtype),
        "out0": (c.out, c.batch + c.rows + c.columns, c.result_dtype),
    }
    made = {}
    for name, (strides, sizes, dtype) in parts.items():
        array = _aligned(_extent(strides, sizes) * dtype.itemsize).view(dtypes.to_numpy(dtype))
        array[...] = 1
        made[name] = array
    return made


def _extent(strides: Strides, sizes: Sequence[int]) -> int:
    """Elements of the smallest array that holds all addresses."""
    if not all(sizes):
        return strides.offset + 1
    return 1 + strides.offset + sum((n - 1) * max(step, 0) for n, step in zip(sizes, strides.steps, strict=True))


def _aligned(size: int) -> np.ndarray:
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]
