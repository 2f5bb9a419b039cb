"""Nodes with a generator of their own: contractions, and convolutions and their gradients."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from amalthea.compiler.attention import Attention
from amalthea.compiler.attention_backward import attention_gradient_kernel
from amalthea.compiler.attention_forward import attention_kernel
from amalthea.compiler.contraction import Contraction, contiguous, from_subscripts, with_epilogue
from amalthea.compiler.contraction_cache import generated
from amalthea.compiler.contraction_convolution import (
    convolution,
    convolution_input_gradient,
    convolution_kernel_gradient,
)
from amalthea.compiler.cumulative import cumulative_sum_code
from amalthea.compiler.epilogues import PointwiseWork
from amalthea.compiler.extremes import extreme_code
from amalthea.compiler.kernel_code import KernelCode
from amalthea.compiler.overlapping import overlap_add_code
from amalthea.compiler.padding import pad_code, padded_shape
from amalthea.compiler.reading import memory_inputs
from amalthea.compiler.scattering import scatter_code, scatter_of
from amalthea.compiler.sorting import argsort_buffers, argsort_code, searchsorted_code
from amalthea.compiler.target import Target
from amalthea.compiler.windows import max_pooling, max_pooling_gradient
from amalthea.core import config
from amalthea.core.node import Node
from amalthea.core.value import Value

Parameter = Value | tuple[str, int]


class Made:
    """The kernels of a node in order, each with its parameters (values, or ("scratch", i)), and the scratch buffers."""

    def __init__(self) -> None:
        self.codes: list[tuple[KernelCode, list[Parameter]]] = []
        self.scratch: list[int] = []  # bytes

    def buffer(self, size: int) -> Parameter:
        """A scratch buffer of that many bytes."""
        self.scratch.append(size)
        return ("scratch", len(self.scratch) - 1)

    def padded(self, value: Value, padding: Sequence[tuple[int, int]]) -> tuple[Parameter, tuple[int, ...]]:
        """The value with a border of zeros, and its shape; the value itself where there is none."""
        shape = value.spec.sizes
        if all(lo == hi == 0 for lo, hi in padding):
            return value, shape
        goal = padded_shape(shape, padding)
        buffer = self.buffer(prod(goal) * value.spec.dtype.itemsize)
        self.codes.append((pad_code(shape, padding, value.spec.dtype), [value, buffer]))
        return buffer, goal

    def contraction(
        self, contraction: Contraction, x: Parameter, y: Parameter, outer: Mapping[str, Parameter], target: Target
    ) -> None:
        """The kernels of one contraction; `outer` are its outputs and the operands of its epilogue by name."""
        made = generated(contraction, target)
        first = len(self.scratch)
        self.scratch += made.scratch
        places: dict[str, Parameter] = {"x": x, "y": y, **outer}
        places.update({f"scratch{i}": ("scratch", first + i) for i in range(len(made.scratch))})
        for code, names in zip(made.kernels, made.arguments, strict=True):
            self.codes.append((code, [places[name] for name in names]))


# -- contractions, with pointwise work on their results ----------------------------------------------------------------

Work = PointwiseWork | None


def _axes(lead: Sequence[int], groups: int, part: int, last: int) -> list[tuple[int, int]]:
    """The axes of a convolution's kernel: groups, the leading output axes, and `part` elements of a group."""
    return [*([(last, part)] if groups > 1 else []), *((axis, 1) for axis in lead), (last, 1)]


def _outer(node: Node, work: Work) -> dict[str, Parameter]:
    """The parameters of a contraction besides its two factors."""
    if work is None:
        return {"out0": node.outputs[0]}
    operands = {f"operand{i}": value for i, value in enumerate(work.operands)}
    return {**operands, **{f"out{i}": value for i, value in enumerate(work.results)}}


def _stored_so(contraction: Contraction, x: Value, y: Value, node: Node) -> Contraction:
    """The contraction of a node with the dtypes that x, y and the result have in memory, see `memory_inputs`."""
    return replace(contraction, dtype=x.spec.dtype, y_dtype=y.spec.dtype, result=node.outputs[0].spec.dtype)


