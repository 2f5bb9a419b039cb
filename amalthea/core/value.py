"""`Value`: one value of a graph, made once and never changed."""

from __future__ import annotations

import itertools
from typing import Any

from amalthea.core.spec import TensorSpec

_order = itertools.count(1)


def now() -> int:
    """The next creation number; what is made later has a larger one."""
    return next(_order)


class Value:
    """One value of a graph: shape and dtype, the node that makes it (None for inputs), the trace it belongs to."""

    __slots__ = ("_name", "index", "node", "spec", "trace")

    def __init__(
        self, spec: TensorSpec, node: Any = None, index: int = 0, trace: int = 0, name: str | None = None
    ) -> None:
        self.spec, self.node, self.index, self.trace = spec, node, index, trace
        self._name = name or spec.name

    @property
    def name(self) -> str:
        if self._name is None:
            self._name = f"keras_tensor_{now()}"
        return self._name

    def __repr__(self) -> str:
        return f"Value({self.spec})"
