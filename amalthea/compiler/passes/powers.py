"""Powers with a constant exponent as products and roots, which are ten times cheaper and no less accurate."""

from __future__ import annotations

from amalthea.compiler.passes.facts import is_float, is_number, never_negative, scalar_of
from amalthea.compiler.passes.rewriting import Rules, Sweep, rewrite
from amalthea.core.graph import Graph
from amalthea.core.node import Node
from amalthea.core.value import Value

RULES = Rules()


def simplify_powers(graph: Graph) -> Graph:
    """The graph with powers to 0, 2, 3, 4, -1 and, where the base is known not to be negative, +-1/2 written out.

    Results agree to the last digit or two; special values are kept.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.powers import simplify_powers
    >>> print(simplify_powers(am.trace(lambda x: x ** 2.0, am.TensorSpec((2,), "float32", name="x"))))
    graph <lambda>(x: float32[2])
      a: float32[2] = multiply(x, x)
      return a
    """
    return rewrite(graph, RULES)


@RULES.on("power")
def _whole(sweep: Sweep, node: Node) -> Value | None:
    """x ** 0 -> 1, x ** 2 -> x * x, x ** 3 -> x * x * x, x ** 4 -> (x * x) ** 2, x ** -1 -> 1 / x"""
    x, c = node.inputs
    number = scalar_of(c)
    if number is None or c.spec.shape:
        return None
    if number == 0:
        return sweep.fit(sweep.number(1, x.spec.dtype), node.outputs[0].spec)
    if number == -1 and is_float(x):
        return sweep.make("divide", sweep.number(1, x.spec.dtype), x)
    if number not in (2, 3, 4):
        return None
    square = sweep.make("multiply", x, x)
    return square if number == 2 else sweep.make("multiply", square, x if number == 3 else square)


@RULES.on("power")
def _root(sweep: Sweep, node: Node) -> Value | None:
    """x ** 0.5 -> sqrt(x), x ** -0.5 -> 1 / sqrt(x) where x is never below 0 nor -0.0 (for which they differ)"""
    x, c = node.inputs
    if c.spec.shape or not is_float(x) or not (is_number(c, 0.5) or is_number(c, -0.5)):
        return None
    if not never_negative(sweep, x):
        return None
    root = sweep.make("sqrt", x)
    return root if is_number(c, 0.5) else sweep.make("divide", sweep.number(1, x.spec.dtype), root)
