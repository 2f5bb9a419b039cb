"""Ops that only move elements: those that move nothing go, and two in a row become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea.compiler.passes.facts import ELEMENTWISE, scalar_of
from amalthea.compiler.passes.rewriting import Rules, Sweep, rewrite
from amalthea.core.graph import Graph
from amalthea.core.node import Node
from amalthea.core.value import Value

RULES = Rules()
Ints = tuple[int, ...]


def simplify_movement(graph: Graph) -> Graph:
    """The graph with reshapes, transposes, slices, paddings, flips and joins simplified. Exact.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.movement import simplify_movement
    >>> graph = am.trace(lambda x: am.ops.reshape(x, (6,)).reshape((3, 2)), am.TensorSpec((3, 2), "float32"))
    >>> len(graph.nodes), len(simplify_movement(graph).nodes)
    (2, 0)
    """
    return rewrite(graph, RULES)


@RULES.on("reshape")
def _reshape(sweep: Sweep, node: Node) -> Value | None:
    """reshape(reshape(x)) -> reshape(x), and x itself where the shape is its own"""
    x, shape = node.inputs[0], node.outputs[0].spec.shape
    if x.spec.shape == shape:
        return x
    inner = sweep.maker(x, "reshape")
    return None if inner is None else sweep.reshaped(inner.inputs[0], shape)  # type: ignore[arg-type]


@RULES.on("transpose")
def _transpose(sweep: Sweep, node: Node) -> Value | None:
    """transpose(transpose(x)) -> transpose(x); moving only axes of size 1 is a reshape"""
    x, axes = node.inputs[0], node.attrs["axes"]
    if axes == tuple(range(len(axes))):
        return x
    real = [a for a in axes if x.spec.shape[a] != 1]
    if real == sorted(real):
        return sweep.reshaped(x, node.outputs[0].spec.shape)  # type: ignore[arg-type]
    inner = sweep.maker(x, "transpose")
    if inner is not None:
        return sweep.make("transpose", inner.inputs[0], axes=tuple(inner.attrs["axes"][a] for a in axes))
    return None


@RULES.on("flip")
def _flip(sweep: Sweep, node: Node) -> Value | None:
    """flip over axes of size 1 -> nothing; flip(flip(x)) -> flip over the axes that one of them has"""
    x, axes = node.inputs[0], node.attrs["axis"]
    real = tuple(a for a in axes if x.spec.shape[a] != 1)
    inner = sweep.maker(x, "flip")
    if inner is not None:
        x, real = inner.inputs[0], tuple(sorted(set(real) ^ set(inner.attrs["axis"])))
    if not real:
        return x
    return sweep.make("flip", x, axis=real) if real != axes or inner is not None else None


@RULES.on("strided_slice")
def _slice(sweep: Sweep, node: Node) -> Value | None:
    """x[:] -> x; x[a][b] -> x[c]; a slice of a padded or joined tensor that lies in one part -> a slice of that"""
    x, attrs = node.inputs[0], node.attrs
    start, stop, strides = attrs["start"], attrs["stop"], attrs["strides"]
    if node.outputs[0].spec.shape == x.spec.shape and not any(start):
        return x
    inner = sweep.maker(x, "strided_slice", "constant_pad", "concatenate")
    if inner is None or not node.outputs[0].spec.size:
        return None
    if inner.op.name == "strided_slice":
        first, steps = inner.attrs["start"], inner.attrs["strides"]
        return _slice_of(
            sweep,
            inner.inputs[0],
            tuple(f + a * s for f, a, s in zip(first, start, steps, strict=True)),
            tuple(f + (b - 1) * s + 1 for f, b, s in zip(first, stop, steps, strict=True)),
            tuple(a * b for a, b in zip(strides, steps, strict=True)),
        )
    if inner.op.name == "constant_pad":
        low, source = inner.attrs["low"], inner.inputs[0]
        if any(inner.attrs["interior"]):
            return None
        begin, end = _minus(start, low), _minus(stop, low)
        if min(begin, default=0) < 0 or any(e > d for e, d in zip(end, _ints(source.spec.shape), strict=True)):
            return None
        return _slice_of(sweep, source, begin, end, strides)
    axis, offset = inner.attrs["axis"], 0
    for part in inner.inputs:
        size = part.spec.shape[axis]
        if offset <= start[axis] and stop[axis] <= offset + size:
            shift = tuple(offset if i == axis else 0 for i in range(len(start)))
            return _slice_of(sweep, part, _minus(start, shift), _minus(stop, shift), strides)
        offset += size
    return None


def _minus(a: Ints, b: Ints) -> Ints:
    return tuple(x - y for x, y in zip(a, b, strict=True))


def _slice_of(sweep: Sweep, x: Value, start: Ints, stop: Ints, strides: Ints) -> Value:
    return sweep.make("strided_slice", x, start=start, stop=stop, strides=strides)


@RULES.on("constant_pad")
def _pad(sweep: Sweep, node: Node) -> Value | None:
    """A padding by nothing -> x; pad(pad(x)) with the same value -> pad(x)"""
    x, attrs = node.inputs[0], node.attrs
    if x.spec.shape == node.outputs[0].spec.shape:
        return x
    inner = sweep.maker(x, "constant_pad")
    if inner is None or any(attrs["interior"]) or repr(inner.attrs["value"]) != repr(attrs["value"]):
        return None
    return sweep.make(
        "constant_pad",
        inner.inputs[0],
        low=_plus(attrs["low"], inner.attrs["low"]),
        high=_plus(attrs["high"], inner.attrs["high"]),
        interior=inner.attrs["interior"],
        value=attrs["value"],
    )


def _plus(a: Ints, b: Ints) -> Ints:
    return tuple(x + y for x, y in zip(a, b, strict=True))


@RULES.on("concatenate")
def _join(sweep: Sweep, node: Node) -> Value | None:
    """Empty parts go, joins in joins are spread out, neighbouring slices of one tensor become one slice"""
    axis = node.attrs["axis"]
    parts: list[Value] = []
    for part in node.inputs:
        inner = sweep.maker(part, "concatenate")
        spread = inner is not None and inner.attrs["axis"] == axis and sweep.single(part)
        for value in inner.inputs if inner is not None and spread else (part,):
            if value.spec.shape[axis] == 0:
                continue
            merged = _neighbours(sweep, parts[-1], value, axis) if parts else None
            if merged is None:
                parts.append(value)
            else:
                parts[-1] = merged
    if tuple(parts) == node.inputs or not parts:
        return None
    return parts[0] if len(parts) == 1 else sweep.make("concatenate", *parts, axis=axis)


def _neighbours(sweep: Sweep, left: Value, right: Value, axis: int) -> Value | None:
    a, b = sweep.maker(left, "strided_slice"), sweep.maker(right, "strided_slice")
    if a is None or b is None or a.inputs[0] is not b.inputs[0]:
        return None
    if a.attrs["strides"] != b.attrs["strides"] or a.attrs["strides"][axis] != 1:
        return None
    for i, (s, e, s2, e2) in enumerate(
        zip(a.attrs["start"], a.attrs["stop"], b.attrs["start"], b.attrs["stop"], strict=True)
    ):
        if (e != s2) if i == axis else (s != s2 or e != e2):
            return None
    return _slice_of(sweep, a.inputs[0], a.attrs["start"], b.attrs["stop"], a.attrs["strides"])


@RULES.on(*sorted(ELEMENTWISE))
def _reshape_after(sweep: Sweep, node: Node) -> Value | None:
    """f(reshape(x), reshape(y)) -> reshape(f(x, y)) for elementwise f, so that reshapes meet and cancel"""
    sources: list[Value] = []
    shape: Any = None
    for value in node.inputs:
        inner = sweep.maker(value, "reshape")
        if inner is not None and sweep.single(value) and value.spec.shape == node.outputs[0].spec.shape:
            sources.append(inner.inputs[0])
        elif value.spec.shape == () or (value.spec.size == 1 and scalar_of(value) is not None):
            sources.append(value)
            continue
        else:
            return None
        if shape is not None and sources[-1].spec.shape != shape:
            return None
        shape = sources[-1].spec.shape
    if shape is None or any(v.spec.shape not in ((), shape) for v in sources):
        return None
    made = sweep.make(node.op.name, *sources, **node.attrs)
    return sweep.reshaped(made, _ints(node.outputs[0].spec.shape))


def _ints(shape: Sequence[int | None]) -> Ints:
    return tuple(shape)  # type: ignore[arg-type]
