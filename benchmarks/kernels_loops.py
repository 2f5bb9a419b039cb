"""How fast the generated loops are: `python -m benchmarks.kernels_loops [name ...]`, one thread.

For each function: the time of its program's steps, the bytes of its inputs and results over that time, the share of
what a copy reaches in the same run, elements a second, NumPy's time for the same graph (op by op), and its loop
kernels. Minima of many short runs, because the machine may have other work.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import amalthea as am
from amalthea import layers, ops
from amalthea.backends.native import BACKEND
from amalthea.backends.numpy import BACKEND as REFERENCE
from amalthea.compiler.program import Program
from amalthea.compiler.report import step_times
from amalthea.compiler.target import Target
from amalthea.core.trace import trace
from benchmarks.kernels_contraction import fastest

RNG = np.random.default_rng(0)
Function = Callable[..., Any]


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def gradient(f: Function) -> Function:
    """The gradient of f's result times a given one, with respect to f's first argument and its variables."""

    def run(x: Any, out: Any, *rest: Any) -> Any:
        with am.GradientTape() as tape:
            tape.watch(x)
            y = ops.sum(f(x, *rest) * out)
        weights = f.trainable_variables if isinstance(f, layers.Layer) else []
        return tape.gradient(y, [x, *weights])

    return run


def training(layer: layers.Layer, x: np.ndarray) -> Function:
    """The layer in training, built for x."""
    layer(x)

    def run(x: Any) -> Any:
        return layer(x, training=True)

    return run


def cross_entropy(x: Any, y: Any) -> Any:
    return am.losses.SparseCategoricalCrossentropy(from_logits=True)(y, x)


def update(optimizer: Any, *shapes: tuple[int, ...]) -> tuple[Function, list[np.ndarray]]:
    """An optimizer's step on parameters of these shapes."""
    weights = [am.Variable(normal(*shape), name=f"w{i}") for i, shape in enumerate(shapes)]
    optimizer.build(weights)

    def run(*gradients: Any) -> Any:
        optimizer.apply_gradients(zip(gradients, weights, strict=True))

    return run, [normal(*shape) for shape in shapes]


