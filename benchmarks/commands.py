"""What the command line runs: each set measured, printed and written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.engines import BACKENDS, EAGER, GPU, INFERENCE, TRAINING, Engine
from benchmarks.race import Options
from benchmarks.ratio_report import RatioReport
from benchmarks.workers import Worker, WorkerError

WIDTH = 190


class UnknownNameError(Exception):
    """A row or an engine that does not exist."""


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        options: how to measure.
        quick: whether it only has to be seen that everything works.
        output: folder for the results, or None.
    """

    options: Options
    quick: bool
    output: Path | None


def training(names: Sequence[str], request: Request) -> None:
    """One training step of each model, ours and the peers'."""
    from benchmarks import floor
    from benchmarks.training import table
    from benchmarks.training.rows import ROWS

    _known(names, ROWS, "row")
    _known(request.options.engines, TRAINING, "engine")
    console = _console()
    engines = [name for name in TRAINING if not request.options.engines or name in request.options.engines]
    report = RatioReport("training", engines, versions=_versions(TRAINING, request.options))
    report.options = {"rounds": request.options.rounds, "threads": request.options.threads}
    found = floor.measure(request.options.threads, megabytes=128 if request.quick else 1024)
    report.floor, report.floor_text = asdict(found), found.describe()
    with _what_there_is(report, request, console):
        for row in table.rows(names):
            try:
                measured, done = table.measure(row, found, request.options)
            except WorkerError as error:
                console.print(f"{row.name}: no reference: {error}", markup=False)
                continue
            report.add(measured, row.shape, done.others, console)


def backends(names: Sequence[str], request: Request) -> None:
    """Our code on JAX, PyTorch and TensorFlow beside these alone and Keras on them: steps, and single eager ops."""
    from benchmarks import floor
    from benchmarks.backends import rows, table
    from benchmarks.training.rows import ROWS
    from benchmarks.training.table import measure

    _known(names, {**ROWS, **rows.ROWS}, "row")
    columns = {name: engine for engines in BACKENDS.values() for name, engine in engines.items()}
    _known(request.options.engines, columns, "engine")
    console = _console()
    found = floor.measure(request.options.threads, megabytes=128 if request.quick else 1024)
    for backend, engines in BACKENDS.items():
        chosen = {n: e for n, e in engines.items() if not request.options.engines or n in request.options.engines}
        if not chosen:
            continue
        report = RatioReport(f"backends-{backend}", list(chosen), versions=_versions(chosen, request.options))
        report.options = {"rounds": request.options.rounds, "threads": request.options.threads}
        report.floor, report.floor_text, report.judge = asdict(found), found.describe(), table.verdict
        with _what_there_is(report, request, console):
            for row in [ROWS[name] for name in names or ROWS if name in ROWS]:
                try:
                    measured, done = measure(row, found, request.options, engines)
                except WorkerError as error:
                    console.print(f"{row.name}: no reference: {error}", markup=False)
                    continue
                report.add(measured, row.shape, done.others, console)
            for op in [rows.ROWS[name] for name in names or rows.ROWS if name in rows.ROWS]:
                some = {name: engine for name, engine in EAGER[backend].items() if name in chosen}
                measured, done = table.measure_eager(op, some, request.options)
                report.add(measured, op.shape, done.others, console)


def gpu(names: Sequence[str], request: Request) -> None:
    """Training steps on a graphics processor; with --quick tiny ones, wherever they run."""
    from benchmarks.gpu import rows, table

    _known(names, rows.ROWS, "row")
    _known(request.options.engines, GPU, "engine")
    console = _console()
    device = table.device(request.options)
    chosen = list(names) or [name for name in rows.ROWS if (name in rows.LARGE) != request.quick]
    if not device and any(name in rows.LARGE for name in chosen):
        console.print("gpu: PyTorch reaches no graphics processor here: nothing is measured (--quick runs tiny rows)")
        return
    engines = [name for name in GPU if not request.options.engines or name in request.options.engines]
    report = RatioReport("gpu", engines, versions=_versions(GPU, request.options))
    report.options = {"rounds": request.options.rounds, "device": device or "none: the processor"}
    with _what_there_is(report, request, console):
        for row in [rows.ROWS[name] for name in chosen]:
            measured, done = table.measure(row, request.options)
            report.add(measured, row.shape, done.others, console)


