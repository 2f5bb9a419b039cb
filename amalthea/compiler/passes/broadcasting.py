"""Broadcasts as late as possible: not at all before ops that broadcast by themselves, after the others.

What is computed of repeated elements is computed once and its result is repeated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from amalthea.compiler.passes.facts import ELEMENTWISE
from amalthea.compiler.passes.rewriting import Rules, Sweep, rewrite
from amalthea.core.graph import Graph
from amalthea.core.node import Constant, Node
from amalthea.core.tensor import as_tensor
from amalthea.core.value import Value

RULES = Rules()
Ints = tuple[int, ...]


def sink_broadcasts(graph: Graph) -> Graph:
    """The graph with broadcasts dropped where the next op broadcasts anyway, and moved behind ops where it does not.

    Exact.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.broadcasting import sink_broadcasts
    >>> specs = am.TensorSpec((2, 3), "float32", name="x"), am.TensorSpec((3,), "float32", name="y")
    >>> graph = am.trace(lambda x, y: x * am.ops.broadcast_to(y, (2, 3)), *specs)
    >>> print(sink_broadcasts(graph))
    graph <lambda>(x: float32[2,3], y: float32[3])
      a: float32[2,3] = multiply(x, y)
      return a
    """
    return rewrite(graph, RULES)


@RULES.on("broadcast_to")
def _broadcast(sweep: Sweep, node: Node) -> Value | None:
    """broadcast(broadcast(x)) -> broadcast(x); to the own shape -> x; new axes of size 1 only -> reshape"""
    x, shape = node.inputs[0], node.outputs[0].spec.shape
    if x.spec.shape == shape:
        return x
    small = _small(sweep, x)
    if small is not x:
        return sweep.make("broadcast_to", small, shape=shape)
    return sweep.make("reshape", x, newshape=shape) if x.spec.size == node.outputs[0].spec.size else None


def _small(sweep: Sweep, value: Value) -> Value:
    """The smaller value that broadcasts to this one: before a broadcast, or a reshape that adds axes of size 1."""
    while True:
        shape = value.spec.shape
        if type(value) is Constant and shape and value.spec.size == 1:
            return Constant(as_tensor(value.tensor.numpy().reshape(())))
        inner = sweep.maker(value, "broadcast_to", "reshape")
        if inner is None:
            return value
        before = inner.inputs[0]
        fewer = len(shape) - len(before.spec.shape)
        if inner.op.name == "reshape" and (
            fewer <= 0 or (before.spec.size != 1 and shape[fewer:] != before.spec.shape)
        ):
            return value
        value = before


@RULES.on(*sorted(ELEMENTWISE))
def _sink(sweep: Sweep, node: Node) -> Value | None:
    """f(broadcast(x), y) -> f(x, y), f(broadcast(x)) -> broadcast(f(x)) for elementwise f"""
    out = node.outputs[0].spec
    small = [_small(sweep, value) for value in node.inputs]
    if all(a is b for a, b in zip(small, node.inputs, strict=True)):
        return None
    shape = broadcast_shape([value.spec.shape for value in small])  # type: ignore[misc]
    if shape == out.shape or math.prod(shape) < out.size:
        return sweep.fit(sweep.make(node.op.name, *small, **node.attrs), out)
    # Only leading axes of size 1 would go: keep what has them where it is, and make the others small.
    first = next(i for i, value in enumerate(node.inputs) if len(value.spec.shape) == len(out.shape))
    kept = [node.inputs[i] if i == first else a for i, a in enumerate(small)]
    if all(a is b for a, b in zip(kept, node.inputs, strict=True)):
        return None
    if broadcast_shape([value.spec.shape for value in kept]) != out.shape:  # type: ignore[misc]
        return None
    return sweep.make(node.op.name, *kept, **node.attrs)


def broadcast_shape(shapes: Sequence[Ints]) -> Ints:
    """The shape that shapes known to broadcast do broadcast to.

    >>> broadcast_shape([(2, 1), (3,)])
    (2, 3)
    """
    ndim = max(map(len, shapes))
    out = [1] * ndim
    for shape in shapes:
        for i, size in enumerate(shape, ndim - len(shape)):
            if size != 1:
                out[i] = size
    return tuple(out)


def stretched(sweep: Sweep, value: Value) -> tuple[Value, Ints] | None:
    """(what the value repeats, with all its axes; the axes along which it is repeated), or None."""
    inner = sweep.maker(value, "broadcast_to")
    if inner is None:
        return None
    shape, small = value.spec.shape, inner.inputs[0]
    full = (1,) * (len(shape) - len(small.spec.shape)) + small.spec.shape
    axes = tuple(i for i, (a, b) in enumerate(zip(full, shape, strict=True)) if a != b)
    return (sweep.reshaped(small, full), axes) if axes else None  # type: ignore[arg-type]


@RULES.on("reshape")
def _reshape(sweep: Sweep, node: Node) -> Value | None:
    """reshape(broadcast(x)) -> broadcast(reshape(x)) where the axes can be told apart"""
    x, shape = node.inputs[0], node.outputs[0].spec.shape
    inner = sweep.maker(x, "broadcast_to")
    if inner is None or not x.spec.size:
        return None
    small = inner.inputs[0]
    if small.spec.size == 1:
        return sweep.make("broadcast_to", sweep.reshaped(small, ()), shape=shape)
    # Axes of size 1 come and go; the others must stay.
    old = x.spec.shape
    if [d for d in old if d != 1] != [d for d in shape if d != 1]:
        return None
    full = (1,) * (len(old) - len(small.spec.shape)) + small.spec.shape
    sizes = iter([a for a, b in zip(full, old, strict=True) if b != 1])
    return sweep.make("broadcast_to", sweep.reshaped(small, [1 if d == 1 else next(sizes) for d in shape]), shape=shape)  # type: ignore[misc]


@RULES.on("transpose", "flip")
def _rearranged(sweep: Sweep, node: Node) -> Value | None:
    """transpose(broadcast(x)) -> broadcast(transpose(x)), flip alike"""
    found = stretched(sweep, node.inputs[0])
    if found is None:
        return None
    return sweep.fit(sweep.make(node.op.name, found[0], **node.attrs), node.outputs[0].spec)


@RULES.on("strided_slice")
def _sliced(sweep: Sweep, node: Node) -> Value | None:
    """broadcast(x)[a:b] -> broadcast(x[a:b]), without a slice along repeated axes"""
    found = stretched(sweep, node.inputs[0])
    if found is None or not node.outputs[0].spec.size:
        return None
    small, axes = found
    start, stop, strides = (list(node.attrs[name]) for name in ("start", "stop", "strides"))
    for axis in axes:
        start[axis], stop[axis], strides[axis] = 0, 1, 1
    cut = sweep.make("strided_slice", small, start=tuple(start), stop=tuple(stop), strides=tuple(strides))
    return sweep.fit(cut, node.outputs[0].spec)
