"""Random draws, with Keras' names: each is a fixed function of a key, so seeds mean the same on every backend.

Bits, uniforms, whole numbers, shuffles and dropout masks are the same bit by bit everywhere; the others go through
`log`, `cos` and the like and agree to the last digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, DTypeError, ShapeError, fail
from amalthea.core.tensor import Operand, Tensor, as_tensor
from amalthea.ops.comparison import logical_and, logical_not
from amalthea.ops.core_ops import cast, stop_gradient
from amalthea.ops.elementary import cos, erfinv, exp, log, log1p, sigmoid, sin, sqrt
from amalthea.ops.elementwise import absolute, clip, floor, maximum, minimum, square
from amalthea.ops.indexing import take
from amalthea.ops.loops import while_loop
from amalthea.ops.random_bits import random_bits
from amalthea.ops.reductions import any as reduce_any
from amalthea.ops.reductions import argmax
from amalthea.ops.seeds import SeedGenerator, draw_seed, global_seed_generator, make_default_seed, set_random_seed
from amalthea.ops.selection import where
from amalthea.ops.shaping import broadcast_to, expand_dims, reshape, stack
from amalthea.ops.sorting import argsort
from amalthea.ops.specs import normal_axis, normal_shape, show

Shape = int | Sequence[int]

_ERF_SQRT2 = 0.9544997361036416  # erf(sqrt(2)): how much of a normal lies within two deviations
_PRECISION = {"float16": 11, "bfloat16": 8, "float32": 24}  # how many random bits a value in [0, 1) holds exactly


def _float(dtype: Any, where: str) -> dtypes.DType:
    dtype = dtypes.standardize(dtype)
    if dtype not in (*_PRECISION, "float64"):
        fail(
            DTypeError,
            "random values of this kind are floating",
            where=where,
            received=f"dtype={str(dtype)!r}",
            fix="use a floating dtype, or am.random.randint for whole numbers",
        )
    return dtype


def _unit(key: Tensor, shape: tuple[int, ...], dtype: dtypes.DType, stream: Any = 0) -> Tensor:
    """Uniform in [0, 1), on the grid of the dtype's precision."""
    if dtype == "float64":
        bits = random_bits(key, (*shape, 2), stream)
        high, low = cast(bits[..., 0] >> 5, "float64"), cast(bits[..., 1] >> 6, "float64")
        return (high * 2.0**26 + low) * 2.0**-53
    bits = _PRECISION[dtype]
    return cast(cast(random_bits(key, shape, stream) >> (32 - bits), "float32") * 2.0**-bits, dtype)


def _open_unit(key: Tensor, shape: tuple[int, ...], dtype: dtypes.DType, stream: Any = 0) -> Tensor:
    """Uniform in (0, 1], fine near 0, so that logarithms have good tails; float32, or float64 if asked for."""
    if dtype == "float64":
        return _unit(key, shape, dtype, stream) + 2.0**-54
    return (cast(random_bits(key, shape, stream), "float32") + 0.5) * 2.0**-32


def _wide(dtype: dtypes.DType) -> dtypes.DType:
    return dtypes.float64 if dtype == "float64" else dtypes.float32