def _contract(node: Node, target: Target, work: Work) -> Made:
    made = Made()
    x, y = memory_inputs(node)
    subscripts = node.attrs["subscripts"]
    contraction = from_subscripts(subscripts, x.spec.sizes, y.spec.sizes, node.inputs[0].spec.dtype)
    if work is not None:
        terms, letters = subscripts.split("->")
        first, second = terms.split(",")
        roles = (set(first) & set(second), set(first) - set(second), set(second) - set(first))
        axes = [(letters.index(c), 1) for role in roles for c in letters if c in role]
        contraction = with_epilogue(contraction, work.over(axes))
    made.contraction(_stored_so(contraction, x, y, node), x, y, _outer(node, work), target)
    return made


def _convolution(node: Node, target: Target, work: Work) -> Made:
    made, dtype = Made(), node.inputs[0].spec.dtype
    x, kernel = memory_inputs(node)
    padded, shape = made.padded(x, node.attrs["padding"])
    options = {name: node.attrs[name] for name in ("strides", "dilation", "groups")}
    last, groups = len(shape) - 1, node.attrs["groups"]
    epilogue = work.over(_axes(range(last), groups, kernel.spec.sizes[-1] // groups, last)) if work else None
    contraction = convolution(shape, kernel.spec.sizes, dtype, epilogue=epilogue, **options)
    made.contraction(_stored_so(contraction, x, kernel, node), padded, kernel, _outer(node, work), target)
    return made


def _kernel_gradient(node: Node, target: Target, work: Work) -> Made:
    made, dtype = Made(), node.inputs[0].spec.dtype
    x, y = memory_inputs(node)
    padded, shape = made.padded(x, node.attrs["padding"])
    options = {name: node.attrs[name] for name in ("kernel_size", "strides", "dilation", "groups")}
    last, groups = len(shape) - 1, node.attrs["groups"]
    epilogue = work.over(_axes(range(last), groups, y.spec.sizes[-1] // groups, last)) if work else None
    contraction = convolution_kernel_gradient(shape, y.spec.sizes, dtype=dtype, epilogue=epilogue, **options)
    made.contraction(_stored_so(contraction, x, y, node), padded, y, _outer(node, work), target)
    return made


def _input_gradient(node: Node, target: Target, work: Work) -> Made:
    made, dtype = Made(), node.inputs[0].spec.dtype
    y, kernel = memory_inputs(node)
    options = {name: node.attrs[name] for name in ("input_size", "strides", "padding", "dilation", "groups")}
    last, part = len(y.spec.sizes) - 1, kernel.spec.sizes[-2]
    epilogue = work.over(_axes(range(last), node.attrs["groups"], part, last)) if work else None
    found = convolution_input_gradient(y.spec.sizes, kernel.spec.sizes, dtype=dtype, epilogue=epilogue, **options)
    padded, _ = made.padded(y, found.padding)
    for contraction in found.contractions:
        made.contraction(_stored_so(contraction, y, kernel, node), padded, kernel, _outer(node, work), target)
    return made


CONTRACTIONS: dict[str, Callable[[Node, Target, Work], Made]] = {
    "contract": _contract,
    "convolution": _convolution,
    "conv_kernel_gradient": _kernel_gradient,
    "conv_input_gradient": _input_gradient,
}


def continues(node: Node) -> bool:
    """Whether a node is a contraction, which takes pointwise work on its result."""
    return node.op.name in CONTRACTIONS


# -- others ----------------------------------------------------------------------------------------------------------


def _one(code: KernelCode, parameters: Sequence[Parameter]) -> Made:
    made = Made()
    made.codes.append((code, list(parameters)))
    return made


def _max_pooling(node: Node, target: Target) -> Made:
    (x,), out = node.inputs, node.outputs[0]
    code = max_pooling(x.spec.sizes, out.spec.sizes[1:-1], x.spec.dtype, **node.attrs)
    return _one(code, [x, out])


def _max_pooling_gradient(node: Node, target: Target) -> Made:
    x, g = node.inputs
    code = max_pooling_gradient(x.spec.sizes, g.spec.sizes[1:-1], x.spec.dtype, g.spec.dtype, **node.attrs)
    return _one(code, [x, g, node.outputs[0]])


def _overlap_add(node: Node, target: Target) -> Made:
    (x,), size = node.inputs, node.attrs["size"]
    batch, places, channels = x.spec.sizes[0], x.spec.sizes[1 : 1 + len(size)], x.spec.sizes[-1]
    return _one(overlap_add_code(batch, places, channels, x.spec.dtype, **node.attrs), [x, node.outputs[0]])


def _extreme(node: Node, target: Target) -> Made:
    (x,) = node.inputs
    code = extreme_code(node.op.name.removeprefix("arg"), x.spec.sizes, node.attrs["axis"], x.spec.dtype)
    return _one(code, [x, node.outputs[0]])


def _cumulative_sum(node: Node, target: Target) -> Made:
    (x,) = node.inputs
    return _one(cumulative_sum_code(x.spec.sizes, node.attrs["axis"], x.spec.dtype), [x, node.outputs[0]])


def _argsort(node: Node, target: Target) -> Made:
    made, (x,), axis = Made(), node.inputs, node.attrs["axis"]
    buffers = [made.buffer(size) for size in argsort_buffers(x.spec.sizes, axis)]
    made.codes.append((argsort_code(x.spec.sizes, axis, x.spec.dtype), [x, node.outputs[0], *buffers]))
    return made


def _searchsorted(node: Node, target: Target) -> Made:
    x, values = node.inputs
    code = searchsorted_code(x.spec.size, values.spec.sizes, x.spec.dtype, node.attrs["side"])
    return _one(code, [x, values, node.outputs[0]])


def _scatter_update(node: Node, target: Target) -> Made:
    made = Made()
    scatter = scatter_of(node)
    buffers = [made.buffer(scatter.scratch)] if scatter.apart else []
    made.codes.append((scatter_code(scatter), [*memory_inputs(node), node.outputs[0], *buffers]))
    return made


def _attention_of(node: Node, inputs: Sequence[Value]) -> Attention | None:
    """What an attention node computes; `inputs` are query, key, value and the mask if there is one."""
    query, key, value = (v.spec for v in inputs[:3])
    batch, queries, heads, size = query.sizes
    dtype = query.dtype
    if not dtype.is_floating or dtype.itemsize < 2 or 0 in (*query.sizes, *key.sizes, *value.sizes):
        return None
    mask = None
    if len(inputs) > 3:
        sizes = inputs[3].spec.sizes
        steps = [0 if n == 1 else step for n, step in zip(sizes, contiguous(sizes), strict=True)]
        mask = inputs[3].spec.dtype, (steps[0], steps[1], steps[2], steps[3])
    return Attention(
        batch, heads, queries, key.sizes[1], size, value.sizes[3], dtype, node.attrs["scale"],
        node.attrs["is_causal"], mask,
    )  # fmt: skip


@functools.lru_cache(maxsize=64)
def _attention_code(
    write: Callable[[Attention, Target], KernelCode], attention: Attention, target: Target, fast_math: bool
) -> KernelCode:
    """One kernel of attention; the layers of a model mostly share it, and it takes milliseconds to write."""
    return write(attention, target)


def _attention(node: Node, target: Target) -> Made | None:
    attention = _attention_of(node, node.inputs)
    if attention is None:
        return None
    made = Made()
    code = _attention_code(attention_kernel, attention, target, config.fast_math())
    made.codes.append((code, [*node.inputs, *node.outputs]))
    return made


def _attention_gradient(node: Node, target: Target) -> Made | None:
    query, key, value = node.inputs[2:5]
    attention = _attention_of(node, [query, key, value, *node.inputs[7:]])
    if attention is None:
        return None
    made = Made()
    code = _attention_code(attention_gradient_kernel, attention, target, config.fast_math())
    sums = []
    if attention.dtype != attention.wide:
        sums = [made.buffer(x.spec.size * attention.wide.itemsize) for x in (key, value)]
    made.codes.append((code, [*node.inputs, *node.outputs, *sums]))
    return made


GENERATORS: dict[str, Callable[[Node, Target], Made | None]] = {
    "max_pooling": _max_pooling,
    "max_pooling_gradient": _max_pooling_gradient,
    "overlap_add": _overlap_add,
    "argmax": _extreme,
    "argmin": _extreme,
    "cumulative_sum": _cumulative_sum,
    "argsort": _argsort,
    "searchsorted": _searchsorted,
    "scatter_update": _scatter_update,
    "attention": _attention,
    "attention_gradient": _attention_gradient,
}


def generate_node(node: Node, target: Target, work: Work = None) -> Made | None:
    """The kernels of a node; None for one without a generator, which falls back to NumPy.

    Args:
        node: the node.
        target: for which machine.
        work: of a node that `continues`: what follows in the same kernel.
    """
    if continues(node):
        return CONTRACTIONS[node.op.name](node, target, work)
    generator: Any = GENERATORS.get(node.op.name)
    return None if generator is None else generator(node, target)
