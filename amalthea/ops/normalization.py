"""Normalisation by mean and variance."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from amalthea.core import config, dtypes
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.op import composite, export
from amalthea.core.tensor import Tensor
from amalthea.ops.core_ops import cast
from amalthea.ops.creation import ones_like
from amalthea.ops.elementary import rsqrt
from amalthea.ops.elementwise import clip, square
from amalthea.ops.reductions import mean as reduce_mean
from amalthea.ops.reductions import sum as reduce_sum
from amalthea.ops.samples import values
from amalthea.ops.shaping import reshape
from amalthea.ops.specs import as_floating, normal_axes, normal_axis, show


def _wide(dtype: Any) -> dtypes.DType:
    """The dtype statistics are taken in: at least float32."""
    return dtypes.result_type(dtype, "float32")


def _moments(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    mean = reduce_mean(x, axis=axes, keepdims=True)
    return mean, reduce_mean(square(x - mean), axis=axes, keepdims=True)


@composite(
    samples=lambda: [
        ((values(2, 3, 4),), {"axes": (0, 1)}),
        ((values(2, 3),), {"axes": -1, "keepdims": True}),
        ((values(4),), {"axes": (0,)}),
    ]
)
def moments(
    x: Tensor, axes: int | Sequence[int], keepdims: bool = False, synchronized: bool = False
) -> tuple[Tensor, Tensor]:
    """The mean and the (biased) variance over axes.

    Args:
        x: A tensor; half-precision values are summed in float32.
        axes: The axis or axes to reduce.
        keepdims: Whether the axes stay, with size 1.
        synchronized: Accepted for several devices; on one it means nothing.

    Returns:
        (mean, variance), floating tensors.

    Example:

    >>> import amalthea as am
    >>> [m.numpy().item() for m in am.ops.moments([1.0, 3.0], axes=0)]
    [2.0, 1.0]
    """
    del synchronized
    dtype = x.dtype if dtypes.is_floating(x.dtype) else dtypes.floatx()
    axes = normal_axes(tuple(axes) if isinstance(axes, (list, tuple)) else axes, len(x.shape))
    pair = _moments(cast(x, dtypes.result_type(dtype, "float32")), axes)
    kept = tuple(d for i, d in enumerate(x.shape) if i not in axes)
    mean, variance = pair if keepdims else (reshape(m, kept) for m in pair)
    if dtype == "float16":
        mean, variance = (clip(m, -65504.0, 65504.0) for m in (mean, variance))
    return cast(mean, dtype), cast(variance, dtype)


def _per_channel(v: Tensor, axis: int, x: Tensor, name: str) -> Tensor:
    if len(v.shape) != 1:
        fail(
            ShapeError,
            f"`{name}` must have one axis",
            received=f"{name} {show(v.shape)}, x {show(x.shape)}",
            fix="give one number for each channel",
        )
    return reshape(v, (v.shape[0], *(1,) * (len(x.shape) - 1 - axis)))


@composite(
    samples=lambda: [
        ((values(2, 3, 4), values(4, seed=1), values(4, low=0.5, seed=2)), {"axis": -1}),
        (
            (values(2, 3, 4), values(3, seed=1), values(3, low=0.5, seed=2)),
            {"axis": 1, "offset": values(3, seed=3), "scale": values(3, seed=4), "epsilon": 0.1},
        ),
    ]
)
def batch_normalization(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    axis: int,
    offset: Tensor | None = None,
    scale: Tensor | None = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, with one of each for a channel.

    Args:
        x: A tensor.
        mean: The mean of each channel, `(channels,)`.
        variance: The variance of each channel, `(channels,)`.
        axis: The axis of `x` that counts the channels.
        offset: What is added to each channel, `(channels,)`, or None for nothing.
        scale: What each channel is multiplied by, `(channels,)`, or None for 1.
        epsilon: A small number that keeps the division finite.

    Returns:
        A tensor of the shape of `x` (Ioffe and Szegedy 2015, arXiv:1502.03167).

    Raises:
        ShapeError: If a statistic does not have one axis, of the number of channels.

    Example:

    >>> import amalthea as am
    >>> am.ops.batch_normalization([[1.0, 4.0]], mean=[1.0, 2.0], variance=[1.0, 4.0], axis=-1, epsilon=0.0).tolist()
    [[0.0, 1.0]]
    """
    axis = normal_axis(axis, len(x.shape))
    x, mean, variance = as_floating(x), as_floating(mean), as_floating(variance)
    factor = rsqrt(_per_channel(variance, axis, x, "variance") + epsilon)
    if scale is not None:
        factor = factor * _per_channel(scale, axis, x, "scale")
    shift = -_per_channel(mean, axis, x, "mean") * factor
    if offset is not None:
        shift = shift + _per_channel(offset, axis, x, "offset")
    return x * factor + shift


