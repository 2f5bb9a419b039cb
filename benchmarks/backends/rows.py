"""Single eager ops on small tensors, where what a call costs is not the arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class EagerOp:
    """One op, called again and again on the same tensors.

    Attributes:
        op: its name in `ops` of Amalthea and of Keras.
        shapes: of its tensors.
        arguments: further arguments there.
        steps: calls of one turn.
    """

    op: str
    shapes: tuple[tuple[int, ...], ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    steps: int = 2000

    @property
    def name(self) -> str:
        return f"eager-{self.op}"

    @property
    def shape(self) -> str:
        return " ".join("x".join(map(str, shape)) for shape in self.shapes)

    def data(self) -> list[np.ndarray]:
        random = np.random.default_rng(7)
        arrays = [random.uniform(0.1, 1, shape).astype("float32") for shape in self.shapes]
        if self.op == "where":
            arrays[0] = arrays[0] > 0.5  # type: ignore[assignment]
        return arrays


SQUARE = (8, 8)

ROWS: dict[str, EagerOp] = {
    row.name: row
    for row in (
        EagerOp("add", (SQUARE, SQUARE)),
        EagerOp("multiply", (SQUARE, SQUARE)),
        EagerOp("exp", (SQUARE,)),
        EagerOp("matmul", (SQUARE, SQUARE)),
        EagerOp("sum", (SQUARE,), {"axis": 1}),
        EagerOp("reshape", (SQUARE,), {"newshape": (64,)}),
        EagerOp("transpose", (SQUARE,)),
        EagerOp("where", (SQUARE, SQUARE, SQUARE)),
        EagerOp("softmax", (SQUARE,)),
        EagerOp("conv", ((1, 8, 8, 4), (3, 3, 4, 4)), steps=500),
    )
}
"""The rows by name."""
