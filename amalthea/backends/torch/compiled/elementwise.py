"""Lowering of elementwise ops: torch's own functions, without the kernels' care for dtypes that torch hardly knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from amalthea.backends.torch.compiled.calls import Call
from amalthea.backends.torch.compiled.lowering import Lowering, constant, floating, rule, shape
from amalthea.backends.torch.types import to_torch
from amalthea.core.node import Node
from amalthea.core.value import Value

ORDINARY = frozenset({"float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8"})
"""Dtypes that torch's arithmetic knows."""

ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "equal": torch.eq,
    "less": torch.lt,
    "less_equal": torch.le,
    "negative": torch.neg,
    "abs": torch.abs,
}
"""For ordinary dtypes."""

REAL: dict[str, Callable[..., Any]] = {
    "divide": torch.true_divide,
    "power": torch.pow,
    "floor": torch.floor,
    "round_half_even": torch.round,
    "isfinite": torch.isfinite,
}
"""For floating dtypes."""


def is_zero(value: Value) -> bool:
    """Whether the value is the number 0."""
    found = constant(value)
    return found is not None and found.size == 1 and bool(np.asarray(found, "float64").reshape(()) == 0)


def is_one(value: Value) -> bool:
    """Whether the value is the number 1."""
    found = constant(value)
    return found is not None and found.size == 1 and bool(np.asarray(found, "float64").reshape(()) == 1)


@rule("multiply", several=True)
def activation_gradient(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    """g * (1 - y * y) and g * y * (1 - y), the gradients of tanh and sigmoid by their results, as one call each."""
    for g, slope in (node.inputs, node.inputs[::-1]):
        difference = lowering.maker(slope, "subtract")
        if difference is None or not is_one(difference.inputs[0]) or not floating(g) or g.spec != node.outputs[0].spec:
            continue
        y = difference.inputs[1]
        square = lowering.maker(y, "multiply")
        if square is not None and square.inputs[0] is square.inputs[1] and square.inputs[0].spec == g.spec:
            return [Call(torch.ops.aten.tanh_backward.default, g, square.inputs[0], outputs=node.outputs, fresh=True)]
        product = lowering.maker(g, "multiply")
        if product is not None and y in product.inputs and y.spec == g.spec and lowering.single(g):
            other = product.inputs[0] if product.inputs[1] is y else product.inputs[1]
            if other.spec == g.spec:
                return [Call(torch.ops.aten.sigmoid_backward.default, other, y, outputs=node.outputs, fresh=True)]
    return None


@rule("maximum", "relu", several=True)
def relu(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    """relu, also where it is written as maximum(x, 0)."""
    x, *rest = node.inputs
    if floating(x) and all(map(is_zero, rest)) and shape(x) == shape(node.outputs[0]):
        return [Call(torch.relu, x, outputs=node.outputs, fresh=True)]
    return None


@rule(*ARITHMETIC, *REAL)
def plain(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    """Torch's function itself."""
    name = node.op.name
    if name in REAL and not floating(*node.inputs):
        return None
    if any(str(value.spec.dtype) not in ORDINARY for value in node.inputs):
        return None
    return [Call(ARITHMETIC.get(name) or REAL[name], *node.inputs, outputs=node.outputs, fresh=True)]


@rule("where")
def chosen(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    """where; a gradient that passes where relu's result is positive as torch's one call for that."""
    condition, x, y = node.inputs
    if str(x.spec.dtype) not in ORDINARY:
        return None
    less = lowering.maker(condition, "less")
    if less is not None and floating(x) and is_zero(y) and is_zero(less.inputs[0]):
        out = less.inputs[1]
        if out.spec == x.spec == node.outputs[0].spec and _never_nan_alone(lowering, out):
            return [Call(torch.ops.aten.threshold_backward.default, x, out, 0, outputs=node.outputs, fresh=True)]
    return [Call(torch.where, condition, x, y, outputs=node.outputs, fresh=True)]


def _never_nan_alone(lowering: Lowering, value: Value) -> bool:
    """Whether it is a relu: where that gives NaN, torch passes the gradient on, and all of it is NaN soon enough."""
    node = lowering.maker(value, "maximum", "relu")
    return node is not None and (node.op.name == "relu" or is_zero(node.inputs[1]))


@rule("cast")
def cast(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    """A conversion between dtypes that torch has; into bool by being nonzero."""
    x, kinds = node.inputs[0], [str(v.spec.dtype) for v in (*node.inputs, *node.outputs)]
    if kinds[0] not in ORDINARY and kinds[0] != "bool":
        return None
    # a float that does not fit an integer type is the kernel's business
    if kinds[0] in ("float16", "bfloat16", "float32", "float64") and kinds[1] not in ORDINARY - _INTEGERS:
        return None
    return [
        Call(torch.Tensor.to, x, to_torch(node.outputs[0].spec.dtype), outputs=node.outputs, fresh=kinds[0] != kinds[1])
    ]


_INTEGERS = frozenset({"int8", "int16", "int32", "int64", "uint8"})
