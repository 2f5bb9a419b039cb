"""Lowering of convolutions and pooling: images stay as they lie, both gradients of a convolution come from one call."""

from __future__ import annotations

from collections.abc import Sequence

from amalthea.backends.torch import types
from amalthea.backends.torch.compiled.calls import Call
from amalthea.backends.torch.compiled.lowering import FLOATING, Lowering, floating, rule, shape
from amalthea.backends.torch.convolution import convolved, convolves, gradients
from amalthea.backends.torch.pooling import has_pooling, pooled, pooled_gradient
from amalthea.core.node import Node
from amalthea.core.value import Value

SHARED = ("strides", "padding", "dilation", "groups")


def _convolves(value: Value) -> bool:
    return floating(value) and convolves(FLOATING[str(value.spec.dtype)], types.here.device)


@rule("add", several=True)
def with_bias(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    """A convolution and a bias in one call."""
    for value, bias in (node.inputs, node.inputs[::-1]):
        conv = lowering.maker(value, "convolution")
        if conv is None or not lowering.single(value) or value.spec != node.outputs[0].spec or not _convolves(value):
            continue
        if shape(bias) == shape(value)[-1:]:
            attrs = [conv.attrs[name] for name in SHARED]
            return [Call(convolved, *conv.inputs, bias, *attrs, outputs=node.outputs, fresh=True)]
    return None


@rule("conv_kernel_gradient")
def kernel_gradient(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    """Left to the call for the input's gradient, if one stands earlier."""
    x, y = node.inputs
    for other in lowering.users[y]:
        if (
            other.op.name == "conv_input_gradient"
            and lowering.place[other] < lowering.place[node]
            and _convolves(y)
            and other.inputs[0] is y
            and other.inputs[1].spec == node.outputs[0].spec
            and other.outputs[0].spec == x.spec
            and all(other.attrs[name] == node.attrs[name] for name in SHARED)
            and lowering.before(x, other)
            and lowering.give(other, "kernel gradient", (x, node.outputs[0]))
        ):
            return []
    return None


@rule("conv_input_gradient")
def both_gradients(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    asked = lowering.given(node, "kernel gradient")
    if asked is None:
        return None
    (y, kernel), (x, made) = node.inputs, asked
    attrs = [node.attrs[name] for name in SHARED]
    return [Call(gradients, y, x, kernel, *attrs, (True, True), outputs=[node.outputs[0], made], fresh=True)]


@rule("max_pooling_gradient")
def pooling_gradient(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    """By the places that the forward pass found."""
    x, g = node.inputs
    if x.spec.dtype != g.spec.dtype or not floating(x) or not x.spec.size:
        return None
    if not has_pooling(FLOATING[str(x.spec.dtype)], node.attrs["size"]):
        return None
    for forward in lowering.users[x]:
        if (
            forward.op.name == "max_pooling"
            and forward.attrs == node.attrs
            and lowering.place[forward] < lowering.place[node]
        ):
            places = lowering.ask(forward, "places", forward.outputs[0])
            attrs = [node.attrs[name] for name in ("size", "strides", "padding")]
            return [Call(pooled_gradient, x, g, places, *attrs, outputs=node.outputs, fresh=True)]
    return None


@rule("max_pooling")
def pooling(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    places = lowering.given(node, "places")
    if places is None:
        return None
    attrs = [node.attrs[name] for name in ("size", "strides", "padding")]
    return [Call(pooled, *node.inputs, *attrs, outputs=[*node.outputs, places], fresh=True)]
