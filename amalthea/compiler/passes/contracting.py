"""Contractions: transposes folded into their subscripts, repeated and summed operands made small."""

from __future__ import annotations

import math

from amalthea.compiler.passes.broadcasting import stretched
from amalthea.compiler.passes.rewriting import Rules, Sweep, rewrite
from amalthea.core.graph import Graph
from amalthea.core.node import Node
from amalthea.core.value import Value

RULES = Rules()
LETTERS = "ijklmnopqrstuvwxyzabcdefgh"


def simplify_contractions(graph: Graph) -> Graph:
    """The graph with simpler contractions. Sums may be taken in another order, so the last digits may differ.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.contracting import simplify_contractions
    >>> specs = am.TensorSpec((2, 3), "float32", name="x"), am.TensorSpec((4, 3), "float32", name="y")
    >>> graph = am.trace(lambda x, y: am.ops.matmul(x, am.ops.transpose(y)), *specs, level="primitive")
    >>> print(simplify_contractions(graph))
    graph <lambda>(x: float32[2,3], y: float32[4,3])
      a: float32[2,4] = contract(x, y, subscripts='ij,kj->ik')
      return a
    """
    return rewrite(graph, RULES)


def terms(subscripts: str) -> tuple[str, str, str]:
    """("ij", "jk", "ik") of "ij,jk->ik"."""
    operands, _, out = subscripts.partition("->")
    x, _, y = operands.partition(",")
    return x, y, out


def _contract(sweep: Sweep, x: Value, y: Value, tx: str, ty: str, out: str) -> Value:
    return sweep.make("contract", x, y, subscripts=f"{tx},{ty}->{out}")


@RULES.on("contract")
def _transposed_operand(sweep: Sweep, node: Node) -> Value | None:
    """contract(transpose(x), y) -> contract(x, y) with the letters of x in its own order"""
    values, parts = list(node.inputs), list(terms(node.attrs["subscripts"]))
    changed = False
    for i in range(2):
        inner = sweep.maker(values[i], "transpose")
        if inner is not None:
            letters = dict(zip(inner.attrs["axes"], parts[i], strict=True))
            parts[i] = "".join(letters[axis] for axis in range(len(parts[i])))
            values[i], changed = inner.inputs[0], True
    return _contract(sweep, values[0], values[1], *parts) if changed else None


@RULES.on("transpose")
def _transposed_result(sweep: Sweep, node: Node) -> Value | None:
    """transpose(contract(x, y)) -> contract(x, y) with the letters of the result in this order"""
    inner = sweep.maker(node.inputs[0], "contract")
    if inner is None or not sweep.single(node.inputs[0]):
        return None
    x, y, out = terms(inner.attrs["subscripts"])
    a, b = inner.inputs
    return _contract(sweep, a, b, x, y, "".join(out[axis] for axis in node.attrs["axes"]))


@RULES.on("contract")
def _size_one(sweep: Sweep, node: Node) -> Value | None:
    """A summed axis of size 1 is dropped from both operands"""
    (a, b), (x, y, out) = node.inputs, terms(node.attrs["subscripts"])
    gone = {c for c, size in zip(x, a.spec.shape, strict=True) if size == 1 and c not in out}
    if not gone:
        return None
    a, x = _without(sweep, a, x, gone)
    b, y = _without(sweep, b, y, gone)
    return _contract(sweep, a, b, x, y, out)


def _without(sweep: Sweep, value: Value, term: str, gone: set[str]) -> tuple[Value, str]:
    sizes = [size for c, size in zip(term, value.spec.shape, strict=True) if c not in gone]
    return sweep.reshaped(value, sizes), "".join(c for c in term if c not in gone)  # type: ignore[arg-type]


