"""Arrays of other libraries as TensorFlow tensors, in the same memory where TensorFlow can read it."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context

ALIGNED = 64
"""Bytes at whose multiples TensorFlow's kernels expect a tensor to begin; they end the process if it does not."""

_EagerTensor = type(tf.zeros(()))

_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)


class _DLTensor(ctypes.Structure):
    """The start of what a DLPack capsule points to (dlpack.h)."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32 * 2),
        ("ndim", ctypes.c_int32),
        ("dtype", ctypes.c_uint8 * 4),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    )


def _begins_well(capsule: Any) -> bool:
    start = _DLTensor.from_address(_pointer(capsule, b"dltensor"))
    return ((start.data or 0) + start.byte_offset) % ALIGNED == 0


def from_array(value: Any) -> Any:
    """A tensor of a NumPy array, a number, or another library's array, where this lies if it can be read there."""
    if not hasattr(value, "__dlpack__") or isinstance(value, (np.ndarray, np.generic)):
        return _from_numpy(np.asarray(value))
    if hasattr(value, "detach"):  # a torch tensor
        value = value.detach()
    for options in ({}, {"copy": True}):
        try:
            capsule = value.__dlpack__(**options)
            if _begins_well(capsule):
                return tf.experimental.dlpack.from_dlpack(capsule)
        except (BufferError, TypeError, ValueError, tf.errors.InvalidArgumentError):
            continue  # its rows do not follow one another, or it cannot be exchanged so
    return _from_numpy(np.asarray(value))


def _from_numpy(array: np.ndarray) -> Any:
    plain = array.dtype.kind in "iuf" and array.dtype.isnative and array.flags.c_contiguous and array.flags.writeable
    if plain and array.size and array.ctypes.data % ALIGNED == 0:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    if array.dtype.isnative and array.dtype.kind in "biufV":
        # As `tf.convert_to_tensor`, which copies twice.
        return _EagerTensor(array, context.context().device_name, None)
    return tf.convert_to_tensor(array)
