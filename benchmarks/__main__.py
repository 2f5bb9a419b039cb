"""The command line: `python -m benchmarks [SET] [row ...]`; see README.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import commands
from benchmarks.race import Options

SETS: dict[str, Callable[[Sequence[str], commands.Request], None]] = {
    "training": commands.training,
    "backends": commands.backends,
    "gpu": commands.gpu,
    "inference": commands.inference,
    "startup": commands.startup,
    "core": commands.core,
    "compile": commands.compiling,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure Amalthea beside its peers. Without a set: all seven."
    )
    parser.add_argument("set", nargs="?", choices=sorted(SETS))
    parser.add_argument("names", nargs="*", metavar="row", help="rows of the set; all where none is given")
    parser.add_argument("--rounds", type=int, help="turns of each engine (default 8; 3 with --quick)")
    parser.add_argument("--engines", nargs="+", default=[], help="columns of the set; all where none is given")
    parser.add_argument("--threads", type=int, default=2, help="threads of each engine (default 2)")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="[ENGINE=]PATH",
        help="interpreter of an engine, of all engines of a package, or of all peers; may be given several times",
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, and nothing is written")
    parser.add_argument("--output", type=Path, help="folder for JSON and pictures (default: benchmarks/results)")
    given = parser.parse_args()
    pythons = {name: path for name, _, path in (one.rpartition("=") for one in given.python)}
    rounds = given.rounds or (3 if given.quick else 8)
    options = Options(rounds, given.threads, given.engines, pythons)
    output = given.output or (None if given.quick else Path(__file__).parent / "results")
    request = commands.Request(options, given.quick, output)
    try:
        for name in [given.set] if given.set else SETS:
            SETS[name](given.names, request)
    except commands.UnknownNameError as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
