"""Random draws, with Keras' names: each is a fixed function of a key, so seeds mean the same on every backend.

Bits, uniforms, whole numbers, shuffles and dropout masks are the same bit by bit everywhere; the others go through
`log`, `cos` and the like and agree to the last digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, DTypeError, ShapeError, fail
from amalthea.core.tensor import Operand, Tensor, as_tensor
from amalthea.ops.core_ops import cast, stop_gradient
from amalthea.ops.elementary import erfinv, exp, log, log1p, sigmoid
from amalthea.ops.elementwise import clip, floor, minimum
from amalthea.ops.indexing import take
from amalthea.ops.random_bits import random_bits
from amalthea.ops.random_rejection import SECOND_GAMMA, binomial_by_gaps, binomial_by_rejection, gamma_parts
from amalthea.ops.random_units import floating_dtype, gaussian, open_unit, unit_interval, wide_dtype
from amalthea.ops.reductions import argmax
from amalthea.ops.seeds import SeedGenerator, draw_seed, global_seed_generator, make_default_seed, set_random_seed
from amalthea.ops.selection import where
from amalthea.ops.shaping import broadcast_to, expand_dims, reshape
from amalthea.ops.sorting import argsort
from amalthea.ops.specs import count, normal_axis, normal_sizes, show

Shape = int | Sequence[int]

_ERF_SQRT2 = 0.9544997361036416  # erf(sqrt(2)): how much of a normal lies within two deviations


def normal(
    shape: Shape, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: int | SeedGenerator | None = None
) -> Tensor:
    """Draws from a normal distribution.

    Args:
        shape: The shape of the result.
        mean: Its mean.
        stddev: Its standard deviation.
        dtype: A floating dtype; None: `am.config.floatx()`.
        seed: A whole number (the same values each time), a SeedGenerator (which moves on), or None (the global one).

    Returns:
        A tensor of the shape and dtype.

    Raises:
        DTypeError: If the dtype is not floating.

    Example:

    >>> import amalthea as am
    >>> am.random.normal((2, 3), seed=0).shape
    (2, 3)
    """
    dtype = floating_dtype(dtype, "random.normal")
    return cast(
        gaussian(draw_seed(seed), normal_sizes(shape, where="random.normal"), wide_dtype(dtype)) * stddev + mean, dtype
    )


def uniform(
    shape: Shape, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: int | SeedGenerator | None = None
) -> Tensor:
    """Draws from the uniform distribution on [minval, maxval).

    Args:
        shape: The shape of the result.
        minval: The lower bound, which is included.
        maxval: The upper bound, which is not.
        dtype: A floating dtype; None: `am.config.floatx()`. Float32 values come from 24 random bits, float64 from 53.
        seed: A whole number (the same values each time), a SeedGenerator (which moves on), or None (the global one).

    Returns:
        A tensor of the shape and dtype.

    Raises:
        DTypeError: If the dtype is not floating.

    Example:

    >>> import amalthea as am
    >>> am.random.uniform((2,), seed=0).tolist()
    [0.4184570908546448, 0.6004990339279175]
    """
    dtype = floating_dtype(dtype, "random.uniform")
    unit = unit_interval(draw_seed(seed), normal_sizes(shape, where="random.uniform"), dtype)
    low, high = as_tensor(minval, dtype), as_tensor(maxval, dtype)
    values = unit * (high - low) + low
    return where(values < high, values, low)  # the last multiplication may round up to the bound


def _high_product(a: Tensor, b: Tensor, half: int) -> Tensor:
    """The upper word of the product of two words of 2 * half bits."""
    mask = (1 << half) - 1
    a1, a0, b1, b0 = a >> half, a & mask, b >> half, b & mask
    middle = a1 * b0 + ((a0 * b0) >> half)
    rest = a0 * b1 + (middle & mask)
    return a1 * b1 + (middle >> half) + (rest >> half)


def _below(high: Tensor, low: Tensor, span: Tensor, half: int) -> Tensor:
    """floor(r * span) for the fraction r in [0, 1) that two words make: the upper words of a three-word product."""
    carried = _high_product(low, span, half)
    total = high * span + carried
    return _high_product(high, span, half) + cast(total < carried, total.dtype)


def randint(
    shape: Shape, minval: Any, maxval: Any, dtype: Any = "int32", seed: int | SeedGenerator | None = None
) -> Tensor:
    """Draws whole numbers from [minval, maxval), all equally likely (to one part in 2^32 or better).

    Args:
        shape: The shape of the result.
        minval: The lower bound, which is included: a number or a tensor.
        maxval: The upper bound, which is not: a number or a tensor.
        dtype: An integer dtype, "int32" by default.
        seed: A whole number (the same values each time), a SeedGenerator (which moves on), or None (the global one).

    Returns:
        A tensor of the shape and dtype.

    Raises:
        DTypeError: If the dtype is not an integer one.
        ArgumentError: If `minval` is not less than `maxval`, or out of the dtype's range.

    Example:

    >>> import amalthea as am
    >>> am.random.randint((5,), 1, 7, seed=0).shape
    (5,)
    """
    dtype = dtypes.standardize(dtype)
    if not dtypes.is_integer(dtype):
        fail(
            DTypeError,
            "whole numbers need an integer dtype",
            where="random.randint",
            received=f"dtype={str(dtype)!r}",
            fix="use am.random.uniform for floats",
        )
    shape = normal_sizes(shape, where="random.randint")
    n = math.prod(shape)
    key = draw_seed(seed)
    words = random_bits(key, (2, n))
    info = np.iinfo(dtypes.to_numpy(dtype))
    if isinstance(minval, Operand) or isinstance(maxval, Operand):
        wide = dtypes.int64 if dtype in ("int64", "uint64") else dtypes.int32
        low, high = (reshape(broadcast_to(cast(as_tensor(v), wide), shape), (n,)) for v in (minval, maxval))
        drawn = _below(words[0], words[1], cast(high - low, "uint32"), 16)
        return reshape(cast(cast(drawn, wide) + low, dtype), shape)
    first_value, end = int(minval), int(maxval)
    if not info.min <= first_value < end <= info.max + 1:
        fail(
            ArgumentError,
            f"minval must be less than maxval, and both in the range of {dtype}",
            where="random.randint",
            received=f"minval={minval!r}, maxval={maxval!r}",
            fix="maxval itself is not drawn: add 1 to include it",
        )
    span = end - first_value
    if span <= 2**32:
        word, half = dtypes.uint32, 16
        first, second = words[0], words[1]
    else:
        word, half = dtypes.uint64, 32
        four = cast(random_bits(key, (4, n)), word)
        first, second = (four[0] << 32) | four[1], (four[2] << 32) | four[3]
    whole = span == 2 ** (2 * half)
    drawn = first if whole else _below(first, second, as_tensor(np.array([span]), word), half)
    if dtypes.to_numpy(dtype).itemsize < dtypes.to_numpy(word).itemsize:
        return reshape(cast(cast(drawn, "int32") + first_value, dtype), shape)
    start = as_tensor(np.array([first_value], dtypes.to_numpy(dtype)))
    return reshape(cast(drawn, dtype) + start, shape)


def truncated_normal(
    shape: Shape, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: int | SeedGenerator | None = None
) -> Tensor:
    """Draws from a normal distribution cut off two standard deviations from its mean.

    Args:
        shape: The shape of the result.
        mean: The mean.
        stddev: The standard deviation before the cut (it is 0.88 of it after).
        dtype: A floating dtype; None: `am.config.floatx()`.
        seed: A whole number (the same values each time), a SeedGenerator (which moves on), or None (the global one).

    Returns:
        A tensor of the shape and dtype, within [mean - 2 stddev, mean + 2 stddev].

    Raises:
        DTypeError: If the dtype is not floating.

    Example:

    >>> import amalthea as am
    >>> bool((abs(am.random.truncated_normal((1000,), seed=0)) <= 2).numpy().all())
    True
    """
    dtype = floating_dtype(dtype, "random.truncated_normal")
    wide = wide_dtype(dtype)
    unit = unit_interval(draw_seed(seed), normal_sizes(shape, where="random.truncated_normal"), wide)
    inside = erfinv((2.0 * unit - 1.0) * _ERF_SQRT2) * math.sqrt(2.0)
    return cast(clip(inside, -2.0, 2.0) * stddev + mean, dtype)


def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: int | SeedGenerator | None = None) -> Tensor:
    """Draws classes with the probabilities softmax(logits).

    Args:
        logits: `(batch, classes)`.
        num_samples: How many classes to draw for each row.
        dtype: An integer dtype, "int32" by default.
        seed: A whole number (the same values each time), a SeedGenerator (which moves on), or None (the global one).

    Returns:
        A tensor `(batch, num_samples)` of class numbers.

    Raises:
        ShapeError: If `logits` does not have two axes.

    Example:

    >>> import amalthea as am
    >>> am.random.categorical([[0.0, -100.0, -100.0]], 4, seed=0).tolist()
    [[0, 0, 0, 0]]
    """
    logits = as_tensor(logits)
    if len(logits.shape) != 2:
        fail(
            ShapeError,
            "logits need two axes",
            where="random.categorical",
            received=f"logits {show(logits.shape)}",
            fix="give one row of logits for each batch entry",
        )
    wide = wide_dtype(logits.dtype)
    num_samples = count(num_samples, "num_samples", "random.categorical")
    rows, classes = logits.shape
    # the largest of logits + Gumbel noise falls on a class with the probability of its softmax; of all values
    # -log(e) with e exponential, the large ones decide, so e must be fine near 0
    unit = open_unit(draw_seed(seed), (rows, num_samples, classes), wide)
    noise = -log(-log1p(-minimum(unit, 1.0 - 2.0**-24)))
    return cast(argmax(expand_dims(cast(logits, wide), 1) + noise, axis=-1), dtype)


def dropout(
    inputs: Any, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | SeedGenerator | None = None
) -> Tensor:
    """Sets a random part of the elements to 0 and divides the others by 1 - rate, so that the mean stays.

    Args:
        inputs: A floating tensor.
        rate: The probability of 0, in [0, 1].
        noise_shape: The shape of the random mask, which broadcasts to the inputs; None, or None for an axis: the
            inputs' own size.
        seed: A whole number (the same mask each time), a SeedGenerator (which moves on), or None (the global one).

    Returns:
        A tensor of the shape and dtype of the inputs (Srivastava et al. 2014, JMLR 15).

    Raises:
        ArgumentError: If the rate is not in [0, 1].

    Example:

    >>> import amalthea as am
    >>> sorted(set(am.random.dropout(am.ops.ones((100,)), 0.5, seed=0).numpy().tolist()))
    [0.0, 2.0]
    """
    x = as_tensor(inputs)
    if not 0 <= rate <= 1:
        fail(
            ArgumentError,
            "the rate must be between 0 and 1",
            where="random.dropout",
            received=f"rate={rate!r}",
            fix="it is the part that is set to 0, for example 0.5",
        )
    if rate == 0:
        return x
    if rate == 1:
        return x * 0
    shape = tuple(x.shape)
    if noise_shape is not None:
        if len(noise_shape) != len(shape):
            fail(
                ShapeError,
                "noise_shape needs one size (or None) for each axis of the inputs",
                where="random.dropout",
                received=f"noise_shape={tuple(noise_shape)}, inputs {show(shape)}",
                fix="use 1 for an axis along which the mask is the same",
            )
        shape = tuple(own if size is None else size for size, own in zip(noise_shape, shape, strict=True))
    dropped = min(round(rate * 2**32), 2**32 - 1)
    kept = random_bits(draw_seed(seed), shape) >= as_tensor(np.array(dropped, np.uint32))
    return where(kept, x * (1.0 / (1.0 - rate)), 0.0)


def shuffle(x: Any, axis: int = 0, seed: int | SeedGenerator | None = None) -> Tensor:
    """The slices of a tensor along an axis in random order, all orders equally likely.

    Args:
        x: A tensor of rank 1 or more.
        axis: The axis to shuffle along, the first by default; slices stay whole.
        seed: A whole number (the same order each time), a SeedGenerator (which moves on), or None (the global one).

    Returns:
        A tensor of the same shape and dtype.

    Example:

    >>> import amalthea as am
    >>> sorted(am.random.shuffle(am.ops.arange(5), seed=0).numpy().tolist())
    [0, 1, 2, 3, 4]
    """
    x = as_tensor(x)
    axis = normal_axis(axis, len(x.shape))
    n = x.shape[axis]
    key = draw_seed(seed)
    order = argsort(random_bits(key, (n,)))
    # Equal words would leave slices in their old order, so large shuffles are repeated until that is negligible.
    for stream in range(1, math.ceil(3 * math.log(max(n, 2)) / math.log(2**32))):
        order = take(order, argsort(random_bits(key, (n,), stream)), axis=0)
    return take(x, order, axis=axis)


def _parameter(value: Any, shape: tuple[int, ...], dtype: dtypes.DType) -> Tensor:
    return stop_gradient(broadcast_to(as_tensor(value, dtype), shape))


def gamma(shape: Shape, alpha: Any, dtype: Any = None, seed: int | SeedGenerator | None = None) -> Tensor:
    """Draws from the gamma distribution with shape parameter alpha and scale 1.

    Args:
        shape: The shape of the result.
        alpha: The shape parameter, positive: a number or a tensor that broadcasts to `shape`.
        dtype: A floating dtype; None: `am.config.floatx()`.
        seed: A whole number (the same values each time), a SeedGenerator (which moves on), or None (the global one).

    Returns:
        A tensor of the shape and dtype.

    Raises:
        DTypeError: If the dtype is not floating.

    Example:

    >>> import amalthea as am
    >>> am.random.gamma((2, 3), 0.5, seed=0).shape
    (2, 3)
    """
    dtype, shape = floating_dtype(dtype, "random.gamma"), normal_sizes(shape, where="random.gamma")
    drawn, boost = gamma_parts(draw_seed(seed), shape, _parameter(alpha, shape, wide_dtype(dtype)), 0)
    return cast(drawn * exp(boost), dtype)


def beta(shape: Shape, alpha: Any, beta: Any, dtype: Any = None, seed: int | SeedGenerator | None = None) -> Tensor:
    """Draws from the beta distribution.

    Args:
        shape: The shape of the result.
        alpha: The first parameter, positive: a number or a tensor that broadcasts to `shape`.
        beta: The second parameter, positive: a number or a tensor that broadcasts to `shape`.
        dtype: A floating dtype; None: `am.config.floatx()`.
        seed: A whole number (the same values each time), a SeedGenerator (which moves on), or None (the global one).

    Returns:
        A tensor of the shape and dtype, within [0, 1].

    Raises:
        DTypeError: If the dtype is not floating.

    Example:

    >>> import amalthea as am
    >>> am.random.beta((2, 3), 2.0, 5.0, seed=0).shape
    (2, 3)
    """
    dtype, shape = floating_dtype(dtype, "random.beta"), normal_sizes(shape, where="random.beta")
    key, wide = draw_seed(seed), wide_dtype(dtype)
    a, boost_a = gamma_parts(key, shape, _parameter(alpha, shape, wide), 0)
    b, boost_b = gamma_parts(key, shape, _parameter(beta, shape, wide), SECOND_GAMMA)
    # a / (a + b) through logarithms, in which tiny parameters do not make 0 / 0
    return cast(sigmoid((log(a) + boost_a) - (log(b) + boost_b)), dtype)


def binomial(
    shape: Shape, counts: Any, probabilities: Any, dtype: Any = None, seed: int | SeedGenerator | None = None
) -> Tensor:
    """Draws the number of successes among `counts` independent trials.

    Args:
        shape: The shape of the result.
        counts: The number of trials: a number or a tensor that broadcasts to `shape`.
        probabilities: The probability of success in each, in [0, 1]: a number or a tensor that broadcasts to `shape`.
        dtype: A floating dtype; None: `am.config.floatx()`.
        seed: A whole number (the same values each time), a SeedGenerator (which moves on), or None (the global one).

    Returns:
        A tensor of the shape and dtype, of whole numbers.

    Raises:
        DTypeError: If the dtype is not floating.

    Example:

    >>> import amalthea as am
    >>> am.random.binomial((3,), 10.0, 1.0, seed=0).tolist()
    [10.0, 10.0, 10.0]
    """
    dtype, shape = floating_dtype(dtype, "random.binomial"), normal_sizes(shape, where="random.binomial")
    key, wide = draw_seed(seed), wide_dtype(dtype)
    n, p = floor(_parameter(counts, shape, wide)), _parameter(probabilities, shape, wide)
    flipped = p > 0.5  # draw the rarer of success and failure
    q = where(flipped, 1.0 - p, p)
    few = n * q < 10.0
    rare = binomial_by_gaps(key, shape, n, where(few, q, 0.0))
    common = binomial_by_rejection(key, shape, where(few, 100.0, n), where(few, 0.5, q))
    drawn = where(few, rare, common)
    return cast(where(flipped, n - drawn, drawn), dtype)


__all__ = [
    "SeedGenerator",
    "beta",
    "binomial",
    "categorical",
    "draw_seed",
    "dropout",
    "gamma",
    "global_seed_generator",
    "make_default_seed",
    "normal",
    "randint",
    "set_random_seed",
    "shuffle",
    "truncated_normal",
    "uniform",
]
