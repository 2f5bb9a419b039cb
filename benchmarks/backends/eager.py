"""One eager op in each of the ways there are: Amalthea and Keras on an engine, and the engine alone."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.backends.rows import EagerOp


class Calls:
    """An op on tensors that are there already.

    Args:
        call: the op, with all its other arguments.
        tensors: of the engine.
        to_numpy: makes an array of a result; it waits for the result first.
    """

    chosen = ""

    def __init__(
        self, call: Callable[..., Any], tensors: list[Any], to_numpy: Callable[[Any], Any] = np.asarray
    ) -> None:
        self.call, self.tensors, self.to_numpy = call, tensors, to_numpy

    def restart(self) -> None:
        """There is nothing to begin anew."""

    def run(self, steps: int) -> None:
        call, tensors = self.call, self.tensors
        for _ in range(steps):
            result = call(*tensors)
        self.to_numpy(result)

    def value(self) -> list[float]:
        """The result, flat."""
        found = self.to_numpy(self.call(*self.tensors))
        return [float(x) for x in np.ravel(found)]


def with_ops(row: EagerOp, package: str) -> Calls:
    """Amalthea's or Keras's op."""
    ops = importlib.import_module(package).ops
    call = functools.partial(getattr(ops, row.op), **row.arguments)
    return Calls(call, [ops.convert_to_tensor(x) for x in row.data()], ops.convert_to_numpy)


def with_jax(row: EagerOp) -> Calls:
    import jax
    import jax.numpy as jnp

    call = {
        "sum": lambda x: jnp.sum(x, axis=1),
        "reshape": lambda x: jnp.reshape(x, (64,)),
        "softmax": jax.nn.softmax,
        "conv": lambda x, k: jax.lax.conv_general_dilated(
            x, k, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        ),
    }.get(row.op) or getattr(jnp, row.op)
    return Calls(call, [jnp.asarray(x) for x in row.data()])


def with_torch(row: EagerOp) -> Calls:
    import torch

    call = {
        "multiply": torch.mul,
        "sum": lambda x: torch.sum(x, 1),
        "reshape": lambda x: torch.reshape(x, (64,)),
        "transpose": lambda x: torch.transpose(x, 0, 1),
        "softmax": lambda x: torch.softmax(x, -1),
        "conv": lambda x, k: torch.nn.functional.conv2d(x, k).permute(0, 2, 3, 1),
    }.get(row.op) or getattr(torch, row.op)
    tensors = [torch.from_numpy(x) for x in row.data()]
    if row.op == "conv":  # both with channels last in memory, which is what torch takes on the CPU
        tensors = [tensors[0].permute(0, 3, 1, 2), tensors[1].permute(3, 2, 0, 1)]
    return Calls(call, tensors)


def with_tensorflow(row: EagerOp) -> Calls:
    import tensorflow as tf

    call = {
        "sum": lambda x: tf.reduce_sum(x, 1),
        "reshape": lambda x: tf.reshape(x, (64,)),
        "softmax": tf.nn.softmax,
        "conv": lambda x, k: tf.nn.conv2d(x, k, 1, "VALID"),
    }.get(row.op) or getattr(tf, row.op)
    return Calls(call, [tf.constant(x) for x in row.data()])
