"""`am.trace`: the graph of a function, a layer, a model or an op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from amalthea.core import tree
from amalthea.core.context import no_tapes
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.graph import Graph, build
from amalthea.core.node import slots
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import KerasTensor, Tensor
from amalthea.core.tracing import Trace

__all__ = ["Trace", "trace"]


def trace(function: Callable[..., Any], *specs: Any, level: str = "layer", **kwargs: Any) -> Graph:
    """The graph of `function` for arguments of these specs.

    Args:
        function: a Python function of tensors, an op, a layer or a model.
        *specs: for each argument a `TensorSpec` (or a tensor or array, of which only shape and dtype count), in any
            nested structure; anything else is passed on as it is.
        level: what stands as one node: "layer" (layers and, outside them, ops), "op" or "primitive".
        **kwargs: further arguments.

    Returns:
        A `Graph`; of a model one of layers, of a layer one of ops, of an op one of the ops in its body.

    >>> import amalthea as am
    >>> print(am.trace(lambda x: am.ops.exp(x) + 1.0, am.TensorSpec((2,), "float32", name="x")))
    graph <lambda>(x: float32[2])
      a: float32[2] = exp(x)
      b: float32[2] = add(a, 1)
      return b
    """
    if not callable(function):
        fail(ArgumentError, "only a callable can be traced", where="trace", received=repr(function)[:80])
    op: Any = getattr(function, "op", function)
    inner = op.inline if getattr(op, "kind", None) in ("layer", "composite") else function
    name = getattr(function, "name", None) or getattr(function, "__name__", type(function).__name__)
    with no_tapes(), Trace(level=level) as current:
        inputs: list[KerasTensor] = []
        args, options = symbols((specs, kwargs), current, inputs)
        result = inner(*args, **options)
        slots(result, [])
    return build(str(name), inputs, result, current)


def symbols(structure: Any, current: Trace, inputs: list[KerasTensor]) -> Any:
    """The structure with a symbolic input of `current` for every spec, tensor and array, in the order of `tree`."""

    def one(leaf: Any) -> Any:
        if not isinstance(leaf, (TensorSpec, Tensor, np.ndarray)):
            return leaf
        name = leaf.name if isinstance(leaf, TensorSpec) else None
        inputs.append(current.input(TensorSpec(leaf.shape, leaf.dtype, name)))
        return inputs[-1]

    return tree.map_structure(one, structure)
