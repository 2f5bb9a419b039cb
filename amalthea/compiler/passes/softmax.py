"""The backward pass of a softmax or cross-entropy, written in what the forward pass has computed."""

from __future__ import annotations

from amalthea.compiler.passes.rewriting import Rules, Sweep, rewrite
from amalthea.core.graph import Graph
from amalthea.core.node import Node
from amalthea.core.value import Value

RULES = Rules()


def reuse_exponentials(graph: Graph) -> Graph:
    """The graph with exp(x - log(sum(exp(x)))) as exp(x) / sum(exp(x)), whose exponentials are there already.

    The gradient of `log_softmax` takes the first form. Only where x is shifted by its maximum, as the ops do: there
    no exponential overflows and the sum is at least 1, so that special values stay. Results may differ in the last
    digits.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.softmax import reuse_exponentials
    >>> graph = am.trace(lambda x: am.ops.exp(am.ops.log_softmax(x)), am.TensorSpec((3,), "float32"))
    >>> names = [node.op.name for node in reuse_exponentials(graph.expand("primitive")).nodes]
    >>> names.count("exp"), names[-1]
    (1, 'divide')
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
    shifted = sweep.maker(x, "subtract")
    if shifted is None or not _is_maximum(sweep, shifted.inputs[1], shifted.inputs[0], total.attrs["axis"]):
        return None
    return sweep.make("divide", exponential.outputs[0], total.outputs[0])


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
