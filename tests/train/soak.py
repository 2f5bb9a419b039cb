"""`python -m tests.train.soak --steps 10000`: trains for long and watches the memory of the process.

Three things that must not grow: a model trained by `fit`, an eager loop with a tape, and functions that are called with
ever new shapes, of which caches keep a bounded number.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

import amalthea as am
from amalthea import ops

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def resident() -> int:
    """Bytes of memory that the process holds (Linux)."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def fitting() -> Callable[[int], None]:
    """Steps of `fit` with a model that has state: moments, moving averages, random masks."""
    layers = [am.layers.Dense(16, activation="relu"), am.layers.BatchNormalization(), am.layers.Dropout(0.2)]
    model = am.Sequential([am.Input((8,)), *layers, am.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    x = np.random.default_rng(0).normal(size=(400, 8)).astype("float32")

    def run(steps: int) -> None:
        model.fit(x, x.sum(1), batch_size=4, epochs=-(-steps // 100), verbose=0)

    return run


def stepping() -> Callable[[int], None]:
    """Steps of a compiled function of one's own."""
    weights = am.Variable(np.zeros((8, 1), "float32"))
    optimizer = am.optimizers.Adam(0.01)
    x = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(16, 8)).astype("float32"))

    @am.function
    def step(x):
        with am.GradientTape() as tape:
            loss = ops.mean(ops.square(ops.matmul(x, weights) - 1.0))
        optimizer.apply_gradients([(tape.gradient(loss, weights), weights)])
        return loss

    def run(steps: int) -> None:
        for _ in range(steps):
            step(x)

    return run


def taping() -> Callable[[int], None]:
    """Steps op by op."""
    weights = am.Variable(np.zeros((8, 1), "float32"))
    x = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(16, 8)).astype("float32"))

    def run(steps: int) -> None:
        for _ in range(steps):
            with am.GradientTape() as tape:
                loss = ops.mean(ops.square(ops.matmul(x, weights) - 1.0))
            weights.assign_sub(0.01 * tape.gradient(loss, weights))

    return run


def reshaping() -> Callable[[int], None]:
    """Eager calls whose shapes never come again."""
    shapes = iter(range(1, 1_000_000))

    def run(steps: int) -> None:
        for _ in range(steps):
            n = next(shapes)
            x = np.ones((n % 97 + 1, n // 97 + 1), "float32")
            ops.sum(ops.softmax(ops.convert_to_tensor(x) * 2.0))

    return run


WORK = {"fit": fitting, "function": stepping, "tape": taping, "shapes": reshaping}


def growth(name: str, steps: int, warm: int) -> tuple[int, int]:
    """Bytes that the process holds after `warm` steps, and how many more after `steps` further ones."""
    run = WORK[name]()
    run(warm)
    before = resident()
    run(steps)
    return before, resident() - before


def main() -> None:
    parser = argparse.ArgumentParser(description="Train for long and watch the memory.")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--warm", type=int, default=2_000)
    parser.add_argument("--most", type=float, default=16.0, help="MiB that the process may grow by")
    parser.add_argument("work", nargs="*", default=list(WORK), metavar="WORK", help=", ".join(WORK))
    options = parser.parse_args()
    bad = False
    for name in options.work:
        before, more = growth(name, options.steps, options.warm)
        bad |= more > options.most * 2**20
        print(f"{name}: {options.steps} steps, {before / 2**20:.1f} MiB, {more / 2**20:+.2f} MiB", flush=True)
    sys.exit(bad)


if __name__ == "__main__":
    main()