def _training_gradient(
    g: Any, out: Any, x: Tensor, *rest: Tensor, axis: int = -1, epsilon: float = 1e-3
) -> list[Tensor | None]:
    found = _batch_normalization_gradient(*g, x, *rest[:1], axis=axis, epsilon=epsilon)
    return list(found[: 1 + len(rest)])


@composite(
    name="batch_normalization_gradient",
    samples=lambda: [
        (tuple(values(*s, seed=i) for i, s in enumerate(((2, 3, 4), (4,), (4,), (2, 3, 4), (4,)))), {"axis": 2}),
        (tuple(values(*s, seed=i) for i, s in enumerate(((2, 3, 4), (3,), (3,), (2, 3, 4)))), {"axis": 1}),
    ],
)
def _batch_normalization_gradient(
    g: Tensor,
    g_mean: Tensor,
    g_variance: Tensor,
    x: Tensor,
    scale: Tensor | None = None,
    axis: int = -1,
    epsilon: float = 1e-3,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, scale and offset, from those of the results of `batch_normalization_training`."""
    axis, (g, g_mean, g_variance, x) = normal_axis(axis, len(x.shape)), map(as_floating, (g, g_mean, g_variance, x))
    axes = tuple(i for i in range(len(x.shape)) if i != axis)
    mean, variance = _moments(x, axes)
    factor = rsqrt(variance + epsilon)
    centred = (x - mean) * factor
    scaled = g if scale is None else g * _per_channel(scale, axis, x, "scale")
    slope = reduce_mean(scaled * centred, axis=axes, keepdims=True)
    changes = (scaled - reduce_mean(scaled, axis=axes, keepdims=True) - centred * slope) * factor
    of_mean, of_variance = (_per_channel(v, axis, x, "gradient") for v in (g_mean, g_variance))
    share = x.shape[axis] / x.size if x.size else 0.0
    changes = changes + (of_mean + 2 * of_variance * (x - mean)) * share
    return changes, reduce_sum(g * centred, axis=axes), reduce_sum(g, axis=axes)


@composite(
    name="batch_normalization_training",
    gradient=_training_gradient,
    gradient_needs="batch_normalization_gradient",
    samples=lambda: [
        ((values(2, 3, 4),), {}),
        ((values(2, 3, 4), values(4, seed=1), values(4, seed=2)), {"epsilon": 0.1}),
        ((values(2, 3, 4), values(3, seed=1)), {"axis": 1}),
    ],
)
def _batch_normalization_training(
    x: Tensor, scale: Tensor | None = None, offset: Tensor | None = None, axis: int = -1, epsilon: float = 1e-3
) -> tuple[Tensor, Tensor, Tensor]:
    """`batch_normalization` by the batch's own statistics: the result, and the mean and variance of each channel.

    An offset needs a scale, so that the second tensor is always the scale.
    """
    x, axis = as_floating(x), normal_axis(axis, len(x.shape))
    mean, variance = moments(x, axes=tuple(i for i in range(len(x.shape)) if i != axis))
    made = batch_normalization(x, mean, variance, axis=axis, offset=offset, scale=scale, epsilon=epsilon)
    return made, mean, variance


def _like_axes(v: Tensor, axes: tuple[int, ...], x: Tensor) -> Tensor:
    """`v`, with one axis for each of `axes` (or for all of `x`), in a shape that broadcasts with `x`."""
    if len(v.shape) == len(x.shape) or axes == (len(x.shape) - 1,):
        return v
    return reshape(v, tuple(d if i in axes else 1 for i, d in enumerate(x.shape)))


def _layer_gradient(
    g: Tensor, out: Tensor, x: Tensor, *rest: Tensor, axis: Any = -1, epsilon: Any = None, rms_scaling: bool = False
) -> Any:
    axes = normal_axes(tuple(axis) if isinstance(axis, (list, tuple)) else axis, len(x.shape))
    epsilon = config.epsilon() if epsilon is None else epsilon
    if all(tuple(v.shape) == tuple(x.shape[i] for i in axes) for v in rest):
        found = _layer_normalization_gradient(g, x, *rest[:1], axis=axes, epsilon=epsilon, rms_scaling=rms_scaling)
        return list(found[: 1 + len(rest)])
    gamma, *beta = (_like_axes(v, axes, x) for v in rest)
    g, plain = cast(g, _wide(x.dtype)), cast(x, _wide(x.dtype))
    changes = _layer_normalization_gradient(g * gamma, plain, axis=axes, epsilon=epsilon, rms_scaling=rms_scaling)[0]
    plain = _layer_normalization(plain, axis=axes, epsilon=epsilon, rms_scaling=rms_scaling)
    sums = [_summed_as(of, v) for of, v in zip((g * plain, g), (gamma, *beta), strict=False)]
    return [cast(changes, x.dtype), *(cast(reshape(of, v.shape), v.dtype) for of, v in zip(sums, rest, strict=True))]


def _summed_as(g: Tensor, v: Tensor) -> Tensor:
    """The sum of `g` along the axes where `v` is broadcast to its shape."""
    first = len(g.shape) - len(v.shape)
    axes = tuple(i for i, n in enumerate(g.shape) if i < first or v.shape[i - first] != n)
    return reduce_sum(g, axis=axes) if axes else g


@composite(
    name="layer_normalization_gradient",
    samples=lambda: [
        ((values(2, 3, 4, seed=5), values(2, 3, 4)), {"axis": (2,), "epsilon": 0.1}),
        ((values(2, 3, 4, seed=5), values(2, 3, 4), values(4, seed=1)), {"axis": (2,), "epsilon": 0.1}),
        ((values(2, 3, 2, seed=5), values(2, 3, 2), values(3, 2, seed=1)), {"axis": (1, 2), "epsilon": 0.1}),
        ((values(3, 4, seed=5), values(3, 4), values(3, seed=1)), {"axis": (0,), "epsilon": 0.1, "rms_scaling": True}),
    ],
)
def _layer_normalization_gradient(
    g: Tensor,
    x: Tensor,
    gamma: Tensor | None = None,
    axis: Sequence[int] = (),
    epsilon: float = 1e-7,
    rms_scaling: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, gamma and beta, from that of the result of `layer_normalization`.

    Without a gamma, that of gamma is of the shape it would have.
    """
    axes, dtype = tuple(axis), x.dtype
    x, g = cast(x, _wide(dtype)), cast(g, _wide(dtype))
    kept = tuple(i for i in range(len(x.shape)) if i not in axes)
    mean, variance = _moments(x, axes)
    factor = rsqrt(variance + epsilon)
    scaled = g if gamma is None else g * _like_axes(cast(gamma, x.dtype), axes, x)
    centred = (x - mean) * factor
    slope = reduce_mean(scaled * (x * factor if rms_scaling else centred), axis=axes, keepdims=True)
    if rms_scaling:
        changes = (scaled - centred * slope) * factor
    else:
        changes = (scaled - reduce_mean(scaled, axis=axes, keepdims=True) - centred * slope) * factor
    own = dtype if gamma is None else gamma.dtype
    of_gamma = reduce_sum(g * (x * factor if rms_scaling else centred), axis=kept)
    return cast(changes, dtype), cast(of_gamma, own), cast(reduce_sum(g, axis=kept), own)


@composite(
    gradient=_layer_gradient,
    gradient_needs="layer_normalization_gradient",
    name="layer_normalization",
    samples=lambda: [
        ((values(2, 3, 4),), {}),
        ((values(2, 3, 4),), {"gamma": values(4, seed=1), "beta": values(4, seed=2)}),
        ((values(2, 3, 2),), {"gamma": values(3, 2, seed=1), "axis": (1, 2), "epsilon": 0.1}),
    ],
)
def _layer_normalization(
    x: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    axis: int | Sequence[int] = -1,
    epsilon: float | None = None,
    rms_scaling: bool = False,
) -> Tensor:
    """`ops.layer_normalization`, with what that takes by keyword as an argument of its own."""
    dtype = x.dtype
    x = cast(x, _wide(dtype))
    axes = normal_axes(tuple(axis) if isinstance(axis, (list, tuple)) else axis, len(x.shape))
    mean, variance = _moments(x, axes)
    factor = rsqrt(variance + (config.epsilon() if epsilon is None else epsilon))
    if gamma is not None:
        factor = factor * _like_axes(cast(gamma, x.dtype), axes, x)
    if rms_scaling:
        return cast(x * factor, dtype)
    y = (x - mean) * factor
    if beta is not None:
        y = y + _like_axes(cast(beta, x.dtype), axes, x)
    return cast(y, dtype)


def layer_normalization(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    axis: int | Sequence[int] = -1,
    epsilon: float | None = None,
    **kwargs: Any,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, with the mean and variance of each sample.

    Args:
        x: A tensor; half-precision values are computed in float32.
        gamma: What the result is multiplied by, with one axis for each of `axis`, or None for 1.
        beta: What is added to the result, with one axis for each of `axis`, or None for nothing.
        axis: The axis or axes to normalise over, the last by default.
        epsilon: A small number that keeps the division finite; by default `am.config.epsilon()`.
        **kwargs: `rms_scaling`, which Keras keeps from its past: divide by the deviation, and subtract nothing.

    Returns:
        A tensor of the shape and dtype of `x` (Ba et al. 2016, arXiv:1607.06450).

    Raises:
        ArgumentError: If an unknown keyword is given.

    Example:

    >>> import amalthea as am
    >>> am.ops.layer_normalization([[1.0, 3.0]], epsilon=0.0).tolist()
    [[-1.0, 1.0]]
    """
    rms_scaling = kwargs.pop("rms_scaling", False)
    if kwargs:
        fail(ArgumentError, "unknown arguments", where="layer_normalization", received=", ".join(sorted(kwargs)))
    if rms_scaling:
        warnings.warn(
            "[layer_normalization] rms_scaling=True divides by the standard deviation, not by the root mean square. "
            "Fix: use ops.rms_normalization.",
            DeprecationWarning,
            stacklevel=2,
        )
    if gamma is None and beta is not None:  # so that the second tensor is always gamma
        gamma = ones_like(beta)
    return _layer_normalization(x, gamma, beta, axis=axis, epsilon=epsilon, rms_scaling=rms_scaling)


@composite(
    samples=lambda: [
        ((values(2, 3, 4),), {}),
        ((values(2, 3, 4), values(4, seed=1)), {"epsilon": 0.1}),
        ((values(2, 3, 2), values(3, 2, seed=1)), {"axis": (1, 2)}),
    ]
)
def rms_normalization(
    x: Tensor, scale: Tensor | None = None, axis: int | Sequence[int] = -1, epsilon: float | None = None
) -> Tensor:
    """x divided by its root mean square over an axis, times `scale`.

    Args:
        x: A tensor; half-precision values are computed in float32.
        scale: What the result is multiplied by; it broadcasts with `x`. None for 1.
        axis: The axis or axes to take the mean over, the last by default.
        epsilon: A small number added to the mean square; by default `am.config.epsilon()`.

    Returns:
        A tensor of the shape and dtype of `x` (Zhang and Sennrich 2019, arXiv:1910.07467).

    Example:

    >>> import amalthea as am
    >>> am.ops.rms_normalization([[1.0, -1.0, 1.0]], epsilon=0.0).tolist()
    [[1.0, -1.0, 1.0]]
    """
    dtype = x.dtype
    x = cast(x, _wide(dtype))
    x = reshape(x, (1,)) if not x.shape else x
    axes = normal_axes(tuple(axis) if isinstance(axis, (list, tuple)) else axis, len(x.shape))
    mean_square = reduce_mean(square(x), axis=axes, keepdims=True)
    y = x * rsqrt(mean_square + (config.epsilon() if epsilon is None else epsilon))
    return cast(y if scale is None else y * cast(scale, x.dtype), dtype)


@composite(
    samples=lambda: [
        ((values(2, 3, 4), 2), {}),
        ((values(2, 6, 3), 3), {"axis": 1, "gamma": values(6, seed=1), "beta": values(6, seed=2), "epsilon": 0.1}),
    ]
)
def group_normalization(
    x: Tensor,
    groups: int,
    axis: int = -1,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """Normalises each group of channels of each sample by its mean and variance, then scales and shifts each channel.

    Args:
        x: A tensor, `(batch, ..., channels, ...)`; half-precision values are computed in float32.
        groups: The number of groups; it divides the number of channels.
        axis: The axis of the channels, the last by default.
        gamma: What each channel is multiplied by, `(channels,)`, or None for 1.
        beta: What is added to each channel, `(channels,)`, or None for nothing.
        epsilon: A small number that keeps the division finite.

    Returns:
        A tensor of the shape and dtype of `x` (Wu and He 2018, arXiv:1803.08494).

    Raises:
        ShapeError: If the groups do not divide the channels.

    Example:

    >>> import amalthea as am
    >>> am.ops.group_normalization([[1.0, 3.0, 10.0, 30.0]], groups=2, epsilon=0.0).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """
    axis = normal_axis(axis, len(x.shape))
    channels = x.shape[axis]
    if channels % groups:
        fail(
            ShapeError,
            f"{channels} channels do not divide into {groups} groups",
            received=f"x {show(x.shape)}, groups={groups}, axis={axis}",
            fix="use a number of groups that divides the number of channels",
        )
    dtype = x.dtype
    wide = cast(x, _wide(dtype))
    parted = reshape(wide, (*x.shape[:axis], groups, channels // groups, *x.shape[axis + 1 :]))
    mean, variance = _moments(parted, tuple(i for i in range(1, len(parted.shape)) if i != axis))
    y = reshape((parted - mean) * rsqrt(variance + epsilon), x.shape)
    if gamma is not None:
        y = y * _per_channel(cast(gamma, y.dtype), axis, x, "gamma")
    if beta is not None:
        y = y + _per_channel(cast(beta, y.dtype), axis, x, "beta")
    return cast(y, dtype)


export(__name__)
