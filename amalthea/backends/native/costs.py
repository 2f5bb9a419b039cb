"""What NumPy would take longer than compiled code: whether eager code should be compiled.

Figures are nanoseconds, measured on one core; only their size matters. NumPy needs no more than compiled code where one
of its vectorised ufuncs or BLAS does all the work. It needs much more for functions that have no vectorised ufunc, for
convolutions, for integer and half-precision contractions, and where many passes over memory could be one.
"""

from __future__ import annotations

from math import prod

from amalthea.core.graph import Graph
from amalthea.core.node import Node

PAYS = 200_000.0
"""Saved by each call; compiling takes 40 to 400 milliseconds, so it is repaid after some hundred calls."""

PASS = 0.5  # for an element of float32 read or written: about what a vectorised ufunc takes
CALL = 1_000.0  # of a kernel
PROGRAM = 10_000.0  # of a program
INTEGER_PRODUCT, HALF_PRODUCT = 2.0, 0.05  # for a product and sum in a contraction without BLAS
CONVOLUTION_PRODUCT, PATCH = 0.1, 1.0  # the same in a convolution, and for an element copied into a patch
SCORE = 4.0  # in attention, for a query and a key of a head

ELEMENT = {
    "erf": 30.0,
    "erfc": 30.0,
    "erfinv": 250.0,
    "sigmoid": 2.0,
    "floor_divide": 10.0,
    "mod": 10.0,
    "where": 3.0,
    "threefry2x32": 20.0,
    "max_pooling": 2.0,
    "max_pooling_gradient": 5.0,
}
"""For an element of the output, where it is more than a pass over memory."""

BLOCKWISE = ("erf", "erfc", "erfinv", "sigmoid", "floor_divide", "mod", "where", "threefry2x32")
"""Element by element, so that one program for a block of elements serves arrays of all shapes."""

CONVOLUTIONS = ("convolution", "conv_input_gradient", "conv_kernel_gradient")
SHAPED = ("max_pooling", "max_pooling_gradient", *CONVOLUTIONS, "contract")
"""Other primitives that may be worth a program of their own for each shape."""

MOVES = ("reshape", "transpose", "broadcast_to", "strided_slice", "flip", "stop_gradient")


def gain(graph: Graph) -> float:
    """Nanoseconds that a compiled program saves over one NumPy kernel after the other, roughly."""
    touched = sum(value.spec.size for value in (*graph.all_inputs, *graph.all_outputs))
    return sum(_node(node) for node in graph.nodes) - PROGRAM - PASS * touched


def _node(node: Node) -> float:
    name = node.op.name
    if name in MOVES:
        return CALL
    if name == "contract":
        return CALL + _contraction(node)
    if name in CONVOLUTIONS:
        return CALL + _convolution(node)
    if name in ("attention", "attention_gradient"):
        query, key = node.inputs[0 if name == "attention" else 2 :][:2]
        return CALL + SCORE * prod(query.spec.sizes[:3]) * key.spec.sizes[1]
    size = max((value.spec.size for value in (*node.inputs, *node.outputs)), default=0)
    if name in ("max_pooling", "max_pooling_gradient"):
        return CALL + ELEMENT[name] * size * prod(node.attrs["size"])
    halves = any(value.spec.dtype in ("float16", "bfloat16") for value in node.inputs)
    return CALL + size * (ELEMENT.get(name, 2 * PASS) + (PASS + 1.5 if halves else 0.0))


def _contraction(node: Node) -> float:
    terms, out = node.attrs["subscripts"].split("->")
    sizes = {
        letter: size
        for term, value in zip(terms.split(","), node.inputs, strict=True)
        for letter, size in zip(term, value.spec.sizes, strict=True)
    }
    products = prod(sizes.values())
    dtype = node.outputs[0].spec.dtype
    if dtype in ("float32", "float64"):
        return 0.0  # BLAS
    return products * (HALF_PRODUCT if dtype in ("float16", "bfloat16") else INTEGER_PRODUCT)


def _convolution(node: Node) -> float:
    """Of the three tensors of a convolution (input, kernel, output) the node has two and makes the third."""
    input_, kernel, output = {
        "convolution": lambda: (node.inputs[0], node.inputs[1], node.outputs[0]),
        "conv_input_gradient": lambda: (node.outputs[0], node.inputs[1], node.inputs[0]),
        "conv_kernel_gradient": lambda: (node.inputs[0], node.outputs[0], node.inputs[1]),
    }[node.op.name]()
    window = prod(kernel.spec.sizes[:-2])
    places = prod(output.spec.sizes[:-1])
    patches = places * window * input_.spec.sizes[-1]
    products = output.spec.size * prod(kernel.spec.sizes[:-1])
    return PATCH * patches + CONVOLUTION_PRODUCT * products
