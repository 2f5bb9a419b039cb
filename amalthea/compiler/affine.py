"""Indices as sums: of loop variables times constants, and of what is divided or looked up on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from amalthea.core.value import Value


@dataclass(frozen=True)
class Affine:
    """constant + sum of factor * atom; an atom is a loop variable, or a `Quotient`, `Remainder` or `Lookup`.

    >>> i, j = Affine.of("i"), Affine.of("j")
    >>> i * 4 + j + 2
    4*i + j + 2
    """

    terms: tuple[tuple[Atom, int], ...] = ()
    constant: int = 0

    @staticmethod
    def of(atom: Atom) -> Affine:
        """The loop variable, or other atom, itself."""
        return Affine(((atom, 1),))

    def __add__(self, other: Affine | int) -> Affine:
        if isinstance(other, int):
            return Affine(self.terms, self.constant + other)
        return linear(((self, 1), (other, 1)))

    def __mul__(self, factor: int) -> Affine:
        if factor == 0:
            return Affine()
        return Affine(tuple((a, f * factor) for a, f in self.terms), self.constant * factor)

    def __repr__(self) -> str:
        parts = [str(a) if f == 1 else f"{f}*{a}" for a, f in self.terms]
        if self.constant or not parts:
            parts.append(str(self.constant))
        return " + ".join(parts)


@dataclass(frozen=True)
class Quotient:
    """An index that is not negative, divided by a number."""

    index: Affine
    by: int

    def __repr__(self) -> str:
        return f"({self.index})//{self.by}"


@dataclass(frozen=True)
class Remainder:
    """What a division of an index that is not negative leaves."""

    index: Affine
    by: int

    def __repr__(self) -> str:
        return f"({self.index})%{self.by}"


@dataclass(frozen=True)
class Lookup:
    """An integer element of a value: plus `wrap` where it is negative, then moved into [0, high]."""

    value: Value
    index: Index
    wrap: int
    high: int

    def __repr__(self) -> str:
        return f"{self.value.spec}{list(self.index)}"


Atom = str | Quotient | Remainder | Lookup
Index = tuple[Affine, ...]
ZERO = Affine()


def linear(parts: Iterable[tuple[Affine, int]]) -> Affine:
    """The sum of indices times numbers.

    >>> linear([(Affine.of("i") + 1, 4), (Affine.of("j"), 1), (Affine.of("i"), -4)])
    j + 4
    """
    factors: dict[Atom, int] = {}
    constant = 0
    for index, times in parts:
        constant += index.constant * times
        for atom, factor in index.terms:
            factors[atom] = factors.get(atom, 0) + factor * times
    terms = [(atom, factor) for atom, factor in factors.items() if factor]
    if len(terms) > 1:
        terms.sort(key=_rank)
    return Affine(tuple(terms), constant)


def _rank(term: tuple[Atom, int]) -> tuple[str, str]:
    return type(term[0]).__name__, str(term[0])


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


def offset(index: Sequence[Affine], shape: Sequence[int]) -> Affine:
    """The place of an element in a contiguous array, in elements."""
    return linear(zip(index, strides_of(shape), strict=True))


def split(flat: Affine, shape: Sequence[int]) -> list[Affine]:
    """The index of the element at a place of a contiguous array: the inverse of `offset`.

    >>> split(Affine.of("i"), (4, 2))
    [(i)//2, (i)%2]
    """
    found = []
    for axis, step in enumerate(strides_of(shape)):
        rest = remainder(flat, step * shape[axis]) if axis else flat
        found.append(quotient(rest, step))
    return found


def quotient(index: Affine, by: int) -> Affine:
    """index // by, of an index that is not negative.

    >>> quotient(Affine.of("i") * 4 + 2, 2), quotient(Affine.of("i"), 2)
    (2*i + 1, (i)//2)
    """
    if all(factor % by == 0 for _, factor in index.terms):
        return Affine(tuple((atom, factor // by) for atom, factor in index.terms), index.constant // by)
    return Affine.of(Quotient(index, by))


def remainder(index: Affine, by: int) -> Affine:
    """index % by, of an index that is not negative.

    >>> remainder(Affine.of("i") * 4 + 3, 2), remainder(Affine.of("i"), 2)
    (1, (i)%2)
    """
    if all(factor % by == 0 for _, factor in index.terms):
        return Affine((), index.constant % by)
    return Affine.of(Remainder(index, by))


def within(index: Affine) -> Iterator[Affine]:
    """The sum itself and all sums inside its atoms, those of the addresses that it looks up, too."""
    yield index
    for atom, _ in index.terms:
        if isinstance(atom, Lookup):
            yield from within(offset(atom.index, atom.value.spec.sizes))
        elif not isinstance(atom, str):
            yield from within(atom.index)


def lookups(index: Sequence[Affine]) -> Iterator[Lookup]:
    """All that is looked up to compute an index; what an outer one needs comes later."""
    for part in index:
        for atom, _ in part.terms:
            if isinstance(atom, Lookup):
                yield atom
                yield from lookups(atom.index)
            elif not isinstance(atom, str):
                yield from lookups([atom.index])
