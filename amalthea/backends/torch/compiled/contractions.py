"""Lowering of contractions: one matrix product on views of the operands, with a bias added in the same call."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from amalthea.backends.torch.compiled.calls import Call
from amalthea.backends.torch.compiled.lowering import Lowering, floating, rule, shape, temporary, view
from amalthea.core.node import Node
from amalthea.core.value import Value


def _parts(subscripts: str) -> tuple[str, str, str, str, str, str, str] | None:
    """The letters of both operands and the result, and those of the batch, of x alone, of y alone and summed over.

    None where a letter is summed in one operand alone, or stands in one twice.
    """
    x, y, out = subscripts.replace("->", ",").split(",")
    if len(set(x)) < len(x) or len(set(y)) < len(y):
        return None
    batch = "".join(a for a in out if a in x and a in y)
    rows, columns = ("".join(a for a in out if a in one and a not in other) for one, other in ((x, y), (y, x)))
    summed = "".join(a for a in x if a in y and a not in out)
    if len(batch) + len(rows) + len(summed) < len(x) or len(batch) + len(columns) + len(summed) < len(y):
        return None
    return x, y, out, batch, rows, columns, summed


class _Operands:
    """Views of values as matrices, call by call."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def _do(self, function: Any, value: Value, *args: Any) -> Value:
        made, call = view(function, value, *args)
        self.calls.append(call)
        return made

    def matrix(self, value: Value, letters: str, groups: Sequence[str]) -> Value:
        """The value with an axis for each group of letters."""
        sizes = dict(zip(letters, shape(value), strict=True))
        order = "".join(groups)
        if [len(group) for group in groups] == [1] * len(groups):
            if order == letters:
                return value
            if len(order) == 2:
                return self._do(torch.t, value)
            return self._do(torch.permute, value, tuple(letters.index(a) for a in order))
        wanted = tuple(prod(sizes[a] for a in group) for group in groups)
        if len(groups) == 2 and order != letters and groups[1] + groups[0] == letters:
            return self._do(torch.t, self._do(torch.reshape, value, wanted[::-1]))
        if order != letters:
            value = self._do(torch.permute, value, tuple(letters.index(a) for a in order))
        return self._do(torch.reshape, value, wanted)


def product(node: Node, bias: Value | None, result: Value) -> list[Call] | None:
    """The calls that give a contraction, plus a bias over its last axes if there is one, as `result`."""
    parts = _parts(node.attrs["subscripts"])
    if parts is None or not floating(*node.inputs):
        return None
    x, y, out, batch, rows, columns, summed = parts
    left, right = node.inputs
    first = next((a for a in out if a not in batch), "")
    if first and first in columns:  # so that the product comes in the order of the result
        x, y, rows, columns, left, right = y, x, columns, rows, right, left
    if bias is not None and (batch or out != rows + columns or not _is_bias(bias, node.outputs[0], len(columns))):
        return None
    sizes = dict(zip(x + y, shape(left) + shape(right), strict=True))
    letters = max((left, x), (right, y), key=lambda operand: operand[0].spec.size)[1]
    summed = "".join(a for a in letters if a in summed)  # if one has to be copied into this order, it is the smaller
    views = _Operands()
    groups = [batch] if batch else []
    left, right = (
        views.matrix(v, a, g)
        for v, a, g in ((left, x, [*groups, rows, summed]), (right, y, [*groups, summed, columns]))
    )
    made = tuple(sizes[a] for a in batch + rows + columns)
    flat = (*((prod(sizes[a] for a in batch),) if batch else ()), *(prod(sizes[a] for a in g) for g in (rows, columns)))
    order = batch + rows + columns
    last = result if flat == made and order == out else temporary(result)
    if bias is not None:
        if shape(bias) not in (flat, flat[-1:]):
            bias = views._do(torch.reshape, bias, flat[-1:])
        multiply = Call(torch.addmm, bias, left, right, outputs=[last], fresh=True)
    else:
        multiply = Call(torch.bmm if batch else torch.mm, left, right, outputs=[last], fresh=True)
    calls = [*views.calls, multiply]
    if flat != made:
        shaped = result if order == out else temporary(result)
        calls.append(Call(torch.reshape, last, made, outputs=[shaped]))
        last = shaped
    if order != out:
        calls.append(Call(torch.permute, last, tuple(order.index(a) for a in out), outputs=[result]))
    return calls


def is_transposed(node: Node, value: Value) -> bool:
    """Whether a node is a product of two matrices that takes this value, as one of them alone, transposed."""
    parts = _parts(node.attrs["subscripts"]) if node.op.name == "contract" else None
    if parts is None or not floating(*node.inputs) or node.inputs[0] is node.inputs[1]:
        return False
    x, y, out, batch, rows, columns, summed = parts
    if batch or not len(rows) == len(columns) == len(summed) == 1:
        return False
    left, right = (x, y) if out == rows + columns else (y, x)
    given = x if node.inputs[0] is value else y
    return given[0] == summed if given == left else given[1] == summed


def _is_bias(bias: Value, out: Value, axes: int) -> bool:
    """Whether it is a matrix as the result is, or is broadcast to the result along all but the last axes."""
    sizes = shape(bias)
    if axes == 1 and len(sizes) == 2 and bias.spec == out.spec:
        return True
    trimmed = sizes[len(sizes) - axes :]
    return trimmed == shape(out)[len(shape(out)) - axes :] and prod(sizes) == prod(trimmed) and bool(axes)


@rule("contract")
def contract(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    return product(node, None, node.outputs[0])


@rule("add", several=True)
def with_bias(lowering: Lowering, node: Node) -> Sequence[Call] | None:
    """A product and a bias in one call."""
    for value, bias in (node.inputs, node.inputs[::-1]):
        contraction = lowering.maker(value, "contract")
        if contraction is not None and lowering.single(value) and value.spec == node.outputs[0].spec:
            calls = product(contraction, bias, node.outputs[0])
            if calls is not None:
                return calls
    return None
