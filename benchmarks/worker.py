"""The process of one engine: reads commands from its parent, trains or infers when told, sleeps in between.

`python -m benchmarks.worker NAME THREADS`, where NAME is a key of `engines.ALL`. Commands come as lines of JSON on
standard input, answers go as lines of JSON to what was standard output; what libraries print there goes to standard
error instead.
"""

from __future__ import annotations

import time

_BEGIN = time.perf_counter()

import gc  # noqa: E402
import importlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from benchmarks import engines  # noqa: E402


class Worker:
    """The commands; each is a method that takes and returns what JSON can hold.

    Args:
        engine: what is measured.
        threads: how many threads it may have.
    """

    def __init__(self, engine: engines.Engine, threads: int) -> None:
        self.engine, self.threads = engine, threads
        self.subject: Any = None

    def load(self, set: str, row: str, **options: Any) -> dict[str, Any]:
        """Make the engine ready for a row of a set; the caller decides when it runs for the first time."""
        begin = time.perf_counter()
        for package in self.engine.packages:
            importlib.import_module(package)
        engines.set_threads(self.threads)
        rows = importlib.import_module(f"benchmarks.{set}.rows").ROWS
        self.subject = self.engine.make(rows[row], **options)
        return {"seconds": time.perf_counter() - begin, "chosen": getattr(self.subject, "chosen", "")}

    def check(self, steps: int) -> dict[str, Any]:
        """Train some steps from the start: the losses, and how far the weights moved; then stand at the start again."""
        import numpy as np

        subject = self.subject
        subject.restart()
        before = [np.array(w) for w in subject.weights()]
        losses = list(subject.run(steps))
        pairs = zip(before, subject.weights(), strict=True)
        squares = sum(float(np.sum((np.asarray(b, "float64") - a) ** 2)) for a, b in pairs)
        subject.restart()
        return {"losses": losses, "moved": squares**0.5}

    def turn(self, steps: int, warm: int) -> dict[str, float]:
        """Begin training anew, take `warm` steps off the clock, then time `steps` steps.

        All engines time the same steps of the same training, however many turns they have had.

        Returns:
            "seconds" and "processor" seconds of one step; processor seconds of "all" of this.
        """
        spent = time.process_time()
        self.subject.restart()
        self.subject.run(warm)
        gc.collect()
        gc.disable()
        begin, processor = time.perf_counter(), time.process_time()
        self.subject.run(steps)
        seconds, processor = time.perf_counter() - begin, time.process_time() - processor
        gc.enable()
        return {"seconds": seconds / steps, "processor": processor / steps, "all": time.process_time() - spent}

    def epoch(self, samples: int) -> dict[str, float]:
        """Seconds since this process began, after one epoch of mlp-small on so many rows."""
        self.load("training", "mlp-small", samples=samples, **({"trials": False} if "Fit" in self.engine.maker else {}))
        row = self.subject.row
        if "Fit" in self.engine.maker:
            self.subject.epoch()
        else:
            self.subject.run(-(-samples // row.batch))
        return {"seconds": time.perf_counter() - _BEGIN, "peak": peak_memory()}

    def call(self, method: str, **arguments: Any) -> Any:
        """Any further method of the engine."""
        return getattr(self.subject, method)(**arguments)

    def accelerator(self) -> str:
        """The name of the graphics processor that PyTorch reaches; "" if there is none."""
        torch = importlib.import_module("torch")
        return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else ""

    def memory(self) -> dict[str, float]:
        return {"peak": peak_memory()}

    def versions(self) -> dict[str, str]:
        from benchmarks.machine import versions

        return versions(self.engine.packages)

    def installed(self) -> dict[str, int]:
        from benchmarks.sizes import installed_size

        return installed_size(self.engine.packages)


def peak_memory() -> float:
    """The most memory that this process ever held, bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return float(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) * (1 if sys.platform == "darwin" else 1024)


def bind(threads: int) -> None:
    """Keep this process on so many processors, where the system can: pools that ask how many there are see these."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    name, threads = sys.argv[1], int(sys.argv[2])
    bind(threads)
    worker = Worker(engines.ALL[name], threads)
    for line in sys.stdin:
        command: dict[str, Any] = json.loads(line)
        method: Callable[..., Any] = getattr(worker, command.pop("do"))
        try:
            answer = {"ok": method(**command)}
        except Exception as error:
            import traceback

            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {str(error).strip()[:2000]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
