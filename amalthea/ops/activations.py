"""Activation functions. Keras' names and definitions; gradients are given where the body's would be slow or inexact."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from amalthea.core import dtypes
from amalthea.core.errors import ShapeError, fail
from amalthea.core.op import composite, export
from amalthea.core.tensor import Tensor
from amalthea.ops.arranging import split
from amalthea.ops.core_ops import cast, stop_gradient
from amalthea.ops.elementary import erf, exp, expm1, log, log1p, sigmoid, sqrt, tanh
from amalthea.ops.elementwise import abs as absolute
from amalthea.ops.elementwise import clip, maximum, minimum, square
from amalthea.ops.reductions import cumsum
from amalthea.ops.reductions import max as reduce_max
from amalthea.ops.reductions import sum as reduce_sum
from amalthea.ops.samples import values
from amalthea.ops.selection import where
from amalthea.ops.shaping import flip, reshape
from amalthea.ops.sorting import sort
from amalthea.ops.specs import as_floating, normal_axes, normal_axis

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def _samples(**attrs: Any) -> Callable[[], list[Any]]:
    return lambda: [((values(3, 4, low=-4.0, high=4.0),), attrs), ((values(2, low=-1.0, high=1.0, seed=1),), {})]


def _along(**attrs: Any) -> Callable[[], list[Any]]:
    return lambda: [((values(3, 4),), {}), ((values(2, 3, 4, seed=1),), {"axis": 1}), ((values(4, seed=2),), attrs)]


@composite(samples=_samples(), gradient=(lambda g, out, x: where(out > 0, g, 0),))
def relu(x: Tensor) -> Tensor:
    """max(x, 0), the rectified linear unit. Its gradient at 0 is 0.

    >>> import amalthea as am
    >>> am.ops.relu([-1.0, 0.0, 2.0]).tolist()
    [0.0, 0.0, 2.0]
    """
    return maximum(x, 0)


@composite(samples=_samples(), gradient=(lambda g, out, x: where((x > 0) & (x < 6), g, 0),))
def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6). Its gradient at 0 and 6 is 0.

    >>> import amalthea as am
    >>> am.ops.relu6([-1.0, 3.0, 9.0]).tolist()
    [0.0, 3.0, 6.0]
    """
    return minimum(maximum(as_floating(x), 0), 6)


@composite(samples=_samples(negative_slope=0.1))
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """x where it is positive, and `negative_slope * x` elsewhere.

    >>> import amalthea as am
    >>> am.ops.leaky_relu([-10.0, 2.0]).tolist()
    [-2.0, 2.0]
    """
    x = as_floating(x)
    return where(x >= 0, x, x * negative_slope)


