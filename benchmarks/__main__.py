"""Run a set of measurements: `python -m benchmarks core [--quick] [--only ops tape]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import core
from benchmarks.report import Report

SETS = {"core": core.MEASUREMENTS}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Amalthea.")
    parser.add_argument("set", choices=sorted(SETS))
    parser.add_argument("--only", nargs="+", help="names of single measurements of the set")
    parser.add_argument("--quick", action="store_true", help="few repetitions: checks that the benchmark works")
    parser.add_argument(
        "--output", type=Path, help="JSON file to write (default: benchmarks/results/<set>.json; none with --quick)"
    )
    options = parser.parse_args()
    measurements = SETS[options.set]
    unknown = set(options.only or ()) - set(measurements)
    if unknown:
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}. There are: {', '.join(measurements)}")
    report = Report(options.set)
    for name in options.only or measurements:
        report.add(name, measurements[name](options.quick))
    target = options.output
    if target is None and not options.quick:
        target = Path(__file__).parent / "results" / f"{options.set}.json"
    if target is not None:
        report.write(target)


if __name__ == "__main__":
    main()
