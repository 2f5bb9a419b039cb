"""The innermost code of a contraction: one register tile, its loop over the depth, and what is stored at the end.

A tile is a box of rows times a few columns; each (row, column) pair is a *point* with an accumulator, a vector along
the vector axis. Where a point's factors lie is known up to the tile's origin, so all points share one address
register for each array and differ by constant displacements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from amalthea.compiler import elementwise
from amalthea.compiler.contraction_nest import Axis, Constant, Nest
from amalthea.compiler.emitter import Emitter, literal, llvm_type
from amalthea.core import dtypes
from amalthea.core.dtypes import DType

Emit = Callable[..., str]


@dataclass(frozen=True)
class View:
    """Where a tile finds one array: steps in elements of `dtype`.

    Attributes:
        dtype: in memory.
        vector: from lane to lane: 1 loads a vector, 0 spreads a scalar, all else gathers.
        column: from one column of the tile (a vector or, in the dot form, a scalar) to the next.
        rows: displacement of each row of the tile.
        depth: step of each depth axis.
        padded: whether lanes past the end may be read.
    """

    dtype: DType
    vector: int
    column: int
    rows: tuple[int, ...]
    depth: tuple[int, ...] = ()
    padded: bool = False


@dataclass
class TileCode:
    """Writes tiles into an emitter.

    Attributes:
        e: the emitter.
        nest: what is computed.
        lanes: of a vector; 1 computes in scalars.
        dot: whether vectors lie along the depth, so that sums are reduced at the end.
        unroll: rounds of the innermost loop written out.
        pointwise: `elementwise.emit`, for epilogues.
        spill: memory for the sums of a tile, where the epilogue is a loop over its rows; "" where it is written out.
    """

    e: Emitter
    nest: Nest
    lanes: int
    dot: bool
    unroll: int
    pointwise: Emit | None = None
    spill: str = ""

    # -- values -------------------------------------------------------------------------------------------------------

    def vector_type(self, dtype: DType) -> str:
        return llvm_type(dtype, self.lanes)

    def splat(self, value: str, dtype: DType, lanes: int) -> str:
        """A vector of one scalar."""
        if lanes == 1:
            return value
        kind = llvm_type(dtype, lanes)
        one = self.e.value(f"insertelement {kind} poison, {llvm_type(dtype)} {value}, i64 0")
        return self.e.value(f"shufflevector {kind} {one}, {kind} poison, <{lanes} x i32> zeroinitializer")

    def zero(self, dtype: DType) -> str:
        return "zeroinitializer" if self.lanes > 1 else literal(0, dtype)

    def load(self, view: View, pointer: str, displacement: int, valid: int, to: DType, lanes: int) -> str:
        """`valid` lanes at a displacement from a pointer, converted to dtype `to`."""
        e, size = self.e, view.dtype.itemsize
        scalar = llvm_type(view.dtype)
        if view.vector == 0 or lanes == 1:
            value = e.value(f"load {scalar}, ptr {self.at(view, pointer, displacement)}, align {size}")
            return self.splat(convert(e, value, view.dtype, to), to, lanes)
        kind = llvm_type(view.dtype, lanes)
        if view.vector == 1:
            address = self.at(view, pointer, displacement)
            if valid == lanes or view.padded:
                value = e.value(f"load {kind}, ptr {address}, align {size}")
            else:
                value = masked_load(e, view.dtype, lanes, valid, address)
            return convert(e, value, view.dtype, to, lanes)
        value = "zeroinitializer"  # gathered
        for lane in range(valid):
            address = self.at(view, pointer, displacement + lane * view.vector)
            one = e.value(f"load {scalar}, ptr {address}, align {size}")
            value = e.value(f"insertelement {kind} {value}, {scalar} {one}, i64 {lane}")
        return convert(e, value, view.dtype, to, lanes)

    def store(self, view: View, pointer: str, displacement: int, valid: int, value: str, lanes: int) -> None:
        """Store `valid` lanes of a value of the view's dtype."""
        e, size = self.e, view.dtype.itemsize
        scalar, kind = llvm_type(view.dtype), llvm_type(view.dtype, lanes)
        if lanes == 1 or (view.vector == 1 and valid == lanes):
            e.line(f"store {kind} {value}, ptr {self.at(view, pointer, displacement)}, align {size}")
        elif view.vector == 1:
            masked_store(e, view.dtype, lanes, valid, value, self.at(view, pointer, displacement))
        else:
            for lane in range(valid):
                one = e.value(f"extractelement {kind} {value}, i64 {lane}")
                address = self.at(view, pointer, displacement + lane * view.vector)
                e.line(f"store {scalar} {one}, ptr {address}, align {size}")

    def at(self, view: View, pointer: str, displacement: int | str) -> str:
        return offset(self.e, pointer, displacement, view.dtype)

    # -- the loop over the depth ---------------------------------------------------------------------------------------

    def accumulate(
        self,
        views: Sequence[View],
        pointers: Sequence[str],
        axes: Sequence[tuple[Axis, int | str]],
        columns: int,
        valid: int,
        sums: list[str],
    ) -> list[str]:
        """Add the products of all points over the depth axes to the sums.

        Args:
            views, pointers: of the factors.
            axes: depth axes with how much of each is run through (a number or an i64 value); the views' depth steps
                are those of the last `len(axes)` axes.
            columns: of the tile.
            valid: lanes of the last column that exist.
            sums: one value for each point, row by row.
        """
        if not axes:
            return self._products(views, pointers, [0] * len(views), columns, valid, self.lanes, sums)
        (_, count), inner = axes[0], axes[1:]
        level = len(views[0].depth) - len(axes)
        if not inner:
            return self._innermost(views, pointers, count, columns, valid, sums)

        def body(start: list[str], carried: list[str]) -> list[str]:
            return self.accumulate(views, start, inner, columns, valid, carried)

        return self._loop(count, views, pointers, (level, 1), body, sums)[0]

    def _innermost(
        self,
        views: Sequence[View],
        pointers: Sequence[str],
        count: int | str,
        columns: int,
        valid: int,
        sums: list[str],
    ) -> list[str]:
        """The innermost depth axis: an unrolled loop, and what it leaves over."""
        stride = self.lanes if self.dot else 1

        def some(times: int, start: Sequence[str], sums: list[str], width: int = self.lanes) -> list[str]:
            for u in range(times):
                if u:
                    # Keeps LLVM from loading ahead for later steps, for which there are no registers. No instruction.
                    self.e.line('fence syncscope("singlethread") acquire')
                at = [u * stride * view.depth[-1] for view in views]
                sums = self._products(views, start, at, columns, valid, width, sums)
            return sums

        def rounds(
            number: int | str, times: int, start: Sequence[str], sums: list[str]
        ) -> tuple[list[str], Sequence[str]]:
            return self._loop(number, views, start, (-1, times * stride), partial(some, times), sums)

        if isinstance(count, str):
            full = self.e.value(f"udiv i64 {count}, {self.unroll * stride}")
            sums, pointers = rounds(full, self.unroll, pointers, sums)
            done = self.e.value(f"mul nuw nsw i64 {full}, {self.unroll * stride}")
            rest = self.e.value(f"sub i64 {count}, {done}")
            return rounds(rest, 1, pointers, sums)[0]
        whole, tail = divmod(count, stride)
        number, left = divmod(whole, self.unroll)
        if number == 1:
            sums, pointers = some(self.unroll, pointers, sums), self._moved(views, pointers, -1, self.unroll * stride)
        elif number:
            sums, pointers = rounds(number, self.unroll, pointers, sums)
        sums = some(left, pointers, sums) if left else sums
        return some(1, self._moved(views, pointers, -1, left * stride), sums, tail) if tail else sums

    def _moved(self, views: Sequence[View], pointers: Sequence[str], level: int, times: int) -> list[str]:
        """The pointers, `times` steps further along one depth axis."""
        pairs = zip(views, pointers, strict=True)
        return [self.at(view, pointer, view.depth[level] * times) for view, pointer in pairs]

    def _loop(
        self,
        count: int | str,
        views: Sequence[View],
        pointers: Sequence[str],
        step: tuple[int, int],
        body: Callable[[list[str], list[str]], list[str]],
        sums: list[str],
    ) -> tuple[list[str], Sequence[str]]:
        """`count` rounds of `body(pointers, sums)`, which move the pointers on by `step`: (depth axis, times).

        Returns:
            The sums and the pointers after the last round.
        """
        if count == 0:
            return sums, pointers
        n = len(sums)

        def round_(i: str, carried: list[str]) -> list[str]:
            new = body(carried[n:], carried[:n])
            return [*new, *(self.opaque(p) for p in self._moved(views, carried[n:], *step))]

        carried = [(self.vector_type(self.nest.accumulate), value) for value in sums]
        carried += [("ptr", pointer) for pointer in pointers]
        if isinstance(count, int):
            found = self.e.repeat(count, round_, carried)
        else:
            found = self.e.loop("0", count, 1, round_, carried)
        return list(found[:n]), found[n:]

    def opaque(self, pointer: str) -> str:
        """The pointer through an intrinsic that makes no instruction, so that LLVM takes addresses from it as they are.

        Reducing the strength of what cannot be simpler would be half of the time that it spends on a kernel.
        """
        return self.e.call("ptr", "llvm.launder.invariant.group.p0", ("ptr", pointer))

    def _products(
        self,
        views: Sequence[View],
        pointers: Sequence[str],
        at: Sequence[int],
        columns: int,
        valid: int,
        width: int,
        sums: list[str],
    ) -> list[str]:
        """One step of the depth for all points; `width` lanes of it exist where vectors lie along the depth."""
        memo: dict[tuple[int, int, int], str] = {}
        accumulate, new = self.nest.accumulate, list(sums)
        for row in range(len(views[0].rows)):
            for column in range(columns):
                lanes_here = width if self.dot else valid if column == columns - 1 else self.lanes
                values = []
                for f, (view, pointer, start) in enumerate(zip(views, pointers, at, strict=True)):
                    displacement = start + view.rows[row] + column * view.column
                    key = (f, displacement, lanes_here if view.vector else 0)
                    if key not in memo:
                        memo[key] = self.load(view, pointer, displacement, lanes_here, accumulate, self.lanes)
                    values.append(memo[key])
                point = row * columns + column
                new[point] = multiply_add(self.e, new[point], values, accumulate, self.lanes)
        return new

    # -- the end ------------------------------------------------------------------------------------------------------

    def reduce(self, value: str) -> str:
        """The sum of the lanes."""
        if self.lanes == 1:
            return value
        dtype = self.nest.accumulate
        kind, scalar = self.vector_type(dtype), llvm_type(dtype)
        suffix = f"v{self.lanes}{mangled(dtype)}"
        if dtypes.is_floating(dtype):
            name, arguments = f"llvm.vector.reduce.fadd.{suffix}", f"({scalar} {literal(-0.0, dtype)}, {kind} {value})"
            self.e.need(f"declare {scalar} @{name}({scalar}, {kind})")
            return self.e.value(f"call reassoc {scalar} @{name}{arguments}")
        return self.e.call(scalar, f"llvm.vector.reduce.add.{suffix}", (kind, value))

    def finish(
        self,
        views: Mapping[int, View],
        pointers: Mapping[int, str],
        columns: int,
        valid: int,
        sums: Sequence[str],
        box: Sequence[int] = (),
    ) -> None:
        """Apply the epilogue to the sums and store its results; `views` and `pointers` of operands and results.

        Long epilogues are a loop over the rows of the tile, of which `box` has the sizes: the sums go through memory
        that the first cache holds, and the code stays short.
        """
        if not self.spill:
            memo: dict[tuple[int, int, int], str] = {}
            for row in range(len(sums) // columns):
                at = {a: views[a].rows[row] for a in pointers}
                self._finish_row(views, pointers, at, columns, valid, sums[row * columns : (row + 1) * columns], memo)
            return
        e, lanes = self.e, 1 if self.dot else self.lanes
        view = View(self.nest.accumulate, 1, lanes, (), padded=True)
        for i, value in enumerate(sums):
            self.store(view, self.spill, i * lanes, lanes, self.reduce(value) if self.dot else value, lanes)

        def row_of(flat: str, carried: list[str]) -> list[str]:
            indices = decode(e, flat, box)
            moved = {}
            for a in pointers:
                unit = len(sums) // columns
                terms = []
                for index, size in zip(indices, box, strict=True):
                    unit //= size
                    terms.append((index, views[a].rows[unit] - views[a].rows[0] if size > 1 else 0))
                moved[a] = self.opaque(offset(e, pointers[a], linear(e, terms, views[a].rows[0]), views[a].dtype))
            source = self.at(view, self.spill, e.value(f"mul nuw nsw i64 {flat}, {columns * lanes}"))
            row = [self.load(view, source, i * lanes, lanes, view.dtype, lanes) for i in range(columns)]
            self._finish_row(views, moved, dict.fromkeys(moved, 0), columns, valid, row, {}, reduced=True)
            return []

        e.repeat(len(sums) // columns, row_of)

    def _finish_row(
        self,
        views: Mapping[int, View],
        pointers: Mapping[int, str],
        at: Mapping[int, int],
        columns: int,
        valid: int,
        sums: Sequence[str],
        memo: dict[tuple[int, int, int], str],
        reduced: bool = False,
    ) -> None:
        """The epilogue of one row of the tile, at the displacements `at`."""
        nest, lanes = self.nest, 1 if self.dot else self.lanes
        for column, total in enumerate(sums):
            lanes_here = 1 if self.dot else valid if column == columns - 1 else lanes
            values = [self.reduce(total) if self.dot and not reduced else total]
            kinds = [nest.accumulate]
            for a in nest.operands:
                view = views[a]
                displacement = at[a] + column * view.column
                key = (a, displacement, lanes_here)
                if key not in memo:
                    memo[key] = self.load(view, pointers[a], displacement, lanes_here, view.dtype, lanes)
                values.append(memo[key])
                kinds.append(view.dtype)
            for step in nest.steps:
                assert self.pointwise is not None
                arguments, given = [], []
                for i in step.args:
                    if isinstance(i, Constant):
                        arguments.append(self.splat(literal(i.value, i.dtype), i.dtype, lanes))
                        given.append(i.dtype)
                    else:
                        arguments.append(values[i])
                        given.append(kinds[i])
                values.append(self.pointwise(self.e, step.op, arguments, given, step.dtype, lanes, step.attrs))
                kinds.append(step.dtype)
            for a, index in nest.results:
                view = views[a]
                value = convert(self.e, values[index], kinds[index], view.dtype, lanes)
                self.store(view, pointers[a], at[a] + column * view.column, lanes_here, value, lanes)


# -- pieces --------------------------------------------------------------------------------------------------------


def offset(e: Emitter, pointer: str, displacement: int | str, dtype: DType) -> str:
    """The address `displacement` elements further."""
    if displacement == 0:
        return pointer
    return e.value(f"getelementptr {llvm_type(dtype)}, ptr {pointer}, i64 {displacement}")


def linear(e: Emitter, terms: Sequence[tuple[str, int]], constant: int = 0) -> str | int:
    """The i64 value `constant + sum(index * step)`; a plain number where it is known."""
    total: str | int = constant
    for index, step in terms:
        if step:
            product = index if step == 1 else e.value(f"mul nsw i64 {index}, {step}")
            total = product if total == 0 else e.value(f"add nsw i64 {total}, {product}")
    return total


def decode(e: Emitter, flat: str, sizes: Sequence[int]) -> list[str]:
    """The indices of a flattened index, row-major."""
    indices = []
    for size in reversed(sizes[1:]):
        if size == 1:
            indices.append("0")
            continue
        indices.append(e.value(f"urem i64 {flat}, {size}"))
        flat = e.value(f"udiv i64 {flat}, {size}")
    return [flat, *reversed(indices)][: len(sizes)]


def convert(e: Emitter, value: str, given: DType, wanted: DType, lanes: int = 1) -> str:
    """A value of one dtype as one of another: exact where it widens, rounded where it narrows."""
    if given == wanted:
        return value
    if wanted in ("bfloat16", "float16"):  # for which LLVM would call functions on many targets
        return elementwise.emit(e, "cast", [value], [given], wanted, lanes)
    a, b = llvm_type(given, lanes), llvm_type(wanted, lanes)
    if dtypes.is_floating(given) and dtypes.is_floating(wanted):
        word = "fpext" if given.itemsize < wanted.itemsize else "fptrunc"
    elif dtypes.is_floating(wanted):
        word = "sitofp" if given in dtypes.SIGNED else "uitofp"
    elif dtypes.is_floating(given):
        word = "fptosi" if wanted in dtypes.SIGNED else "fptoui"
    elif given.itemsize == wanted.itemsize:
        return value
    elif given.itemsize > wanted.itemsize:
        word = "trunc"
    else:
        word = "sext" if given in dtypes.SIGNED else "zext"
    return e.value(f"{word} {a} {value} to {b}")


def mangled(dtype: DType) -> str:
    """The dtype in the names of LLVM's overloaded intrinsics."""
    return {"half": "f16", "bfloat": "bf16", "float": "f32", "double": "f64"}.get(llvm_type(dtype), llvm_type(dtype))


def multiply_add(e: Emitter, total: str, values: Sequence[str], dtype: DType, lanes: int) -> str:
    """`total` plus the product of one or two values, in one rounding where the target can."""
    kind = llvm_type(dtype, lanes)
    if len(values) == 1:
        return e.value(f"{'fadd' if dtypes.is_floating(dtype) else 'add'} {kind} {total}, {values[0]}")
    if dtypes.is_floating(dtype):
        suffix = mangled(dtype) if lanes == 1 else f"v{lanes}{mangled(dtype)}"
        return e.call(kind, f"llvm.fmuladd.{suffix}", (kind, values[0]), (kind, values[1]), (kind, total))
    product = e.value(f"mul {kind} {values[0]}, {values[1]}")
    return e.value(f"add {kind} {total}, {product}")


def _mask(lanes: int, valid: int) -> str:
    return f"<{lanes} x i1> <{', '.join(f'i1 {int(lane < valid)}' for lane in range(lanes))}>"


def masked_load(e: Emitter, dtype: DType, lanes: int, valid: int, pointer: str) -> str:
    """The first `valid` lanes of a vector; the others are zero and their memory is not touched."""
    kind, name = llvm_type(dtype, lanes), f"llvm.masked.load.v{lanes}{mangled(dtype)}.p0"
    e.need(f"declare {kind} @{name}(ptr, <{lanes} x i1>, {kind})")
    return e.value(
        f"call {kind} @{name}(ptr align {dtype.itemsize} {pointer}, {_mask(lanes, valid)}, {kind} zeroinitializer)"
    )


def masked_store(e: Emitter, dtype: DType, lanes: int, valid: int, value: str, pointer: str) -> None:
    """Store the first `valid` lanes of a vector."""
    if valid == 1:  # LLVM 22 makes one lane a scalar store, and forgets that the vector was narrowed before
        one = e.value(f"extractelement {llvm_type(dtype, lanes)} {value}, i64 0")
        e.line(f"store {llvm_type(dtype)} {one}, ptr {pointer}, align {dtype.itemsize}")
        return
    kind, name = llvm_type(dtype, lanes), f"llvm.masked.store.v{lanes}{mangled(dtype)}.p0"
    e.need(f"declare void @{name}({kind}, ptr, <{lanes} x i1>)")
    e.line(f"call void @{name}({kind} {value}, ptr align {dtype.itemsize} {pointer}, {_mask(lanes, valid)})")
