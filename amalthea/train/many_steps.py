"""Many steps as one program: batches of arrays in memory are gathered inside a loop, without returning to Python.

The step (ours or the user's) is traced once. The loop around it is traced too: it takes the arrays as they are, the
order of the samples, and which batches to visit, so one program serves executions of any length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from amalthea import ops
from amalthea.core import config, tree
from amalthea.core.backend import active
from amalthea.core.context import context
from amalthea.core.function import Function, function
from amalthea.core.graph import Graph
from amalthea.core.node import fill
from amalthea.core.tensor import Tensor, wrap
from amalthea.data.arrays import Rows
from amalthea.data.batches import to_batch

STACKED, MOST_STACKED = 1 << 26, 64
"""Bytes of outputs, and batches, that one call of `predict`'s program may hold."""


class ManySteps:
    """A step that is compiled, run batch after batch; see `loop` for what it does with batches of arrays in memory.

    Args:
        step: takes a batch and returns results, as `Trainer.train_step` does.
        jit_compile: see `am.function`.

    >>> import amalthea as am
    >>> run = ManySteps(lambda batch: {"sum": am.ops.sum(batch)})
    >>> float(run([am.ops.ones((3,)), am.ops.ones((2,))])["sum"])
    2.0
    """

    def __init__(self, step: Callable[[Any], Any], jit_compile: bool | None = None) -> None:
        self.step: Function = function(step, jit_compile=jit_compile)
        self._loops: dict[Any, _Loop] = {}

    def __call__(self, batches: Sequence[Any]) -> Any:
        """Run the step on each batch; returns the results of the last."""
        results, done = None, 0
        if isinstance(batches, Rows) and (loop := self.loop(batches)) is not None and batches.full:
            results, done = loop.last(batches), batches.full
        for i in range(done, len(batches)):
            results = self.step(batches[i])
        return results

    def each(self, batches: Sequence[Any]) -> list[Any]:
        """Run the step on each batch; returns the results of all, as NumPy arrays."""
        found: list[Any] = []
        if isinstance(batches, Rows) and (loop := self.loop(batches)) is not None and loop.room > 1:
            while len(found) < batches.full:
                found += loop.all(batches[len(found) : min(len(found) + loop.room, batches.full)])
        for i in range(len(found), len(batches)):
            found.append(tree.map_structure(np.asarray, self.step(batches[i])))
        return found

    def loop(self, rows: Rows) -> _Loop | None:
        """The loop for batches of these arrays; None where one by one is better.

        That is so for a pass with a single full batch, for arrays that a program cannot read as they lie: those
        that are not contiguous, or of the other byte order, would be copied at each call; and for a step that the
        backend runs faster outside of a loop.
        """
        adapter = rows.adapter
        leaves = tree.flatten(adapter.data)
        readable = all(x is None or (x.flags.c_contiguous and x.dtype.isnative) for x in leaves)
        if adapter.samples < 2 * adapter.batch_size or not readable:
            return None
        # One loop serves arrays of the same form: the same containers and names around them, the same shapes, dtypes
        # and absent parts, and the same batches.
        arrays = tuple([None if x is None else (x.shape, x.dtype) for x in leaves])
        surroundings = active.backend.name, config.code_settings(), config.floatx(), context.autocast
        key = (surroundings, adapter.batch_size, tree.form(adapter.data), arrays)
        found = self._loops.get(key)
        if found is None or not found.current():
            first = to_batch(adapter.first(), adapter.where)
            found = self._loops[key] = _Loop(self.step, first)
        return found if found.pays else None


class _Loop:
    """The traced step inside a loop over batches of arrays.

    Attributes:
        room: how many batches `all` takes at most.
        pays: whether it is as fast as step by step.
    """

    def __init__(self, step: Function, batch: Any) -> None:
        leaves = [leaf for leaf in tree.flatten(batch) if leaf is not None]
        self.dtypes = [leaf.dtype for leaf in leaves]

        def flat(*tensors: Tensor) -> Any:
            following = iter(tensors)
            taken = tree.map_structure(lambda leaf: None if leaf is None else next(following), batch)
            return step.python_function(taken)

        self.graph: Graph = function(flat, name=step.name).get_graph(*leaves)
        self._trainable = [v.trainable for v in self.graph.variables]
        bytes_each = sum(v.spec.size * v.spec.dtype.itemsize for v in self.graph.outputs)
        self.room = max(1, min(STACKED // max(bytes_each, 1), MOST_STACKED))
        self.pays = active.backend.loops_well(self.graph)
        self._run_last = function(self._last, jit_compile=step.jit_compile)
        self._run_all = function(self._all, jit_compile=step.jit_compile)

    def current(self) -> bool:
        """Whether the variables are still trainable or frozen as when it was traced."""
        return self._trainable == [v.trainable for v in self.graph.variables]

    def last(self, rows: Rows) -> Any:
        """Run the step on the full batches among `rows`; returns the results of the last."""
        tensors = self._run_last(*_memory(rows), np.int32(rows.begin), np.int32(rows.begin + rows.full))
        return fill(self.graph.structure, tensors)

    def all(self, rows: Rows) -> list[Any]:
        """Run the step on these batches, which are full and at most `room`; returns all results as NumPy arrays."""
        stacked = [np.asarray(t) for t in self._run_all(*_memory(rows), np.int32(rows.begin), np.int32(len(rows)))]
        return [fill(self.graph.structure, [array[i] for array in stacked]) for i in range(len(rows))]

    # What is traced

    def _step(self, data: Sequence[Tensor], order: Tensor, i: Tensor) -> list[Tensor]:
        places = ops.take(order, i, axis=0)
        batch = [ops.cast(ops.take(x, places, axis=0), dtype) for x, dtype in zip(data, self.dtypes, strict=True)]
        return self.graph.apply(*batch)

    def _nothing(self) -> list[Tensor]:
        return [ops.zeros(v.spec.sizes, v.spec.dtype) for v in self.graph.outputs]

    def _last(self, data: Sequence[Tensor], order: Tensor, first: Tensor, end: Tensor) -> Any:
        def body(i: Tensor, _: Any) -> Any:
            return i + 1, self._step(data, order, i)

        return ops.while_loop(lambda i, _: i < end, body, (first, self._nothing()))[1]

    def _all(self, data: Sequence[Tensor], order: Tensor, first: Tensor, count: Tensor) -> Any:
        def body(i: Tensor, _: Any) -> Any:
            return i + 1, ops.cond(i < first + count, lambda: self._step(data, order, i), self._nothing)

        return ops.scan(body, first, None, length=self.room)[1]


def _memory(rows: Rows) -> tuple[list[Tensor], Tensor]:
    """The arrays as they lie in memory, without a copy where the backend needs none, and the order of the batches.

    Where it needs one, it is made once for each pass over the data.
    """
    key = active.backend.name, context.device
    found = rows.placed.get(key)
    if found is None:
        found = rows.placed[key] = _placed(rows)
    return found


def _placed(rows: Rows) -> tuple[list[Tensor], Tensor]:
    adapter = rows.adapter
    leaves = [leaf for leaf in tree.flatten(adapter.data) if leaf is not None]
    whole = adapter.samples - adapter.samples % adapter.batch_size
    order = np.arange(whole, dtype=np.int32) if rows.order is None else rows.order[:whole]
    place = active.backend.to_array
    return [wrap(place(leaf)) for leaf in leaves], wrap(place(order.reshape(-1, adapter.batch_size)))
