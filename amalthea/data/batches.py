"""One batch of data: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`, and what may stand in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from amalthea.core import config, foreign, tree
from amalthea.core.dtypes import to_numpy
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Tensor, as_tensor


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Take a batch apart into `(x, y, sample_weight)`.

    Args:
        data: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`; lists are read as tuples.

    Returns:
        A tuple of three; what the batch does not carry is None.

    Raises:
        ValueError: if a tuple has more than three entries.

    >>> unpack_x_y_sample_weight((1, 2))
    (1, 2, None)
    """
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        fail(
            ArgumentError,
            "a batch must be x, (x,), (x, y) or (x, y, sample_weight)",
            where="data",
            received=f"a tuple of {len(data)} entries",
            fix="give several inputs as one nested entry: ((x1, x2), y)",
        )
    return (*data, None, None, None)[:3]


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Put `x`, `y` and `sample_weight` together the way `fit` hands them to `train_step`.

    Args:
        x: inputs.
        y: targets, or None.
        sample_weight: weights of the samples, or None.

    Returns:
        `x` alone (as `(x,)` where `x` is itself a tuple or list), `(x, y)`, or `(x, y, sample_weight)`.

    >>> pack_x_y_sample_weight(1, 2)
    (1, 2)
    """
    if y is None and sample_weight is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    if sample_weight is None:
        return (x, y)
    return (x, y, sample_weight)


def is_arraylike(x: Any) -> bool:
    """Whether `x` is one array: NumPy, Amalthea, pandas, torch, JAX, TensorFlow, anything with `__array__`.

    >>> is_arraylike(np.zeros(3)), is_arraylike([1, 2])
    (True, False)
    """
    return isinstance(x, Tensor) or foreign.is_array(x)


def to_array(x: Any, argument: str = "x", where: str = "data") -> np.ndarray:
    """Bring one array-like value to NumPy, refusing what no model can compute with.

    Args:
        x: an array-like value. A pandas Series becomes a column of shape (n, 1).
        argument: the name used in errors.
        where: the method used in errors.

    Returns:
        A NumPy array of a boolean, integer or floating dtype (no copy is made where none is needed).

    Raises:
        ValueError: if the values are no numbers.

    >>> to_array(np.arange(3)).shape
    (3,)
    """
    kind = type(x).__module__.partition(".")[0]
    if isinstance(x, np.ndarray):
        array = x
    elif isinstance(x, Tensor):
        array = x.numpy()
    elif kind == "pandas":
        array = x.to_numpy()
        if array.ndim == 1:
            array = array[:, None]
        if array.dtype == object and array.size:
            array = _frame_to_numbers(x, array, argument, where)
    else:
        array = foreign.read(x)
    if array.dtype.kind in "OUSMmVc" and not _is_extended_float(array.dtype):
        fail(
            ArgumentError,
            f"`{argument}` does not hold numbers that a model can compute with",
            where=where,
            received=f"an array of dtype {array.dtype} and shape {array.shape}",
            fix="convert it first, for example np.asarray(values, dtype='float32')",
        )
    return array


def _is_extended_float(dtype: np.dtype) -> bool:
    # bfloat16 and the float8 types of ml_dtypes report kind "V"
    return dtype.kind == "V" and "float" in dtype.name


def _frame_to_numbers(frame: Any, array: np.ndarray, argument: str, where: str) -> np.ndarray:
    try:
        return array.astype(config.floatx())
    except (TypeError, ValueError):
        words = [] if frame.ndim == 1 else [name for name, d in frame.dtypes.items() if str(d) in ("object", "str")]
        return fail(
            ArgumentError,
            f"`{argument}` is a pandas frame with columns that hold no numbers",
            where=where,
            received=f"non-numeric columns {words or [frame.name]}",
            fix="encode or drop these columns first",
        )


def to_batch(data: Any, where: str = "data") -> Any:
    """Turn every array in a batch into a Tensor; floats of other widths become floatx.

    Args:
        data: a nested structure of arrays, with None where nothing is given.
        where: the method used in errors.

    Returns:
        The same structure of Tensors.

    Raises:
        ValueError: if there are values that are no numbers.

    >>> str(to_batch((np.zeros((2, 3)), None))[0].dtype)
    'float32'
    """
    floatx = to_numpy(config.floatx())
    return _map(lambda leaf: _leaf_to_tensor(leaf, floatx, where), data)


def _map(function: Any, data: Any) -> Any:
    # The same as tree.map_structure for the shapes a batch has nearly always, without its generality (each training
    # step passes here).
    if type(data) is tuple:
        return tuple([_map(function, item) for item in data])
    if data is None:
        return None
    if isinstance(data, (dict, list, tuple)):
        return tree.map_structure(lambda leaf: None if leaf is None else function(leaf), data)
    return function(data)


def _leaf_to_tensor(leaf: Any, floatx: np.dtype, where: str) -> Tensor:
    if not isinstance(leaf, np.ndarray):
        if isinstance(leaf, Tensor):
            return leaf
        leaf = to_array(leaf, "x", where) if is_arraylike(leaf) else np.asarray(leaf)
    if leaf.dtype != floatx:
        kind = leaf.dtype.kind
        if kind == "f":
            leaf = leaf.astype(floatx)
        elif kind in "OUSMm":
            leaf = to_array(leaf, "x", where)
    return as_tensor(leaf)


def batch_size_of(data: Any) -> int | None:
    """Length of the first axis of the first array in a batch, or None where there is no such axis.

    >>> batch_size_of((np.zeros((2, 3)), None))
    2
    """
    for leaf in tree.flatten(data):
        shape = getattr(leaf, "shape", None)
        if shape is not None and len(shape) > 0:
            return shape[0]
    return None
