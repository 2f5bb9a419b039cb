"""A model as a `tf.Module`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from amalthea.backends.crossing import Crossing, name_of
from amalthea.backends.tensorflow import BACKEND
from amalthea.core import tree
from amalthea.core.variable import Variable


class Module(tf.Module):  # type: ignore[misc]
    """A model's computation in TensorFlow, with a `tf.Variable` for each of its variables.

    Calling it takes tensors in the model's structure of inputs and `training=False`; it works under `tf.function` and
    `tf.GradientTape`. Gradients are the model's own; they can be taken once (no second derivatives).

    Args:
        call: computes the outputs, called as `call(*inputs, training=...)`.
        variables: the variables it reads.
    """

    def __init__(self, call: Callable[..., Any], variables: Sequence[Variable]) -> None:
        super().__init__()
        self._call, self._names = call, [name_of(variable) for variable in variables]
        self._known: dict[Any, Crossing] = {}
        self._variables_here = list(variables)
        self.state = [
            tf.Variable(BACKEND.to_array(v.numpy()), trainable=v.trainable, name=name.rpartition("/")[2])
            for v, name in zip(variables, self._names, strict=True)
        ]

    @tf.autograph.experimental.do_not_convert  # type: ignore[misc]
    def __call__(self, *inputs: Any, training: bool = False) -> Any:
        leaves = [tf.convert_to_tensor(leaf) for leaf in tree.flatten(list(inputs)) if leaf is not None]
        key = (training, repr(tree.form(list(inputs))), *((tuple(x.shape), x.dtype) for x in leaves))
        crossing = self._known.get(key)
        if crossing is None:
            with tf.init_scope():
                crossing = self._known[key] = Crossing(
                    lambda *xs: self._call(*xs, training=training), inputs, self._variables_here, BACKEND
                )
        made = _call(crossing, len(leaves), *leaves, *[tf.convert_to_tensor(v) for v in self.state])
        count = len(made) - len(crossing.updated)
        for place, value in zip(crossing.updated, made[count:], strict=True):
            self.state[place].assign(value)
        return crossing.pack(made[:count])


def _call(crossing: Crossing, count: int, *tensors: Any) -> Any:
    @tf.custom_gradient  # type: ignore[misc]
    def run(*tensors: Any) -> Any:
        outputs, residuals, updates = crossing.forward(tensors[:count], tensors[count:])

        def gradient(*gradients: Any) -> Any:
            taken = [g for g, take in zip(gradients, crossing.cotangents, strict=False) if take]
            of_inputs, of_variables = crossing.backward(residuals, taken, len(tensors) - count)
            return [*of_inputs, *of_variables]

        return (*outputs, *updates), gradient

    return run(*tensors)
