"""Batches from generators, iterators and iterables: DataLoaders, tf.data pipelines, lists of files read one by one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from amalthea.core.errors import ArgumentError, fail
from amalthea.data.protocol import DataAdapter
from amalthea.data.weights import class_weight_to_sample_weight


class IterableAdapter(DataAdapter):
    """Yield the batches of an iterable. An iterator or generator goes on where it stopped; others begin anew.

    Args:
        source: yields `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`, each a nested structure of array-like values.
        class_weight: mapping from class index to weight, or None; batches must then be `(x, y)`.
        where: the method used in errors.
        kind: what `source` is, for messages.

    >>> adapter = IterableAdapter(iter([(1, 2), (3, 4)]))
    >>> adapter.first(), list(adapter.batches())
    ((1, 2), [(1, 2), (3, 4)])
    """

    def __init__(
        self,
        source: Iterable[Any],
        class_weight: dict[int, float] | None = None,
        where: str = "fit",
        kind: str = "an iterable",
    ) -> None:
        self.kind = kind
        self.restarts = not isinstance(source, Iterator)
        self._source = source
        self._class_weight = class_weight
        self.where = where
        self._begun: Iterator[Any] | None = None
        self._count = _length(source) if self.restarts else None

    @property
    def num_batches(self) -> int | None:
        return self._count

    def first(self) -> Any:
        if self._begun is None:
            self._begun = iter(self._source)
        try:
            batch = next(self._begun)
        except StopIteration:
            fail(
                ArgumentError,
                "the data set is empty",
                where=self.where,
                received=f"{self.kind} that yields no batch",
                fix="check its source; a generator that has been used up must be made anew",
            )
        self._begun = itertools.chain([batch], self._begun)
        return self._complete(batch)

    def batches(self) -> Iterator[Any]:
        if self.restarts:
            begun, self._begun = self._begun, None
            return map(self._complete, begun if begun is not None else iter(self._source))
        if self._begun is None:
            self._begun = iter(self._source)
        return map(self._complete, self._begun)

    def _complete(self, batch: Any) -> Any:
        return complete_batch(batch, self._class_weight, self.where, self.kind)


class KeptBatches(DataAdapter):
    """The first batches of a source that cannot begin anew, kept so that each pass yields the same ones.

    Args:
        source: an adapter.
        count: how many batches; they are taken from the source as they are asked for.

    >>> kept = KeptBatches(IterableAdapter(iter([(1, 2), (3, 4), (5, 6)])), 2)
    >>> list(kept.batches()) == list(kept.batches())
    True
    """

    def __init__(self, source: DataAdapter, count: int) -> None:
        self.kind = source.kind
        self._source, self._count = source, count
        self._rest: Iterator[Any] | None = None
        self._kept: list[Any] = []

    def first(self) -> Any:
        return self._kept[0] if self._kept else self._source.first()

    def batches(self) -> Iterator[Any]:
        for i in range(self._count):
            if i == len(self._kept):
                if self._rest is None:
                    self._rest = iter(self._source.batches())
                for batch in itertools.islice(self._rest, 1):
                    self._kept.append(batch)
            if i == len(self._kept):
                return
            yield self._kept[i]


def complete_batch(batch: Any, class_weight: dict[int, float] | None, where: str, kind: str) -> Any:
    """Check what a source yielded, and add the weights of the classes.

    >>> complete_batch([1, 2], None, "fit", "a generator")
    (1, 2)
    """
    if isinstance(batch, list):
        batch = tuple(batch)
    if batch is None or (isinstance(batch, tuple) and not 1 <= len(batch) <= 3):
        fail(
            ArgumentError,
            f"{kind} must yield x, (x,), (x, y) or (x, y, sample_weight)",
            where=where,
            received="None" if batch is None else f"a tuple of {len(batch)} entries",
            fix="give several inputs as one nested entry: ((x1, x2), y)",
        )
    if class_weight is None:
        return batch
    if not isinstance(batch, tuple) or len(batch) != 2:
        fail(
            ArgumentError,
            "`class_weight` needs batches of (x, y)",
            where=where,
            received="sample weights in the batch"
            if isinstance(batch, tuple) and len(batch) == 3
            else "a batch without y",
            fix="yield (x, y), or leave class_weight out",
        )
    return (*batch, class_weight_to_sample_weight(batch[1], class_weight, where))


def _length(source: Any) -> int | None:
    try:
        length = len(source)
    except (TypeError, NotImplementedError):
        return None
    return int(length) if length else None
