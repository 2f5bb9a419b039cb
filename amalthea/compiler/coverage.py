"""What code each primitive has, derived from the compiler's tables: for documents and tests."""

from __future__ import annotations

from collections.abc import Mapping

from amalthea.compiler.control_flow import CONTROL
from amalthea.compiler.elementwise import OPS
from amalthea.compiler.fusion import COMPUTED
from amalthea.compiler.generators import CONTRACTIONS, GENERATORS
from amalthea.compiler.indexing import CHOICES, MOVES
from amalthea.compiler.reductions import REDUCTIONS
from amalthea.core.registry import registry

KINDS: Mapping[str, frozenset[str]] = {
    "computed element by element in any loop": OPS,
    "an index in any loop: nothing is moved": frozenset(MOVES),
    "a choice by the place in any loop": frozenset(CHOICES),
    "made from the place in any loop": COMPUTED,
    "a loop that reduces": REDUCTIONS,
    "a contraction, which takes pointwise work on its result": frozenset(CONTRACTIONS),
    "kernels of its own": frozenset(GENERATORS),
    "a routine that runs graphs": frozenset(CONTROL),
}
"""How ops are compiled, and which."""
NOTHING = "nothing: it runs as its NumPy kernel"


def coverage() -> dict[str, list[str]]:
    """The primitives (and composites that have code as a whole) by what they become; one with two forms is there twice.

    >>> coverage()["a loop that reduces"]
    ['max', 'min', 'prod', 'sum']
    """
    import amalthea.ops  # noqa: F401  # fills the registry

    left = {name for name, function in registry.items() if function.op.kind == "primitive"}
    found = {}
    for kind, names in KINDS.items():
        found[kind] = sorted(names)
        left -= names
    if left:
        found[NOTHING] = sorted(left)
    return found


def coverage_table() -> str:
    """The same as a table in Markdown."""
    rows = [f"| {kind} | {', '.join(f'`{name}`' for name in names)} |" for kind, names in coverage().items()]
    return "\n".join(["| what it becomes | primitives |", "|---|---|", *rows])
