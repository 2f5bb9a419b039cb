"""Copies of whole values: what a graph returns as it got it, or returns twice."""

from __future__ import annotations

import functools

from amalthea.compiler.emitter import Emitter
from amalthea.compiler.kernel_code import PLACEHOLDER, KernelCode, finished

_GRAIN = 4096  # bytes that one thread copies at least


@functools.lru_cache(maxsize=256)
def copy_code(size: int) -> KernelCode:
    """A kernel `(from, to)` that copies `size` bytes.

    >>> copy_code(10_000).extent
    3
    """
    e = Emitter(
        PLACEHOLDER,
        [("ptr noalias", "source"), ("ptr noalias", "result"), ("i64", "lo"), ("i64", "hi")],
        attributes="nounwind",
    )
    begin = e.value(f"mul i64 %lo, {_GRAIN}")
    end = e.call("i64", "llvm.umin.i64", ("i64", e.value(f"mul i64 %hi, {_GRAIN}")), ("i64", str(size)))
    source = e.value(f"getelementptr i8, ptr %source, i64 {begin}")
    result = e.value(f"getelementptr i8, ptr %result, i64 {begin}")
    e.need("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
    e.line(
        f"call void @llvm.memcpy.p0.p0.i64(ptr {result}, ptr {source}, i64 {e.value(f'sub i64 {end}, {begin}')}, "
        "i1 false)"
    )
    e.ret()
    return finished("copy", e, -(-size // _GRAIN), 0, 2 * size, f"{size} bytes")
