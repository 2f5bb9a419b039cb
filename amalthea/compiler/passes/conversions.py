"""Casts that change nothing, and casts of casts."""

from __future__ import annotations

import functools

import ml_dtypes
import numpy as np

from amalthea.compiler.passes.rewriting import Rules, Sweep, rewrite
from amalthea.core import dtypes
from amalthea.core.graph import Graph
from amalthea.core.node import Node
from amalthea.core.value import Value

RULES = Rules()


def simplify_conversions(graph: Graph) -> Graph:
    """The graph without casts to the same dtype, detours over a wider dtype, and `stop_gradient`. Exact.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.conversions import simplify_conversions
    >>> graph = am.trace(lambda x: x.astype("float32").astype("bfloat16"), am.TensorSpec((2,), "bfloat16"))
    >>> len(graph.nodes), len(simplify_conversions(graph).nodes)
    (2, 0)
    """
    return rewrite(graph, RULES)


@RULES.on("stop_gradient")
def _identity(sweep: Sweep, node: Node) -> Value | None:
    """stop_gradient(x) -> x, now that there are no gradients to stop"""
    return node.inputs[0]


@RULES.on("cast", "view")
def _same_dtype(sweep: Sweep, node: Node) -> Value | None:
    """cast(x, its own dtype) -> x"""
    x = node.inputs[0]
    return x if x.spec.dtype == node.outputs[0].spec.dtype else None


@RULES.on("cast")
def _detour(sweep: Sweep, node: Node) -> Value | None:
    """cast(cast(x, b), c) -> cast(x, c) where b holds every value of x's dtype"""
    inner = sweep.maker(node.inputs[0], "cast")
    if inner is None:
        return None
    x = inner.inputs[0]
    a, b, c = x.spec.dtype, inner.outputs[0].spec.dtype, node.outputs[0].spec.dtype
    if not holds(b, a):
        return None
    if a == c:
        return x
    if a.is_floating and c.is_integer:
        return None  # what is out of range is not the same on all ways
    return sweep.make("cast", x, dtype=c)


@functools.cache
def holds(wide: dtypes.DType, narrow: dtypes.DType) -> bool:
    """Whether every value of the narrow dtype is exactly one of the wide dtype.

    >>> import amalthea as am
    >>> holds(am.float32, am.bfloat16), holds(am.float32, am.int32)
    (True, False)
    """
    if wide == narrow or narrow == "bool":
        return True
    if wide == "bool" or (wide.is_integer and narrow.is_floating):
        return False
    if wide.is_integer:
        a, b = np.iinfo(wide.as_numpy_dtype), np.iinfo(narrow.as_numpy_dtype)
        return bool(a.min <= b.min and a.max >= b.max)
    f = ml_dtypes.finfo(wide.as_numpy_dtype)
    if narrow.is_integer:
        info = np.iinfo(narrow.as_numpy_dtype)
        return info.bits - (info.min < 0) <= f.nmant + 1 and info.bits <= f.maxexp
    g = ml_dtypes.finfo(narrow.as_numpy_dtype)
    smallest = f.minexp - f.nmant <= g.minexp - g.nmant and f.minexp <= g.minexp
    special = wide != "float8_e4m3fn"  # it has no infinity
    return bool(f.nmant >= g.nmant and f.maxexp >= g.maxexp and smallest and special)
