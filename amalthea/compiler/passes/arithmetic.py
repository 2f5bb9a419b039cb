"""Algebra that changes no result: IEEE 754 to the bit, for NaN, infinities and signed zeros (payloads of NaN aside).

What is left out, because it does change some: x - x -> 0 and x * 0 -> 0 (NaN), x + 0.0 -> x (of -0.0 it makes 0.0),
0.0 - x -> -x, x / c -> x * (1 / c) for other c than powers of two, and all that changes the order of sums. For
integers, which wrap around, more holds than for floating-point numbers.
"""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np

from amalthea.compiler.passes.facts import is_float, is_number, never_negative_zero, scalar_of
from amalthea.compiler.passes.rewriting import Rules, Sweep, rewrite
from amalthea.core.graph import Graph
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value

RULES = Rules()


def simplify_arithmetic(graph: Graph) -> Graph:
    """The graph with the algebra of this file applied. Exact.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.arithmetic import simplify_arithmetic
    >>> print(simplify_arithmetic(am.trace(lambda x: -(-(x / 8.0)), am.TensorSpec((2,), "float32", name="x"))))
    graph <lambda>(x: float32[2])
      a: float32[2] = multiply(x, 0.125)
      return a
    """
    return rewrite(graph, RULES)


def _one(sweep: Sweep, node: Node) -> Value | None:
    """x * 1 -> x, x / 1 -> x"""
    x, c = node.inputs
    return sweep.fit(x, node.outputs[0].spec) if is_number(c, 1) else None


RULES.on("multiply", "divide", "power")(_one)


@RULES.on("multiply", "divide")
def _minus_one(sweep: Sweep, node: Node) -> Value | None:
    """x * -1 -> -x, x / -1 -> -x"""
    x, c = node.inputs
    if not is_number(c, -1):
        return None
    return sweep.fit(sweep.make("negative", x), node.outputs[0].spec)


@RULES.on("multiply")
def _integer_zero(sweep: Sweep, node: Node) -> Value | None:
    """x * 0 -> 0 for integers and bools"""
    x, c = node.inputs
    if is_float(x) or not is_number(c, 0):
        return None
    return sweep.fit(sweep.number(0, x.spec.dtype), node.outputs[0].spec)


@RULES.on("add")
def _plus_zero(sweep: Sweep, node: Node) -> Value | None:
    """x + 0 -> x for integers, x + -0.0 -> x, and x + 0.0 -> x where x is never -0.0"""
    x, c = node.inputs
    if is_number(c, -0.0) if is_float(x) else is_number(c, 0):
        return sweep.fit(x, node.outputs[0].spec)
    if is_number(c, 0.0) and never_negative_zero(sweep, x):
        return sweep.fit(x, node.outputs[0].spec)
    return None


@RULES.on("subtract")
def _minus_zero(sweep: Sweep, node: Node) -> Value | None:
    """x - 0 -> x, and -0.0 - x -> -x (0 - x for integers)"""
    x, y = node.inputs
    if is_number(y, 0.0):
        return sweep.fit(x, node.outputs[0].spec)
    if is_number(x, -0.0) if is_float(x) else is_number(x, 0):
        return sweep.fit(sweep.make("negative", y), node.outputs[0].spec)
    return None


@RULES.on("divide")
def _power_of_two(sweep: Sweep, node: Node) -> Value | None:
    """x / 2**n -> x * 2**-n, where both are normal numbers"""
    x, c = node.inputs
    number = scalar_of(c)
    if number is None or not math.isfinite(float(number)) or abs(math.frexp(float(number))[0]) != 0.5:
        return None
    info = ml_dtypes.finfo(c.spec.dtype.as_numpy_dtype)
    inverse = 1 / float(number)
    if not float(info.tiny) <= abs(inverse) <= float(info.max) or abs(float(number)) < float(info.tiny):
        return None
    return sweep.make("multiply", x, sweep.number(np.full(c.spec.shape, inverse), c.spec.dtype))


@RULES.on("negative", "bitwise_not")
def _twice(sweep: Sweep, node: Node) -> Value | None:
    """-(-x) -> x, ~~x -> x"""
    inner = sweep.maker(node.inputs[0], node.op.name)
    return inner.inputs[0] if inner is not None else None


@RULES.on("abs", "sign", "floor", "round_half_even")
def _again_the_same(sweep: Sweep, node: Node) -> Value | None:
    """abs(abs(x)) -> abs(x), and so on"""
    return node.inputs[0] if sweep.maker(node.inputs[0], node.op.name) is not None else None


@RULES.on("abs", "cos")
def _even(sweep: Sweep, node: Node) -> Value | None:
    """abs(-x) -> abs(x), cos(-x) -> cos(x)"""
    inner = sweep.maker(node.inputs[0], "negative")
    return sweep.make(node.op.name, inner.inputs[0]) if inner is not None else None


@RULES.on("add", "subtract")
def _of_negative(sweep: Sweep, node: Node) -> Value | None:
    """x + (-y) -> x - y, x - (-y) -> x + y"""
    x, y = node.inputs
    inner = sweep.maker(y, "negative")
    if inner is not None:
        return sweep.make("subtract" if node.op.name == "add" else "add", x, inner.inputs[0])
    inner = sweep.maker(x, "negative")
    if inner is not None and node.op.name == "add":
        return sweep.make("subtract", y, inner.inputs[0])
    return None


