"""`python -m tests.compiler.fuzz --minutes 10`: compiles random graphs and compares them with the reference.

Every graph that fails is made as small as can be, printed with its inputs, and the search stops.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings

from amalthea.backends.native import BACKEND
from amalthea.backends.numpy import BACKEND as REFERENCE
from amalthea.compiler.program import Program
from amalthea.compiler.target import Target
from tests.compiler.random_graphs import Case, assert_close, assert_same_bits, cases
from tests.compiler.random_programs import programs


@np.errstate(all="ignore")
def compiled(case: Case, target: Target | None = None) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What the compiled program gives, run twice on the same memory, and what the reference gives."""
    program = Program(case.graph, BACKEND.bare_kernels, target)
    arrays = [np.array(a, order="C") for a in case.arrays]
    first = program(arrays)
    assert_same_bits(program(arrays), first)
    assert_same_bits(arrays, case.arrays)  # inputs stay as they were
    return first, [np.asarray(x) for x in REFERENCE.compile(case.graph)(case.arrays)]


def check_exact(case: Case, target: Target | None = None) -> None:
    """The compiled program gives the same bits; zeros may differ in sign."""
    got, want = compiled(case, target)
    assert_same_bits(got, want, zero_signs=False)


def check_smooth(case: Case, target: Target | None = None) -> None:
    """The compiled program gives the same to the last digits."""
    got, want = compiled(case, target)
    assert_close(got, want)


def _test(check: Callable[..., None], target: Target | None) -> Callable[[Case], None]:
    def one(case: Case) -> None:
        check(case, target)

    return one


def main() -> None:
    parser = argparse.ArgumentParser(description="Compile random graphs and compare them with the reference.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="of the first round; the same one repeats it"
    )
    parser.add_argument("--target", help="a narrower target, e.g. avx2")
    options = parser.parse_args()
    os.environ.setdefault("AMALTHEA_CACHE", "off")  # no graph comes twice
    target = Target.named(options.target) if options.target else None
    end, number, done = time.monotonic() + 60 * options.minutes, options.seed, 0
    chosen = settings(
        max_examples=50,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    while time.monotonic() < end:
        for strategy, check in ((programs(), check_exact), (cases("smooth", True), check_smooth)):
            try:
                seed(number)(chosen(given(strategy)(_test(check, target))))()
            except BaseException:
                print(f"seed {number}", file=sys.stderr)
                raise
            done += 50
        number += 1
        print(f"\r{done} graphs agree, seed {number}", end="", flush=True)
    print()


if __name__ == "__main__":
    main()
