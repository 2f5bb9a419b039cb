"""Instructions that multiply *words*: 32 bits of neighbouring elements of the depth, two bfloat16 or four int8.

A word times a word is the sum of the products of their elements, added to a float32 or an int32. `units` tells which of
these instructions a target has for two dtypes:

| instruction | adds to | words | note |
|---|---|---|---|
| AMX `tdpbf16ps`, `tdpb[su][su]d` | 16 x 16 sums in a tile | bfloat16, int8, uint8 | sixteen times the float32 peak |
| AVX512-BF16 `dpbf16ps` | a vector | bfloat16 | half the float32 peak on Intel's processors, twice on AMD's |
| AVX512-VNNI, AVX-VNNI `vpdpbusd` | a vector | uint8 times int8 | an int8 x is stored 128 higher |
| SSE2, AVX2, AVX-512 `pmaddwd` | (a sum follows) | int16, widened from int8, uint8 | |
| Arm `bfdot`, `sdot`, `udot` | a vector | bfloat16, int8, uint8 | |

Sums of integers are exact, modulo 2**32: none of these instructions saturates. Those of bfloat16 are made in float32
in the order of the depth, the products of a word before the next word's; x86's take subnormal numbers for zero, and
give zero for subnormal sums. bfloat16 reaches down to 1.2e-38 without them.
"""

from __future__ import annotations

from dataclasses import dataclass

from amalthea.compiler.emitter import Emitter, llvm_type
from amalthea.compiler.target import Target
from amalthea.core import dtypes
from amalthea.core.dtypes import DType

STEP = 16
"""Words of the depth that lie together in a panel: 64 bytes, a row of a tile."""


@dataclass(frozen=True)
class Unit:
    """One instruction.

    Attributes:
        intrinsic: LLVM's name of it.
        element: dtype of what a word consists of.
        accumulate: dtype of the sums: float32 or int32.
        lanes: sums of a vector (of a row of a tile).
        tiles: whether it works on tiles.
        swapped: whether the column operand is its first factor.
        offset: whether the row operand is stored with 128 added.
        adds: whether the instruction adds; otherwise it only multiplies.
        cycles: of one instruction, where it follows others.
    """

    intrinsic: str
    element: DType
    accumulate: DType
    lanes: int
    tiles: bool = False
    swapped: bool = False
    offset: bool = False
    adds: bool = True
    cycles: float = 0.5

    @property
    def group(self) -> int:
        """Elements of a word."""
        return 4 // self.element.itemsize

    @property
    def words(self) -> str:
        """The LLVM type of a vector of words."""
        return f"<{self.lanes} x i32>"

    def multiply_add(self, e: Emitter, total: str, row: str, column: str) -> str:
        """A vector of sums plus the products of two vectors of words."""
        kind = llvm_type(self.accumulate, self.lanes)
        element = {"bfloat16": "bfloat", "int16": "i16"}.get(str(self.element), "i8")
        words = f"<{self.lanes * self.group} x {element}>"
        factors = [(words, e.value(f"bitcast {self.words} {value} to {words}")) for value in (row, column)]
        if self.swapped:
            factors.reverse()
        if self.adds:
            return e.call(kind, self.intrinsic, (kind, total), *factors)
        return e.value(f"add {kind} {total}, {e.call(kind, self.intrinsic, *factors)}")


def units(row: DType, column: DType, accumulate: DType, target: Target) -> list[Unit]:
    """The instructions for a row operand and a column operand of these dtypes in memory, the fastest first.

    >>> from amalthea.core.dtypes import bfloat16, float32, int8, int32
    >>> [unit.intrinsic for unit in units(int8, int8, int32, Target.named("sapphirerapids"))]
    ['llvm.x86.tdpbssd', 'llvm.x86.avx512.vpdpbusd.512', 'llvm.x86.avx512.pmaddw.d.512']
    >>> units(bfloat16, bfloat16, float32, Target.named("avx2"))
    []
    """
    if {row, column} == {dtypes.bfloat16} and accumulate == "float32":
        return _of_bfloat16(target)
    if {row, column} <= {dtypes.int8, dtypes.uint8} and accumulate == "int32":
        return _of_bytes(row, column, target)
    return []


def _of_bfloat16(target: Target) -> list[Unit]:
    element, total, lanes = dtypes.bfloat16, dtypes.float32, target.vector_bytes // 4
    found = []
    if target.has_amx:
        found.append(Unit("llvm.x86.tdpbf16ps", element, total, 16, tiles=True, cycles=16.0))
    if target.has_bf16_dot and target.arch == "aarch64":
        found.append(Unit("llvm.aarch64.neon.bfdot.v4f32.v8bf16", element, total, lanes))
    elif target.has_bf16_dot:
        cycles = 1.0 if target.cpu.startswith("znver") else 2.0
        found.append(
            Unit(f"llvm.x86.avx512bf16.dpbf16ps.{8 * target.vector_bytes}", element, total, lanes, cycles=cycles)
        )
    return found


def _of_bytes(row: DType, column: DType, target: Target) -> list[Unit]:
    total, lanes, bits = dtypes.int32, target.vector_bytes // 4, 8 * target.vector_bytes
    signed = [dtype == "int8" for dtype in (row, column)]
    found = []
    if target.has_amx:
        name = "".join("s" if each else "u" for each in signed)
        found.append(Unit(f"llvm.x86.tdpb{name}d", dtypes.int8, total, 16, tiles=True, cycles=16.0))
    if target.has_vnni and any(signed):
        name = f"llvm.x86.avx512.vpdpbusd.{bits}"
        both = all(signed)
        found.append(Unit(name, dtypes.int8, total, lanes, swapped=not both and signed[0], offset=both))
    if target.has_i8_dot and signed[0] == signed[1]:
        name = f"llvm.aarch64.neon.{'s' if signed[0] else 'u'}dot.v4i32.v16i8"
        found.append(Unit(name, dtypes.int8, total, lanes))
    if target.arch == "x86_64":
        name = {16: "sse2.pmadd.wd", 32: "avx2.pmadd.wd", 64: "avx512.pmaddw.d.512"}[target.vector_bytes]
        found.append(Unit(f"llvm.x86.{name}", dtypes.int16, total, lanes, adds=False, cycles=1.0))
    return found