@composite(samples=_samples(alpha=0.5), gradient=(lambda g, out, x, alpha=1.0: where(x > 0, g, g * (out + alpha)),))
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where it is positive, and `alpha * (exp(x) - 1)` elsewhere (Clevert et al. 2015, arXiv:1511.07289).

    >>> import amalthea as am
    >>> am.ops.elu([0.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    x = as_floating(x)
    return where(x > 0, x, expm1(minimum(x, 0)) * alpha)


@composite(samples=_samples())
def selu(x: Tensor) -> Tensor:
    """`elu` with a slope and scale that keep mean 0 and variance 1 (Klambauer et al. 2017, arXiv:1706.02515).

    >>> import amalthea as am
    >>> am.ops.selu([0.0]).tolist()
    [0.0]
    """
    return elu(x, SELU_ALPHA) * SELU_SCALE


@composite(samples=_samples(alpha=0.5))
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """max(x, 0) + min(0, alpha * (exp(x / alpha) - 1)), which is smooth for every alpha (arXiv:1704.07483).

    >>> import amalthea as am
    >>> am.ops.celu([0.0, 2.0], alpha=2.0).tolist()
    [0.0, 2.0]
    """
    x = as_floating(x)
    return where(x > 0, x, expm1(minimum(x, 0) / alpha) * alpha)


@composite(samples=_samples(), gradient=(lambda g, out, x: g * sigmoid(x),))
def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), without overflow.

    >>> import amalthea as am
    >>> am.ops.softplus([1000.0]).tolist()
    [1000.0]
    """
    x = as_floating(x)
    return maximum(x, 0) + log1p(exp(-absolute(x)))


@composite(samples=_samples())
def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|).

    >>> import amalthea as am
    >>> am.ops.softsign([1.0, -3.0]).tolist()
    [0.5, -0.75]
    """
    x = as_floating(x)
    return x / (absolute(x) + 1)


@composite(samples=_samples())
def log_sigmoid(x: Tensor) -> Tensor:
    """log(sigmoid(x)), exact where the sigmoid is 0 in floating point.

    >>> import amalthea as am
    >>> am.ops.log_sigmoid([-1000.0]).tolist()
    [-1000.0]
    """
    return -softplus(-as_floating(x))


def _silu_gradient(g: Tensor, out: Tensor, x: Tensor) -> Tensor:
    s = sigmoid(x)
    return g * (s + out * (1 - s))


@composite(samples=_samples(), gradient=(_silu_gradient,))
def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x), also called swish (Ramachandran et al. 2017, arXiv:1710.05941).

    >>> import amalthea as am
    >>> am.ops.silu([0.0]).tolist()
    [0.0]
    """
    x = as_floating(x)
    return x * sigmoid(x)


@composite(samples=_samples())
def swish(x: Tensor) -> Tensor:
    """The same as `silu`: x * sigmoid(x).

    >>> import amalthea as am
    >>> am.ops.swish([0.0]).tolist()
    [0.0]
    """
    return silu(x)


@composite(
    samples=lambda: [
        ((values(3, 4, seed=1), values(3, 4, low=-4.0, high=4.0)), {}),
        ((values(3, 4, seed=1), values(3, 4)), {"approximate": False}),
    ],
    name="gelu_gradient",
)
def _gelu_gradient(g: Tensor, x: Tensor, approximate: bool = True) -> Tensor:
    """What the gradient of `gelu` gives for its input."""
    g, x = as_floating(g), as_floating(x)
    if approximate:
        c = math.sqrt(2 / math.pi)
        t = tanh((x + 0.044715 * x * square(x)) * c)
        return g * (0.5 * (1 + t) + (0.5 * c) * x * (1 - square(t)) * (1 + (3 * 0.044715) * square(x)))
    density = exp(-0.5 * square(x)) * (1 / math.sqrt(2 * math.pi))
    return g * (0.5 * (1 + erf(x * math.sqrt(0.5))) + x * density)


@composite(
    samples=lambda: [((values(3, 4, low=-4.0, high=4.0),), {}), ((values(3, 4),), {"approximate": False})],
    gradient=(lambda g, out, x, approximate=True: _gelu_gradient(g, x, approximate=approximate),),
)
def gelu(x: Tensor, approximate: bool = True) -> Tensor:
    """x times the normal distribution function of x (Hendrycks and Gimpel 2016, arXiv:1606.08415).

    Args:
        x: A tensor.
        approximate: Whether to use the paper's approximation by tanh (the default) instead of erf.

    Returns:
        A floating tensor of the same shape.

    Example:

    >>> import amalthea as am
    >>> am.ops.gelu([0.0]).tolist()
    [0.0]
    """
    x = as_floating(x)
    if approximate:
        return 0.5 * x * (1 + tanh((x + 0.044715 * x * square(x)) * math.sqrt(2 / math.pi)))
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


@composite(samples=_samples())
def hard_sigmoid(x: Tensor) -> Tensor:
    """relu6(x + 3) / 6, straight lines in place of the sigmoid.

    >>> import amalthea as am
    >>> am.ops.hard_sigmoid([-9.0, 0.0, 9.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    return relu6(as_floating(x) + 3) / 6


@composite(samples=_samples())
def hard_silu(x: Tensor) -> Tensor:
    """x * hard_sigmoid(x), also called hard swish (Howard et al. 2019, arXiv:1905.02244).

    >>> import amalthea as am
    >>> am.ops.hard_silu([-9.0, 0.0, 9.0]).tolist()
    [-0.0, 0.0, 9.0]
    """
    x = as_floating(x)
    return x * hard_sigmoid(x)


@composite(samples=_samples())
def hard_swish(x: Tensor) -> Tensor:
    """The same as `hard_silu`: x * hard_sigmoid(x).

    >>> import amalthea as am
    >>> am.ops.hard_swish([9.0]).tolist()
    [9.0]
    """
    return hard_silu(x)


@composite(samples=_samples())
def hard_tanh(x: Tensor) -> Tensor:
    """x limited to [-1, 1].

    >>> import amalthea as am
    >>> am.ops.hard_tanh([-3.0, 0.5]).tolist()
    [-1.0, 0.5]
    """
    if dtypes.is_integer(x.dtype) and x.dtype.startswith("u"):
        return minimum(x, 1)  # there is no -1 in this dtype, nor anything below it
    return where(x > 1, 1, where(x < -1, -1, x))


@composite(samples=_samples())
def tanh_shrink(x: Tensor) -> Tensor:
    """x - tanh(x).

    >>> import amalthea as am
    >>> am.ops.tanh_shrink([0.0]).tolist()
    [0.0]
    """
    x = as_floating(x)
    return x - tanh(x)


@composite(samples=_samples(threshold=1.0))
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x where |x| is greater than `threshold`, and 0 elsewhere.

    >>> import amalthea as am
    >>> am.ops.hard_shrink([-2.0, 0.3]).tolist()
    [-2.0, 0.0]
    """
    x = as_floating(x)
    return where(absolute(x) > threshold, x, 0)


@composite(samples=_samples(threshold=1.0))
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x moved towards 0 by `threshold`, and 0 within it.

    >>> import amalthea as am
    >>> am.ops.soft_shrink([-2.0, 0.25, 1.0]).tolist()
    [-1.5, 0.0, 0.5]
    """
    x = as_floating(x)
    return where(x > threshold, x - threshold, where(x < -threshold, x + threshold, 0))


@composite(samples=lambda: [((values(3, 4),), {"threshold": 0.5, "default_value": -1.0})])
def threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    """x where it is greater than `threshold`, and `default_value` elsewhere.

    >>> import amalthea as am
    >>> am.ops.threshold([0.2, 2.0], 1.0, -5.0).tolist()
    [-5.0, 2.0]
    """
    return where(x > threshold, x, default_value)


@composite(samples=_samples())
def sparse_plus(x: Tensor) -> Tensor:
    """0 up to -1, (x + 1)^2 / 4 from there to 1, then x: a softplus that is exactly 0.

    >>> import amalthea as am
    >>> am.ops.sparse_plus([-2.0, 0.0, 3.0]).tolist()
    [0.0, 0.25, 3.0]
    """
    x = as_floating(x)
    return where(x <= -1, 0, where(x < 1, square(x + 1) * 0.25, x))


@composite(samples=_samples())
def sparse_sigmoid(x: Tensor) -> Tensor:
    """(x + 1) / 2 limited to [0, 1], the derivative of `sparse_plus`.

    >>> import amalthea as am
    >>> am.ops.sparse_sigmoid([-2.0, 0.0, 3.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    return clip((as_floating(x) + 1) * 0.5, 0.0, 1.0)


@composite(samples=_samples(b=1))
def squareplus(x: Tensor, b: float = 4) -> Tensor:
    """(x + sqrt(x^2 + b)) / 2, a softplus without exponentials (Barron 2021, arXiv:2112.11687).

    >>> import amalthea as am
    >>> am.ops.squareplus([0.0]).tolist()
    [1.0]
    """
    x = as_floating(x)
    return (x + sqrt(square(x) + b)) * 0.5


@composite(samples=lambda: [((values(2, 4),), {}), ((values(4, 3, seed=1),), {"axis": 0})])
def glu(x: Tensor, axis: int = -1) -> Tensor:
    """The first half of an axis times the sigmoid of the second (Dauphin et al. 2016, arXiv:1612.08083).

    Args:
        x: A tensor whose size along `axis` is even.
        axis: The axis to halve, the last by default.

    Returns:
        A tensor with half the size along the axis.

    Raises:
        ShapeError: If the size is odd.

    Example:

    >>> import amalthea as am
    >>> am.ops.glu([4.0, 0.0]).tolist()
    [2.0]
    """
    axis = normal_axis(axis, len(x.shape))
    if x.shape[axis] % 2:
        fail(ShapeError, f"axis {axis} has the odd size {x.shape[axis]}", fix="gate an axis of even size")
    value, gate = split(x, 2, axis=axis)
    return value * sigmoid(gate)


def _axes(x: Tensor, axis: Any) -> tuple[int, ...]:
    if not x.shape:
        fail(ShapeError, "a scalar has no axis to normalise", received="x of shape ()", fix="give x at least one axis")
    return normal_axes(tuple(axis) if isinstance(axis, (list, tuple)) else axis, len(x.shape))


def _gradient_along() -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    return [((values(2, 3, seed=1), values(2, 3, low=0.1, high=0.5)), {"axis": axis}) for axis in ((1,), (0,), (0, 1))]


@composite(samples=_gradient_along, name="softmax_gradient")
def _softmax_gradient(g: Tensor, out: Tensor, axis: Sequence[int]) -> Tensor:
    """What the gradient of `softmax` gives for its input, from its result."""
    g, out = as_floating(g), as_floating(out)
    weighted = g * out
    return weighted - out * reduce_sum(weighted, axis=axis, keepdims=True)


@composite(
    samples=_along(axis=(0,)),
    gradient=(lambda g, out, x, axis=-1: _softmax_gradient(g, out, axis=_axes(x, axis)),),
)
def softmax(x: Tensor, axis: int | Sequence[int] = -1) -> Tensor:
    """exp(x) divided by its sum over an axis: positive numbers that add up to 1.

    Args:
        x: A tensor of logits, of rank 1 or more.
        axis: The axis (or axes) to normalise over, the last by default.

    Returns:
        A floating tensor of the same shape.

    Raises:
        ShapeError: If there is no such axis.

    Example:

    >>> import amalthea as am
    >>> am.ops.softmax([[1000.0, 1000.0]]).tolist()
    [[0.5, 0.5]]
    """
    x = as_floating(x)
    axes = _axes(x, axis)
    if any(x.shape[i] == 0 for i in axes):
        return x  # nothing to normalise, and no greatest element
    powers = exp(x - stop_gradient(reduce_max(x, axis=axes, keepdims=True)))
    return powers / reduce_sum(powers, axis=axes, keepdims=True)


@composite(samples=_gradient_along, name="log_softmax_gradient")
def _log_softmax_gradient(g: Tensor, out: Tensor, axis: Sequence[int]) -> Tensor:
    """What the gradient of `log_softmax` gives for its input, from its result."""
    g, out = as_floating(g), as_floating(out)
    return g - exp(out) * reduce_sum(g, axis=axis, keepdims=True)


@composite(
    samples=_along(axis=(0,)),
    gradient=(lambda g, out, x, axis=-1: _log_softmax_gradient(g, out, axis=_axes(x, axis)),),
)
def log_softmax(x: Tensor, axis: int | Sequence[int] = -1) -> Tensor:
    """log(softmax(x)), exact where the softmax is 0 in floating point.

    Args:
        x: A tensor of logits, of rank 1 or more.
        axis: The axis (or axes) to normalise over, the last by default.

    Returns:
        A floating tensor of the same shape.

    Raises:
        ShapeError: If there is no such axis.

    Example:

    >>> import amalthea as am
    >>> am.ops.log_softmax([[0.0, 1000.0]]).tolist()
    [[-1000.0, 0.0]]
    """
    x = as_floating(x)
    axes = _axes(x, axis)
    if any(x.shape[i] == 0 for i in axes):
        return x
    shifted = x - stop_gradient(reduce_max(x, axis=axes, keepdims=True))
    return shifted - log(reduce_sum(exp(shifted), axis=axes, keepdims=True))


def _sparsemax_gradient(g: Tensor, out: Tensor, x: Tensor, axis: int = -1) -> Tensor:
    inside = cast(out > 0, g.dtype)
    mean = reduce_sum(g * inside, axis=axis, keepdims=True) / reduce_sum(inside, axis=axis, keepdims=True)
    return inside * (g - mean)


@composite(
    samples=lambda: [((values(3, 4) * 0.9,), {}), ((values(2, 3, 4, seed=1) * 0.7,), {"axis": 1})],
    gradient=(_sparsemax_gradient,),
)
def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    """The point of the probability simplex nearest to x: a softmax that is exactly 0 for low logits.

    Args:
        x: A tensor of logits.
        axis: The axis to normalise over, the last by default.

    Returns:
        A floating tensor of the same shape (Martins and Astudillo 2016, arXiv:1602.02068).

    Example:

    >>> import amalthea as am
    >>> am.ops.sparsemax([[0.0, 0.5, 3.0]]).tolist()
    [[0.0, 0.0, 1.0]]
    """
    x = as_floating(x)
    axis = normal_axis(axis, len(x.shape))
    n = x.shape[axis]
    falling = flip(sort(x, axis=axis), axis=axis)
    total = cumsum(falling, axis=axis)
    rank = reshape(cast(np.arange(1, n + 1), x.dtype), (n, *(1,) * (len(x.shape) - 1 - axis)))
    support = cast(falling * rank > total - 1, x.dtype)
    count = reduce_sum(support, axis=axis, keepdims=True)
    threshold = (reduce_sum(support * falling, axis=axis, keepdims=True) - 1) / count
    return maximum(x - threshold, 0)


export(__name__)
