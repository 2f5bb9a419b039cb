"""Lowering of composites: gradients take what the forward call has computed, and skip what is known to be zero."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from amalthea.backends.torch.attention import attention_gradient
from amalthea.backends.torch.compiled.calls import Call
from amalthea.backends.torch.compiled.lowering import Lowering, constant, rule
from amalthea.backends.torch.fused import batch_gradients, batch_statistics, layer_gradients, layer_statistics
from amalthea.core import config
from amalthea.core.node import Node
from amalthea.core.value import Value


def all_zero(lowering: Lowering, value: Value) -> bool:
    """Whether the value is known to be zero everywhere."""
    repeated = lowering.maker(value, "broadcast_to")
    found = constant(value if repeated is None else repeated.inputs[0])
    return found is not None and not np.any(found)


@rule("attention_gradient")
def attention(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    g, g_sum, *rest = node.inputs
    if not all_zero(lowering, g_sum):
        return None
    return [Call(attention_gradient, g, None, *rest, outputs=node.outputs, fresh=True, **node.attrs)]


def _settings(node: Node) -> tuple[tuple[int, ...], float, bool]:
    """Axes, epsilon and rms_scaling of a layer normalisation or its gradient."""
    axis, epsilon = node.attrs["axis"], node.attrs["epsilon"]
    rank = len(node.inputs[0].spec.sizes)
    axes = tuple(sorted(a % rank for a in ((axis,) if isinstance(axis, int) else axis)))
    return axes, config.epsilon() if epsilon is None else epsilon, node.attrs["rms_scaling"]


@rule("layer_normalization_gradient")
def layer_normalization_gradient(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    g, x, *gamma = node.inputs
    for forward in lowering.users[x]:
        if (
            forward.op.name == "layer_normalization"
            and list(forward.inputs[: 1 + len(gamma)]) == [x, *gamma]
            and len(forward.inputs) >= 1 + len(gamma)
            and (gamma or len(forward.inputs) == 1)
            and lowering.place[forward] < lowering.place[node]
            and _settings(forward) == _settings(node)
        ):
            mean, factor = (lowering.ask(forward, name, x) for name in ("mean", "factor"))
            rest = (mean, factor, list(_settings(node)[0]), node.attrs["rms_scaling"])
            return [Call(layer_gradients, g, x, gamma[0] if gamma else None, *rest, outputs=node.outputs, fresh=True)]
    return None


@rule("layer_normalization")
def layer_normalization(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    mean, factor = lowering.given(node, "mean"), lowering.given(node, "factor")
    if mean is None or len(node.inputs) not in (1, 2, 3):
        return None
    x, *rest = node.inputs
    axes, epsilon, rms_scaling = _settings(node)
    arguments = [x, *rest, *[None] * (2 - len(rest)), list(axes), epsilon, rms_scaling]
    return [Call(layer_statistics, *arguments, outputs=[*node.outputs, mean, factor], fresh=True)]


@rule("batch_normalization_gradient")
def batch_normalization_gradient(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    g, g_mean, g_variance, x, *scale = node.inputs
    if not all_zero(lowering, g_mean) or not all_zero(lowering, g_variance) or g.spec != x.spec:
        return None
    for forward in lowering.users[x]:
        if (
            forward.op.name == "batch_normalization_training"
            and (list(forward.inputs[:2]) == [x, *scale] if scale else len(forward.inputs) == 1)
            and lowering.place[forward] < lowering.place[node]
            and forward.attrs == node.attrs
        ):
            factor = lowering.ask(forward, "factor", forward.outputs[1])
            arguments = [g, x, scale[0] if scale else None, forward.outputs[1], factor, *_axis_and_epsilon(node)]
            return [Call(batch_gradients, *arguments, outputs=node.outputs, fresh=True)]
    return None


@rule("batch_normalization_training")
def batch_normalization_training(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    factor = lowering.given(node, "factor")
    if factor is None:
        return None
    x, *rest = node.inputs
    arguments = [x, *rest, *[None] * (2 - len(rest)), *_axis_and_epsilon(node)]
    return [Call(batch_statistics, *arguments, outputs=[*node.outputs, factor], fresh=True)]


def _axis_and_epsilon(node: Node) -> tuple[int, float]:
    return node.attrs["axis"], node.attrs["epsilon"]
