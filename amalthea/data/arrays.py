"""Batches cut from arrays that are in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np

from amalthea.core import tree
from amalthea.core.errors import ArgumentError, fail
from amalthea.data.batches import is_arraylike, pack_x_y_sample_weight, to_array, to_batch
from amalthea.data.order import permutation
from amalthea.data.protocol import DataAdapter
from amalthea.data.weights import class_weight_to_sample_weight


class ArrayAdapter(DataAdapter):
    """Cut arrays of n samples into batches; the last batch is smaller where n is no multiple of the batch size.

    Args:
        x: array, or nested structure of arrays, each of shape (n, ...).
        y: targets of the same length, or None.
        sample_weight: weights of the same length, or None: one array, or one an output of `y`.
        batch_size: samples a batch; None gives 32, or n / steps where `steps` is given.
        steps: number of batches wanted in an epoch, or None.
        shuffle: True for a new order of the samples each pass, `"batch"` to shuffle inside each batch only.
        class_weight: mapping from class index to weight, or None.
        where: the method used in errors.

    Raises:
        ValueError: if there are no samples, if lengths differ, or if a value is no array of numbers.

    >>> adapter = ArrayAdapter(np.zeros((5, 2)), np.zeros(5), batch_size=2)
    >>> [batch[0].shape for batch in adapter.batches()]
    [(2, 2), (2, 2), (1, 2)]
    """

    kind = "arrays"

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        batch_size: int | None = None,
        steps: int | None = None,
        shuffle: bool | str = False,
        class_weight: dict[int, float] | None = None,
        where: str = "fit",
    ) -> None:
        self.where = where
        x = convert(x, "x", where)
        y = convert(y, "y", where)
        sample_weight = convert(sample_weight, "sample_weight", where)
        if class_weight is not None:
            sample_weight = _weights_of_classes(y, sample_weight, class_weight, where)
        elif sample_weight is not None:
            sample_weight = _spread_weights(y, sample_weight, where)
        self.samples = count_samples(x, y, sample_weight, where)
        self.data = pack_x_y_sample_weight(x, y, sample_weight)
        self._batch_size = int(batch_size) if batch_size else (math.ceil(self.samples / steps) if steps else 32)
        self._num_batches = math.ceil(self.samples / self._batch_size)
        self._shuffle = shuffle

    @property
    def num_batches(self) -> int:
        return self._num_batches

    @property
    def batch_size(self) -> int:
        return self._batch_size

    def first(self) -> Any:
        return self.cut(slice(0, min(self._batch_size, self.samples)))

    def batches(self) -> Iterator[Any]:
        rows = self.rows()
        for i in range(len(rows)):
            yield rows.cut(i)

    def rows(self) -> Rows:
        return Rows(self, self._order(), 0, self._num_batches)

    def _order(self) -> np.ndarray | None:
        if not self._shuffle:
            return None
        if self._shuffle != "batch":
            return permutation(self.samples)
        starts = range(0, self.samples, self._batch_size)
        return np.concatenate([permutation(min(self._batch_size, self.samples - at)) + at for at in starts])

    def cut(self, index: Any) -> Any:
        """The samples at these places: a slice or an array of integers."""

        def cut(array: np.ndarray | None) -> np.ndarray | None:
            return None if array is None else array[index]

        data = self.data
        if isinstance(data, np.ndarray):
            return data[index]
        if type(data) is tuple and all(part is None or isinstance(part, np.ndarray) for part in data):
            return tuple([cut(part) for part in data])
        return tree.map_structure(cut, data)


class Rows(Sequence[Any]):
    """Batches of one pass over arrays, cut only when they are asked for.

    Args:
        adapter: the arrays.
        order: places of the samples in the order in which they are visited, an int array of shape (samples,); None is
            the order of the arrays.
        begin, end: the batches that are meant, counted in the pass.
        placed: what a backend made of the arrays, kept for the rest of the pass.

    An item is a batch of Tensors. A program that runs many steps takes `adapter.data` and `order` as they are instead.

    >>> rows = ArrayAdapter(np.zeros((5, 2)), batch_size=2).rows()
    >>> [tuple(batch.shape) for batch in rows], len(rows[1:]), rows.full
    ([(2, 2), (2, 2), (1, 2)], 2, 2)
    """

    def __init__(
        self,
        adapter: ArrayAdapter,
        order: np.ndarray | None,
        begin: int,
        end: int,
        placed: dict[Any, Any] | None = None,
    ) -> None:
        self.adapter, self.order = adapter, order
        self.begin, self.end = begin, end
        self.placed = {} if placed is None else placed

    def __len__(self) -> int:
        return self.end - self.begin

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> Rows: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            places = range(self.begin, self.end)[index]
            if places.step != 1:
                fail(ArgumentError, "only neighbouring batches can be taken", where="Rows", received=repr(index))
            return Rows(self.adapter, self.order, places.start, max(places.start, places.stop), self.placed)
        return to_batch(self.cut(index), self.adapter.where)

    def cut(self, index: int) -> Any:
        """A batch as arrays; slices of the adapter's own where the order is theirs."""
        size = self.adapter.batch_size
        start = range(self.begin, self.end)[index] * size
        stop = min(start + size, self.adapter.samples)
        return self.adapter.cut(slice(start, stop) if self.order is None else self.order[start:stop])

    @property
    def full(self) -> int:
        """How many of them, counted from the first, have as many samples as the batch size says."""
        return max(min(self.end, self.adapter.samples // self.adapter.batch_size) - self.begin, 0)


def convert(structure: Any, argument: str, where: str) -> Any:
    """Bring every array in a nested structure to NumPy.

    Args:
        structure: nested structure of array-like values, with None where nothing is given.
        argument: the name used in errors.
        where: the method used in errors.

    Returns:
        The structure with NumPy arrays of rank 1 or more.

    >>> convert({"a": np.zeros(3)}, "x", "fit")["a"].shape
    (3,)
    """

    def leaf(value: Any) -> Any:
        if value is None:
            return None
        if type(value).__module__.startswith("scipy.sparse"):
            fail(
                ArgumentError,
                f"`{argument}` is a sparse matrix, which is not supported",
                where=where,
                received=f"{type(value).__name__} of shape {value.shape}",
                fix=f"pass {argument}.toarray()",
            )
        if not is_arraylike(value):
            fail(
                ArgumentError,
                f"`{argument}` must hold arrays",
                where=where,
                received=f"a value of type {type(value).__name__}"
                + (" inside a list" if isinstance(structure, (list, tuple)) else ""),
                fix=f"pass np.array({argument}): a list is read as a list of arrays, one for each input",
            )
        array = to_array(value, argument, where)
        if array.ndim == 0:
            fail(
                ArgumentError,
                f"`{argument}` must have a first axis that counts the samples",
                where=where,
                received="a scalar",
                fix=f"pass an array of shape (samples, ...) as {argument}",
            )
        return array

    return tree.map_structure(leaf, structure)


def count_samples(x: Any, y: Any, sample_weight: Any, where: str) -> int:
    """Length of the data, after checking that all of it has the same length and that there is any.

    >>> count_samples(np.zeros((4, 2)), np.zeros(4), None, "fit")
    4
    """
    lengths = {
        name: [len(leaf) for leaf in tree.flatten(value) if leaf is not None]
        for name, value in (("x", x), ("y", y), ("sample_weight", sample_weight))
    }
    distinct = {length for group in lengths.values() for length in group}
    if not distinct:
        fail(ArgumentError, "no data was given", where=where, received="no arrays", fix="pass at least one array as x")
    if len(distinct) > 1:
        sizes = ", ".join(f"{name}: {', '.join(map(str, group))}" for name, group in lengths.items() if group)
        fail(
            ArgumentError,
            "the arrays hold different numbers of samples",
            where=where,
            received=f"samples {sizes}",
            fix="cut them to the same length; the first axis counts the samples",
        )
    (samples,) = distinct
    if samples == 0:
        fail(
            ArgumentError,
            "the data set is empty",
            where=where,
            received=f"x of shape {_shapes(x)}",
            fix="check how x was loaded or filtered: it has no samples",
        )
    return samples


def train_validation_split(x: Any, y: Any, sample_weight: Any, fraction: float) -> tuple[tuple, tuple]:
    """Split arrays into a first part to train on and a last part to validate on; the order is kept.

    Args:
        x: nested structure of arrays.
        y: the same, or None.
        sample_weight: the same, or None.
        fraction: share of the samples that goes to validation, between 0 and 1.

    Returns:
        `(x, y, sample_weight)` to train on and `(x, y, sample_weight)` to validate on.

    Raises:
        ValueError: if `fraction` is not between 0 and 1, the data is not in arrays, or a part would be empty.

    >>> train, held_out = train_validation_split(np.arange(10), np.arange(10), None, 0.2)
    >>> held_out[0]
    array([8, 9])
    """
    if not 0 < fraction < 1:
        fail(
            ArgumentError,
            "`validation_split` must lie between 0 and 1",
            where="fit",
            received=f"validation_split={fraction!r}",
            fix="0.2 keeps the last fifth of the data for validation",
        )
    if not (is_arraylike(x) or isinstance(x, (list, tuple, dict))):
        fail(
            ArgumentError,
            "`validation_split` can only cut arrays",
            where="fit",
            received=f"x of type {type(x).__name__}",
            fix="pass validation_data= instead, another generator or data set",
        )
    parts = (convert(x, "x", "fit"), convert(y, "y", "fit"), convert(sample_weight, "sample_weight", "fit"))
    samples = count_samples(*parts, where="fit")
    at = math.floor(samples * (1.0 - fraction))
    if at in (0, samples):
        fail(
            ArgumentError,
            "there are too few samples to split",
            where="fit",
            received=f"{samples} samples, validation_split={fraction!r}",
            fix="give more samples or another fraction, so that both parts have at least one",
        )

    def cut(low: int, high: int) -> tuple:
        return tuple(tree.map_structure(lambda a: None if a is None else a[low:high], part) for part in parts)

    return cut(0, at), cut(at, samples)


def _weights_of_classes(y: Any, sample_weight: Any, class_weight: dict[int, float], where: str) -> np.ndarray:
    if sample_weight is not None:
        fail(
            ArgumentError,
            "`class_weight` and `sample_weight` cannot be given together",
            where=where,
            received="both",
            fix="multiply them yourself and pass the product as sample_weight",
        )
    if y is None:
        fail(ArgumentError, "`class_weight` needs targets", where=where, received="y=None", fix="pass y as well")
    if not isinstance(y, np.ndarray):
        fail(
            ArgumentError,
            "`class_weight` works for models with one output",
            where=where,
            received=f"{len(tree.flatten(y))} targets",
            fix="pass sample_weight with one array for each output",
        )
    return class_weight_to_sample_weight(y, class_weight, where)


def _spread_weights(y: Any, sample_weight: Any, where: str) -> Any:
    if y is None or isinstance(y, np.ndarray):
        return sample_weight
    if not isinstance(sample_weight, np.ndarray):
        try:
            tree.assert_same(y, sample_weight)
        except (ValueError, TypeError):
            fail(
                ArgumentError,
                "`sample_weight` must be one array, or have the structure of y",
                where=where,
                received=f"y {_shapes(y)}, sample_weight {_shapes(sample_weight)}",
                fix="give one array of weights for each output",
            )
        return sample_weight
    if sample_weight.ndim > 1 and sample_weight.shape[1:] != (1,):
        fail(
            ArgumentError,
            "one `sample_weight` for several outputs must hold one number for each sample",
            where=where,
            received=f"sample_weight of shape {sample_weight.shape}",
            fix="pass shape (samples,), or one array for each output",
        )
    return tree.map_structure(lambda _: sample_weight, y)


def _shapes(structure: Any) -> Any:
    return tree.map_structure(lambda leaf: None if leaf is None else tuple(np.shape(leaf)), structure)