def inference(names: Sequence[str], request: Request) -> None:
    """Forward passes of whole networks beside the inference runtimes."""
    from benchmarks.inference import table
    from benchmarks.inference.rows import ROWS

    _known(names, ROWS, "row")
    _known(request.options.engines, INFERENCE, "engine")
    console = _console()
    engines = [name for name in INFERENCE if not request.options.engines or name in request.options.engines]
    report = RatioReport("inference", engines, versions=_versions(INFERENCE, request.options))
    report.options = {"rounds": request.options.rounds, "threads": request.options.threads}
    with _what_there_is(report, request, console):
        for measured, done in table.measure([ROWS[name] for name in names or ROWS], request.options, console):
            row = ROWS[measured.name]
            report.add(measured, f"{row.size}x{row.size} images, batch {row.batch}", done.others, console)


def startup(names: Sequence[str], request: Request) -> None:
    """From `import` to the end of the first epoch, memory, installed size."""
    from benchmarks import startup

    _known(request.options.engines, TRAINING, "engine")
    console = _console()
    report = startup.measure(request.options, 1 if request.quick else min(request.options.rounds, 5))
    report.print(console)
    if request.output is not None:
        console.print(f"wrote {report.write(request.output).name}")


def compiling(names: Sequence[str], request: Request) -> None:
    """How long compiling a training step takes, with an empty and with a filled cache."""
    from benchmarks import compile_time

    _known(names, compile_time.MODELS, "row")
    console, options = _console(), request.options
    rounds = 1 if request.quick else min(options.rounds, 3)
    found = compile_time.measure(names or list(compile_time.MODELS), rounds, options.threads, console)
    if request.output is not None:
        path = request.output / "compile.json"
        compile_time.save(found, rounds, options.threads, path)
        console.print(f"wrote {path.name}")


def core(names: Sequence[str], request: Request) -> None:
    """What a single op, tracing and the import cost."""
    from benchmarks.core import MEASUREMENTS
    from benchmarks.report import Report

    _known(names, MEASUREMENTS, "row")
    report = Report("core")
    for name in names or MEASUREMENTS:
        report.add(name, MEASUREMENTS[name](request.quick))
    if request.output is not None:
        report.write(request.output / "core.json")


@contextlib.contextmanager
def _what_there_is(report: RatioReport, request: Request, console: Console) -> Iterator[None]:
    """Print and write the rows that were measured, at the end or when somebody stops it before."""
    try:
        yield
    except KeyboardInterrupt:
        console.print("stopped: what follows are the rows until then")
    report.print(console)
    if request.output is not None:
        for path in report.write(request.output):
            console.print(f"wrote {path.name}")


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def _known(names: Iterable[str], there: Iterable[str], what: str) -> None:
    unknown = sorted(set(names) - set(there))
    if unknown:
        raise UnknownNameError(f"no such {what}: {', '.join(unknown)}. There are: {', '.join(there)}")


def _versions(engines: Mapping[str, Engine], options: Options) -> dict[str, str]:
    """Versions of everything that is compared, as the interpreters that run it see them."""
    found: dict[str, str] = {}
    kind = "inference" if engines is INFERENCE else "training"
    for name, engine in engines.items():
        if all(package in found for package in engine.packages):
            continue
        try:
            with Worker(f"{kind}/{name}", options.threads, options.python(engine)) as worker:
                found |= worker.ask("versions")
        except WorkerError:
            continue
    import amalthea

    return {**found, "amalthea": amalthea.__version__}
