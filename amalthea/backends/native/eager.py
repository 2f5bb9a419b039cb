"""Kernels for single ops that eager code calls: NumPy's, and on large arrays compiled programs where those gain.

Whether a call is compiled depends on its op, shapes and dtypes alone, so the same call always gives the same digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from amalthea.core import dtypes
from amalthea.core.config import code_settings
from amalthea.core.context import eager_scope
from amalthea.core.graph import Graph
from amalthea.core.registry import registry
from amalthea.core.spec import TensorSpec
from amalthea.core.trace import trace

SMALL = 1 << 9
"""Elements of the first and last operand below which nothing pays; such a call costs a tenth of a microsecond more."""

KEPT, KNOWN = 32, 1024  # programs of an op, some hundred kilobytes each, and calls known not to be worth one

Kernel = Callable[..., Any]
Compile = Callable[[Graph], Callable[[Sequence[np.ndarray]], list[np.ndarray]] | None]


def eager_kernel(name: str, kernel: Kernel, compile_eager: Compile) -> Kernel:
    """The kernel of an op for eager calls.

    Args:
        name: a primitive, or a composite that programs take as it is.
        kernel: NumPy's.
        compile_eager: makes a program, or None where NumPy is as good.
    """
    programs: dict[Any, Any] = {}
    plain: dict[Any, Any] = {}

    def call(*arrays: np.ndarray, **attrs: Any) -> Any:
        if arrays[0].size < SMALL and arrays[-1].size < SMALL:
            return kernel(*arrays, **attrs)
        key = (code_settings(), *attrs.values(), *[(array.shape, array.dtype) for array in arrays])
        program = programs.get(key)
        if program is None and key not in plain:
            program = compile_eager(_graph(name, arrays, attrs))
            kept, most = (plain, KNOWN) if program is None else (programs, KEPT)
            if len(kept) >= most:
                kept.clear()
            kept[key] = program
        if program is None:
            return kernel(*arrays, **attrs)
        made = program(arrays)
        return made[0] if len(made) == 1 else tuple(made)

    def contract(x: np.ndarray, y: np.ndarray, *, subscripts: str) -> Any:
        if x.dtype.char in "fd":  # float32 and float64: BLAS
            return kernel(x, y, subscripts=subscripts)
        return call(x, y, subscripts=subscripts)

    return contract if name == "contract" else call


def _graph(name: str, arrays: Sequence[np.ndarray], attrs: dict[str, Any]) -> Graph:
    specs = [TensorSpec(array.shape, dtypes.from_numpy(array.dtype)) for array in arrays]
    with eager_scope():
        graph = trace(lambda *tensors: registry[name](*tensors, **attrs), *specs, level="op")
    return graph.expand("primitive", keep={name})
