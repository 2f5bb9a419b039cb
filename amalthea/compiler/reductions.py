"""What reductions are made of: where one starts, one step of it, and the dtype it is kept in meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from amalthea.compiler.emitter import Emitter, llvm_type
from amalthea.core import dtypes
from amalthea.core.dtypes import DType

REDUCTIONS = frozenset({"sum", "max", "min", "prod"})


def accumulator(dtype: DType) -> DType:
    """The dtype that a reduction of values of `dtype` is kept in until it is done.

    >>> str(accumulator(dtypes.bfloat16)), str(accumulator(dtypes.int8))
    ('float32', 'int8')
    """
    return dtypes.float32 if dtype in ("float16", "bfloat16") else dtype


def identity(kind: str, dtype: DType) -> float | int:
    """What a reduction starts from.

    >>> identity("max", dtypes.int8), identity("prod", dtypes.float32)
    (-128, 1)
    """
    if kind in ("sum", "prod"):
        return 0 if kind == "sum" else 1
    if dtypes.is_floating(dtype):
        return float("-inf") if kind == "max" else float("inf")
    if dtypes.is_bool(dtype):
        return 0 if kind == "max" else 1
    info = _range(dtype)
    return info[0] if kind == "max" else info[1]


def _range(dtype: DType) -> tuple[int, int]:
    bits = dtype.itemsize * 8
    return (0, 2**bits - 1) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def combine(e: Emitter, kind: str, dtype: DType, a: str, b: str, any_order: bool = False) -> str:
    """One step of a reduction.

    Args:
        e: the function being written.
        kind: the reduction.
        dtype: of both values.
        a, b: the values.
        any_order: whether LLVM may reorder the steps; a loop that adds to one number is widened only then.
    """
    t = llvm_type(dtype)
    floating = dtypes.is_floating(dtype)
    if kind in ("sum", "prod"):
        name = "add" if kind == "sum" else "mul"
        flag = "reassoc " if any_order else ""
        return e.value(f"f{name} {flag}{t} {a}, {b}" if floating else f"{name} {t} {a}, {b}")
    if floating:
        return e.call(t, f"llvm.{kind}imum.{'f32' if t == 'float' else 'f64'}", (t, a), (t, b))
    sign = "u" if dtype.startswith("u") or dtypes.is_bool(dtype) else "s"
    return e.call(t, f"llvm.{sign}{kind}.{t}", (t, a), (t, b))


def combine_all(e: Emitter, kind: str, dtype: DType, values: Sequence[str]) -> str:
    """A reduction of some values in registers, neighbours first: errors grow with the logarithm of their number."""
    while len(values) > 1:
        pairs = zip(values[::2], values[1::2], strict=False)
        joined = [combine(e, kind, dtype, a, b) for a, b in pairs]
        values = [*joined, *values[len(joined) * 2 :]]
    return values[0]
