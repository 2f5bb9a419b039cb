"""Making tensors, under TensorFlow's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core import dtypes
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.tensorflow_names.adapting import refuse


def constant(value: Any, dtype: Any = None, shape: Sequence[int] | None = None, name: str | None = "Const") -> Tensor:
    """A tensor with this value, and if a shape is given, of that shape (a scalar fills it).

    >>> import amalthea as tf
    >>> tf.constant([1.0, 2.0]).numpy().tolist()
    [1.0, 2.0]
    """
    tensor = as_tensor(value, dtype)
    if shape is None:
        return tensor
    return ops.broadcast_to(tensor, shape) if tensor.size == 1 else ops.reshape(tensor, shape)


def convert_to_tensor(value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None) -> Tensor:
    """The value as a tensor; `dtype_hint` is for values that have no dtype of their own."""
    if dtype is None and dtype_hint is not None and not hasattr(value, "dtype"):
        dtype = dtype_hint
    return as_tensor(value, dtype)


def zeros(shape: Any, dtype: Any = "float32", name: str | None = None, layout: Any = None) -> Tensor:
    """A tensor of zeros."""
    refuse("zeros", layout=layout)
    return ops.zeros(_sizes(shape), dtype=dtype)


def ones(shape: Any, dtype: Any = "float32", name: str | None = None, layout: Any = None) -> Tensor:
    """A tensor of ones."""
    refuse("ones", layout=layout)
    return ops.ones(_sizes(shape), dtype=dtype)


def zeros_like(input: Any, dtype: Any = None, name: str | None = None, layout: Any = None) -> Tensor:
    """A tensor of zeros with the shape (and by default the dtype) of another."""
    refuse("zeros_like", layout=layout)
    return ops.zeros_like(input, dtype=dtype)


def ones_like(input: Any, dtype: Any = None, name: str | None = None, layout: Any = None) -> Tensor:
    """A tensor of ones with the shape (and by default the dtype) of another."""
    refuse("ones_like", layout=layout)
    return ops.ones_like(input, dtype=dtype)


def fill(dims: Any, value: Any, name: str | None = None, layout: Any = None) -> Tensor:
    """A tensor of these sizes, filled with one value, whose dtype it has.

    >>> import amalthea as tf
    >>> tf.fill(dims=(2,), value=7).numpy().tolist()
    [7, 7]
    """
    refuse("fill", layout=layout)
    return ops.broadcast_to(as_tensor(value), _sizes(dims))


def eye(
    num_rows: int,
    num_columns: int | None = None,
    batch_shape: Sequence[int] | None = None,
    dtype: Any = "float32",
    name: str | None = None,
) -> Tensor:
    """The identity matrix, or with `batch_shape` that many of them.

    >>> import amalthea as tf
    >>> tf.eye(num_rows=2, batch_shape=[3]).shape
    (3, 2, 2)
    """
    matrix = ops.eye(num_rows, num_columns, dtype=dtype)
    return matrix if not batch_shape else ops.broadcast_to(matrix, (*_sizes(batch_shape), *matrix.shape))


def range(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = "range") -> Tensor:
    """Numbers from `start` up to `limit` without it, in steps of `delta`; of one number, from 0 up to it.

    >>> import amalthea as tf
    >>> tf.range(start=1, limit=6, delta=2).numpy().tolist()
    [1, 3, 5]
    """
    start, limit, delta = (x.item() if isinstance(x, Tensor) else x for x in (start, limit, delta))
    return (
        ops.arange(start, limit, delta, dtype=dtype) if limit is not None else ops.arange(0, start, delta, dtype=dtype)
    )


def linspace(start: Any, stop: Any, num: int, name: str | None = None, axis: int = 0) -> Tensor:
    """`num` numbers at equal distances from `start` to `stop`, both included."""
    return ops.linspace(start, stop, int(num), axis=axis)


def one_hot(
    indices: Any,
    depth: int,
    on_value: Any = None,
    off_value: Any = None,
    axis: int | None = None,
    dtype: Any = None,
    name: str | None = None,
) -> Tensor:
    """A vector of `depth` for each index, with `on_value` (1) in its place and `off_value` (0) elsewhere.

    >>> import amalthea as tf
    >>> tf.one_hot([1], depth=2, on_value=5.0, off_value=1.0).numpy().tolist()
    [[1.0, 5.0]]
    """
    given = [value for value in (on_value, off_value) if value is not None]
    dtype = dtypes.standardize(dtype) if dtype is not None else as_tensor(given[0]).dtype if given else dtypes.float32
    axis = -1 if axis is None else axis
    if not given:
        return ops.one_hot(indices, int(depth), axis=axis, dtype=dtype)
    on, off = (as_tensor(v if v is not None else d, dtype) for v, d in ((on_value, 1), (off_value, 0)))
    return ops.where(ops.one_hot(indices, int(depth), axis=axis, dtype="bool"), on, off)


def sequence_mask(lengths: Any, maxlen: int | None = None, dtype: Any = "bool", name: str | None = None) -> Tensor:
    """For each length, a row that is true up to it and false after.

    >>> import amalthea as tf
    >>> tf.sequence_mask([1, 3], maxlen=3, dtype=tf.int32).numpy().tolist()
    [[1, 0, 0], [1, 1, 1]]
    """
    lengths = as_tensor(lengths)
    if maxlen is None:
        maxlen = int(ops.max(lengths))
    return ops.cast(ops.less(ops.arange(int(maxlen), dtype=lengths.dtype), ops.expand_dims(lengths, -1)), dtype)


def _sizes(shape: Any) -> tuple[int, ...]:
    """A shape given as a number, a sequence or a tensor."""
    if isinstance(shape, Tensor):
        shape = shape.numpy().tolist()
    return (int(shape),) if not isinstance(shape, list | tuple) else tuple(int(size) for size in shape)
