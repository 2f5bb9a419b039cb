"""Where values of variables are between the calls of programs that replace them.

A TensorFlow tensor never changes, so a program that takes and returns tensors needs other memory for each new value.
XLA overwrites a resource variable where it lies if nobody else refers to its buffer. So a program keeps the large state
that it updates in resource variables, and gives a `Cell` for such an output instead of a tensor.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf


class Cell:
    """The value of one variable in a resource variable of TensorFlow; what is read from it never changes.

    Attributes:
        handle: the resource.
        shape, dtype: as a tensor has them.
    """

    __slots__ = ("_variable", "dtype", "handle", "shape")

    def __init__(self, value: Any) -> None:
        with tf.device(value.device):
            self._variable = tf.Variable(value, trainable=False)
        self.handle, self.shape, self.dtype = self._variable.handle, value.shape, value.dtype

    @property
    def device(self) -> str:
        return str(self.handle.device)

    def read(self) -> Any:
        """The value as a tensor, without a copy: the next program that replaces the value makes one instead."""
        return tf.raw_ops.ReadVariableOp(resource=self.handle, dtype=self.dtype)
