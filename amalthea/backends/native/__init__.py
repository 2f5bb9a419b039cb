"""The native backend: graphs become fused loops and machine code for this CPU, through LLVM.

Arrays are NumPy's, and single ops run as NumPy kernels; what is traced is compiled by `amalthea.compiler`. Primitives
without generated code run as NumPy kernels inside the program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from amalthea.backends.numpy import NumpyBackend
from amalthea.compiler.program import Program
from amalthea.core.graph import Graph


class NativeBackend(NumpyBackend):
    """LLVM behind the backend protocol of `amalthea.core.backend`."""

    name = "native"

    def compile(self, graph: Graph) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
        """A program of machine code for a graph of primitives."""
        return np.errstate(all="ignore")(Program(graph, self.bare_kernels))


BACKEND = NativeBackend()
