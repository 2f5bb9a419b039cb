"""What the core costs: a single op, tracing a large step, the import."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np

import amalthea as am
from benchmarks.measure import Timing, interleaved
from benchmarks.report import Row
from benchmarks.resnet import make_training_step


def eager_ops(quick: bool) -> list[Row]:
    """One eager call of an op, next to NumPy's own on the same small arrays; small, so that the overhead shows."""
    a, b = np.linspace(0.1, 1, 128, dtype="float32").reshape(2, 8, 8)
    ta, tb = am.ops.convert_to_tensor(a), am.ops.convert_to_tensor(b)
    c = a > 0.5
    tc = am.ops.convert_to_tensor(c)
    ops = am.ops
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "add": (lambda: ops.add(ta, tb), lambda: np.add(a, b)),
        "multiply": (lambda: ops.multiply(ta, tb), lambda: np.multiply(a, b)),
        "exp": (lambda: ops.exp(ta), lambda: np.exp(a)),
        "matmul": (lambda: ops.matmul(ta, tb), lambda: np.matmul(a, b)),
        "sum": (lambda: ops.sum(ta, axis=1), lambda: np.sum(a, axis=1)),
        "reshape": (lambda: ops.reshape(ta, (64,)), lambda: np.reshape(a, (64,))),
        "transpose": (lambda: ops.transpose(ta), lambda: np.transpose(a)),
        "where": (lambda: ops.where(tc, ta, tb), lambda: np.where(c, a, b)),
        "x + y": (lambda: ta + tb, lambda: a + b),
    }
    rows = []
    for name, (ours, theirs) in pairs.items():
        times = interleaved({"ours": ours, "numpy": theirs}, rounds=3 if quick else 41, calls=10 if quick else 1000)
        more = times["ours"].median - times["numpy"].median
        rows.append(Row(f"{name}, amalthea", times["ours"], f"{more * 1e6:+.2f} µs over NumPy (at most 5)"))
        rows.append(Row(f"{name}, numpy", times["numpy"]))
    return rows


def tracing(quick: bool) -> list[Row]:
    """Tracing one training step (forward, loss, backward, update) of a network of the size of ResNet-50."""
    step, specs = make_training_step(image_size=64 if quick else 224, batch_size=2 if quick else 32)
    graph = am.trace(step, *specs)
    times = interleaved({"trace": lambda: am.trace(step, *specs)}, rounds=1 if quick else 7)
    return [Row("training step of ResNet-50", times["trace"], f"{len(graph.nodes)} nodes (under 1 s)")]


def importing(quick: bool) -> list[Row]:
    """A new interpreter that imports the package, beside one that imports NumPy and one that imports nothing."""
    programs = {
        "import amalthea": "import amalthea",
        "... and use layers, ops and optimizers": "import amalthea as am; am.layers, am.ops, am.optimizers, am.Model",
        "import numpy": "import numpy",
        "python alone": "pass",
    }

    def start(code: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    times = interleaved({name: start(code) for name, code in programs.items()}, rounds=2 if quick else 15)
    alone = times["python alone"].median
    return [
        Row(name, _less(timing, alone), "beyond python alone") if name != "python alone" else Row(name, timing)
        for name, timing in times.items()
    ]


def _less(timing: Timing, seconds: float) -> Timing:
    return Timing(timing.median - seconds, timing.low - seconds, timing.high - seconds, timing.rounds)


MEASUREMENTS: dict[str, Callable[[bool], list[Row]]] = {
    "ops": eager_ops,
    "trace": tracing,
    "import": importing,
}
