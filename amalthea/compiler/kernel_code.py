"""`KernelCode`: one generated kernel, as every generator returns it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from amalthea.compiler.emitter import Emitter


@dataclass(frozen=True)
class KernelCode:
    """An LLVM function `void name(ptr ..., i64 lo, i64 hi)` that computes its part [lo, hi) of a parallel index.

    Attributes:
        name: unique by content, so equal kernels are compiled once.
        text: the LLVM function.
        declarations: `declare` lines and helper functions that the module needs once.
        extent: of the parallel index.
        flops, bytes: arithmetic and memory traffic of the whole kernel, for `am.explain`.
        note: one line for people, e.g. the tile sizes.
    """

    name: str
    text: str
    declarations: frozenset[str]
    extent: int
    flops: int = 0
    bytes: int = 0
    note: str = ""


PLACEHOLDER = "kernel_name"


def finished(kind: str, e: Emitter, extent: int, flops: int = 0, bytes: int = 0, note: str = "") -> KernelCode:
    """The kernel in an emitter whose function was begun with the name `PLACEHOLDER`."""
    digest = hashlib.sha256((e.text() + "".join(sorted(e.declarations))).encode()).hexdigest()[:12]
    name = f"{kind}_{digest}"
    text = e.text().replace(f"@{PLACEHOLDER}(", f"@{name}(", 1)
    metadata = sorted(line for line in e.declarations if line.startswith("!"))  # it belongs to the function
    return KernelCode(
        name, "\n".join([text, *metadata]), frozenset(e.declarations - set(metadata)), extent, flops, bytes, note
    )
