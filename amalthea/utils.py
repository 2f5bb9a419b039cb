"""`am.utils`: small helpers around data, seeds and serialisation, under Keras' names."""

from __future__ import annotations

from collections.abc import Sequence as _Sequence
from typing import Any

import numpy as np

from amalthea.core import dtypes as _dtypes
from amalthea.core import tree as _tree
from amalthea.core.tensor import KerasTensor as _KerasTensor
from amalthea.core.tensor import Operand as _Operand
from amalthea.data.batches import pack_x_y_sample_weight, unpack_x_y_sample_weight
from amalthea.data.pydataset import PyDataset
from amalthea.nn.input_spec import InputSpec as _InputSpec  # noqa: F401  (registers the class)
from amalthea.nn.layers.input_layer import InputLayer as _InputLayer
from amalthea.nn.naming import reset_names as _reset_names
from amalthea.nn.objects import (
    CustomObjectScope,
    custom_object_scope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)
from amalthea.ops.seeds import set_random_seed

Sequence = PyDataset

__all__ = [
    "CustomObjectScope",
    "PyDataset",
    "Sequence",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "is_keras_tensor",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "register_keras_serializable",
    "serialize_keras_object",
    "set_random_seed",
    "standardize_dtype",
    "to_categorical",
    "unpack_x_y_sample_weight",
]


def clear_session(free_memory: bool = True) -> None:
    """Start the automatic names of layers and the like again at the bare name.

    >>> import amalthea as am
    >>> am.utils.clear_session()
    """
    _reset_names()


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Class numbers as one-hot vectors.

    Args:
        x: whole numbers from 0 to `num_classes - 1`, of any shape; a last axis of size 1 is dropped.
        num_classes: the number of classes; by default the largest number plus one.

    Returns:
        An array (for a tensor, a tensor) of shape `(*x.shape, num_classes)`, floating-point.

    >>> to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if isinstance(x, _Operand):
        from amalthea import ops

        if len(x.shape) > 1 and x.shape[-1] == 1:
            x = ops.squeeze(x, axis=-1)
        return ops.one_hot(x, num_classes if num_classes is not None else int(ops.max(x)) + 1)
    numbers = np.asarray(x, dtype="int64")
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    classes = num_classes or (int(numbers.max()) + 1 if numbers.size else 0)
    if numbers.size and (numbers.min() < 0 or numbers.max() >= classes):
        raise ValueError(
            f"[to_categorical] class numbers must be from 0 to num_classes - 1. Received: numbers from {numbers.min()} "
            f"to {numbers.max()}, num_classes={classes}. Fix: pass a larger num_classes, or renumber the classes."
        )
    return np.eye(classes)[numbers]


def normalize(x: Any, axis: int = -1, order: int = 2) -> Any:
    """Divide by the norm along an axis; zero vectors stay zero.

    >>> normalize(np.array([[3.0, 4.0]])).tolist()
    [[0.6, 0.8]]
    """
    if isinstance(x, _Operand):
        from amalthea import ops

        return ops.normalize(x, axis=axis, order=order)
    norm = np.atleast_1d(np.linalg.norm(x, order, axis))
    norm[norm == 0] = 1
    return x / np.expand_dims(norm, axis)


def pad_sequences(
    sequences: _Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Sequences of different lengths as one array.

    Args:
        sequences: a list of lists (or arrays, with further axes of equal sizes).
        maxlen: the length of all; by default that of the longest.
        dtype: dtype of the array.
        padding: whether `value` is put before ("pre") or after ("post") short ones.
        truncating: whether long ones lose their start ("pre") or end ("post").
        value: what to fill with.

    Returns:
        An array of shape `(len(sequences), maxlen, ...)`.

    >>> pad_sequences([[1], [2, 3]]).tolist()
    [[0, 1], [2, 3]]
    """
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in ("pre", "post"):
            raise ValueError(f'[pad_sequences] `{name}` is "pre" or "post". Received: {side!r}. Fix: choose one.')
    try:
        items = [np.asarray(item) if len(item) else None for item in sequences]
    except TypeError as error:
        raise ValueError(
            f"[pad_sequences] each sequence must be a list or an array. Received: {sequences!r:.200}. "
            "Fix: pass a list of lists."
        ) from error
    shapes = {item.shape[1:] for item in items if item is not None}
    if len(shapes) > 1:
        raise ValueError(
            f"[pad_sequences] the elements of all sequences must have one shape. Received: {sorted(shapes)}. "
            "Fix: bring them to one shape first."
        )
    length = maxlen if maxlen is not None else max((len(item) for item in items if item is not None), default=0)
    padded = np.full((len(items), length, *(shapes.pop() if shapes else ())), value, dtype=dtype)
    for row, item in zip(padded, items, strict=True):
        if item is None or not length:
            continue
        kept = item[-length:] if truncating == "pre" else item[:length]
        if padding == "post":
            row[: len(kept)] = kept
        else:
            row[-len(kept) :] = kept
    return padded


def is_keras_tensor(x: Any) -> bool:
    """Whether `x` is a symbolic tensor, such as `Input` returns.

    >>> import amalthea as am
    >>> is_keras_tensor(am.Input((3,)))
    True
    """
    return isinstance(x, _KerasTensor)


def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype given in any way: by name, as a NumPy or other framework's dtype, or None for `floatx()`.

    >>> standardize_dtype(np.float32)
    'float32'
    """
    return str(_dtypes.standardize(dtype))


def get_source_inputs(tensor: Any) -> list[Any]:
    """The `Input`s from which a symbolic tensor is computed.

    >>> import amalthea as am
    >>> x = am.Input((3,), name="x")
    >>> [t.name for t in get_source_inputs(am.layers.Dense(2)(x))]
    ['x']
    """
    found: dict[str, Any] = {}
    seen, waiting = set(), [x._value for x in _tree.flatten(tensor)]
    while waiting:
        node = waiting.pop().node
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node.op, _InputLayer):
            found[node.op.name] = node.op.output
        waiting.extend(node.inputs)
    return [found[name] for name in sorted(found)]
