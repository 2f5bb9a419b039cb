"""The kernel of attention's gradient: each part of its parallel index is a head of one sample.

Scores are computed again from queries, keys and what the forward pass kept of each query. For a block of queries and
one of keys, with weights P and the gradient dS = P * (g values^T - delta) * scale, where delta is a query's g * result
(less the gradient of its log-sum):

    gradient of values  += P^T g        of keys  += dS^T queries        of queries  += dS keys

The first two add to memory over blocks of queries, the last to a panel over blocks of keys.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from amalthea.compiler.attention import Attention, AttentionWriter, Matrix, Place
from amalthea.compiler.contraction_tile import View, convert, decode
from amalthea.compiler.kernel_code import KernelCode, finished
from amalthea.compiler.target import Target
from amalthea.core.dtypes import DType


def attention_gradient_kernel(attention: Attention, target: Target) -> KernelCode:
    """The kernel `(g, g_sum, query, key, value, result, log_sum, [mask,] d_query, d_key, d_value, [sums of both])`.

    The last two, `key_sums` and `value_sums`, are memory of the shapes of key and value in the dtype of the sums, for
    dtypes that are narrower.
    """
    return _Backward(attention, target).write()


class _Backward(AttentionWriter):
    def __init__(self, attention: Attention, target: Target) -> None:
        self.narrow = attention.dtype != attention.wide
        outputs = ["d_query", "d_key", "d_value", *(["key_sums", "value_sums"] if self.narrow else [])]
        inputs = ["g", "g_sum", "query", "key", "value", "result", "log_sum", *(["mask"] if attention.mask else [])]
        super().__init__(attention, target, [*inputs, *outputs], outputs)
        self.key_sums, self.value_sums = ("%key_sums", "%value_sums") if self.narrow else ("%d_key", "%d_value")
        self.step, self.value_step = attention.heads * attention.size, attention.heads * attention.width

    def write(self) -> KernelCode:
        a, e = self.a, self.e
        self.packed, self.packed_g = self.stack(a.size * self.panel), self.stack(a.width * self.panel)
        self.sums = self.stack(max(a.size, a.width) * self.panel)
        self.weights, self.changes = self.stack(self.block * self.panel), self.stack(self.block * self.panel)

        def part(index: str, carried: list[str]) -> list[str]:
            place = Place(*decode(e, index, [a.batch, a.heads]))
            sums = [
                self._keyed(p, place, self.wide, n) for p, n in ((self.key_sums, a.size), (self.value_sums, a.width))
            ]
            for pointer, size in zip(sums, (a.size, a.width), strict=True):
                self._rows(size, partial(self._clear, pointer))
            self.blocks(a.queries, self.panel, lambda start, count: self._queries(place, start, count, *sums))
            if self.narrow:
                for source, goal, size in zip(sums, ("%d_key", "%d_value"), (a.size, a.width), strict=True):
                    self._rows(size, partial(self._narrow, source, self._keyed(goal, place, a.dtype, size)))
            return []

        e.loop("%lo", "%hi", 1, part)
        e.ret()
        work = a.batch * a.heads * a.queries * a.keys
        memory = a.batch * a.heads * (a.queries + a.keys) * (a.size + a.width) * a.dtype.itemsize * 2
        flops = 2 * work * (3 * a.size + 2 * a.width) // (2 if a.skips else 1)
        note = f"{self.panel} queries x {self.block} keys"
        return finished("attention_gradient", e, a.batch * a.heads, flops, memory, note)

    # -- keys and values in memory --------------------------------------------------------------------------------

    def _keyed(self, pointer: str, place: Place, dtype: DType, size: int) -> str:
        """The address of a head's first key or value."""
        return self.at(pointer, dtype, (place.batch, self.a.keys * self.a.heads * size), (place.head, size))

    def _rows(self, size: int, body: Callable[[str, int], None]) -> None:
        """`body(displacement, lanes)` for every vector of all rows of keys or values."""
        e, step = self.e, self.a.heads * size

        def row(j: str, carried: list[str]) -> list[str]:
            start = e.value(f"mul nuw nsw i64 {j}, {step}")
            self.blocks(size, self.lanes, lambda d, count: body(e.value(f"add nuw nsw i64 {start}, {d}"), count))
            return []

        e.loop("0", str(self.a.keys), 1, row)

    def _clear(self, pointer: str, at: str, count: int) -> None:
        view = View(self.wide, 1, self.lanes, ())
        zero = self.code.zero(self.wide)
        self.code.store(view, self.at(pointer, self.wide, (at, 1)), 0, count, zero, self.lanes)

    def _narrow(self, source: str, goal: str, at: str, count: int) -> None:
        """Sums as results in their narrower dtype."""
        dtype, view = self.a.dtype, View(self.wide, 1, self.lanes, ())
        value = self.code.load(view, self.at(source, self.wide, (at, 1)), 0, count, self.wide, self.lanes)
        value = convert(self.e, value, self.wide, dtype, self.lanes)
        self.code.store(View(dtype, 1, self.lanes, ()), self.at(goal, dtype, (at, 1)), 0, count, value, self.lanes)

    # -- blocks --------------------------------------------------------------------------------

    def _queries(self, place: Place, start: str, valid: int, key_sums: str, value_sums: str) -> None:
        """One block of queries with all keys."""
        a, e = self.a, self.e
        columns = -(-valid // self.lanes)

        def queried(pointer: str, size: int) -> str:
            step = a.heads * size
            return self.at(pointer, a.dtype, (place.batch, a.queries * step), (start, step), (place.head, size))

        query, g, result = queried("%query", a.size), queried("%g", a.width), queried("%result", a.width)
        key, value = self._keyed("%key", place, a.dtype, a.size), self._keyed("%value", place, a.dtype, a.width)
        self.pack(query, self.packed, a.size, self.step, valid)
        self.pack(g, self.packed_g, a.width, self.value_step, valid)
        self.pack(result, self.sums, a.width, self.value_step, valid)
        row = (place.batch, a.heads * a.queries), (place.head, a.queries), (start, 1)
        log_sums, g_sums = (self._of_queries(self.at(n, self.wide, *row), valid) for n in ("%log_sum", "%g_sum"))
        deltas = [self.op("subtract", x, y) for x, y in zip(self._deltas(columns), g_sums, strict=True)]
        self.fill(self.sums, a.size, columns, self.code.zero(self.wide))
        mask, numbers = self.mask_at(place, start), self.lane_numbers(start, columns) if a.causal else []

        def keys(first: str, count: int) -> None:
            here = [self.at(p, d, (first, s)) for p, d, s in (
                (key, a.dtype, self.step), (value, a.dtype, self.value_step),
                (key_sums, self.wide, self.step), (value_sums, self.wide, self.value_step),
            )]  # fmt: skip
            self._scores(Matrix(here[0], a.dtype, self.step, 1), first, count, valid, mask, numbers, log_sums)
            self._changes(Matrix(here[1], a.dtype, self.value_step, 1), first, count, valid, mask, numbers, deltas)
            self._add(here[3], self.weights, Matrix(g, a.dtype, 0, self.value_step), count, valid, a.width)
            self._add(here[2], self.changes, Matrix(query, a.dtype, 0, self.step), count, valid, a.size)
            changes = Matrix(self.changes, self.wide, 0, self.panel, padded=True)
            begin, end = self.from_panel(self.sums, columns), self.to_panel(self.sums, columns)
            turned_keys = Matrix(here[0], a.dtype, 1, self.step)
            self.product(a.size, turned_keys, count, changes, columns, self.lanes, begin, end)

        self.blocks(a.keys, self.block, keys, e.value(f"add nuw nsw i64 {start}, {valid}") if a.skips else "")
        self.unpack(self.sums, queried("%d_query", a.size), a.size, self.step, valid)

    def _of_queries(self, pointer: str, valid: int) -> list[str]:
        """A number for each query, in vectors."""
        view, lanes = View(self.wide, 1, self.lanes, ()), self.lanes
        starts = range(0, valid, lanes)
        return [self.code.load(view, pointer, at, min(valid - at, lanes), self.wide, lanes) for at in starts]

    def _deltas(self, columns: int) -> list[str]:
        """The product of each query's result and its gradient."""

        def row(i: str, carried: list[str]) -> list[str]:
            x, y = (self.at(p, self.wide, (i, self.panel)) for p in (self.packed_g, self.sums))
            each = (
                self.op("multiply", self.load(x, c * self.lanes), self.load(y, c * self.lanes)) for c in range(columns)
            )
            return [self.op("add", total, new) for total, new in zip(carried, each, strict=True)]

        kind, zero = self.code.vector_type(self.wide), self.code.zero(self.wide)
        return self.e.loop("0", str(self.a.width), 1, row, [(kind, zero)] * columns)

    def _scores(
        self, keys: Matrix, first: str, count: int, valid: int, mask: str, numbers: list[str], log_sums: list[str]
    ) -> None:
        """The weights of a block of keys."""
        e, columns, kind = self.e, len(log_sums), self.code.vector_type(self.wide)
        blind = []
        if self.a.mask is not None:  # queries that see nothing: all logits are the lowest, whatever they were before
            limit = self.number(0.5 * self.a.lowest)
            blind = [e.value(f"fcmp olt {kind} {log_sum}, {limit}") for log_sum in log_sums]
        mean = self.number(1 / self.a.keys)

        def end(row: str, rows: int, sums: list[str]) -> None:
            here = self.at(self.weights, self.wide, (row, self.panel))
            key = e.value(f"add nuw nsw i64 {first}, {row}")
            for i, total in enumerate(sums):
                r, c = divmod(i, columns)
                lanes = min(valid - c * self.lanes, self.lanes)
                logit = self.logit(total, *self.sight(key, r, c, lanes, mask, numbers))
                weight = self.op("exp", self.op("subtract", logit, log_sums[c]))
                if blind:
                    weight = e.value(f"select <{self.lanes} x i1> {blind[c]}, {kind} {mean}, {kind} {weight}")
                self.store(here, r * self.panel + c * self.lanes, weight)

        queries = Matrix(self.packed, self.wide, 0, self.panel, padded=True)
        self.product(count, keys, self.a.size, queries, columns, self.lanes, self.zeros(columns), end)

    def _changes(
        self, values: Matrix, first: str, count: int, valid: int, mask: str, numbers: list[str], deltas: list[str]
    ) -> None:
        """The gradient of a block's scores."""
        columns = len(deltas)
        scale, zero, kind = self.number(self.a.scale), self.code.zero(self.wide), self.code.vector_type(self.wide)

        def end(row: str, rows: int, sums: list[str]) -> None:
            here, weights = (self.at(p, self.wide, (row, self.panel)) for p in (self.changes, self.weights))
            key = self.e.value(f"add nuw nsw i64 {first}, {row}")
            for i, total in enumerate(sums):
                r, c = divmod(i, columns)
                at = r * self.panel + c * self.lanes
                change = self.op("multiply", self.load(weights, at), self.op("subtract", total, deltas[c]))
                change = self.op("multiply", change, scale)
                if self.a.mask is not None:  # without one, what is hidden has no weight
                    seen, _ = self.sight(key, r, c, min(valid - c * self.lanes, self.lanes), mask, numbers)
                    if seen is not None:
                        change = self.e.value(f"select <{self.lanes} x i1> {seen}, {kind} {change}, {kind} {zero}")
                self.store(here, at, change)

        g = Matrix(self.packed_g, self.wide, 0, self.panel, padded=True)
        self.product(count, values, self.a.width, g, columns, self.lanes, self.zeros(columns), end)

    def _add(self, goal: str, panel: str, right: Matrix, keys: int, queries: int, size: int) -> None:
        """Add `panel @ right`, a sum over the queries, to rows of keys or values in memory."""
        step, view = self.a.heads * size, View(self.wide, 1, self.lanes, ())
        left = Matrix(panel, self.wide, self.panel, 1)

        def chunk(start: str, count: int) -> None:
            columns = -(-count // self.lanes)
            source = Matrix(self.at(right.pointer, right.dtype, (start, 1)), right.dtype, 0, right.depth)
            to = self.at(goal, self.wide, (start, 1))

            def lanes(i: int) -> int:
                return min(count - i % columns * self.lanes, self.lanes)

            def begin(row: str, rows: int) -> list[str]:
                here = self.at(to, self.wide, (row, step))
                places = [(i // columns * step + i % columns * self.lanes, lanes(i)) for i in range(rows * columns)]
                return [self.code.load(view, here, at, n, self.wide, self.lanes) for at, n in places]

            def end(row: str, rows: int, sums: list[str]) -> None:
                here = self.at(to, self.wide, (row, step))
                for i, value in enumerate(sums):
                    at = i // columns * step + i % columns * self.lanes
                    self.code.store(view, here, at, lanes(i), value, self.lanes)

            self.product(keys, left, queries, source, columns, count - (columns - 1) * self.lanes, begin, end)

        self.blocks(size, self.panel, chunk)
