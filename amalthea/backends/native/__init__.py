"""The native backend: graphs become fused loops and machine code for this CPU, through LLVM.

Arrays are NumPy's. What is traced is compiled by `amalthea.compiler`; primitives without generated code run as NumPy
kernels inside the program. Op by op, NumPy's kernels compute, and on large arrays compiled ones where those gain
(`costs.py` says when).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from amalthea.backends.native.costs import BLOCKWISE, ELEMENT, PAYS, SHAPED, gain
from amalthea.backends.native.eager import BLOCK, blockwise_kernel, shaped_kernel
from amalthea.backends.numpy import NumpyBackend
from amalthea.core.graph import Graph

_LLVMLITE = (0, 50)


def _missing() -> str:
    """What is wrong with the llvmlite that is installed; empty if nothing is."""
    if importlib.util.find_spec("llvmlite") is None:
        return "is not installed"
    version = importlib.metadata.version("llvmlite")
    old = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < _LLVMLITE
    return f"is too old: {version}" if old else ""


if fault := _missing():
    raise ImportError(
        f"[native] this backend compiles with LLVM, and llvmlite, which brings it, {fault}. "
        "Fix: pip install 'llvmlite>=0.50'."
    )


class NativeBackend(NumpyBackend):
    """LLVM behind the backend protocol of `amalthea.core.backend`."""

    name = "native"
    large: int | None = 1 << 14
    composites = ("attention", "attention_gradient")

    def __init__(self) -> None:
        super().__init__()
        for name in SHAPED:
            self.kernels[name] = shaped_kernel(name, self.kernels[name], self.compile_eager)
        for name in BLOCKWISE:
            least = max(BLOCK, int(PAYS / ELEMENT[name]))
            self.kernels[name] = blockwise_kernel(
                name, self.kernels[name], self._program, least, int(name == "threefry2x32")
            )

    def compile(
        self, graph: Graph, jit_compile: bool | None = None
    ) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
        """A program of machine code for a graph of primitives."""
        return self._program(graph)

    def compile_eager(self, graph: Graph) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]] | None:
        """A program of machine code; None where it would save little, or needs kernels of NumPy all the same."""
        if gain(graph) < PAYS:
            return None
        program = self._program(graph)
        return None if program.fallbacks else program

    def _program(self, graph: Graph) -> Any:
        from amalthea.compiler.program import Program  # a tenth of a second, which a program without graphs saves

        return Program(graph, self.bare_kernels)


BACKEND = NativeBackend()
