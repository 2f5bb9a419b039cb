"""Symbolic tensors, and the inputs that they are computed from."""

from __future__ import annotations

from typing import Any

from amalthea.core import tree
from amalthea.core.tensor import KerasTensor
from amalthea.nn.layers.input_layer import InputLayer


def is_keras_tensor(x: Any) -> bool:
    """Whether `x` is a symbolic tensor, such as `Input` returns.

    >>> import amalthea as am
    >>> is_keras_tensor(am.Input((3,)))
    True
    """
    return isinstance(x, KerasTensor)


def get_source_inputs(tensor: Any) -> list[Any]:
    """The `Input`s from which a symbolic tensor is computed.

    >>> import amalthea as am
    >>> x = am.Input((3,), name="x")
    >>> [t.name for t in get_source_inputs(am.layers.Dense(2)(x))]
    ['x']
    """
    found: dict[str, Any] = {}
    seen, waiting = set(), [x._value for x in tree.flatten(tensor)]
    while waiting:
        node = waiting.pop().node
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node.op, InputLayer):
            found[node.op.name] = node.op.output
        waiting.extend(node.inputs)
    return [found[name] for name in sorted(found)]
