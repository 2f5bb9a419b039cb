"""Initial weights that do not depend on a framework: a function of a parameter's name and shape alone."""

from __future__ import annotations

import zlib

import numpy as np


def initial(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The first value of a parameter in the layout of Keras, float32: the same in every process and framework.

    Kernels are scaled by what flows into one output, so that activations keep their size. Biases, offsets and moving
    statistics are near their usual values but not equal to them: a framework that mixes two of them up is noticed.

    Args:
        name: layer and parameter, e.g. "conv_1/kernel".
        shape: as Keras has it, e.g. (height, width, inputs, filters).

    >>> np.array_equal(initial("dense/kernel", (3, 4)), initial("dense/kernel", (3, 4)))
    True
    """
    random = np.random.default_rng(zlib.crc32(name.encode()))
    noise = random.normal(size=shape)
    kind = name.rpartition("/")[2]
    if kind in ("gamma", "moving_variance"):
        value = 1 + 0.1 * np.abs(noise)
    elif kind in ("bias", "beta", "moving_mean"):
        value = 0.02 * noise
    elif kind == "embeddings":
        value = 0.5 * noise
    else:
        value = noise * np.sqrt(1.5 / _fan_in(name, shape))
    return np.asarray(value, "float32")


def _fan_in(name: str, shape: tuple[int, ...]) -> int:
    """How many numbers one output of a kernel adds up."""
    if "depthwise" in name:
        return int(np.prod(shape[:2]))
    if name.split("/")[-2] in ("query", "key", "value"):  # (width, heads, width of a head)
        return shape[0]
    return int(np.prod(shape[:-1]))
