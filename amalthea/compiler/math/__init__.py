"""Elementary and special functions as branch-free LLVM code for scalars and vectors of float32 and float64.

Each function takes and returns `Value`s and works on any number of lanes; no libm is called, so LLVM vectorises loops
with them. The largest errors stated were measured on processors with fused multiply-add: in float32 on every 61st bit
pattern and, but for erfc, on most numbers from 2**-8 to 16; in float64 on some ten million numbers against NumPy's
longer types, erf, erfc and erfinv on some ten thousand against mpmath; of two arguments on a few million pairs.
`tests/compiler/test_math.py` measures them on a sample.
"""

from __future__ import annotations

from collections.abc import Callable

from amalthea.compiler.emitter import Emitter
from amalthea.compiler.math.error_function import erf, erfc, erfinv
from amalthea.compiler.math.exponential import exp, expm1, sigmoid, tanh
from amalthea.compiler.math.logarithm import log, log1p
from amalthea.compiler.math.powers import power
from amalthea.compiler.math.trigonometry import arctan2, cos, sin
from amalthea.compiler.math.value import Value

FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exp": exp,
    "expm1": expm1,
    "log": log,
    "log1p": log1p,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "sin": sin,
    "cos": cos,
    "arctan2": arctan2,
    "power": power,
    "erf": erf,
    "erfc": erfc,
    "erfinv": erfinv,
}
"""The functions by the name of their primitive."""


def call(name: str, *arguments: Value) -> Value:
    """A call of one of the functions; its text goes to the module once and is inlined everywhere.

    >>> e = Emitter("f", [("float", "x")], "float")
    >>> call("exp", Value(e, "%x", "float")).name, len(e.declarations)
    ('%t1', 2)
    """
    return shared(f"am_{name}", FUNCTIONS[name], *arguments)


def shared(name: str, body: Callable[..., Value], *arguments: Value) -> Value:
    """A call of `body` as a function of its own in the module, inlined by LLVM: kernels stay short to read.

    `name` must tell all bodies apart; a function is written once for each type and kept.
    """
    first = arguments[0]
    function = f"{name}_{first.kind}" + (f"_x{first.lanes}" if first.lanes > 1 else "")
    if function not in _written:
        parameters = [(argument.type, f"p{i}") for i, argument in enumerate(arguments)]
        inner = Emitter(function, parameters, "?", "alwaysinline nounwind", "internal")
        result = body(*(Value(inner, f"%p{i}", a.kind, a.lanes) for i, a in enumerate(arguments)))
        inner.ret(result.type, result.name)
        text = inner.text().replace("internal ? @", f"internal {result.type} @", 1)
        _written[function] = result.kind, frozenset({text, *inner.declarations})
    kind, declarations = _written[function]
    for declaration in declarations:
        first.e.need(declaration)
    result = Value(first.e, "", kind, first.lanes)
    operands = ", ".join(f"{argument.type} {argument.name}" for argument in arguments)
    return Value(first.e, first.e.value(f"call {result.type} @{function}({operands})"), kind, first.lanes)


_written: dict[str, tuple[str, frozenset[str]]] = {}
"""By name of the function: the type of its result, and its text with what it refers to."""
