"""The attention kernel: each part of its parallel index is a block of queries of one head."""

from __future__ import annotations

from amalthea.compiler.attention import LOW, Attention, AttentionWriter, Matrix, Place
from amalthea.compiler.contraction_tile import View, decode
from amalthea.compiler.kernel_code import KernelCode, finished
from amalthea.compiler.target import Target


def attention_kernel(attention: Attention, target: Target) -> KernelCode:
    """The kernel `(query, key, value, [mask,] result, log_sum)`.

    Besides the result it gives the logarithm of the sum of exp(logit) of each query, from which the backward pass finds
    the weights again.
    """
    return _Forward(attention, target).write()


class _Forward(AttentionWriter):
    def __init__(self, attention: Attention, target: Target) -> None:
        outputs = ["result", "log_sum"]
        names = ["query", "key", "value", *(["mask"] if attention.mask else []), *outputs]
        super().__init__(attention, target, names, outputs)

    def write(self) -> KernelCode:
        a, e = self.a, self.e
        self.packed = self.stack(a.size * self.panel)
        self.sums = self.stack(a.width * self.panel)
        self.scores = self.stack(self.block * self.panel)
        self.highest, self.before, self.total = (self.stack(self.panel) for _ in range(3))
        blocks = -(-a.queries // self.panel)

        def part(index: str, carried: list[str]) -> list[str]:
            batch, head, block = decode(e, index, [a.batch, a.heads, blocks])
            start = e.value(f"mul nuw nsw i64 {block}, {self.panel}")
            full, rest = divmod(a.queries, self.panel)
            place = Place(batch, head)
            if full and rest:
                usual, last, joined = e.block("usual"), e.block("last"), e.block("joined")
                e.branch(e.value(f"icmp eq i64 {block}, {full}"), last, usual)
                e.label(usual)
                self._queries(place, start, self.panel)
                e.jump(joined)
                e.label(last)
                self._queries(place, start, rest)
                e.jump(joined)
                e.label(joined)
            else:
                self._queries(place, start, rest or self.panel)
            return []

        e.loop("%lo", "%hi", 1, part)
        e.ret()
        work = a.batch * a.heads * a.queries * a.keys
        memory = a.batch * a.heads * (a.queries + a.keys) * (a.size + a.width) * a.dtype.itemsize
        note = f"{self.panel} queries x {self.block} keys"
        flops = 2 * work * (a.size + a.width) // (2 if a.skips else 1)
        return finished("attention", e, a.batch * a.heads * blocks, flops, memory, note)

    def _queries(self, place: Place, start: str, valid: int) -> None:
        """One block of queries."""
        a, e = self.a, self.e
        columns = -(-valid // self.lanes)
        query_step, value_step = a.heads * a.size, a.heads * a.width
        query = self.at(
            "%query", a.dtype, (place.batch, a.queries * query_step), (start, query_step), (place.head, a.size)
        )
        key = self.at("%key", a.dtype, (place.batch, a.keys * query_step), (place.head, a.size))
        value = self.at("%value", a.dtype, (place.batch, a.keys * value_step), (place.head, a.width))
        result = self.at(
            "%result", a.dtype, (place.batch, a.queries * value_step), (start, value_step), (place.head, a.width)
        )
        mask, numbers = self.mask_at(place, start), self.lane_numbers(start, columns) if a.causal else []
        self.pack(query, self.packed, a.size, query_step, valid)
        self.fill(self.sums, a.width, columns, self.code.zero(self.wide))
        self.fill(self.highest, 1, columns, self.number(LOW))
        self.fill(self.total, 1, columns, self.code.zero(self.wide))

        def keys(first: str, count: int) -> None:
            rows = Matrix(self.at(key, a.dtype, (first, query_step)), a.dtype, query_step, 1)
            self._scores(rows, first, count, columns, valid, mask, numbers)
            factors = self._weights(count, columns)
            values = Matrix(self.at(value, a.dtype, (first, value_step)), a.dtype, 1, value_step)
            weights = Matrix(self.scores, self.wide, 0, self.panel, padded=True)
            begin, end = self.from_panel(self.sums, columns, factors), self.to_panel(self.sums, columns)
            self.product(a.width, values, count, weights, columns, self.lanes, begin, end)

        seen = e.value(f"add nuw nsw i64 {start}, {valid}") if a.skips else ""
        self.blocks(a.keys, self.block, keys, seen)
        totals = [self.load(self.total, c * self.lanes) for c in range(columns)]
        self.unpack(
            self.sums, result, a.width, value_step, valid, [self.op("divide", self.number(1.0), t) for t in totals]
        )
        row = (place.batch, a.heads * a.queries), (place.head, a.queries), (start, 1)
        view, goal = View(self.wide, 1, self.lanes, ()), self.at("%log_sum", self.wide, *row)
        for c, total in enumerate(totals):
            value = self.op("add", self.load(self.highest, c * self.lanes), self.op("log", total))
            self.code.store(view, goal, c * self.lanes, min(valid - c * self.lanes, self.lanes), value, self.lanes)

    def _scores(
        self, keys: Matrix, first: str, count: int, columns: int, valid: int, mask: str, numbers: list[str]
    ) -> None:
        """The logits of a block of keys, and the maximum of each query with those before."""
        for c in range(columns):
            self.store(self.before, c * self.lanes, self.load(self.highest, c * self.lanes))

        def end(row: str, rows: int, sums: list[str]) -> None:
            here = self.at(self.scores, self.wide, (row, self.panel))
            key = self.e.value(f"add nuw nsw i64 {first}, {row}")
            for c in range(columns):
                lanes = min(valid - c * self.lanes, self.lanes)
                highest = self.load(self.highest, c * self.lanes)
                for r in range(rows):
                    value = self.logit(sums[r * columns + c], *self.sight(key, r, c, lanes, mask, numbers))
                    self.store(here, r * self.panel + c * self.lanes, value)
                    highest = self.op("maximum", highest, value)
                self.store(self.highest, c * self.lanes, highest)

        queries = Matrix(self.packed, self.wide, 0, self.panel, padded=True)
        self.product(count, keys, self.a.size, queries, columns, self.lanes, self.zeros(columns), end)

    def _weights(self, count: int, columns: int) -> list[str]:
        """Logits become exp(logit - maximum); the totals take them. Returns what older sums are multiplied with."""
        highest = [self.load(self.highest, c * self.lanes) for c in range(columns)]
        before = [self.load(self.before, c * self.lanes) for c in range(columns)]
        factors = [self.op("exp", self.op("subtract", old, new)) for old, new in zip(before, highest, strict=True)]
        totals = [self.op("multiply", self.load(self.total, c * self.lanes), f) for c, f in enumerate(factors)]

        def row(i: str, carried: list[str]) -> list[str]:
            here = self.at(self.scores, self.wide, (i, self.panel))
            added = []
            for c, total in enumerate(carried):
                weight = self.op("exp", self.op("subtract", self.load(here, c * self.lanes), highest[c]))
                self.store(here, c * self.lanes, weight)
                added.append(self.op("add", total, weight))
            return added

        kind = self.code.vector_type(self.wide)
        for c, total in enumerate(self.e.repeat(count, row, [(kind, total) for total in totals])):
            self.store(self.total, c * self.lanes, total)
        return factors
