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
"""Elements of an operand below which nothing pays; such a call costs a tenth of a microsecond more."""

BLOCK = 1 << 14
"""Elements of a block: enough to share among threads, few enough to stay in cache."""

KEPT, KNOWN = 32, 1024  # programs of an op, some hundred kilobytes each, and calls known not to be worth one

Kernel = Callable[..., Any]
Program = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
Compile = Callable[[Graph], Program | None]


def shaped_kernel(name: str, kernel: Kernel, compile_eager: Compile) -> Kernel:
    """The kernel of a primitive for eager calls, which has a program for each shape.

    Args:
        name: the primitive.
        kernel: NumPy's.
        compile_eager: makes a program, or None where NumPy is as good.
    """
    programs: dict[Any, Any] = {}
    plain: dict[Any, Any] = {}

    def call(*arrays: np.ndarray, **attrs: Any) -> Any:
        if arrays[0].size < SMALL:
            return kernel(*arrays, **attrs)
        key = (code_settings(), *attrs.values(), *[(array.shape, array.dtype) for array in arrays])
        program = programs.get(key)
        if program is None and key not in plain:
            program = compile_eager(_graph(name, arrays, attrs))
            kept, most = (plain, KNOWN) if program is None else (programs, KEPT)
            if len(kept) >= most:
                kept.clear()
            kept[key] = program
        return kernel(*arrays, **attrs) if program is None else program(arrays)[0]

    def contract(x: np.ndarray, y: np.ndarray, *, subscripts: str) -> Any:
        if x.dtype.char in "fd":  # float32 and float64: BLAS
            return kernel(x, y, subscripts=subscripts)
        return call(x, y, subscripts=subscripts)

    return contract if name == "contract" else call


def blockwise_kernel(
    name: str, kernel: Kernel, compile_graph: Callable[[Graph], Program], least: int, whole: int = 0
) -> Kernel:
    """The kernel of an elementwise op for eager calls: one program for a block of elements serves all shapes.

    Operands of the same shape are cut into blocks, of which the last overlaps the one before; beside them there may be
    single numbers. NumPy computes what else broadcasts.

    Args:
        name: a primitive without attributes, or a composite that programs take as it is.
        kernel: NumPy's.
        compile_graph: makes a program.
        least: elements of the first or last operand to be cut from which it pays.
        whole: how many operands come first that are passed on as they are, such as a key.
    """
    programs: dict[Any, Program] = {}

    def call(*arrays: np.ndarray, **attrs: Any) -> Any:
        if arrays[whole].size < least > arrays[-1].size:
            return kernel(*arrays, **attrs)
        size = max(array.size for array in arrays)
        cut = [array.size == size for array in arrays]
        shapes = {array.shape for array in arrays[whole:] if array.size != 1}
        if len(shapes) > 1:
            return kernel(*arrays, **attrs)
        shape = np.broadcast_shapes(*[array.shape for array in arrays[whole:]])
        operands = [array.reshape(-1) for array in arrays]
        first = [array[:BLOCK] for array in operands]
        key = (code_settings(), *[(array.shape, array.dtype) for array in first])
        program = programs.get(key)
        if program is None:
            program = programs[key] = compile_graph(_graph(name, first, attrs))
        made: list[np.ndarray] = []
        for start in (*range(0, size - BLOCK, BLOCK), size - BLOCK):
            part = slice(start, start + BLOCK)
            found = program([array[part] if is_cut else array for array, is_cut in zip(operands, cut, strict=True)])
            made = made or [np.empty(size, array.dtype) for array in found]
            for out, array in zip(made, found, strict=True):
                out[part] = array
        results = [array.reshape(shape) for array in made]
        return results[0] if len(results) == 1 else tuple(results)

    return call


def _graph(name: str, arrays: Sequence[np.ndarray], attrs: dict[str, Any]) -> Graph:
    specs = [TensorSpec(array.shape, dtypes.from_numpy(array.dtype)) for array in arrays]
    with eager_scope():
        graph = trace(lambda *tensors: registry[name](*tensors, **attrs), *specs, level="op")
    return graph.expand("primitive", keep={name})
