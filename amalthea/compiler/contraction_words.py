"""Panels of words: an operand of a contraction copied so that instructions that multiply words find them in order.

A *line* is a row of the row operand or a column of the column operand. `STEP` words of the depth make a step. A panel
of rows holds for each step the words of one line after another; a panel of columns for each word of a step that word
of one line after another:

    rows:    [block of lines][step][line][word of the step]
    columns: [block of lines][step][word of the step][line]

The depth is flattened: the axes around the *inner* one, and that in words, filled up with zeros to whole steps. A short
inner axis is filled up to a part of a step, and several rounds of the others are together in one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from amalthea.compiler.contraction_nest import Axis
from amalthea.compiler.contraction_pack import turned_square
from amalthea.compiler.contraction_tile import convert, decode, linear, masked_load, offset
from amalthea.compiler.contraction_units import STEP, Unit
from amalthea.compiler.emitter import Emitter, llvm_type
from amalthea.core.dtypes import DType

Piece = tuple[str, str, str, str]
"""From where to where a panel reaches: groups of rounds from and to, steps of the inner axis from and to."""


@dataclass(frozen=True)
class Depth:
    """The depth of a contraction in steps of words.

    Attributes:
        outer: the axes around the inner one.
        inner: the axis along which words lie.
        group: elements of a word.
        together: rounds of the outer axes in a step; more than one only where the inner axis fits into that share.
    """

    outer: tuple[Axis, ...]
    inner: Axis
    group: int
    together: int = 1

    @cached_property
    def rounds(self) -> int:
        """Index tuples of the outer axes."""
        return prod(axis.size for axis in self.outer)

    @property
    def groups(self) -> int:
        """Rounds, counted by those that are together."""
        return self.rounds // self.together

    @property
    def share(self) -> int:
        """Words of a step that one round has."""
        return STEP // self.together

    @cached_property
    def inner_steps(self) -> int:
        """Steps of the inner axis."""
        return -(-self.inner.size // (STEP * self.group))

    @cached_property
    def steps(self) -> int:
        """Steps of the whole depth."""
        return self.groups * self.inner_steps

    @property
    def whole(self) -> Piece:
        """All of it as a piece."""
        return "0", str(self.groups), "0", str(self.inner_steps)


@dataclass(frozen=True)
class Lines:
    """How the lines of one operand are read.

    Attributes:
        axes: their axes, row-major.
        factor: the operand's place among the arrays of the nest.
        along: whether its depth is contiguous; otherwise its lines are.
    """

    axes: tuple[Axis, ...]
    factor: int
    along: bool

    @property
    def count(self) -> int:
        """Lines altogether."""
        return prod(axis.size for axis in self.axes)

    def place(self, e: Emitter, index: str) -> str | int:
        """The displacement of a line, in elements."""
        indices = decode(e, index, [axis.size for axis in self.axes])
        return linear(e, [(i, axis.steps[self.factor]) for i, axis in zip(indices, self.axes, strict=True)])


def depth_of(outer: tuple[Axis, ...], inner: Axis, group: int, shared: bool) -> Depth:
    """The depth along one axis; `shared`: with several rounds in a step, where the axis leaves room for them.

    >>> depth_of((Axis(6, (28, 7)),), Axis(7, (4, 1)), 2, True).together
    2
    """
    plain = Depth(outer, inner, group)
    fitting = [n for n in (8, 4, 2) if plain.rounds % n == 0 and inner.size <= STEP // n * group]
    return Depth(outer, inner, group, fitting[0]) if shared and fitting else plain


def lines_of(axes: tuple[Axis, ...], factor: int, inner: Axis, lanes: int) -> Lines | None:
    """How to read the lines of an operand in vectors of so many lanes; None where neither they nor the depth allow it.

    >>> lines_of((Axis(8, (1, 0)),), 0, Axis(5, (8, 1)), 4).along
    False
    """
    if inner.steps[factor] == 1:
        return Lines(axes, factor, True)
    last = axes[-1]
    if last.steps[factor] == 1 and (len(axes) == 1 or last.size % lanes == 0):
        return Lines(axes, factor, False)
    return None


class Packer:
    """Writes the code that copies lines into a panel.

    Args:
        e: the emitter.
        unit: the instruction that will read the panel.
        dtype: of the operand in memory.
        lines: of the operand.
        depth: of the contraction.
        width: lines of a block; a multiple of the vector's lanes, except for rows that are read along the depth.
        steps: of the panel: those of the whole depth, or of one piece of it.
        columns: whether it is a panel of columns.
    """

    def __init__(
        self, e: Emitter, unit: Unit, dtype: DType, lines: Lines, depth: Depth, width: int, steps: int, columns: bool
    ) -> None:
        self.e, self.unit, self.dtype, self.lines, self.depth = e, unit, dtype, lines, depth
        self.width, self.steps, self.columns = width, steps, columns
        self.added = unit.offset and not columns
        self.per_step = STEP // unit.lanes  # squares of vectors in a step

    def pack(self, source: str, goal: str, first: str, count: str, piece: Piece) -> None:
        """Fill the panel at `goal` with `count` lines from line `first` on, for a piece of the depth.

        Where lines are read together, as many as a vector has, the panel gets lines beyond the last one: any numbers.
        """
        e, lanes, total = self.e, self.unit.lanes, self.lines.count
        if self.lines.along and not self.columns:

            def one(i: str, carried: list[str]) -> list[str]:
                place = self.lines.place(e, e.value(f"add nuw nsw i64 {first}, {i}"))
                self._over_depth([offset(e, source, place, self.dtype)], goal, i, piece, lanes)
                return []

            e.loop("0", count, 1, one)
            return

        def some(i: str, carried: list[str]) -> list[str]:
            at = e.value(f"add nuw nsw i64 {first}, {i}")
            if self.lines.along:
                indices = [e.value(f"add nuw nsw i64 {at}, {k}") for k in range(lanes)]
                indices = [e.call("i64", "llvm.smin.i64", ("i64", k), ("i64", str(total - 1))) for k in indices]
                sources = [offset(e, source, self.lines.place(e, k), self.dtype) for k in indices]
                self._over_depth(sources, goal, i, piece, lanes)
                return []
            begin = offset(e, source, self.lines.place(e, at), self.dtype)
            rest = total % lanes
            if rest:
                last = e.value(f"icmp sgt i64 {at}, {total - lanes}")
                if_else(
                    e, last,
                    lambda: self._over_depth([begin], goal, i, piece, rest),
                    lambda: self._over_depth([begin], goal, i, piece, lanes),
                )  # fmt: skip
            else:
                self._over_depth([begin], goal, i, piece, lanes)
            return []

        e.loop("0", count, lanes, some)

    def pack_words(self, source: str, goal: str, group: str, step: str) -> None:
        """Fill one step of the panels of all columns, read row by row of an operand whose lines are contiguous."""
        for n, begin in enumerate(self._begins(group)):
            self._pack_round(offset(self.e, source, begin, self.dtype), goal, group, step, n)

    def _pack_round(self, source: str, goal: str, group: str, step: str, n: int) -> None:
        """Fill the words of one of the rounds of a step."""
        e, depth, lanes, lines = self.e, self.depth, self.unit.lanes, self.lines
        whole, rest = divmod(depth.inner.size, depth.group)
        inner_step, total = depth.inner.steps[lines.factor], lines.count
        steps = linear(e, [(group, depth.inner_steps), (step, 1)])

        def word(w: str, elements: int) -> None:
            begin = offset(e, source, linear(e, [(w, depth.group * inner_step)]), self.dtype)
            slot = e.value(f"sub nsw i64 {w}, {e.value(f'mul nuw nsw i64 {step}, {STEP}')}")
            place = linear(e, [(str(steps), STEP * self.width), (slot, self.width)], n * depth.share * self.width)
            row = e.value(f"getelementptr i32, ptr {goal}, i64 {place}")

            def some(line: str, valid: int) -> None:
                start = offset(e, begin, lines.place(e, line), self.dtype)
                parts = ["zeroinitializer"] * depth.group
                for d in range(elements):
                    parts[d] = self._load(offset(e, start, d * inner_step, self.dtype), lanes, valid)
                value = self._words(parts, lanes) if elements else "zeroinitializer"
                block, inside = e.value(f"udiv i64 {line}, {self.width}"), e.value(f"urem i64 {line}, {self.width}")
                terms = [(block, self.steps * STEP * self.width), (inside, 1)]
                at = e.value(f"getelementptr i32, ptr {row}, i64 {linear(e, terms)}")
                e.line(f"store {self.unit.words} {value}, ptr {at}, align 4")

            def full(line: str, carried: list[str]) -> list[str]:
                some(line, lanes)
                return []

            if total >= lanes:
                e.loop("0", str(total // lanes * lanes), lanes, full)
            if total % lanes:
                some(str(total // lanes * lanes), total % lanes)

        def body(elements: int) -> Callable[[str, list[str]], list[str]]:
            def one(w: str, carried: list[str]) -> list[str]:
                word(w, elements)
                return []

            return one

        first = e.value(f"mul nuw nsw i64 {step}, {STEP}")
        last = e.value(f"add nuw nsw i64 {first}, {STEP}")
        e.loop(first, e.call("i64", "llvm.smin.i64", ("i64", last), ("i64", str(whole))), 1, body(depth.group))
        words = whole + bool(rest)
        room = depth.share if depth.together > 1 else depth.inner_steps * STEP
        if words < room or rest:

            def end() -> None:
                if rest:
                    word(str(whole), rest)
                e.loop(str(words), str(room), 1, body(0))

            if_else(e, e.value(f"icmp eq i64 {step}, {depth.inner_steps - 1}"), end)

    def _over_depth(self, sources: Sequence[str], goal: str, line: str, piece: Piece, valid: int) -> None:
        """Copy lines, from `line` of the panel on: one for each source, or `valid` neighbours of a single source."""
        e, depth, lanes = self.e, self.depth, self.unit.lanes
        from_round, to_round, from_step, to_step = piece
        per_square = lanes * depth.group
        whole, rest = divmod(depth.inner.size, per_square)
        squares = depth.inner_steps * self.per_step
        inner_step = depth.inner.steps[self.lines.factor]

        def one_group(q: str, carried: list[str]) -> list[str]:
            begins = self._begins(q)
            begin = begins[0]
            steps = e.value(f"mul nsw i64 {e.value(f'sub nsw i64 {q}, {from_round}')}, {depth.inner_steps}")
            steps = e.value(f"sub nsw i64 {steps}, {from_step}")
            if depth.together > 1:
                rounds = [offset(e, sources[0], place, self.dtype) for place in begins]
                for k in range(self.per_step):
                    self._store(self._vectors_together(rounds, k * lanes, valid), goal, line, steps, str(k))
                return []

            def square(k: str, elements: int) -> None:
                further = e.value(f"mul nsw i64 {k}, {per_square * inner_step}")
                place = e.value(f"add nsw i64 {begin}, {further}")
                moved = [offset(e, source, place, self.dtype) for source in sources]
                zeros = ["zeroinitializer"] * (1 if self.lines.along and not self.columns else lanes)
                vectors = self._vectors(moved, elements, valid) if elements else zeros
                self._store(vectors, goal, line, steps, k)

            def body(k: str, carried: list[str]) -> list[str]:
                square(k, per_square)
                return []

            low = e.value(f"mul nsw i64 {from_step}, {self.per_step}")
            high = e.value(f"mul nsw i64 {to_step}, {self.per_step}")
            high = e.call("i64", "llvm.smin.i64", ("i64", high), ("i64", str(whole)))
            if whole:
                e.loop(low, high, 1, body)
            if whole < squares:

                def end() -> None:
                    for k in range(whole, squares):
                        square(str(k), rest if k == whole else 0)

                if_else(e, e.value(f"icmp eq i64 {to_step}, {depth.inner_steps}"), end)
            return []

        e.loop(from_round, to_round, 1, one_group)

    def _begins(self, q: str) -> list[str | int]:
        """The displacements of the rounds of a group, in elements."""
        e, depth = self.e, self.depth
        found = []
        for n in range(depth.together):
            index = linear(e, [(q, depth.together)], n)
            indices = decode(e, str(index), [axis.size for axis in depth.outer])
            terms = [(i, axis.steps[self.lines.factor]) for i, axis in zip(indices, depth.outer, strict=False)]
            found.append(linear(e, terms))
        return found

    def _store(self, vectors: Sequence[str], goal: str, line: str, steps: str, square: str) -> None:
        """Store a square of words: vectors that are words of a line each, or lines of a word each."""
        e, lanes, words = self.e, self.unit.lanes, self.unit.words
        step = e.value(f"add nsw i64 {steps}, {e.value(f'udiv i64 {square}, {self.per_step}')}")
        slot = e.value(f"mul nuw nsw i64 {e.value(f'urem i64 {square}, {self.per_step}')}, {lanes}")
        block, line = e.value(f"udiv i64 {line}, {self.width}"), e.value(f"urem i64 {line}, {self.width}")
        between, one = (self.width, 1) if self.columns else (1, STEP)
        terms = [(block, self.steps * STEP * self.width), (step, STEP * self.width), (slot, between), (line, one)]
        begin = e.value(f"getelementptr i32, ptr {goal}, i64 {linear(e, terms)}")
        between = self.width if self.columns else STEP
        for i, vector in enumerate(vectors):
            at = e.value(f"getelementptr i32, ptr {begin}, i64 {i * between}")
            e.line(f"store {words} {vector}, ptr {at}, align 4")

    def _vectors(self, sources: Sequence[str], elements: int, valid: int) -> list[str]:
        """The words of a square, of which `elements` of the depth exist, in the direction of the panel."""
        e, lanes, group = self.e, self.unit.lanes, self.depth.group
        if self.lines.along:
            found = [self._words([self._load(source, lanes * group, elements)], lanes) for source in sources]
            return turned_square(e, self.unit.words, found) if self.columns else found
        step, found = self.depth.inner.steps[self.lines.factor], []
        for word in range(lanes):
            parts = []
            for d in range(word * group, (word + 1) * group):
                at = offset(e, sources[0], d * step, self.dtype)
                parts.append(self._load(at, lanes, valid) if d < elements else "zeroinitializer")
            found.append(self._words(parts, lanes) if word * group < elements else "zeroinitializer")
        return found if self.columns else turned_square(e, self.unit.words, found)

    def _vectors_together(self, rounds: Sequence[str], first: int, valid: int) -> list[str]:
        """The words of a step from word `first` on, of rounds that begin at different places."""
        found, step, group = [], self.depth.inner.steps[self.lines.factor], self.depth.group
        for word in range(first, first + self.unit.lanes):
            n, inside = divmod(word, self.depth.share)
            places = range(inside * group, min((inside + 1) * group, self.depth.inner.size))
            parts = [
                self._load(offset(self.e, rounds[n], d * step, self.dtype), self.unit.lanes, valid) for d in places
            ]
            parts += ["zeroinitializer"] * (group - len(parts))
            found.append(self._words(parts, self.unit.lanes) if places else "zeroinitializer")
        return found if self.columns else turned_square(self.e, self.unit.words, found)

    def _load(self, pointer: str, lanes: int, valid: int) -> str:
        """Elements of the operand as the unit wants them."""
        e, dtype, unit = self.e, self.dtype, self.unit
        if valid == lanes:
            value = e.value(f"load {llvm_type(dtype, lanes)}, ptr {pointer}, align {dtype.itemsize}")
        else:
            value = masked_load(e, dtype, lanes, valid, pointer)
        if self.added:
            value = e.value(f"xor <{lanes} x i8> {value}, splat (i8 -128)")
        return convert(e, value, dtype, unit.element, lanes)

    def _words(self, parts: list[str], lanes: int) -> str:
        """A vector of words of one vector that holds them, or of one for each element of a word."""
        e, bits = self.e, 8 * self.unit.element.itemsize
        if len(parts) == 1:
            return e.value(
                f"bitcast {llvm_type(self.unit.element, lanes * self.depth.group)} {parts[0]} to {self.unit.words}"
            )
        parts = [e.value(f"bitcast {llvm_type(self.unit.element, lanes)} {p} to <{lanes} x i{bits}>") for p in parts]
        mixed = ", ".join(f"i32 {i // 2 + i % 2 * lanes}" for i in range(2 * lanes))
        while len(parts) > 1:
            kind = f"<{lanes} x i{bits}>"
            pairs = zip(parts[::2], parts[1::2], strict=True)
            wide = [e.value(f"shufflevector {kind} {a}, {kind} {b}, <{2 * lanes} x i32> <{mixed}>") for a, b in pairs]
            parts = [e.value(f"bitcast <{2 * lanes} x i{bits}> {v} to <{lanes} x i{2 * bits}>") for v in wide]
            bits *= 2
        return parts[0]


def if_else(e: Emitter, condition: str, then: Callable[[], None], otherwise: Callable[[], None] | None = None) -> None:
    """Code for either case of an i1."""
    yes, joined = e.block("yes"), e.block("joined")
    no = e.block("no") if otherwise else joined
    e.branch(condition, yes, no)
    e.label(yes)
    then()
    e.jump(joined)
    if otherwise:
        e.label(no)
        otherwise()
        e.jump(joined)
    e.label(joined)