@RULES.on("multiply", "divide")
def _signs(sweep: Sweep, node: Node) -> Value | None:
    """(-x) * (-y) -> x * y, (-x) * c -> x * (-c), and so for quotients"""
    x, y = (sweep.maker(value, "negative") for value in node.inputs)
    if x is not None and y is not None:
        return sweep.make(node.op.name, x.inputs[0], y.inputs[0])
    number = scalar_of(node.inputs[1])
    if x is not None and number is not None:
        return sweep.make(node.op.name, x.inputs[0], _negated(node.inputs[1], sweep))
    return None


@RULES.on("negative")
def _into_constant(sweep: Sweep, node: Node) -> Value | None:
    """-(x * c) -> x * (-c), -(x / c) -> x / (-c), where the product has no other use"""
    inner = sweep.maker(node.inputs[0], "multiply", "divide")
    if inner is None or scalar_of(inner.inputs[1]) is None or not sweep.single(node.inputs[0]):
        return None
    return sweep.make(inner.op.name, inner.inputs[0], _negated(inner.inputs[1], sweep))


def _negated(c: Value, sweep: Sweep) -> Constant:
    array = c.tensor.numpy()  # type: ignore[attr-defined]
    return sweep.number(np.negative(array), c.spec.dtype)


@RULES.on("negative")
def _integer_difference(sweep: Sweep, node: Node) -> Value | None:
    """-(x - y) -> y - x for integers; of equal floating-point numbers it would change the sign of zero"""
    inner = sweep.maker(node.inputs[0], "subtract")
    if inner is None or is_float(node.inputs[0]):
        return None
    return sweep.make("subtract", inner.inputs[1], inner.inputs[0])


@RULES.on("add", "multiply")
def _integer_chain(sweep: Sweep, node: Node) -> Value | None:
    """(x + a) + b -> x + (a + b) for integers, and products alike"""
    x, b = node.inputs
    inner = sweep.maker(x, node.op.name)
    if inner is None or is_float(x) or scalar_of(b) is None or scalar_of(inner.inputs[1]) is None:
        return None
    a = inner.inputs[1].tensor.numpy()  # type: ignore[attr-defined]
    with np.errstate(over="ignore"):
        total = (np.add if node.op.name == "add" else np.multiply)(a, b.tensor.numpy())  # type: ignore[attr-defined]
    return sweep.make(node.op.name, inner.inputs[0], sweep.number(total, b.spec.dtype))


@RULES.on("add")
def _double(sweep: Sweep, node: Node) -> Value | None:
    """x + x -> x * 2 for floating-point numbers"""
    x, y = node.inputs
    return sweep.make("multiply", x, sweep.number(2, x.spec.dtype)) if x is y and is_float(x) else None


@RULES.on("subtract", "bitwise_xor")
def _integer_nothing(sweep: Sweep, node: Node) -> Value | None:
    """x - x -> 0, x ^ x -> 0 for integers; infinity minus itself is NaN"""
    x, y = node.inputs
    if x is not y or is_float(x):
        return None
    return sweep.fit(sweep.number(0, x.spec.dtype), node.outputs[0].spec)


@RULES.on("maximum", "minimum", "bitwise_and", "bitwise_or")
def _with_itself(sweep: Sweep, node: Node) -> Value | None:
    """max(x, x) -> x, x & x -> x"""
    x, y = node.inputs
    return x if x is y else None


@RULES.on("maximum", "minimum")
def _no_limit(sweep: Sweep, node: Node) -> Value | None:
    """max(x, -inf) -> x, min(x, inf) -> x"""
    limit = -math.inf if node.op.name == "maximum" else math.inf
    x, c = node.inputs
    return sweep.fit(x, node.outputs[0].spec) if is_float(x) and is_number(c, limit) else None


@RULES.on("maximum", "minimum")
def _limits(sweep: Sweep, node: Node) -> Value | None:
    """max(max(x, a), b) -> max(x, max(a, b)), unless a and b are zeros"""
    x, c = node.inputs
    inner = sweep.maker(x, node.op.name)
    b = scalar_of(c)
    a = None if inner is None else scalar_of(inner.inputs[1])
    if inner is None or a is None or b is None or a == b == 0 or c.spec.shape or inner.inputs[1].spec.shape:
        return None
    best = (np.maximum if node.op.name == "maximum" else np.minimum)(a, b)
    return sweep.make(node.op.name, inner.inputs[0], sweep.number(best, c.spec.dtype))


@RULES.on("bitwise_and", "bitwise_or")
def _bits(sweep: Sweep, node: Node) -> Value | None:
    """x & ~0 -> x, x | 0 -> x, x & 0 -> 0, x | ~0 -> ~0"""
    x, c = node.inputs
    number = scalar_of(c)
    if number is None:
        return None
    ones = bool(number) if x.spec.dtype == "bool" else bool(np.invert(number) == 0)
    zero = not bool(number)
    if not ones and not zero:
        return None
    keeps = ones if node.op.name == "bitwise_and" else zero
    return sweep.fit(x if keeps else c, node.outputs[0].spec)


@RULES.on("where")
def _decided(sweep: Sweep, node: Node) -> Value | None:
    """where(c, x, x) -> x, where(True, x, y) -> x, where(~c, x, y) -> where(c, y, x)"""
    condition, x, y = node.inputs
    if x is y:
        return sweep.fit(x, node.outputs[0].spec)
    known = scalar_of(condition)
    if known is not None:
        return sweep.fit(x if known else y, node.outputs[0].spec)
    inner = sweep.maker(condition, "bitwise_not")
    if inner is not None and condition.spec.dtype == "bool":
        return sweep.make("where", inner.inputs[0], y, x)
    return None
