"""One way to write each thing, so that the passes after it have to look for one form only."""

from __future__ import annotations

import numpy as np

from amalthea.compiler.passes.facts import COMMUTATIVE, scalar_of
from amalthea.compiler.passes.rewriting import Rules, Sweep
from amalthea.core.graph import Graph
from amalthea.core.node import Constant, Node
from amalthea.core.tensor import as_tensor
from amalthea.core.value import Value

LOOKED_THROUGH = 1 << 20  # elements of a constant that are looked at for whether they are all equal

RULES = Rules()


def canonicalize(graph: Graph) -> Graph:
    """The graph with constants as second operands, and with constants of equal elements as broadcast scalars.

    Exact.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.canonical_order import canonicalize
    >>> print(canonicalize(am.trace(lambda x: 2.0 * x, am.TensorSpec((2,), "float32", name="x"))))
    graph <lambda>(x: float32[2])
      a: float32[2] = multiply(x, 2)
      return a
    """
    return Scalars(graph, RULES).result()


class Scalars(Sweep):
    """Makes scalars of constants first, so that all rules see them."""

    def result(self) -> Graph:
        for value in dict.fromkeys(v for node in self.graph.nodes for v in node.inputs if type(v) is Constant):
            scalar = uniform(value) if value.spec.size > 1 else None  # type: ignore[arg-type]
            if scalar is not None:
                small = Constant(as_tensor(scalar))
                self.new[value] = self.make("broadcast_to", small, shape=value.spec.shape)
        return super().result()


def uniform(constant: Constant) -> np.ndarray | None:
    """The scalar that all elements of a constant are, bit for bit; None if they differ."""
    array = constant.tensor.numpy()
    if not array.size or array.size > LOOKED_THROUGH:
        return None
    flat = array.reshape(-1)
    first = flat[:1].tobytes()
    if flat[-1:].tobytes() != first or flat.tobytes() != first * flat.size:  # most differ at once
        return None
    return flat[:1].reshape(())


@RULES.on(*COMMUTATIVE)
def _constant_second(sweep: Sweep, node: Node) -> Value | None:
    """c + x -> x + c"""
    a, b = node.inputs
    if type(a) is Constant and type(b) is not Constant:
        return sweep.make(node.op.name, b, a)
    return None


@RULES.on("maximum", "minimum")
def _limit_second(sweep: Sweep, node: Node) -> Value | None:
    """max(c, x) -> max(x, c) unless c is a zero, whose sign could come out differently"""
    a, b = node.inputs
    number = scalar_of(a)
    if number is not None and number != 0 and type(b) is not Constant:
        return sweep.make(node.op.name, b, a)
    return None