def _gaussian(key: Tensor, shape: tuple[int, ...], dtype: dtypes.DType, stream: Any = 0) -> Tensor:
    """Standard normals in pairs (Box and Muller 1958), in float32 or float64: up to 6.6 or 8.6 deviations."""
    n = math.prod(shape)
    pairs = (n + 1) // 2
    if dtype == "float64":
        both = _unit(key, (pairs, 2), dtype, stream)
        near, turn = both[:, 0] + 2.0**-54, both[:, 1]
    else:
        words = random_bits(key, (pairs, 2), stream)
        near = (cast(words[:, 0], "float32") + 0.5) * 2.0**-32
        turn = cast(words[:, 1] >> 8, "float32") * 2.0**-24
    radius, angle = sqrt(-2.0 * log(near)), turn * (2.0 * math.pi)
    values = reshape(stack([radius * cos(angle), radius * sin(angle)], axis=-1), (-1,))
    return reshape(values if n % 2 == 0 else values[:n], shape)


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
    dtype = _float(dtype, "random.normal")
    return cast(_gaussian(draw_seed(seed), normal_shape(shape), _wide(dtype)) * stddev + mean, dtype)


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
    >>> am.random.uniform((2,), seed=0).numpy().tolist()
    [0.4184570908546448, 0.6004990339279175]
    """
    dtype = _float(dtype, "random.uniform")
    unit = _unit(draw_seed(seed), normal_shape(shape), dtype)
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
    shape = normal_shape(shape)
    n = math.prod(shape)
    key = draw_seed(seed)
    words = random_bits(key, (2, n))
    info = np.iinfo(dtypes.to_numpy(dtype))
    if isinstance(minval, Operand) or isinstance(maxval, Operand):
        wide = dtypes.int64 if dtype in ("int64", "uint64") else dtypes.int32
        low, high = (reshape(broadcast_to(cast(as_tensor(v), wide), shape), (n,)) for v in (minval, maxval))
        drawn = _below(words[0], words[1], cast(high - low, "uint32"), 16)
        return reshape(cast(cast(drawn, wide) + low, dtype), shape)
    low, high = int(minval), int(maxval)
    if not info.min <= low < high <= info.max + 1:
        fail(
            ArgumentError,
            f"minval must be less than maxval, and both in the range of {dtype}",
            where="random.randint",
            received=f"minval={minval!r}, maxval={maxval!r}",
            fix="maxval itself is not drawn: add 1 to include it",
        )
    span = high - low
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
        return reshape(cast(cast(drawn, "int32") + low, dtype), shape)
    start = as_tensor(np.array([low], dtypes.to_numpy(dtype)))
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
    dtype = _float(dtype, "random.truncated_normal")
    wide = _wide(dtype)
    unit = _unit(draw_seed(seed), normal_shape(shape), wide)
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
    >>> am.random.categorical([[0.0, -100.0, -100.0]], 4, seed=0).numpy().tolist()
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
    wide = _wide(logits.dtype)
    rows, classes = logits.shape
    # the largest of logits + Gumbel noise falls on a class with the probability of its softmax; of all values
    # -log(e) with e exponential, the large ones decide, so e must be fine near 0
    unit = _open_unit(draw_seed(seed), (rows, num_samples, classes), wide)
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
    inputs = as_tensor(inputs)
    if not 0 <= rate <= 1:
        fail(
            ArgumentError,
            "the rate must be between 0 and 1",
            where="random.dropout",
            received=f"rate={rate!r}",
            fix="it is the part that is set to 0, for example 0.5",
        )
    if rate == 0:
        return inputs
    if rate == 1:
        return inputs * 0
    shape = tuple(inputs.shape)
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
    return where(kept, inputs * (1.0 / (1.0 - rate)), 0.0)


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


def _accepted(propose: Callable[[Any], tuple[Tensor, Tensor]]) -> Tensor:
    """The first accepted value of each element: `propose(stream)` gives values and whether each is accepted."""

    def again(stream: Tensor, value: Tensor, done: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        proposed, accepted = propose(stream)
        return stream + 1, where(done, value, proposed), done | accepted

    value, done = propose(0)
    stream = as_tensor(np.array(1, np.uint32))
    _, value, _ = while_loop(lambda s, v, d: reduce_any(logical_not(d)), again, (stream, value, done))
    return value


def _gamma_parts(key: Tensor, shape: tuple[int, ...], alpha: Tensor, first_stream: int) -> tuple[Tensor, Tensor]:
    """(g, b) such that g * exp(b) has the gamma distribution (Marsaglia and Tsang 2000, doi:10.1145/358407.358414).

    Shapes below 1 are drawn as alpha + 1 and scaled by u^(1 / alpha), whose logarithm b may be far below what exp
    keeps. Streams from `first_stream` on, of which others must keep clear, serve the attempts.
    """
    dtype = alpha.dtype
    small = alpha < 1.0
    d = where(small, alpha + 1.0, alpha) - 1.0 / 3.0
    c = 1.0 / sqrt(9.0 * d)
    boost = log(_open_unit(key, shape, dtype, first_stream)) / where(small, alpha, 1.0)

    def propose(stream: Any) -> tuple[Tensor, Tensor]:
        x = _gaussian(key, shape, dtype, stream * 2 + (first_stream + 1))
        u = _open_unit(key, shape, dtype, stream * 2 + (first_stream + 2))
        v = 1.0 + c * x
        positive = v > 0.0
        v = where(positive, v * v * v, 1.0)
        bound = 0.5 * square(x) + d * (1.0 - v + log(v))
        return d * v, logical_and(positive, log(u) < bound)

    return _accepted(propose), where(small, boost, 0.0)


_SECOND_GAMMA = 1 << 30  # streams for the second of two gammas


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
    dtype, shape = _float(dtype, "random.gamma"), normal_shape(shape)
    drawn, boost = _gamma_parts(draw_seed(seed), shape, _parameter(alpha, shape, _wide(dtype)), 0)
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
    dtype, shape = _float(dtype, "random.beta"), normal_shape(shape)
    key, wide = draw_seed(seed), _wide(dtype)
    a, boost_a = _gamma_parts(key, shape, _parameter(alpha, shape, wide), 0)
    b, boost_b = _gamma_parts(key, shape, _parameter(beta, shape, wide), _SECOND_GAMMA)
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
    >>> am.random.binomial((3,), 10.0, 1.0, seed=0).numpy().tolist()
    [10.0, 10.0, 10.0]
    """
    dtype, shape = _float(dtype, "random.binomial"), normal_shape(shape)
    key, wide = draw_seed(seed), _wide(dtype)
    n, p = floor(_parameter(counts, shape, wide)), _parameter(probabilities, shape, wide)
    flipped = p > 0.5  # draw the rarer of success and failure
    q = where(flipped, 1.0 - p, p)
    few = n * q < 10.0
    rare = _binomial_by_gaps(key, shape, n, where(few, q, 0.0))
    common = _binomial_by_rejection(key, shape, where(few, 100.0, n), where(few, 0.5, q))
    drawn = where(few, rare, common)
    return cast(where(flipped, n - drawn, drawn), dtype)


