"""Where an op that only moves, combines or chooses elements takes them from.

An index is one `Affine` for each axis (`affine.py`). `sources` tells, for one element of an op's output, which elements
of its inputs it is made of; fusion asks it what a loop would read, and the code generator what to compute. Where it
depends on the place which element that is (`concatenate`), `parts` tells the cases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from amalthea.compiler.affine import ZERO, Affine, Index, Lookup, lookups, offset, quotient, remainder, split
from amalthea.core.node import Node
from amalthea.core.value import Value


def broadcast_index(index: Index, shape: Sequence[int]) -> Index:
    """The index into an array of `shape` that broadcasts to where `index` points."""
    tail = index[len(index) - len(shape) :]
    if 1 not in shape:
        return tail
    return tuple(ZERO if size == 1 else part for part, size in zip(tail, shape, strict=True))


# --- moves ---------------------------------------------------------------------------------------------------------


def _groups(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The axes that a reshape takes together, before and after: the finest runs of equal size, without axes of 1.

    >>> _groups((2, 3, 4), (6, 2, 2))
    [([0, 1], [0]), ([2], [1, 2])]
    """
    left, right = ([axis for axis, size in enumerate(shape) if size != 1] for shape in (before, after))
    groups = []
    while left and right:
        mine, theirs = [left.pop(0)], [right.pop(0)]
        while (m := prod(before[a] for a in mine)) != (t := prod(after[a] for a in theirs)):
            if m < t:
                mine.append(left.pop(0))
            else:
                theirs.append(right.pop(0))
        groups.append((mine, theirs))
    return groups


def _reshape(node: Node, index: Index) -> list[tuple[Value, Index]] | None:
    before, after = node.inputs[0].spec.sizes, node.outputs[0].spec.sizes
    if 0 in before:
        return [(node.inputs[0], tuple(ZERO for _ in before))]
    placed = [ZERO] * len(before)
    for mine, theirs in _groups(before, after):
        flat = offset([index[a] for a in theirs], [after[a] for a in theirs])
        for axis, part in zip(mine, split(flat, [before[a] for a in mine]), strict=True):
            placed[axis] = part
    return [(node.inputs[0], tuple(placed))]


def folds(node: Node) -> bool:
    """Whether a reshape costs no division in an address (by other numbers than powers of two)."""
    before = node.inputs[0].spec.sizes
    if 0 in before:
        return True
    groups = _groups(before, node.outputs[0].spec.sizes)
    divisors = [prod(before[a] for a in mine[i:]) for mine, _ in groups for i in range(1, len(mine))]
    return all(n & (n - 1) == 0 for n in divisors)


def _broadcast(node: Node, index: Index) -> list[tuple[Value, Index]]:
    return [(node.inputs[0], broadcast_index(index, node.inputs[0].spec.sizes))]


def _transpose(node: Node, index: Index) -> list[tuple[Value, Index]]:
    placed: list[Any] = [ZERO] * len(index)
    for part, axis in zip(index, node.attrs["axes"], strict=True):
        placed[axis] = part
    return [(node.inputs[0], tuple(placed))]


def _strided_slice(node: Node, index: Index) -> list[tuple[Value, Index]]:
    return [
        (
            node.inputs[0],
            tuple(
                part * step + start
                for part, start, step in zip(index, node.attrs["start"], node.attrs["strides"], strict=True)
            ),
        )
    ]


def _flip(node: Node, index: Index) -> list[tuple[Value, Index]]:
    shape, axes = node.inputs[0].spec.sizes, node.attrs["axis"]
    turned = [part * -1 + (size - 1) for part, size in zip(index, shape, strict=True)]
    return [(node.inputs[0], tuple(turned[i] if i in axes else part for i, part in enumerate(index)))]


def _gather(node: Node, index: Index) -> list[tuple[Value, Index]]:
    x, indices = node.inputs
    axis, size = node.attrs["axis"], x.spec.sizes[node.attrs["axis"]]
    behind = axis + len(indices.spec.sizes)
    place = Lookup(indices, _own(indices, index[axis:behind]), size, size - 1)
    return [(x, _own(x, (*index[:axis], Affine.of(place), *index[behind:])))]


def _start(starts: Value, axis: int, size: int, block: int) -> Affine:
    """Where a block of a dynamic slice begins: moved inside where it would stick out."""
    return Affine.of(Lookup(starts, (Affine((), axis),), size, size - block)) if size > block else ZERO


def _dynamic_slice(node: Node, index: Index) -> list[tuple[Value, Index]]:
    x, starts = node.inputs
    sizes = zip(index, x.spec.sizes, node.attrs["shape"], strict=True)
    return [(x, tuple(part + _start(starts, axis, size, block) for axis, (part, size, block) in enumerate(sizes)))]


def _extract_windows(node: Node, index: Index) -> list[tuple[Value, Index]]:
    size, strides = node.attrs["size"], node.attrs["strides"]
    n = len(size)
    batch, places, within, channel = index[0], index[1 : 1 + n], index[1 + n : 1 + 2 * n], index[-1]
    middle = (place * step + part for place, step, part in zip(places, strides, within, strict=True))
    return [(node.inputs[0], (batch, *middle, channel))]


MOVES: dict[str, Callable[[Node, Index], Any]] = {
    "reshape": _reshape,
    "broadcast_to": _broadcast,
    "transpose": _transpose,
    "strided_slice": _strided_slice,
    "flip": _flip,
    "gather": _gather,
    "dynamic_slice": _dynamic_slice,
    "extract_windows": _extract_windows,
}
"""Ops whose elements are elements of their first input."""


