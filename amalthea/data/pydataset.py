"""`PyDataset`: batches by index, read ahead by several workers in the order they are asked for."""

from __future__ import annotations

import itertools
import warnings
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from amalthea.core.errors import ArgumentError, fail
from amalthea.data.iterables import complete_batch
from amalthea.data.order import permutation
from amalthea.data.protocol import DataAdapter

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future


class PyDataset:
    """Base class for data that is read batch by batch, by index.

    Write `__getitem__(index)`, which returns one whole batch `(x,)`, `(x, y)` or `(x, y, sample_weight)`, and
    `__len__` (or the property `num_batches`, which may be None for batches without end). `on_epoch_begin` and
    `on_epoch_end` are called around each epoch.

    Args:
        workers: number of workers that read batches ahead while the model trains; 1 reads in the training thread.
        use_multiprocessing: whether the workers are processes. The data set must then be picklable, and a script must
            begin its work under `if __name__ == "__main__":`.
        max_queue_size: how many batches may be read ahead.

    >>> import numpy as np
    >>> class Squares(PyDataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         x = np.arange(4.0)[:, None] + index
    ...         return x, x**2
    >>> len(list(Squares(workers=2)))
    3
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self._workers = workers
        self._use_multiprocessing = use_multiprocessing
        self._max_queue_size = max_queue_size

    @property
    def workers(self) -> int:
        """Number of workers that read ahead."""
        return self._setting("_workers", 1)

    @workers.setter
    def workers(self, value: int) -> None:
        self._workers = value

    @property
    def use_multiprocessing(self) -> bool:
        """Whether the workers are processes."""
        return self._setting("_use_multiprocessing", False)

    @use_multiprocessing.setter
    def use_multiprocessing(self, value: bool) -> None:
        self._use_multiprocessing = value

    @property
    def max_queue_size(self) -> int:
        """How many batches may be read ahead."""
        return self._setting("_max_queue_size", 10)

    @max_queue_size.setter
    def max_queue_size(self, value: int) -> None:
        self._max_queue_size = value

    def _setting(self, name: str, default: Any) -> Any:
        if name not in self.__dict__:
            warnings.warn(
                f"{type(self).__name__}.__init__ should call super().__init__(**kwargs), which takes workers, "
                "use_multiprocessing and max_queue_size",
                stacklevel=3,
            )
            PyDataset.__init__(self)
        return self.__dict__.get(name, default)

    def __getitem__(self, index: int) -> Any:
        """The batch at position `index`."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index), which returns one batch")

    def __iter__(self) -> Iterator[Any]:
        count = self.num_batches
        for index in itertools.count() if count is None else range(count):
            yield self[index]

    @property
    def num_batches(self) -> int | None:
        """Number of batches, or None where they never end."""
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(f"{type(self).__name__} must define __len__ or the property num_batches")

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch."""


class PyDatasetAdapter(DataAdapter):
    """Read a `PyDataset`, or an object like it (indexed by batch, with a length and epoch hooks).

    Args:
        dataset: the data set.
        shuffle: whether to take the batches in a new order each epoch.
        class_weight: mapping from class index to weight, or None.
        where: the method used in errors.

    Raises:
        ValueError: if the data set has no batches.

    >>> class One(PyDataset):
    ...     def __len__(self):
    ...         return 1
    ...     def __getitem__(self, index):
    ...         return (index, index)
    >>> list(PyDatasetAdapter(One()).batches())
    [(0, 0)]
    """

    kind = "a PyDataset"

    def __init__(
        self,
        dataset: Any,
        shuffle: bool | str = False,
        class_weight: dict[int, float] | None = None,
        where: str = "fit",
    ) -> None:
        self._dataset = dataset
        self._shuffle = bool(shuffle)
        self._class_weight = class_weight
        self.where = where
        self._workers = int(getattr(dataset, "workers", 1) or 0)
        self._processes = bool(getattr(dataset, "use_multiprocessing", False))
        self._ahead = max(1, int(getattr(dataset, "max_queue_size", 10) or 1))
        if self.num_batches == 0:
            fail(
                ArgumentError,
                "the data set is empty",
                where=where,
                received=f"{type(dataset).__name__} of length 0",
                fix="__len__ must return the number of batches, rounded up",
            )
        self.infinite = self.num_batches is None

    @property
    def num_batches(self) -> int | None:
        if isinstance(self._dataset, PyDataset):
            return self._dataset.num_batches
        return len(self._dataset)

    def first(self) -> Any:
        return self._complete(self._dataset[0])

    def on_epoch_begin(self) -> None:
        getattr(self._dataset, "on_epoch_begin", lambda: None)()

    def on_epoch_end(self) -> None:
        getattr(self._dataset, "on_epoch_end", lambda: None)()

    def batches(self) -> Iterator[Any]:
        count = self.num_batches
        if count is None:
            indices: Any = itertools.count()
        elif self._shuffle:
            indices = permutation(count).tolist()
        else:
            indices = range(count)
        if self._workers > 1 or (self._workers > 0 and self._processes):
            return self._read_ahead(iter(indices))
        return (self._complete(self._dataset[index]) for index in indices)

    def _complete(self, batch: Any) -> Any:
        return complete_batch(batch, self._class_weight, self.where, self.kind)

    def _executor(self) -> Executor:
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

        if self._processes:
            import multiprocessing

            # Not by a plain fork: this process has threads (BLAS, others' runtimes), whose locks a fork would freeze.
            methods = multiprocessing.get_all_start_methods()
            start = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
            return ProcessPoolExecutor(self._workers, start, _receive_dataset, (self._dataset,))
        return ThreadPoolExecutor(self._workers, thread_name_prefix="amalthea-data")

    def _read_ahead(self, indices: Iterator[int]) -> Iterator[Any]:
        executor = self._executor()
        read = _read_in_worker if self._processes else self._dataset.__getitem__
        waiting: deque[Future] = deque()
        try:
            for index in itertools.islice(indices, self._ahead):
                waiting.append(executor.submit(read, index))
            while waiting:
                batch = waiting.popleft().result()
                for index in itertools.islice(indices, 1):
                    waiting.append(executor.submit(read, index))
                yield self._complete(batch)
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


_worker_dataset: Any = None


def _receive_dataset(dataset: Any) -> None:
    global _worker_dataset
    _worker_dataset = dataset


def _read_in_worker(index: int) -> Any:
    return _worker_dataset[index]