@RULES.on("contract")
def _nothing_summed(sweep: Sweep, node: Node) -> Value | None:
    """contract(x, y, "i,j->ij") -> x[:, None] * y, where both have their letters in the order of the result"""
    (a, b), (x, y, out) = node.inputs, terms(node.attrs["subscripts"])
    if set(x + y) - set(out) or any([c for c in out if c in term] != list(term) for term in (x, y)):
        return None
    wide = [
        sweep.reshaped(v, _spread(v, term, out[min(out.index(c) for c in term) :] if term else ""))
        for v, term in ((a, x), (b, y))
    ]
    return sweep.make("multiply", *wide)


def _spread(value: Value, term: str, out: str) -> list[int]:
    sizes = dict(zip(term, value.spec.shape, strict=True))
    return [sizes.get(c, 1) for c in out]  # type: ignore[misc]


@RULES.on("contract")
def _repeated_operand(sweep: Sweep, node: Node) -> Value | None:
    """contract(broadcast(x), y) -> contract(x, y) without the repeated letters, then broadcast; y summed over them"""
    if not node.outputs[0].spec.size:
        return None
    for i in range(2):
        found = stretched(sweep, node.inputs[i])
        if found is not None:
            return _of_small(sweep, node, i, *found)
    return None


def _of_small(sweep: Sweep, node: Node, i: int, small: Value, axes: tuple[int, ...]) -> Value | None:
    parts = list(terms(node.attrs["subscripts"]))
    mine, other, out = parts[i], parts[1 - i], parts[2]
    repeated = {mine[a] for a in axes}
    value, mine = _without(sweep, small, mine, repeated)
    theirs = node.inputs[1 - i]
    summed = tuple(k for k, c in enumerate(other) if c in repeated and c not in out)
    if summed:
        theirs = sweep.make("sum", theirs, axis=summed, keepdims=False)
        if theirs.spec.dtype != node.inputs[1 - i].spec.dtype:
            return None
        other = "".join(c for k, c in enumerate(other) if k not in summed)
    free = {c for c in repeated if c in out and c not in other}
    short = "".join(c for c in out if c not in free)
    pair = [(value, mine), (theirs, other)]
    (a, x), (b, y) = pair if i == 0 else pair[::-1]
    made = _contract(sweep, a, b, x, y, short)
    shape = [1 if c in free else d for c, d in zip(out, node.outputs[0].spec.shape, strict=True)]
    return sweep.fit(sweep.reshaped(made, shape), node.outputs[0].spec)  # type: ignore[arg-type]


@RULES.on("sum")
def _product_summed(sweep: Sweep, node: Node) -> Value | None:
    """sum(x[:, :, None] * y[None]) -> contract(x, y, "ij,jk->ik"): a matrix product written by broadcasting

    Only where each factor has an axis that the other has not, so that elements are used again; and each axis that is
    summed is in both.
    """
    inner = sweep.maker(node.inputs[0], "multiply")
    if inner is None or not sweep.single(node.inputs[0]):
        return None
    shape, axes = inner.outputs[0].spec.shape, set(node.attrs["axis"])
    letters = LETTERS[: len(shape)]
    pairs = [_letters(sweep, value, letters) for value in inner.inputs]
    (a, x), (b, y) = pairs
    out = "".join(c for i, c in enumerate(letters) if i not in axes and shape[i] != 1)
    summed = {c for i, c in enumerate(letters) if i in axes and shape[i] != 1}
    if not summed or not summed <= set(x) & set(y) or not set(x) - set(y) or not set(y) - set(x):
        return None
    if math.prod(shape) == 0:  # type: ignore[arg-type]
        return None
    made = _contract(sweep, a, b, x, y, out)
    return sweep.reshaped(made, node.outputs[0].spec.shape)  # type: ignore[arg-type]


def _letters(sweep: Sweep, value: Value, letters: str) -> tuple[Value, str]:
    """The value without its axes of size 1, and the letters of the axes that are left."""
    sizes = value.spec.shape
    mine = letters[len(letters) - len(sizes) :]
    kept = [(c, d) for c, d in zip(mine, sizes, strict=True) if d != 1]
    return sweep.reshaped(value, [d for _, d in kept]), "".join(c for c, _ in kept)  # type: ignore[misc]
