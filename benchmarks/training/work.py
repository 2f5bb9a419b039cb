"""What one training step cannot do without: multiply-adds of its contractions, and bytes that must cross memory.

Arithmetic is exact for the contractions (matrix products, convolutions): forward, and backward once for the weights and
once for the inputs, except that nothing needs the gradient of the data. The pointwise rest is not counted. Bytes are a
lower bound: parameters and both moments of Adam read and written, gradients written and read, the batch read, and the
outputs of the contractions written once and read twice (forward and backward), their gradients written and read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

FLOAT = 4


@dataclass(frozen=True)
class Work:
    """Least work of one step.

    Attributes:
        flops: floating point operations of contractions, two for a multiply-add.
        bytes: bytes that must be read or written.
        held: bytes of all that is read or written, counted once: what decides which cache they come from.
    """

    flops: float = 0
    bytes: float = 0
    held: float = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.bytes + other.bytes, self.held + other.held)


def contraction(multiply_adds: int, parameters: int, outputs: int, first: bool = False) -> Work:
    """Forward and backward of one contraction with weights, and Adam's update of these.

    Args:
        multiply_adds: of the forward pass.
        parameters: how many weights, the bias among them.
        outputs: numbers in its result.
        first: its input is the data, so that the input's gradient is not needed.
    """
    passes = 2 if first else 3
    return Work(
        2 * multiply_adds * passes, FLOAT * (8 * parameters + 5 * outputs), FLOAT * (4 * parameters + 2 * outputs)
    )


def data(numbers: int) -> Work:
    """Reading the batch."""
    return Work(bytes=FLOAT * numbers, held=FLOAT * numbers)


def table(parameters: int) -> Work:
    """Updating the vectors of an embedding, all of them: Adam's moments decay where the gradient is zero."""
    return contraction(0, parameters, 0)


def dense(rows: int, inputs: int, units: int, first: bool = False) -> Work:
    """A dense layer on so many rows.

    >>> dense(32, 784, 128, first=True).flops == 2 * 2 * 32 * 784 * 128
    True
    """
    return contraction(rows * inputs * units, (inputs + 1) * units, rows * units, first)


def conv(batch: int, size: int, kernel: int, inputs: int, filters: int, first: bool = False, bias: bool = True) -> Work:
    """A two-dimensional convolution with a square result of `size`."""
    places = batch * size * size
    weights = kernel * kernel * inputs * filters
    return contraction(places * weights, weights + bias * filters, places * filters, first)


def mlp(batch: int, *widths: int) -> Work:
    """Dense layers one after the other."""
    total = data(batch * widths[0])
    for i, (inputs, units) in enumerate(pairwise(widths)):
        total += dense(batch, inputs, units, first=i == 0)
    return total


def cnn(batch: int) -> Work:
    layers = [
        conv(batch, 30, 3, 3, 32, first=True),
        conv(batch, 13, 3, 32, 64),
        conv(batch, 4, 3, 64, 64),
        dense(batch, 4 * 4 * 64, 64),
        dense(batch, 64, 10),
    ]
    return sum(layers, data(batch * 32 * 32 * 3))


def resnet(batch: int) -> Work:
    total = data(batch * 32 * 32 * 3) + conv(batch, 32, 3, 3, 32, first=True, bias=False)
    inputs, size = 32, 32
    for filters, strides in ((32, 1), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1)):
        size //= strides
        total += conv(batch, size, 3, inputs, filters, bias=False) + conv(batch, size, 3, filters, filters, bias=False)
        if inputs != filters:
            total += conv(batch, size, 1, inputs, filters, bias=False)
        inputs = filters
    return total + dense(batch, inputs, 10)


def gpt(batch: int, layers: int, width: int, context: int, vocabulary: int) -> Work:
    """A decoder; scores and their product with the values are counted for the lower triangle only."""
    tokens = batch * context
    total = table((vocabulary + context) * width)
    pairs = batch * context * (context + 1) // 2 * width
    for _ in range(layers):
        total += dense(tokens, width, 3 * width) + dense(tokens, width, width)
        total += contraction(2 * pairs, 0, tokens * width)
        total += dense(tokens, width, 4 * width) + dense(tokens, 4 * width, width)
    return total + dense(tokens, width, vocabulary)


def lstm(batch: int, length: int, inputs: int, units: int, classes: int) -> Work:
    total = data(batch * length * inputs)
    total += dense(batch * length, inputs, 4 * units, first=True)
    total += contraction(batch * length * units * 4 * units, units * 4 * units, batch * length * units)
    return total + dense(batch, units, classes)


def tabular(batch: int, vocabularies: Sequence[int], width: int, numbers: int, units: Sequence[int]) -> Work:
    total = table(sum(vocabularies) * width) + data(batch * (len(vocabularies) + numbers))
    inputs = len(vocabularies) * width + numbers
    for size in units:
        total += dense(batch, inputs, size)
        inputs = size
    return total