def _binomial_by_gaps(key: Tensor, shape: tuple[int, ...], n: Tensor, p: Tensor) -> Tensor:
    """Successes counted by jumping from one to the next: the gaps are geometric (Devroye 1986, chapter X.4)."""
    never = p <= 0.0
    rate = log1p(-where(never, 0.5, p))

    def jump(stream: Tensor, place: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gap = floor(log(_open_unit(key, shape, n.dtype, stream)) / rate) + 1.0
        place = place + where(never, n + 1.0, gap)
        return stream + 1, place, count + cast(place <= n, n.dtype)

    start = (as_tensor(np.array(0, np.uint32)), n * 0.0, n * 0.0)
    return while_loop(lambda s, place, count: reduce_any(place <= n), jump, start)[2]


def _stirling_rest(k: Tensor) -> Tensor:
    """log(k!) minus Stirling's formula log(sqrt(2 pi)) + (k + 1/2) log(k + 1) - (k + 1), by its series."""
    near = k < 8.0
    x = 1.0 / (where(near, k + 8.0, k) + 1.0)
    x2 = x * x
    series = x * (1.0 / 12.0 - x2 * (1.0 / 360.0 - x2 * (1.0 / 1260.0)))
    table = as_tensor(np.array(_STIRLING_TABLE), k.dtype)
    return where(near, take(table, cast(clip(k, 0.0, 7.0), "int32"), axis=0), series)


_STIRLING_TABLE = [
    math.lgamma(k + 1) - (0.5 * math.log(2 * math.pi) + (k + 0.5) * math.log(k + 1) - (k + 1)) for k in range(8)
]
_REJECTION_STREAM = 1 << 30


def _binomial_by_rejection(key: Tensor, shape: tuple[int, ...], n: Tensor, p: Tensor) -> Tensor:
    """Transformed rejection, for n p >= 10 and p <= 1/2: algorithm BTRS.

    Hoermann 1993, "The generation of binomial random variates", doi:10.1080/00949659308811496.
    """
    spread = sqrt(n * p * (1.0 - p))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    centre = n * p + 0.5
    v_r = 0.92 - 4.2 / b
    scale = (2.83 + 5.1 / b) * spread
    mode = floor((n + 1.0) * p)
    slope = log((n - mode + 1.0) * p / ((mode + 1.0) * (1.0 - p)))
    at_mode = _stirling_rest(mode) + _stirling_rest(n - mode)

    def propose(stream: Any) -> tuple[Tensor, Tensor]:
        u = _unit(key, shape, n.dtype, stream * 2 + _REJECTION_STREAM) - 0.5
        v = _open_unit(key, shape, n.dtype, stream * 2 + (_REJECTION_STREAM + 1))
        us = maximum(0.5 - absolute(u), 2.0**-24)
        k = floor((2.0 * a / us + b) * u + centre)
        possible = logical_and(k >= 0.0, k <= n)
        k = clip(k, 0.0, n)
        at_once = logical_and(us >= 0.07, v <= v_r)
        # The log of the probability of k over that of the mode, in differences that keep their digits for large n.
        off = k - mode
        limit = (
            off * slope
            - (k + 0.5) * log1p(off / (mode + 1.0))
            - (n - k + 0.5) * log1p(-off / (n - mode + 1.0))
            + (at_mode - _stirling_rest(k) - _stirling_rest(n - k))
        )
        surely = log(v * scale / (a / square(us) + b)) <= limit
        return k, logical_and(possible, at_once | surely)

    return _accepted(propose)


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
