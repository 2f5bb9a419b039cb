"""Reductions over nothing, of repeated elements, and of reductions."""

from __future__ import annotations

import math

from amalthea.compiler.passes.broadcasting import stretched
from amalthea.compiler.passes.facts import is_float
from amalthea.compiler.passes.rewriting import Rules, Sweep, rewrite
from amalthea.core.graph import Graph
from amalthea.core.node import Node
from amalthea.core.value import Value

RULES = Rules()
Ints = tuple[int, ...]


def simplify_reductions(graph: Graph) -> Graph:
    """The graph with simpler reductions. Sums of sums and of broadcasts may differ in the last digits.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.reductions import simplify_reductions
    >>> graph = am.trace(lambda x: am.ops.sum(x.sum(axis=1)), am.TensorSpec((2, 3), "float32", name="x"))
    >>> print(simplify_reductions(graph))
    graph <lambda>(x: float32[2,3])
      a: float32[] = sum(x, axis=(0, 1), keepdims=False)
      return a
    """
    return rewrite(graph, RULES)


@RULES.on("sum", "prod", "max", "min")
def _over_nothing(sweep: Sweep, node: Node) -> Value | None:
    """sum over axes of size 1 -> reshape"""
    x, axes = node.inputs[0], node.attrs["axis"]
    if any(x.spec.shape[a] != 1 for a in axes) or node.attrs.get("initial") is not None:
        return None
    return sweep.reshaped(x, node.outputs[0].spec.shape)  # type: ignore[arg-type]


@RULES.on("sum", "max", "min")
def _of_repeated(sweep: Sweep, node: Node) -> Value | None:
    """sum(broadcast(x)) -> sum(x) * n, max(broadcast(x)) -> max(x), over the axes that are repeated"""
    found = stretched(sweep, node.inputs[0])
    whole = node.inputs[0].spec.shape
    if found is None or not node.inputs[0].spec.size:
        return None
    small, repeated = found
    axes: Ints = node.attrs["axis"]
    dropped = [a for a in repeated if a in axes]
    if not dropped:
        return None
    rest = tuple(1 if i in dropped else d for i, d in enumerate(whole))
    part = small if small.spec.shape == rest else sweep.make("broadcast_to", small, shape=rest)
    made = sweep.make(node.op.name, part, **node.attrs)
    if node.op.name != "sum":
        return made
    return sweep.make("multiply", made, sweep.number(math.prod(whole[a] for a in dropped), made.spec.dtype))  # type: ignore[misc]


@RULES.on("sum", "max", "min", "prod")
def _of_the_same(sweep: Sweep, node: Node) -> Value | None:
    """sum(sum(x)) -> sum(x) over the axes of both, and so for max, min and prod"""
    inner = sweep.maker(node.inputs[0], node.op.name)
    if inner is None or not sweep.single(node.inputs[0]):
        return None
    if node.attrs.get("initial") is not None or inner.attrs.get("initial") is not None:
        return None
    x, first = inner.inputs[0], inner.attrs["axis"]
    if inner.attrs["keepdims"]:
        second = node.attrs["axis"]
    else:
        left = [i for i in range(len(x.spec.shape)) if i not in first]
        second = tuple(left[a] for a in node.attrs["axis"])
    axes = tuple(sorted({*first, *second}))
    made = sweep.make(node.op.name, x, **{**node.attrs, "axis": axes})
    return sweep.reshaped(made, node.outputs[0].spec.shape)  # type: ignore[arg-type]


@RULES.on("reshape")
def _axes_kept(sweep: Sweep, node: Node) -> Value | None:
    """reshape(sum(x), with axes of size 1 in place of those summed) -> sum(x, keepdims=True), and back"""
    inner = sweep.maker(node.inputs[0], "sum", "max", "min", "prod")
    if inner is None or not sweep.single(node.inputs[0]):
        return None
    axes = inner.attrs["axis"]
    sizes = inner.inputs[0].spec.shape
    keep = not inner.attrs["keepdims"]
    wanted = tuple(1 if i in axes else d for i, d in enumerate(sizes))
    if not keep:
        wanted = tuple(d for i, d in enumerate(sizes) if i not in axes)
    if node.outputs[0].spec.shape != wanted:
        return None
    return sweep.make(inner.op.name, inner.inputs[0], **{**inner.attrs, "keepdims": keep})


@RULES.on("add")
def _of_paddings(sweep: Sweep, node: Node) -> Value | None:
    """pad(x) + pad(y) -> concatenate(x, y) where together they fill an axis (the gradient of slicing)

    Where an element was -0.0 the sum made it 0.0; here it stays -0.0.
    """
    parts = _pieces(sweep, node)
    if parts is None:
        return None
    axis, pieces = parts
    pieces.sort(key=lambda piece: piece[0])
    end = 0
    for low, value in pieces:
        if low != end:
            return None
        end += value.spec.shape[axis]  # type: ignore[operator]
    if end != node.outputs[0].spec.shape[axis]:
        return None
    return sweep.make("concatenate", *[value for _, value in pieces], axis=axis)


def _pieces(sweep: Sweep, node: Node) -> tuple[int, list[tuple[int, Value]]] | None:
    """(axis, [(place, part), ...]) of a sum, or a sum of sums, of tensors padded with zeros along one axis."""
    found: list[tuple[int, Value]] = []
    axes: set[int] = set()
    stack = list(node.inputs)
    while stack:
        value = stack.pop()
        pad = sweep.maker(value, "constant_pad")
        if pad is not None:
            low, high = pad.attrs["low"], pad.attrs["high"]
            here = [i for i, (a, b) in enumerate(zip(low, high, strict=True)) if a or b]
            if any(pad.attrs["interior"]) or pad.attrs["value"] or len(here) != 1:
                return None
            axes.update(here)
            found.append((low[here[0]], pad.inputs[0]))
        else:
            inner = sweep.maker(value, "add")
            if inner is None or not sweep.single(value):
                return None
            stack.extend(inner.inputs)
    return (axes.pop(), found) if len(axes) == 1 and is_float(node.outputs[0]) else None
