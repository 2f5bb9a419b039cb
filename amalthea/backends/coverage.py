"""Which ops each backend computes itself, derived from the op registry and the tables of kernels: for documents."""

from __future__ import annotations

import importlib

from amalthea.core.registry import registry

ENGINES = ("numpy", "native", "jax", "torch", "tensorflow")


def coverage_by_backend() -> dict[str, dict[str, str]]:
    """For each op how each backend computes it: "kernel", "expansion" (from the kernels of other ops) or "none".

    Every backend is loaded, so all engines must be installed.
    """
    import amalthea.ops  # noqa: F401  # fills the registry

    backends = {name: importlib.import_module(f"amalthea.backends.{name}").BACKEND for name in ENGINES}
    found: dict[str, dict[str, str]] = {}
    for name, function in sorted(registry.items()):
        body = "none" if function.op.kind == "primitive" else "expansion"
        found[name] = {
            engine: "kernel" if name in backend.kernels or name in backend.composites else body
            for engine, backend in backends.items()
        }
    return found


def coverage_table() -> str:
    """The same as a table in Markdown: the ops that have a kernel somewhere; all others are expansions everywhere."""
    rows = [
        f"| `{name}` | {' | '.join(kinds.values())} |"
        for name, kinds in coverage_by_backend().items()
        if set(kinds.values()) != {"expansion"}
    ]
    return "\n".join([f"| op | {' | '.join(ENGINES)} |", "|---|" + "---|" * len(ENGINES), *rows])
