"""Softmax with one division a row, and its backward pass written in what the forward pass has computed."""

from __future__ import annotations

from amalthea.compiler.passes.rewriting import Rules, Sweep, rewrite
from amalthea.core.graph import Graph
from amalthea.core.node import Node
from amalthea.core.value import Value

RULES = Rules()
FEW = 4
"""Elements of a row for which one division is worth a product each."""


def reuse_exponentials(graph: Graph) -> Graph:
    """The graph with exp(x - log(sum(exp(x)))) as exp(x) * (1 / sum(exp(x))), whose exponentials are there already.

    The gradient of `log_softmax` takes the first form, a softmax that of a quotient. Only where x is shifted by its
    maximum, as the ops do: there no exponential overflows and the sum is between 1 and the number of terms, so that
    special values stay. Results may differ in the last digits.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.softmax import reuse_exponentials
    >>> graph = am.trace(lambda x: am.ops.exp(am.ops.log_softmax(x)), am.TensorSpec((8,), "float32"))
    >>> names = [node.op.name for node in reuse_exponentials(graph.expand("primitive")).nodes]
    >>> names.count("exp"), names[-1]
    (1, 'multiply')
    """
    return rewrite(graph, RULES)


@RULES.on("exp")
def _softmax(sweep: Sweep, node: Node) -> Value | None:
    """exp(x - log(sum(exp(x)))) -> exp(x) / sum(exp(x)) where x = y - max(y)"""
    difference = sweep.maker(node.inputs[0], "subtract")
    if difference is None:
        return None
    x, logarithm = difference.inputs[0], sweep.maker(difference.inputs[1], "log")
    if logarithm is None:
        return None
    total = sweep.maker(logarithm.inputs[0], "sum")
    exponential = None if total is None else sweep.maker(total.inputs[0], "exp")
    if total is None or exponential is None or exponential.inputs[0] is not x or not total.attrs["keepdims"]:
        return None
    if not _is_shifted(sweep, x, total):
        return None
    return sweep.make("divide", exponential.outputs[0], total.outputs[0])


@RULES.on("divide")
def _one_division(sweep: Sweep, node: Node) -> Value | None:
    """exp(x) / sum(exp(x)) -> exp(x) * (1 / sum(exp(x))) where x = y - max(y)"""
    exponential, total = sweep.maker(node.inputs[0], "exp"), sweep.maker(node.inputs[1], "sum")
    if exponential is None or total is None or total.inputs[0] is not exponential.outputs[0]:
        return None
    sums, result = total.outputs[0], node.outputs[0]
    if result.spec.dtype not in ("float32", "float64") or not total.attrs["keepdims"]:
        return None  # in half precision the inverse would lose digits
    if sums.spec.size * FEW > result.spec.size or not _is_shifted(sweep, exponential.inputs[0], total):
        return None
    inverse = sweep.make("divide", sweep.number(1, sums.spec.dtype), sums)
    return sweep.make("multiply", exponential.outputs[0], inverse)


def _is_shifted(sweep: Sweep, x: Value, total: Node) -> bool:
    """Whether x is something minus its maximum over the axes of the sum."""
    shifted = sweep.maker(x, "subtract")
    return shifted is not None and _is_maximum(sweep, shifted.inputs[1], shifted.inputs[0], total.attrs["axis"])


def _is_maximum(sweep: Sweep, value: Value, of: Value, axis: tuple[int, ...]) -> bool:
    inner = sweep.maker(value, "stop_gradient")
    found = sweep.maker(inner.inputs[0] if inner is not None else value, "max")
    return (
        found is not None
        and found.inputs[0] is of
        and found.attrs["axis"] == axis
        and found.attrs["keepdims"]
        and found.attrs["initial"] is None
    )
