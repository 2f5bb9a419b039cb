"""How long a training step takes to compile: with an empty cache, and again in a new process that finds the code there.

Each figure is of a process of its own. Processor time is what all threads together spend, and is little disturbed by
other programs; the total is also given by the clock. `trace` runs the Python function, `expand` goes down to
primitives, `passes` are those over the graph, `kernels` is fusion, planning, the choice of tilings and the text of the
kernels, `llvm` is from that text to code in memory. A program from the cache needs tracing, expanding and loading only.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from benchmarks.report import readable
from benchmarks.training.rows import CLASSES, ROWS, Training
from benchmarks.training.work import Work

LARGE = {
    row.name: row
    for row in (
        Training("resnet50", "224x224x3, batch 8", (((224, 224, 3), 0),), 1000, 8, 1, CLASSES, Work()),
        Training(
            "gpt-medium",
            "12 layers, width 512, 8 heads, context 256, batch 2",
            (((256,), 512),),
            512,
            2,
            1,
            CLASSES,
            Work(),
            targets=(256,),
        ),
    )
}
MODELS: Mapping[str, Training] = {name: row for name, row in ROWS.items() if not row.eager} | LARGE
"""What is compiled: the training steps of the training table, and two larger ones."""


@dataclass(frozen=True)
class Compiled:
    """One compilation.

    Attributes:
        trace, expand, passes: processor seconds.
        kernels, llvm, total: seconds by the clock.
        processor: processor seconds altogether.
        nodes: of the graph of primitives.
        functions, text: generated functions, and characters of them.
    """

    trace: float
    expand: float
    passes: float
    kernels: float
    llvm: float
    total: float
    processor: float
    nodes: int
    functions: int
    text: int


def compile_once(name: str) -> Compiled:
    """Compile a training step in this process."""
    from amalthea.backends.native import BACKEND as native
    from amalthea.compiler.passes.pipeline import optimize
    from amalthea.compiler.program import Program
    from benchmarks.training.with_keras import Step

    training = Step(MODELS[name], samples=MODELS[name].batch)
    step: Any = training.step
    trace, traced = timed(lambda: step.get_graph(*training.batches[0]))
    expand, graph = timed(lambda: traced.expand("primitive"))
    passes, _ = timed(lambda: optimize(graph))  # beforehand, to know what they take inside `Program`
    begin = time.perf_counter()
    processor, made = timed(lambda: Program(graph, native.bare_kernels))
    clock = time.perf_counter() - begin
    llvm = made.loaded.seconds if made.loaded else 0.0
    if made.loaded and made.loaded.cached:
        passes = 0.0  # a program from the cache needs none
    texts = {code.name: len(code.text) for one in made.steps for code, _ in one.codes}
    return Compiled(
        trace,
        expand,
        passes,
        max(clock - llvm - passes, 0.0),
        llvm,
        trace + expand + clock,
        trace + expand + processor,
        len(graph.nodes),
        len(texts),
        sum(texts.values()),
    )


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds that a call takes, and its result."""
    begin = time.process_time()
    found = function()
    return time.process_time() - begin, found


def in_new_process(name: str, cache: Path, threads: int) -> Compiled:
    """Compile a training step in a process of its own, with this folder for the cache."""
    code = f"import benchmarks.compile_time as b; b.write({name!r})"
    names = ("AMALTHEA_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = os.environ | {"AMALTHEA_BACKEND": "native", "AMALTHEA_CACHE": str(cache)}
    environment |= dict.fromkeys(names, str(threads))
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return Compiled(**json.loads(done.stdout.splitlines()[-1]))


def write(name: str) -> None:
    """Compile in this process and print the figures as JSON."""
    print(json.dumps(asdict(compile_once(name))))


def measure(names: Sequence[str], rounds: int, threads: int, console: Console) -> dict[str, dict[str, Compiled]]:
    """For each model the medians of compiling with an empty cache and from the cache, printed as they come."""
    table = Table(title="compiling a training step", title_justify="left")
    for column in ("model", "cache", *_COLUMNS):
        table.add_column(column, justify="left" if column in ("model", "cache") else "right")
    found: dict[str, dict[str, Compiled]] = {}
    for name in names:
        runs: dict[str, list[Compiled]] = {"empty": [], "filled": []}
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as cache:
                for some in runs.values():
                    some.append(in_new_process(name, Path(cache), threads))
        found[name] = {state: median(some) for state, some in runs.items()}
        for state, one in found[name].items():
            values = asdict(one)
            cells = [readable(values[c]) if isinstance(values[c], float) else f"{values[c]:,}" for c in _COLUMNS]
            table.add_row(name, state, *cells)
    console.print(table)
    return found


_COLUMNS = tuple(Compiled.__dataclass_fields__)


def median(some: Sequence[Compiled]) -> Compiled:
    """The medians of each figure.

    >>> one, two = (Compiled(*[float(i)] * 7, 1, 1, 1) for i in (1, 3))
    >>> median([one, two, two]).total
    3.0
    """
    return Compiled(**{c: statistics.median([asdict(one)[c] for one in some]) for c in _COLUMNS})


def save(found: Mapping[str, Mapping[str, Compiled]], rounds: int, threads: int, path: Path) -> None:
    """Write the results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "set": "compile",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(("amalthea", "numpy", "llvmlite")),
        "options": {"rounds": rounds, "threads": threads},
        "seconds": {name: {state: asdict(one) for state, one in both.items()} for name, both in found.items()},
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
