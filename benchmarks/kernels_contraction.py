"""How fast the generated contractions are: `python -m benchmarks.kernels_contraction [name ...]`, one thread.

For each shape: GFLOP/s of the kernels as the cost model tiles them, the share of the peak (multiply-adds on registers,
measured in the same run), NumPy's BLAS on the same product where there is one, and the tiling. Minima of many short
runs, because the machine may have other work.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
import time
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from amalthea.compiler.contraction import Contraction, Generated, Strides, from_subscripts, generate
from amalthea.compiler.contraction_convolution import (
    convolution,
    convolution_input_gradient,
    convolution_kernel_gradient,
)
from amalthea.compiler.emitter import Emitter, llvm_type
from amalthea.compiler.engine import Loaded, compile_module
from amalthea.compiler.target import Target
from amalthea.core.dtypes import DType, float32, to_numpy


def fastest(call: Callable[[], object], seconds: float) -> float:
    """Seconds of the fastest of the calls that fit into a time, at least three.

    Calls longer than a millisecond are timed by the thread's own clock, which stands still while another process has
    the core; shorter ones by the wall clock, since the thread's is too coarse for them.
    """
    wall = own = float("inf")
    calls, end = 0, time.perf_counter() + seconds
    while calls < 3 or time.perf_counter() < end:
        start, start_own = time.perf_counter(), time.thread_time()
        call()
        own = min(own, time.thread_time() - start_own)
        wall = min(wall, time.perf_counter() - start)
        calls += 1
    return own if own > 1e-3 else wall


def peak(target: Target, seconds: float) -> float:
    """FLOP/s of independent multiply-adds on registers."""
    sums, rounds, lanes = 12, 20000, target.lanes("float32")
    kind = llvm_type(float32, lanes)
    e = Emitter("peak", [("ptr", "p"), ("i64", "lo"), ("i64", "hi")])
    x = e.value(f"load {kind}, ptr %p, align 4")

    def body(i: str, carried: list[str]) -> list[str]:
        return [e.call(kind, f"llvm.fmuladd.v{lanes}f32", (kind, x), (kind, x), (kind, c)) for c in carried]

    for total in e.repeat("%hi", body, [(kind, "zeroinitializer")] * sums):
        e.line(f"store volatile {kind} {total}, ptr %p, align 4")
    e.ret()
    memory = np.zeros(64, np.float32)
    loaded = compile_module([e.text()], sorted(e.declarations), target)
    f = _function(loaded, "peak", 1)
    return 2 * sums * lanes * rounds / fastest(lambda: f(memory.ctypes.data, 0, rounds), seconds)


def _function(loaded: Loaded, name: str, arrays: int) -> Callable[..., None]:
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arrays, ctypes.c_int64, ctypes.c_int64)
    return kind(loaded.address(name))


def aligned(size: int, dtype: DType) -> np.ndarray:
    """Random numbers that begin at a cache line, as the buffers of a program do."""
    raw = np.empty(size * dtype.itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    values = raw[start : start + size * dtype.itemsize].view(to_numpy(dtype))
    values[...] = np.random.default_rng(size).normal(size=size)
    return values


def measured(contraction: Contraction, target: Target, seconds: float) -> tuple[float, Generated]:
    """Seconds of one run of a contraction's kernels, and the kernels."""
    c, made = contraction, generate(contraction, target)

    def span(strides: Strides, sizes: tuple[int, ...]) -> int:
        reach = sum((n - 1) * max(step, 0) for n, step in zip(sizes, strides.steps, strict=True))
        return 1 + strides.offset + reach

    memory = {
        "x": aligned(span(c.x, c.batch + c.rows + c.depth), c.dtype),
        "y": aligned(span(c.y, c.batch + c.depth + c.columns), c.dtype),
        "out0": aligned(span(c.out, c.batch + c.rows + c.columns), c.result_dtype),
        **{f"scratch{i}": aligned(size // 4, float32) for i, size in enumerate(made.scratch)},
    }
    declarations = sorted(set().union(*(kernel.declarations for kernel in made.kernels)))
    loaded = compile_module([kernel.text for kernel in made.kernels], declarations, target)
    calls = [
        (_function(loaded, kernel.name, len(names)), [memory[name].ctypes.data for name in names], kernel.extent)
        for kernel, names in zip(made.kernels, made.arguments, strict=True)
    ]

    def run() -> None:
        for f, pointers, extent in calls:
            f(*pointers, 0, extent)

    return fastest(run, seconds), made


def matrices(target: Target, dtype: DType) -> dict[str, Contraction]:
    """Products of dense layers and attention, each with its two gradients."""
    found = {}
    for m, k, n in [(32, 784, 128), (256, 1024, 2048), (256, 2048, 2048), (1024, 256, 768), (32, 128, 10)]:
        name = f"{m}x{k}x{n}"
        found[name] = from_subscripts("mk,kn->mn", (m, k), (k, n), dtype)
        found[f"{name} dx"] = from_subscripts("mn,kn->mk", (m, n), (k, n), dtype)
        found[f"{name} dw"] = from_subscripts("mk,mn->kn", (m, k), (m, n), dtype)
    b, m, k, n = 32, 128, 64, 64
    found["32x(128x64x64)"] = from_subscripts("bmk,bkn->bmn", (b, m, k), (b, k, n), dtype)
    found["32x(128x64x64) dx"] = from_subscripts("bmn,bkn->bmk", (b, m, n), (b, k, n), dtype)
    found["32x(128x64x64) dy"] = from_subscripts("bmk,bmn->bkn", (b, m, k), (b, m, n), dtype)
    found["1x2048x2048"] = from_subscripts("mk,kn->mn", (1, 2048), (2048, 2048), dtype)
    found["2048x2048x1"] = from_subscripts("mk,k->m", (2048, 2048), (2048,), dtype)
    return found


def convolutions(target: Target, dtype: DType) -> dict[str, Contraction]:
    """Convolutions with their two gradients: (batch, size, channels, filters, kernel, stride, groups)."""
    shapes = {
        "cnn 64x32x32x3->32 3x3": (64, 32, 3, 32, 3, 1, 1),
        "cnn 64x32x32x32->64 3x3": (64, 32, 32, 64, 3, 1, 1),
        "cnn 64x16x16x64->64 3x3": (64, 16, 64, 64, 3, 1, 1),
        "resnet 32x16x16x64->128 3x3/2": (32, 16, 64, 128, 3, 2, 1),
        "1x1 32x16x16x64->256": (32, 16, 64, 256, 1, 1, 1),
        "r50 stem 1x224x224x3->64 7x7/2": (1, 224, 3, 64, 7, 2, 1),
        "r50 1x56x56x64->64 3x3": (1, 56, 64, 64, 3, 1, 1),
        "r50 1x28x28x128->128 3x3": (1, 28, 128, 128, 3, 1, 1),
        "r50 1x14x14x256->256 3x3": (1, 14, 256, 256, 3, 1, 1),
        "r50 1x7x7x512->512 3x3": (1, 7, 512, 512, 3, 1, 1),
        "r50 1x56x56x64->256 1x1": (1, 56, 64, 256, 1, 1, 1),
        "r50 1x14x14x1024->256 1x1": (1, 14, 1024, 256, 1, 1, 1),
        "r50 1x7x7x2048->512 1x1": (1, 7, 2048, 512, 1, 1, 1),
        "depthwise 8x28x28x96 3x3": (8, 28, 96, 96, 3, 1, 96),
        "grouped 4x28x28x128 3x3 /32": (4, 28, 128, 128, 3, 1, 32),
    }
    found = {}
    for name, (n, h, channels, filters, k, s, groups) in shapes.items():
        p = (k - 1) // 2
        places = (h + 2 * p - k) // s + 1
        image, kernel = (n, h + 2 * p, h + 2 * p, channels), (k, k, channels // groups, filters)
        y = (n, places, places, filters)
        options: dict[str, Any] = {"strides": (s, s), "dilation": (1, 1), "groups": groups}
        found[name] = convolution(image, kernel, dtype, **options)
        found[f"{name} dw"] = convolution_kernel_gradient(image, y, (k, k), dtype, **options)
        gradient = convolution_input_gradient(y, kernel, (h, h), dtype, padding=((p, p), (p, p)), **options)
        for i, phase in enumerate(gradient.contractions):
            if prod(phase.depth):
                found[f"{name} dx{i if len(gradient.contractions) > 1 else ''}"] = phase
    return found


def blas(c: Contraction, seconds: float) -> float | None:
    """Seconds that NumPy takes for a product of two matrices, in whatever layout the contraction has."""
    if len(c.rows) != 1 or len(c.columns) != 1 or len(c.depth) != 1 or c.batch or c.dtype != "float32":
        return None
    x, y = aligned(c.rows[0] * c.depth[0], float32), aligned(c.depth[0] * c.columns[0], float32)
    left = x.reshape(*c.rows, *c.depth) if c.x.steps[1] == 1 else x.reshape(*c.depth, *c.rows).T
    right = y.reshape(*c.depth, *c.columns) if c.y.steps[1] == 1 else y.reshape(*c.columns, *c.depth).T
    return fastest(lambda: left @ right, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the shapes' names; all shapes where none is given")
    parser.add_argument("--dtype", default="float32", help="of the operands")
    parser.add_argument("--target", default="", help="a narrower target, e.g. avx2")
    parser.add_argument("--seconds", type=float, default=0.2, help="for each measurement")
    given = parser.parse_args()
    target = Target.named(given.target) if given.target else Target.host()
    top = peak(target, given.seconds)
    print(f"{target.name}: peak {top / 1e9:.0f} GFLOP/s (float32, one thread)")
    print(f"{'shape':36} {'GFLOP/s':>8} {'of peak':>8} {'NumPy':>8} {'µs':>9}  tiling")
    dtype = DType(given.dtype)
    shapes = {**matrices(target, dtype), **convolutions(target, dtype)}
    for name, contraction in shapes.items():
        if given.names and not any(part in name for part in given.names):
            continue
        seconds, made = measured(contraction, target, given.seconds)
        other = blas(contraction, given.seconds)
        speed = contraction.flops / seconds
        beside = f"{contraction.flops / other / 1e9:8.0f}" if other else " " * 8
        tiling = " + ".join(f"{kernel.note} ({kernel.extent} parts)" for kernel in made.kernels)
        print(f"{name:36} {speed / 1e9:8.0f} {speed / top:8.0%} {beside} {seconds * 1e6:9.1f}  {tiling}", flush=True)


if __name__ == "__main__":
    # BLAS reads this when NumPy is first imported; the process is begun anew with one thread.
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.kernels_contraction", *sys.argv[1:]])
    main()
