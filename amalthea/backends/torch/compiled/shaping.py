"""Lowering of ops that move elements: views, and nothing where nothing moves."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from amalthea.backends.torch.compiled.calls import Call
from amalthea.backends.torch.compiled.lowering import Lowering, rule
from amalthea.core.node import Node


@rule("reshape")
def reshape(lowering: Lowering, node: Node) -> Sequence[Call]:
    return [Call(torch.reshape, node.inputs[0], node.attrs["newshape"], outputs=node.outputs)]


@rule("transpose")
def transpose(lowering: Lowering, node: Node) -> Sequence[Call]:
    axes = node.attrs["axes"]
    if axes == (1, 0):
        return [Call(torch.t, node.inputs[0], outputs=node.outputs)]
    return [Call(torch.permute, node.inputs[0], axes, outputs=node.outputs)]


@rule("broadcast_to")
def broadcast_to(lowering: Lowering, node: Node) -> Sequence[Call]:
    return [Call(torch.Tensor.expand, node.inputs[0], node.attrs["shape"], outputs=node.outputs)]


@rule("concatenate")
def concatenate(lowering: Lowering, node: Node) -> Sequence[Call]:
    return [Call(torch.cat, list(node.inputs), node.attrs["axis"], outputs=node.outputs, fresh=True)]


@rule("strided_slice")
def strided_slice(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    """A slice of one axis as one view."""
    x, start, stop, strides = node.inputs[0], *(node.attrs[name] for name in ("start", "stop", "strides"))
    cut = [
        i
        for i, (n, a, b, s) in enumerate(zip(x.spec.sizes, start, stop, strides, strict=True))
        if (a, b, s) != (0, n, 1)
    ]
    if len(cut) != 1 or strides[cut[0]] != 1 or not 0 <= start[cut[0]] <= stop[cut[0]] <= x.spec.sizes[cut[0]]:
        return None
    axis = cut[0]
    return [Call(torch.narrow, x, axis, start[axis], stop[axis] - start[axis], outputs=node.outputs)]
