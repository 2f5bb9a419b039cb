"""What the training loop asks of a source of batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amalthea.data.arrays import Rows


class DataAdapter(ABC):
    """A source of batches. Subclass it to bring data of a new kind to `fit`, `evaluate` and `predict`.

    Each batch is a nested structure of arrays: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

    >>> import numpy as np
    >>> class Twice(DataAdapter):
    ...     num_batches = 2
    ...     def batches(self):
    ...         yield from [(np.zeros((1, 2)), np.zeros((1, 1)))] * 2
    >>> len(list(Twice().batches()))
    2
    """

    kind: str = "data"
    """What it is, for messages."""

    where: str = "data"
    """The method that reads it, for messages."""

    restarts: bool = True
    """Whether `batches()` begins anew at each call; a generator can only go on from where it stopped."""

    infinite: bool = False
    """Whether the batches are known never to end."""

    @property
    def num_batches(self) -> int | None:
        """Number of batches in one pass, or None where it is not known beforehand."""
        return None

    @property
    def batch_size(self) -> int | None:
        """Number of samples in a full batch, or None where it is not known beforehand."""
        return None

    @abstractmethod
    def batches(self) -> Iterator[Any]:
        """Begin a pass over the data and yield its batches."""

    def rows(self) -> Rows | None:
        """Begin a pass over data that lies in memory, as batches that are not cut yet; None where it does not."""
        return None

    def first(self) -> Any:
        """The first batch, without using it up: shapes and dtypes are read from it before training."""
        return next(iter(self.batches()))

    def on_epoch_begin(self) -> None:  # noqa: B027 (optional, not abstract)
        """Called before each pass."""

    def on_epoch_end(self) -> None:  # noqa: B027 (optional, not abstract)
        """Called after each pass."""