def pointwise() -> dict[str, tuple[Function, list[np.ndarray]]]:
    """Element by element, with broadcasts and casts."""
    x, y = normal(1024, 1024), normal(1024, 1024)
    images, whole = normal(32, 32, 32, 32), RNG.integers(-99, 99, (1024, 1024)).astype("int32")
    half = ops.cast(x, "bfloat16").numpy()
    found: dict[str, tuple[Function, list[np.ndarray]]] = {
        "add": (lambda x, y: x + y, [x, y]),
        "add a row": (lambda x, y: x + y, [x, normal(1024)]),
        "add a column": (lambda x, y: x + y, [x, normal(1024, 1)]),
        "scale channels": (lambda x, a, b: x * a + b, [images, normal(32), normal(32)]),
        "relu": (ops.relu, [x]),
        "relu gradient": (lambda x, g: ops.where(x > 0, g, 0.0), [x, y]),
        "gelu": (ops.gelu, [x]),
        "gelu gradient": (gradient(ops.gelu), [x, y]),
        "gelu erf": (lambda x: ops.gelu(x, approximate=False), [x]),
        "silu": (ops.silu, [x]),
        "tanh": (ops.tanh, [x]),
        "exp": (ops.exp, [x]),
        "log1p": (lambda x: ops.log1p(ops.abs(x)), [x]),
        "sin": (ops.sin, [x]),
        "exp float64": (ops.exp, [x.astype("float64")]),
        "mask": (lambda x, m: ops.where(m, x, -1e9), [normal(8, 4, 128, 128), RNG.random((128, 128)) < 0.5]),
        "integers": (lambda x: (x * 3 + 1) // 2 % 7, [whole]),
        "float to int": (lambda x: ops.cast(x, "int32"), [x]),
        "int to float": (lambda x: ops.cast(x, "float32") * 0.5, [whole]),
        "to bfloat16": (lambda x: ops.cast(x, "bfloat16"), [x]),
        "to float16": (lambda x: ops.cast(x, "float16"), [x]),
        "bfloat16 axpy": (lambda x, y: x * y + x, [half, half]),
        "float16 axpy": (lambda x, y: x * y + x, [x.astype("float16"), x.astype("float16")]),
        "transpose": (ops.transpose, [x]),
        "split heads": (lambda x: ops.transpose(x, (0, 2, 1, 3)), [normal(8, 128, 4, 64)]),
        "channels first": (lambda x: ops.transpose(x, (0, 3, 1, 2)), [images]),
    }
    return found


def reductions() -> dict[str, tuple[Function, list[np.ndarray]]]:
    """Sums and the like over rows, columns and everything."""
    x = normal(1024, 1024)
    return {
        "sum": (ops.sum, [x]),
        "max": (ops.max, [x]),
        "norm": (lambda x: ops.sqrt(ops.sum(x * x)), [x]),
        "sum of rows": (lambda x: ops.sum(x, axis=1), [x]),
        "sum of short rows": (lambda x: ops.sum(x, axis=1), [normal(100000, 10)]),
        "sum of columns": (lambda x: ops.sum(x, axis=0), [x]),
        "sum of few columns": (lambda x: ops.sum(x, axis=0), [normal(300000, 3)]),
        "sum over images": (lambda x: ops.sum(x, axis=(0, 1, 2)), [normal(32, 32, 32, 32)]),
        "sum of the middle": (lambda x: ops.sum(x, axis=1), [normal(32, 1024, 32)]),
        "mean and variance": (lambda x: (ops.mean(x, 0), ops.var(x, 0)), [normal(32768, 32)]),
    }


def normalizations() -> dict[str, tuple[Function, list[np.ndarray]]]:
    """Softmax, losses and normalisations, forward and backward."""
    rows, images = normal(1024, 256), normal(32, 16, 16, 64)
    scores, mask = normal(8, 4, 128, 128), np.tri(128, dtype=bool)
    labels = RNG.integers(0, 512, 1024).astype("int32")
    found: dict[str, tuple[Function, list[np.ndarray]]] = {
        "softmax": (ops.softmax, [scores]),
        "softmax masked": (lambda x, m: ops.softmax(ops.where(m, x, -1e9)), [scores, mask]),
        "softmax of 10": (ops.softmax, [normal(100000, 10)]),
        "softmax gradient": (gradient(ops.softmax), [scores, scores]),
        "log softmax": (ops.log_softmax, [scores]),
        "cross-entropy gradient": (gradient(cross_entropy), [normal(1024, 512), np.ones((), "float32"), labels]),
    }
    for name, make, x in (
        ("layer norm", layers.LayerNormalization, rows),
        ("RMS norm", layers.RMSNormalization, rows),
        ("batch norm", layers.BatchNormalization, images),
        ("group norm", lambda: layers.GroupNormalization(8), images),
    ):
        run = training(make(), x)
        found[name] = (run, [x])
        found[f"{name} gradient"] = (gradient(run), [x, x])
    return found


def optimizers() -> dict[str, tuple[Function, list[np.ndarray]]]:
    """Updates of parameters: of one large one, and of those of a small network."""
    small = [(784, 128), (128,), (128, 128), (128,), (128, 10), (10,)]
    return {
        "Adam": update(am.optimizers.Adam(), (2048, 2048)),
        "Adam of an MLP": update(am.optimizers.Adam(), *small),
        "AdamW clipped by norm": update(am.optimizers.AdamW(global_clipnorm=1.0), *small),
        "SGD momentum": update(am.optimizers.SGD(momentum=0.9), (2048, 2048)),
    }


def compiled(f: Function, arrays: list[np.ndarray]) -> tuple[Program, Callable[[list[np.ndarray]], Any], list[Any]]:
    """The program, the same graph on NumPy, and the arrays that both are called with."""
    graph = trace(f, *arrays, level="op").expand("primitive", keep=BACKEND.bare_kernels)
    values = [*arrays, *(v.numpy() for v in graph.variables)]
    return Program(graph, BACKEND.bare_kernels), REFERENCE.compile(graph), values


def traffic(program: Program) -> int:
    """Bytes of all inputs and results."""
    return sum(v.spec.size * v.spec.dtype.itemsize for v in _ends(program))


def _ends(program: Program) -> list[Any]:
    return [*program.graph.all_inputs, *program.graph.all_outputs]


def seconds_of(program: Program, values: list[Any], seconds: float) -> float:
    """The shortest times of all steps of a program together, of as many repeats as fit into a time."""
    routine, fallback = program.routine, program.fallback
    once = sum(t or 0.0 for t in step_times(routine, fallback, values, repeats=2))
    repeats = min(1000, max(3, int(seconds / once)))
    return sum(t or 0.0 for t in step_times(routine, fallback, values, repeats))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the functions' names; all where none is given")
    parser.add_argument("--seconds", type=float, default=0.2, help="for each measurement")
    given = parser.parse_args()
    program, _, values = compiled(lambda x: -x, [normal(1024, 1024)])
    copy = traffic(program) / seconds_of(program, values, given.seconds)
    print(f"{Target.host().name}: a pass over 4 MiB to 4 MiB at {copy / 1e9:.1f} GB/s (one thread)")
    print(f"{'function':24} {'µs':>9} {'GB/s':>6} {'of copy':>8} {'Gel/s':>6} {'NumPy µs':>9}  kernels")
    for name, (f, arrays) in {**pointwise(), **reductions(), **normalizations(), **optimizers()}.items():
        if given.names and not any(part in name for part in given.names):
            continue
        program, reference, values = compiled(f, arrays)
        seconds = seconds_of(program, values, given.seconds)
        other = fastest(functools.partial(reference, values), given.seconds)
        speed = traffic(program) / seconds
        largest = max(v.spec.size for v in _ends(program))
        kernels = [code.name.split("_")[0] for step in program.steps for code, _ in step.codes]
        kernels += [f"numpy {step.node.op.name}" for step in program.steps if step.node is not None]
        print(
            f"{name:24} {seconds * 1e6:9.1f} {speed / 1e9:6.1f} {speed / copy:8.0%} {largest / seconds / 1e9:6.2f} "
            f"{other * 1e6:9.1f}  {' '.join(kernels)}",
            flush=True,
        )


if __name__ == "__main__":
    # Threads are counted when these are first imported; the process is begun anew with one.
    if os.environ.get("AMALTHEA_NUM_THREADS") != "1":
        os.environ.update(dict.fromkeys(("AMALTHEA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.kernels_loops", *sys.argv[1:]])
    main()
