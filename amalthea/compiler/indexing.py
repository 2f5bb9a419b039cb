"""Where an op that only moves or combines elements takes them from.

An index is one `Affine` for each axis: a sum of loop variables times constants. `sources` tells, for one element of an
op's output, which elements of its inputs it is made of; fusion asks it what a loop would read, and the code generator
what to compute.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from amalthea.core.node import Node
from amalthea.core.value import Value


@dataclass(frozen=True)
class Affine:
    """constant + sum of factor * loop variable.

    >>> i, j = Affine.of("i"), Affine.of("j")
    >>> i * 4 + j + 2
    4*i + j + 2
    """

    terms: tuple[tuple[str, int], ...] = ()
    constant: int = 0

    @staticmethod
    def of(variable: str) -> Affine:
        """The loop variable itself."""
        return Affine(((variable, 1),))

    def __add__(self, other: Affine | int) -> Affine:
        if isinstance(other, int):
            return Affine(self.terms, self.constant + other)
        factors = dict(self.terms)
        for variable, factor in other.terms:
            factors[variable] = factors.get(variable, 0) + factor
        terms = tuple(sorted((v, f) for v, f in factors.items() if f))
        return Affine(terms, self.constant + other.constant)

    def __mul__(self, factor: int) -> Affine:
        if factor == 0:
            return Affine()
        return Affine(tuple((v, f * factor) for v, f in self.terms), self.constant * factor)

    def __repr__(self) -> str:
        parts = [v if f == 1 else f"{f}*{v}" for v, f in self.terms]
        if self.constant or not parts:
            parts.append(str(self.constant))
        return " + ".join(parts)


Index = tuple[Affine, ...]
ZERO = Affine()


def strides_of(shape: Sequence[int]) -> tuple[int, ...]:
    """Element strides of a contiguous array.

    >>> strides_of((2, 3, 4))
    (12, 4, 1)
    """
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def offset(index: Index, shape: Sequence[int]) -> Affine:
    """The place of an element in a contiguous array, in elements."""
    total = ZERO
    for part, stride in zip(index, strides_of(shape), strict=True):
        total = total + part * stride
    return total


def broadcast_index(index: Index, shape: Sequence[int]) -> Index:
    """The index into an array of `shape` that broadcasts to where `index` points."""
    tail = index[len(index) - len(shape) :]
    return tuple(ZERO if size == 1 else part for part, size in zip(tail, shape, strict=True))


def _reshape(node: Node, index: Index) -> list[tuple[Value, Index]] | None:
    before, after = node.inputs[0].spec.sizes, node.outputs[0].spec.sizes
    kept = [part for part, size in zip(index, after, strict=True) if size != 1]
    if [s for s in before if s != 1] != [s for s in after if s != 1]:
        return None
    parts = iter(kept)
    return [(node.inputs[0], tuple(ZERO if size == 1 else next(parts) for size in before))]


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


MOVES: dict[str, Callable[[Node, Index], Any]] = {
    "reshape": _reshape,
    "broadcast_to": _broadcast,
    "transpose": _transpose,
    "strided_slice": _strided_slice,
    "flip": _flip,
}
"""Ops whose elements are elements of their input."""


def sources(node: Node, index: Index) -> list[tuple[Value, Index]] | None:
    """The input elements that the output element at `index` is made of; None where that is not an affine matter."""
    move = MOVES.get(node.op.name)
    if move is not None:
        return move(node, index)
    return [(value, broadcast_index(index, value.spec.sizes)) for value in node.inputs]
