"""The parent's side of worker processes: start, command, stop. One engine works while the others sleep in a read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from benchmarks.engines import ALL, threads_environment

ROOT = Path(__file__).resolve().parents[1]


class WorkerError(Exception):
    """An engine failed or is not installed; the message is what the table shows."""


class Worker:
    """The process of one engine.

    Args:
        name: a key of `engines.ALL`.
        threads: how many threads the engine may use.
        python: the interpreter that has it.
        environment: further environment variables.

    Raises:
        WorkerError: a package that the engine needs is not installed there.
    """

    def __init__(
        self, name: str, threads: int = 2, python: str = sys.executable, environment: Mapping[str, str] | None = None
    ) -> None:
        self.engine = ALL[name]
        missing = not_installed(self.engine.packages, python)
        if missing:
            raise WorkerError(f"not installed: {', '.join(missing)}")
        self._log: IO[str] = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", name, str(threads)],
            cwd=ROOT,
            env={**os.environ, **threads_environment(threads), **self.engine.environment, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def start(self, do: str, **arguments: Any) -> None:
        """Give a command; `finish` returns its answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._last_words()) from None

    def finish(self) -> Any:
        """Wait for the answer to the command given last.

        Raises:
            WorkerError: the command failed, or the process ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(self._last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer["ok"]

    def ask(self, do: str, **arguments: Any) -> Any:
        """Give a command and wait for its answer."""
        self.start(do, **arguments)
        return self.finish()

    def stop(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                pass
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _last_words(self) -> str:
        self._process.wait()
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()
        return f"its process ended ({self._process.returncode}): {lines[-1] if lines else 'no message'}"


_FOUND: dict[tuple[str, str], bool] = {}


def not_installed(packages: tuple[str, ...], python: str) -> list[str]:
    """Which of these packages an interpreter does not have; nothing is imported."""
    new = [package for package in packages if (python, package) not in _FOUND]
    if new:
        code = (
            "import importlib.util, sys; print(*[int(importlib.util.find_spec(p) is not None) for p in sys.argv[1:]])"
        )
        try:
            done = subprocess.run([python, "-c", code, *new], cwd=ROOT, capture_output=True, text=True, check=True)
            found = done.stdout.split()
        except (OSError, subprocess.CalledProcessError):  # no such interpreter
            found = ["0"] * len(new)
        _FOUND.update({(python, package): flag == "1" for package, flag in zip(new, found, strict=True)})
    return [package for package in packages if not _FOUND[python, package]]
