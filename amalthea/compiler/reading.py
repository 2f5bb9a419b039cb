"""What the kernels of a node read from memory: not always its inputs."""

from __future__ import annotations

from amalthea.compiler.passes.conversions import holds
from amalthea.compiler.scattering import fill_of
from amalthea.core.node import Node
from amalthea.core.value import Value

CONTRACTIONS = ("contract", "convolution", "conv_kernel_gradient", "conv_input_gradient")


def memory_inputs(node: Node) -> tuple[Value, ...]:
    """The values that a node's kernels read from memory, in place of its inputs.

    A scatter reads no values that are all one number. A contraction reads what was widened before: it converts while it
    loads or packs, and for int8 and bfloat16 some targets multiply those themselves.
    """
    if node.op.name == "scatter_update" and fill_of(node.inputs[0]) is not None:
        return node.inputs[1:]
    if node.op.name in CONTRACTIONS:
        return tuple(_narrow(value) for value in node.inputs)
    return node.inputs


def _narrow(value: Value) -> Value:
    """What a value was cast from, if that has the same values in fewer bytes."""
    if value.node is None or value.node.op.name != "cast":
        return value
    (source,) = value.node.inputs
    wide, narrow = value.spec.dtype, source.spec.dtype
    return source if narrow.itemsize < wide.itemsize and holds(wide, narrow) else value
