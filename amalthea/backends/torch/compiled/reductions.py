"""Lowering of reductions in floating dtypes."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from amalthea.backends.torch.compiled.calls import Call
from amalthea.backends.torch.compiled.lowering import Lowering, floating, rule
from amalthea.core.node import Node


@rule("sum")
def total(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    """torch.sum, which adds half precision up in float32."""
    if not floating(*node.inputs) or not node.attrs["axis"]:
        return None
    return [Call(torch.sum, node.inputs[0], *node.attrs.values(), outputs=node.outputs, fresh=True)]


@rule("max", "min")
def extreme(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    x, axis = node.inputs[0], node.attrs["axis"]
    if not floating(x) or not axis or node.attrs["initial"] is not None:
        return None
    function = torch.amax if node.op.name == "max" else torch.amin
    return [Call(function, x, axis, node.attrs["keepdims"], outputs=node.outputs, fresh=True)]
