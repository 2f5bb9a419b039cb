"""A harness: elementwise LLVM code compiled and run over arrays, as a loop of scalars and as explicit vectors."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import numpy as np

from amalthea.compiler.emitter import Emitter, llvm_type
from amalthea.compiler.engine import Loaded, assembly, compile_module
from amalthea.compiler.target import Target
from amalthea.core import dtypes

Body = Callable[[Emitter, Sequence[str], int], str]
"""Given an emitter, the operands and the number of lanes: writes the code of one result."""

HERE = [t for t in (Target.host(), *(Target.named(n) for n in ("avx2", "sse4.2"))) if t.runs_here()]
"""The targets that can be run on this machine."""


def loop(name: str, body: Body, inputs: Sequence[str], output: str, lanes: int = 1) -> tuple[str, set[str]]:
    """`void name(ptr out, ptr in..., i64 n)`, n a multiple of `lanes`; and the declarations it needs."""
    parameters = [("ptr noalias nonnull", "out"), *(("ptr noalias nonnull", f"a{i}") for i in range(len(inputs)))]
    e = Emitter(name, [*parameters, ("i64", "n")], attributes="nounwind")

    def step(i: str, _: list[str]) -> list[str]:
        values = []
        for k, dtype in enumerate(inputs):
            place = e.value(f"getelementptr {llvm_type(dtype)}, ptr %a{k}, i64 {i}")
            values.append(e.value(f"load {llvm_type(dtype, lanes)}, ptr {place}, align {size(dtype)}"))
        result = body(e, values, lanes)
        place = e.value(f"getelementptr {llvm_type(output)}, ptr %out, i64 {i}")
        e.line(f"store {llvm_type(output, lanes)} {result}, ptr {place}, align {size(output)}")
        return []

    e.loop("0", "%n", lanes, step)
    e.ret()
    return e.text(), e.declarations


def size(dtype: str) -> int:
    return int(dtypes.to_numpy(dtype).itemsize)


class Program:
    """Loops compiled into one module for a target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.texts: list[str] = []
        self.declarations: set[str] = set()
        self.types: dict[str, tuple[Sequence[str], str]] = {}
        self.loaded: Loaded | None = None

    def add(self, name: str, body: Body, inputs: Sequence[str], output: str, lanes: int = 1) -> None:
        text, declarations = loop(name, body, inputs, output, lanes)
        self.texts.append(text)
        self.declarations |= declarations
        self.types[name] = (inputs, output)

    def assembly(self) -> str:
        return assembly(self.texts, self.declarations, self.target)

    def run(self, name: str, *arrays: np.ndarray) -> np.ndarray:
        if self.loaded is None:
            self.loaded = compile_module(self.texts, self.declarations, self.target)
        inputs, output = self.types[name]
        for array, dtype in zip(arrays, inputs, strict=True):
            assert array.dtype == dtypes.to_numpy(dtype) and array.flags.c_contiguous
        out = np.empty(arrays[0].shape, dtypes.to_numpy(output))
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (out, *arrays)]
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(pointers), ctypes.c_int64)
        kind(self.loaded.address(name))(*pointers, ctypes.c_int64(out.size))
        return out