# --- choices -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Test:
    """Whether low <= index < high."""

    index: Affine
    low: int
    high: int


@dataclass(frozen=True)
class Part:
    """One case: where all tests hold, the element of `value` at `index`, or the number `fill`."""

    tests: tuple[Test, ...]
    value: Value | None = None
    index: Index = ()
    fill: Any = None


def _concatenate(node: Node, index: Index) -> list[Part]:
    axis, begin, found = node.attrs["axis"], 0, []
    for value in node.inputs:
        size = value.spec.sizes[axis]
        if size:
            moved = (*index[:axis], index[axis] + -begin, *index[axis + 1 :])
            found.append(Part((Test(index[axis], begin, begin + size),), value, _own(value, moved)))
        begin += size
    if found:  # what none of the others has is in the last one
        found[-1] = Part((), found[-1].value, found[-1].index)
    return found


def _constant_pad(node: Node, index: Index) -> list[Part]:
    (x,), attrs = node.inputs, node.attrs
    tests, places = [], []
    sizes = zip(index, x.spec.sizes, attrs["low"], attrs["high"], attrs["interior"], strict=True)
    for part, size, low, high, between in sizes:
        moved = part + -low
        if low or high or between:
            tests.append(Test(moved, 0, (size - 1) * (between + 1) + 1 if size else 0))
        if between:
            moved, rest = split(moved, (size, between + 1))
            tests.append(Test(rest, 0, 1))
        places.append(moved)
    inside = Part(tuple(tests), x, _own(x, tuple(places)))
    return [inside, Part((), fill=attrs["value"])] if tests else [inside]


def _dynamic_update_slice(node: Node, index: Index) -> list[Part]:
    x, updates, starts = node.inputs
    sizes = enumerate(zip(index, x.spec.sizes, updates.spec.sizes, strict=True))
    moved = tuple(part + _start(starts, axis, size, block) * -1 for axis, (part, size, block) in sizes)
    pairs = zip(moved, x.spec.sizes, updates.spec.sizes, strict=True)
    tests = tuple(Test(part, 0, block) for part, size, block in pairs if block < size)
    within = Part(tests, updates, _own(updates, moved))
    return [within, Part((), x, index)] if tests else [within]


def _own(value: Value, index: Index) -> Index:
    """The index with nothing for the axes of size 1."""
    return broadcast_index(index, value.spec.sizes)


def _apart(node: Node, index: Index) -> list[Part]:
    """Windows that do not overlap: each place is in one of them, or between them, or behind the last."""
    (x,), attrs, n = node.inputs, node.attrs, len(node.attrs["size"])
    tests, windows, within = [], [], []
    sizes = zip(index[1:-1], x.spec.sizes[1 : 1 + n], attrs["input_size"], attrs["size"], attrs["strides"], strict=True)
    for part, places, whole, size, stride in sizes:
        window, rest = quotient(part, stride), remainder(part, stride)
        tests += [Test(window, 0, places)] * (whole > places * stride) + [Test(rest, 0, size)] * (size < stride)
        windows.append(window)
        within.append(rest)
    inside = Part(tuple(tests), x, _own(x, (index[0], *windows, *within, index[-1])))
    return [inside, Part((), fill=0)] if tests else [inside]


CHOICES: dict[str, Callable[[Node, Index], list[Part]]] = {
    "concatenate": _concatenate,
    "constant_pad": _constant_pad,
    "dynamic_update_slice": _dynamic_update_slice,
    "overlap_add": _apart,
}
"""Ops whose elements are elements of one input or another, or a number, depending on the place."""


def is_choice(node: Node) -> bool:
    """Whether each element of a node is an element of one of its inputs or a number, depending on the place."""
    if node.op.name == "overlap_add":  # where windows overlap, elements are sums
        pairs = zip(node.attrs["size"], node.attrs["strides"], strict=True)
        return bool(node.inputs[0].spec.size) and all(size <= stride for size, stride in pairs)
    return node.op.name in CHOICES


def parts(node: Node, index: Index) -> list[Part]:
    """The cases for the element at `index` of a choice: the first holds whose tests do."""
    return CHOICES[node.op.name](node, index)


# --- all -----------------------------------------------------------------------------------------------------------


def _threefry(node: Node, index: Index) -> list[tuple[Value, Index]]:
    key, *counters = node.inputs
    words = [(key, (Affine((), i),)) for i in (0, 1)]
    return [*words, *((counter, broadcast_index(index, counter.spec.sizes)) for counter in counters)]


def sources(node: Node, index: Index) -> list[tuple[Value, Index]]:
    """The input elements that the output element at `index` is made of, or may be."""
    name = node.op.name
    if name in MOVES:
        return MOVES[name](node, index)
    if is_choice(node):
        return [(part.value, part.index) for part in parts(node, index) if part.value is not None]
    if name == "threefry2x32":
        return _threefry(node, index)
    return [(value, broadcast_index(index, value.spec.sizes)) for value in node.inputs]


def tests(node: Node, index: Index) -> list[Test]:
    """On which it depends what the element at `index` is."""
    if is_choice(node):
        return [test for part in parts(node, index) for test in part.tests]
    return []


def reads(node: Node, index: Index) -> list[tuple[Value, Index]]:
    """`sources` and the elements that their indices are looked up in."""
    found = sources(node, index)
    places = [part for _, where in found for part in where] + [test.index for test in tests(node, index)]
    return [*found, *((at.value, at.index) for at in lookups(places))]
