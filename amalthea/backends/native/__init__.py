"""The native backend: graphs become fused loops and machine code for this CPU, through LLVM.

Arrays are NumPy's, and single ops run as NumPy kernels; what is traced is compiled by `amalthea.compiler`. Primitives
without generated code run as NumPy kernels inside the program.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence

import numpy as np

from amalthea.backends.numpy import NumpyBackend
from amalthea.core.graph import Graph

if importlib.util.find_spec("llvmlite") is None:
    raise ImportError(
        "[native] this backend compiles with LLVM, and llvmlite, which brings it, is not installed. "
        "Fix: pip install 'llvmlite>=0.50'."
    )


class NativeBackend(NumpyBackend):
    """LLVM behind the backend protocol of `amalthea.core.backend`."""

    name = "native"

    def compile(self, graph: Graph) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
        """A program of machine code for a graph of primitives."""
        from amalthea.compiler.program import Program  # a tenth of a second, which a program without graphs saves

        return np.errstate(all="ignore")(Program(graph, self.bare_kernels))


BACKEND = NativeBackend()
