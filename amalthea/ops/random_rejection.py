"""Gamma and binomial draws, which need an unknown number of attempts: loops until every element is done."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from amalthea.core.tensor import Tensor, as_tensor
from amalthea.ops.comparison import logical_and, logical_not
from amalthea.ops.core_ops import cast
from amalthea.ops.elementary import log, log1p, sqrt
from amalthea.ops.elementwise import absolute, clip, floor, maximum, square
from amalthea.ops.indexing import take
from amalthea.ops.loops import while_loop
from amalthea.ops.random_units import gaussian, open_unit, unit_interval
from amalthea.ops.reductions import any as reduce_any
from amalthea.ops.selection import where

SECOND_GAMMA = 1 << 30  # streams for the second of two gammas


def _accepted(propose: Callable[[Any], tuple[Tensor, Tensor]]) -> Tensor:
    """The first accepted value of each element: `propose(stream)` gives values and whether each is accepted."""

    def again(stream: Tensor, value: Tensor, done: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        proposed, accepted = propose(stream)
        return stream + 1, where(done, value, proposed), done | accepted

    value, done = propose(0)
    stream = as_tensor(np.array(1, np.uint32))
    last: tuple[Tensor, ...] = while_loop(lambda s, v, d: reduce_any(logical_not(d)), again, (stream, value, done))
    return last[1]


def gamma_parts(key: Tensor, shape: tuple[int, ...], alpha: Tensor, first_stream: int) -> tuple[Tensor, Tensor]:
    """(g, b) such that g * exp(b) has the gamma distribution (Marsaglia and Tsang 2000, doi:10.1145/358407.358414).

    Shapes below 1 are drawn as alpha + 1 and scaled by u^(1 / alpha), whose logarithm b may be far below what exp
    keeps. Streams from `first_stream` on, of which others must keep clear, serve the attempts.
    """
    dtype = alpha.dtype
    small = alpha < 1.0
    d = where(small, alpha + 1.0, alpha) - 1.0 / 3.0
    c = 1.0 / sqrt(9.0 * d)
    boost = log(open_unit(key, shape, dtype, first_stream)) / where(small, alpha, 1.0)

    def propose(stream: Any) -> tuple[Tensor, Tensor]:
        x = gaussian(key, shape, dtype, stream * 2 + (first_stream + 1))
        u = open_unit(key, shape, dtype, stream * 2 + (first_stream + 2))
        v = 1.0 + c * x
        positive = v > 0.0
        v = where(positive, v * v * v, 1.0)
        bound = 0.5 * square(x) + d * (1.0 - v + log(v))
        return d * v, logical_and(positive, log(u) < bound)

    return _accepted(propose), where(small, boost, 0.0)


def binomial_by_gaps(key: Tensor, shape: tuple[int, ...], n: Tensor, p: Tensor) -> Tensor:
    """Successes counted by jumping from one to the next: the gaps are geometric (Devroye 1986, chapter X.4)."""
    never = p <= 0.0
    rate = log1p(-where(never, 0.5, p))

    def jump(stream: Tensor, place: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gap = floor(log(open_unit(key, shape, n.dtype, stream)) / rate) + 1.0
        place = place + where(never, n + 1.0, gap)
        return stream + 1, place, count + cast(place <= n, n.dtype)

    start = (as_tensor(np.array(0, np.uint32)), n * 0.0, n * 0.0)
    last: tuple[Tensor, ...] = while_loop(lambda s, place, count: reduce_any(place <= n), jump, start)
    return last[2]


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


def binomial_by_rejection(key: Tensor, shape: tuple[int, ...], n: Tensor, p: Tensor) -> Tensor:
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
        u = unit_interval(key, shape, n.dtype, stream * 2 + _REJECTION_STREAM) - 0.5
        v = open_unit(key, shape, n.dtype, stream * 2 + (_REJECTION_STREAM + 1))
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
