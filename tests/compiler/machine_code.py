"""A harness: elementwise LLVM code compiled and run over arrays, as a loop of scalars and as explicit vectors."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from amalthea.compiler.emitter import Emitter, llvm_type
from amalthea.compiler.half import support
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
        self.engine: Any = None

    def add(self, name: str, body: Body, inputs: Sequence[str], output: str, lanes: int = 1) -> None:
        text, declarations = loop(name, body, inputs, output, lanes)
        self.texts.append(text)
        self.declarations |= declarations
        self.types[name] = (inputs, output)

    def module(self) -> Any:
        import llvmlite.binding as llvm

        machine = self.target.machine()
        module = llvm.parse_assembly(
            "\n\n".join([*support(self.target.has_f16c), *sorted(self.declarations), *self.texts]),
            llvm.create_context(),
        )
        module.verify()
        module.triple = machine.triple
        options = llvm.create_pipeline_tuning_options(speed_level=3)
        options.loop_vectorization = options.slp_vectorization = True
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
        return module

    def assembly(self) -> str:
        return str(self.target.machine().emit_assembly(self.module()))

    def run(self, name: str, *arrays: np.ndarray) -> np.ndarray:
        import llvmlite.binding as llvm

        if self.engine is None:
            self.engine = llvm.create_mcjit_compiler(self.module(), self.target.machine())
            self.engine.finalize_object()
        inputs, output = self.types[name]
        for array, dtype in zip(arrays, inputs, strict=True):
            assert array.dtype == dtypes.to_numpy(dtype) and array.flags.c_contiguous
        out = np.empty(arrays[0].shape, dtypes.to_numpy(output))
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (out, *arrays)]
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(pointers), ctypes.c_int64)
        kind(self.engine.get_function_address(name))(*pointers, ctypes.c_int64(out.size))
        return out
