"""How fast half precision and int8 are: `python -m benchmarks.kernels_half [name ...]`, one thread.

Matrix products and convolutions with their gradients in each dtype, in GFLOP/s (of int8: operations), beside PyTorch's
bfloat16 where PyTorch is there; then training steps under the dtype policies, in milliseconds. All in turn in the same
run, minima of many short runs, because the machine may have other work.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import amalthea as am
from amalthea.backends.native import BACKEND
from amalthea.compiler.contraction import Contraction, from_subscripts
from amalthea.compiler.program import Program
from amalthea.compiler.target import Target
from amalthea.core import dtypes, tree
from amalthea.core.dtypes import DType
from benchmarks.kernels_contraction import convolutions, fastest, matrices, measured, peak
from benchmarks.training.rows import ROWS
from benchmarks.training.with_keras import Step

DTYPES = [DType(name) for name in ("float32", "bfloat16", "float16", "int8")]
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
SHAPES = (
    "1024x1024x1024",
    "256x2048x2048",
    "256x2048x2048 dx",
    "256x2048x2048 dw",
    "1024x256x768",
    "32x(128x64x64)",
    "cnn 64x16x16x64->64 3x3",
    "cnn 64x16x16x64->64 3x3 dx",
    "cnn 64x16x16x64->64 3x3 dw",
    "1x1 32x16x16x64->256",
)
MODELS = ("mlp-large", "gpt-small", "resnet-small", "cnn")


def shapes(target: Target, dtype: DType) -> dict[str, Contraction]:
    """The contractions of `SHAPES` with operands of a dtype."""
    square = from_subscripts("ij,jk->ik", (1024, 1024), (1024, 1024), dtype)
    found = {SHAPES[0]: square, **matrices(target, dtype), **convolutions(target, dtype)}
    if dtype == "int8":
        found = {name: replace(c, accumulate=dtypes.int32, result=dtypes.int32) for name, c in found.items()}
    return {name: found[name] for name in SHAPES}


def with_torch(name: str, contraction: Contraction) -> Callable[[], object] | None:
    """The same sums by PyTorch in bfloat16; None for gradients of convolutions, or without PyTorch."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    c, half = contraction, torch.bfloat16
    if "->" not in name:
        x = torch.randn(*c.batch, *c.rows, *c.depth).to(half)
        y = torch.randn(*c.batch, *c.depth, *c.columns).to(half)
        return lambda: x @ y
    if name.endswith(("dx", "dw")):
        return None
    batch, *places = c.rows if len(c.rows) > 1 else (1, *c.rows)
    channels, kernel = c.depth[-1], c.depth[0] if len(c.depth) > 1 else 1
    size = [n + kernel - 1 for n in places]
    image = torch.randn(batch, channels, *size).to(half).to(memory_format=torch.channels_last)
    weights = torch.randn(c.columns[0], channels, kernel, kernel).to(half).to(memory_format=torch.channels_last)

    def call() -> object:
        with torch.no_grad():
            return torch.nn.functional.conv2d(image, weights)

    return call


def products(names: list[str], seconds: float) -> None:
    """Print the speeds of the contractions."""
    target = Target.host()
    print(f"{target.name}: float32 peak {peak(target, seconds) / 1e9:.0f} GFLOP/s, one thread; below GFLOP/s")
    print(f"{'shape':32}" + "".join(f"{dtype!s:>10}" for dtype in DTYPES) + f"{'torch':>10}  kernel of bfloat16")
    for name in SHAPES:
        if names and not any(part in name for part in names):
            continue
        speeds, note = [], ""
        for dtype in DTYPES:
            c = shapes(target, dtype)[name]
            taken, made = measured(c, target, seconds)
            speeds.append(f"{c.flops / taken / 1e9:10.0f}")
            if dtype == "bfloat16":
                note = made.kernels[-1].note
        other = with_torch(name, c)
        speeds.append(f"{c.flops / fastest(other, seconds) / 1e9:10.0f}" if other else " " * 10)
        print(f"{name:32}{''.join(speeds)}  {note}", flush=True)


def training_step(name: str, policy: str) -> Callable[[], Any]:
    """A model's training step under a dtype policy."""
    am.config.set_dtype_policy(policy)
    training = Step(ROWS[name], samples=ROWS[name].batch)
    step: Any = training.step
    arrays = training.batches[0]
    graph = step.get_graph(*arrays).expand("primitive", keep=BACKEND.bare_kernels)
    program = Program(graph, BACKEND.bare_kernels)
    values = [*(a.numpy() for a in tree.flatten(arrays)), *(v.numpy() for v in graph.variables)]
    return functools.partial(program, values)


def steps(names: list[str], rounds: int) -> None:
    """Print the times of training steps, the policies in turn."""
    print(f"{'training step, ms':20}" + "".join(f"{policy:>16}" for policy in POLICIES))
    for name in MODELS:
        if names and not any(part in name for part in names):
            continue
        calls = [training_step(name, policy) for policy in POLICIES]
        best = [float("inf")] * len(calls)
        for _ in range(rounds):
            for i, call in enumerate(calls):
                start = time.thread_time()
                call()
                best[i] = min(best[i], time.thread_time() - start)
        print(f"{name:20}" + "".join(f"{seconds * 1e3:16.2f}" for seconds in best), flush=True)
    am.config.set_dtype_policy("float32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of shapes and models; all where none is given")
    parser.add_argument("--seconds", type=float, default=0.2, help="for each product")
    parser.add_argument("--rounds", type=int, default=10, help="of each training step")
    given = parser.parse_args()
    products(given.names, given.seconds)
    steps(given.names, given.rounds)


if __name__ == "__main__":
    # Threads are counted when these are first imported; the process is begun anew with one.
    if os.environ.get("AMALTHEA_NUM_THREADS") != "1":
        variables = ("AMALTHEA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        os.environ.update(dict.fromkeys(variables, "1"))
        os.environ["AMALTHEA_BACKEND"] = "native"
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.kernels_half", *sys.argv[1:]])
    main()
