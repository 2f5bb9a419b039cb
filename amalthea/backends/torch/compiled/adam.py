"""Lowering of Adam's update: torch's fused kernel reads and writes each element once, for many variables in one call.

Matched is the algebra, wherever it comes from, for a gradient g and a rate that may be computed:

    mean' = mean + (g - mean) * (1 - beta_1)
    square' = square + (g * g - square) * (1 - beta_2)
    value' = value - mean' * rate / (sqrt(square') + epsilon)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from amalthea.backends.torch import types
from amalthea.backends.torch.compiled.calls import Call
from amalthea.backends.torch.compiled.lowering import Lowering, constant, floating, rule, shape
from amalthea.core.node import Node
from amalthea.core.value import Value


class _Mean(NamedTuple):
    old: Value
    sample: Value
    share: float


@rule("subtract", several=True)
def adam(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    value, change = node.inputs
    quotient = _only(lowering, change, "divide")
    if quotient is None or not floating(value) or value.spec != change.spec:
        return None
    scaled, root = _only(lowering, quotient.inputs[0], "multiply"), _only(lowering, quotient.inputs[1], "add")
    if scaled is None or root is None:
        return None
    mean_value, rate = scaled.inputs if shape(scaled.inputs[1]) == () else scaled.inputs[::-1]
    epsilon, power = constant(root.inputs[1]), _only(lowering, root.inputs[0], "sqrt")
    if power is None or epsilon is None or epsilon.size != 1 or shape(rate) != ():
        return None
    if types.here.device.type == "cuda" and rate.spec.dtype != "float32":  # as which torch reads it there
        return None
    mean = _mean(lowering, mean_value, scaled)
    square = _mean(lowering, power.inputs[0], power)
    if mean is None or square is None or mean.old.spec != value.spec or square.old.spec != value.spec:
        return None
    product = lowering.maker(square.sample, "multiply")
    if product is None or product.inputs != (mean.sample, mean.sample) or mean.sample.spec != value.spec:
        return None
    if len({value, mean.sample, mean.old, square.old}) < 4:  # one memory would be read and overwritten
        return None
    return [
        Call(
            adam_step,
            [value],
            [mean.sample],
            [mean.old],
            [square.old],
            rate,
            1 - mean.share,
            1 - square.share,
            float(epsilon.reshape(())),
            outputs=[node.outputs[0], mean_value, power.inputs[0]],
            writes={0: value, 1: mean.old, 2: square.old},
        )
    ]


def _only(lowering: Lowering, value: Value, op: str) -> Node | None:
    """The node of this op that makes the value, if nothing else uses it."""
    return lowering.maker(value, op) if lowering.single(value) else None


def _mean(lowering: Lowering, value: Value, user: Node) -> _Mean | None:
    """The running mean that the value is, if only `user` and the variable take it."""
    node = lowering.maker(value, "add")
    if node is None or lowering.users[value] != [user]:
        return None
    for old, change in (node.inputs, node.inputs[::-1]):
        scaled = _only(lowering, change, "multiply")
        if scaled is None or (share := constant(scaled.inputs[1])) is None or share.size != 1:
            continue
        difference = _only(lowering, scaled.inputs[0], "subtract")
        if not 0 < float(share.reshape(())) < 1:  # torch divides by powers of the betas
            continue
        if difference is not None and difference.inputs[1] is old:
            return _Mean(old, difference.inputs[0], float(share.reshape(())))
    return None


def adam_step(
    values: list[Any],
    gradients: list[Any],
    means: list[Any],
    squares: list[Any],
    rate: Any,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> None:
    """Adam's update of several tensors of one dtype, in place; the first, third and fourth list are overwritten."""
    if torch.compiler.is_compiling():  # which writes one loop of it
        for value, g, mean, square in zip(values, gradients, means, squares, strict=True):
            mean.add_((g - mean) * (1 - beta_1))
            square.add_((g * g - square) * (1 - beta_2))
            value.sub_(mean * rate / (torch.sqrt(square) + epsilon))
        return
    gradients = [g if g.is_contiguous() else g.contiguous() for g in gradients]
    torch._fused_adam_(  # type: ignore[attr-defined]
        values,
        gradients,
        means,
        squares,
        [],
        [_late(values[0].device)] * len(values),
        lr=rate,
        beta1=beta_1,
        beta2=beta_2,
        weight_decay=0.0,
        eps=epsilon,
        amsgrad=False,
        maximize=False,
    )


_late_on: dict[Any, Any] = {}
"""By device the number of a step whose corrections for a start at zero are 1: the rate has them already."""


def _late(device: Any) -> Any:
    found = _late_on.get(device)
    if found is None:
        found = _late_on[device] = torch.tensor(1e9, device=device)
    return found
