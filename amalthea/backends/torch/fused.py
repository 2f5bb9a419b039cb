"""Kernels of composites that torch computes in one call, and of their gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
import torch.nn.functional as F

from amalthea.backends.torch.types import PLAIN, to_torch
from amalthea.core import config, dtypes

Axes = Sequence[int] | int


def _real(x: Any) -> Any:
    """Integers and bools as the default floating dtype."""
    return x if x.dtype.is_floating_point else x.to(to_torch(dtypes.floatx()))


def _wide(x: Any) -> Any:
    """At least float32."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def relu(x: Any) -> Any:
    """max(x, 0), NaN where x is NaN."""
    if x.dtype in PLAIN:
        return torch.relu(x)
    return x.to(torch.int32) if x.dtype == torch.bool else x.clone()  # all others are unsigned


def gelu(x: Any, approximate: bool = True) -> Any:
    """x times the normal distribution function of x."""
    return F.gelu(_real(x), approximate="tanh" if approximate else "none")


def gelu_gradient(g: Any, x: Any, approximate: bool = True) -> Any:
    """The gradient of `gelu`."""
    return torch.ops.aten.gelu_backward.default(_real(g), _real(x), approximate="tanh" if approximate else "none")


def _axis(x: Any, axis: Axes) -> int | None:
    """The one axis that is meant; None where there are several."""
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    return axes[0] % x.ndim if len(axes) == 1 else None


def _as_one(x: Any, axis: Axes) -> tuple[Any, Callable[[Any], Any]]:
    """The axes as a last one, and what turns a result of that shape back."""
    axes = [a % x.ndim for a in axis] if not isinstance(axis, int) else [axis % x.ndim]
    moved = x.movedim(axes, list(range(x.ndim - len(axes), x.ndim)))
    shape, rest = moved.shape, x.ndim - len(axes)
    flat = moved.reshape(*shape[:rest], prod(shape[rest:]))
    return flat, lambda y: y.reshape(shape).movedim(list(range(rest, x.ndim)), axes)


def _normalized(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, axis: Axes = -1) -> Any:
        x = _real(x)
        one = _axis(x, axis)
        if one is not None:
            return function(x, one)
        flat, back = _as_one(x, axis)
        return back(function(flat, -1))

    return run


def _normalized_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(g: Any, out: Any, axis: Axes) -> Any:
        g, out = _real(g), _real(out)
        one = _axis(g, axis)
        if one is not None:
            return function(g, out, one, out.dtype)
        (flat, back), (kept, _) = _as_one(g, axis), _as_one(out, axis)
        return back(function(flat, kept, flat.ndim - 1, out.dtype))

    return run


def _last(x: Any, axes: Sequence[int]) -> bool:
    return tuple(a % x.ndim for a in axes) == tuple(range(x.ndim - len(axes), x.ndim))


def _axes_of(x: Any, axis: Axes) -> list[int]:
    return [axis % x.ndim] if isinstance(axis, int) else sorted(a % x.ndim for a in axis)


def _along(v: Any, axes: list[int], x: Any) -> Any:
    """`v`, with one axis for each of `axes`, in a shape that broadcasts with `x`; in another one it does so itself."""
    if v.ndim == x.ndim or v.ndim != len(axes):
        return v
    sizes = iter(v.shape)
    return v.reshape([next(sizes) if i in axes else 1 for i in range(x.ndim)])


def layer_normalization(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    axis: Axes = -1,
    epsilon: float | None = None,
    rms_scaling: bool = False,
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over the axes."""
    return layer_statistics(x, gamma, beta, axis, epsilon, rms_scaling)[0]


def layer_statistics(
    x: Any, gamma: Any, beta: Any, axis: Axes, epsilon: float | None, rms_scaling: bool
) -> tuple[Any, Any, Any]:
    """The result of `layer_normalization`, the mean, and 1 / sqrt(variance + epsilon)."""
    axes = _axes_of(x, axis)
    epsilon = config.epsilon() if epsilon is None else epsilon
    sizes = [x.shape[a] for a in axes]
    wide = _wide(x)
    gamma, beta = (None if v is None else v.to(wide.dtype) for v in (gamma, beta))
    if _last(x, axes) and not rms_scaling and all(v is None or list(v.shape) == sizes for v in (gamma, beta)):
        made, mean, factor = torch.native_layer_norm(wide, sizes, gamma, beta, epsilon)
        return made.to(x.dtype), mean, factor
    variance, mean = torch.var_mean(wide, axes, correction=0, keepdim=True)
    factor = torch.rsqrt(variance + epsilon)
    made = (wide if rms_scaling else wide - mean) * factor
    made = made if gamma is None else made * _along(gamma, axes, x)
    made = made if beta is None or rms_scaling else made + _along(beta, axes, x)
    return made.to(x.dtype), mean, factor


def layer_normalization_gradient(
    g: Any, x: Any, gamma: Any = None, axis: Sequence[int] = (), epsilon: float = 1e-7, rms_scaling: bool = False
) -> tuple[Any, Any, Any]:
    """The gradients of x, gamma and beta."""
    _, mean, factor = layer_statistics(x, gamma, None, axis, epsilon, rms_scaling)
    return layer_gradients(g, x, gamma, mean, factor, axis, rms_scaling)


def layer_gradients(
    g: Any, x: Any, gamma: Any, mean: Any, factor: Any, axis: Sequence[int], rms_scaling: bool
) -> tuple[Any, Any, Any]:
    """The gradients of `layer_normalization` from what `layer_statistics` gave."""
    axes, kind = _axes_of(x, axis), x.dtype
    own = kind if gamma is None else gamma.dtype
    x, g = _wide(x), _wide(g)
    sizes = [x.shape[a] for a in axes]
    wide = None if gamma is None else gamma.to(x.dtype)
    if _last(x, axes) and not rms_scaling and (wide is None or list(wide.shape) == sizes):
        weight = x.new_ones(sizes) if wide is None else wide
        found = torch.ops.aten.native_layer_norm_backward.default(
            g, x, sizes, mean, factor, weight, weight, [True, True, True]
        )
    else:
        kept = [i for i in range(x.ndim) if i not in axes]
        scaled = g if wide is None else g * _along(wide, axes, x)
        centred = (x - mean) * factor
        base = x * factor if rms_scaling else centred
        changes = scaled - centred * (scaled * base).mean(axes, keepdim=True)
        changes = changes if rms_scaling else changes - scaled.mean(axes, keepdim=True)
        found = (changes * factor, (g * base).sum(kept) if kept else g * base, g.sum(kept) if kept else g.clone())
    return found[0].to(kind), found[1].to(own), found[2].to(own)


def _channels(x: Any, axis: int) -> Any:
    """A view with channels second and, where they are last, in torch's memory format for that."""
    if axis % x.ndim == x.ndim - 1:
        return x.reshape(1, -1, 1, x.shape[-1]).permute(0, 3, 1, 2)
    return x.movedim(axis, 1)


def _normalizes(x: Any, axis: int) -> bool:
    """Whether torch normalises such batches itself; its variance is one of more than one number."""
    return x.dtype in (torch.float32, torch.float64) and x.ndim > 1 and x.numel() > x.shape[axis]


def _dense(v: Any, dtype: Any) -> Any:
    """A scale or an offset in the memory that torch's batch normalisation takes for granted: one after the other."""
    return None if v is None else v.to(dtype).contiguous()


def batch_normalization_training(
    x: Any, scale: Any = None, offset: Any = None, axis: int = -1, epsilon: float = 1e-3
) -> tuple[Any, Any, Any]:
    """The normalised batch, and the mean and variance of each channel."""
    return batch_statistics(x, scale, offset, axis, epsilon)[:3]


def batch_statistics(x: Any, scale: Any, offset: Any, axis: int, epsilon: float) -> tuple[Any, Any, Any, Any]:
    """The results of `batch_normalization_training`, and 1 / sqrt(variance + epsilon)."""
    x = _real(x)
    scale, offset = (_dense(v, x.dtype) for v in (scale, offset))
    if _normalizes(x, axis):
        found = x.new_zeros((2, x.shape[axis]))  # of a moving average that keeps nothing
        view = _channels(x, axis)
        made, mean, factor = torch.native_batch_norm(view, scale, offset, found[0], found[1], True, 1.0, epsilon)
        count = x.numel() // x.shape[axis]
        return _back(made, x, axis), mean, found[1] * ((count - 1) / count), factor
    axes, kind = [i for i in range(x.ndim) if i != axis % x.ndim], x.dtype
    wide = _wide(x)
    variance, mean = torch.var_mean(wide, axes, correction=0, keepdim=True) if axes else (wide * 0, wide.clone())
    factor = torch.rsqrt(variance + epsilon)
    made = (wide - mean) * factor
    made = made if scale is None else made * _along(scale, [axis % x.ndim], x)
    made = made if offset is None else made + _along(offset, [axis % x.ndim], x)
    mean, variance, factor = (v.reshape(-1) for v in (mean, variance, factor))
    return made.to(kind), mean.to(kind), variance.to(kind), factor


def _back(made: Any, x: Any, axis: int) -> Any:
    if axis % x.ndim == x.ndim - 1:
        return made.permute(0, 2, 3, 1).reshape(x.shape)
    return made.movedim(1, axis)


def batch_normalization_gradient(
    g: Any, g_mean: Any, g_variance: Any, x: Any, scale: Any = None, axis: int = -1, epsilon: float = 1e-3
) -> tuple[Any, Any, Any]:
    """The gradients of x, scale and offset."""
    g, x = _real(g), _real(x)
    scale = _dense(scale, x.dtype)
    _, mean, _, factor = batch_statistics(x, scale, None, axis, epsilon)
    changes, *rest = batch_gradients(g, x, scale, mean, factor, axis, epsilon)
    along = [axis % x.ndim]
    share = x.shape[axis] / max(x.numel(), 1)
    of_mean, of_variance, mean = (_along(v.to(x.dtype), along, x) for v in (g_mean, g_variance, mean))
    return changes + (of_mean + 2 * of_variance * (x - mean)) * share, rest[0], rest[1]


def batch_gradients(
    g: Any, x: Any, scale: Any, mean: Any, factor: Any, axis: int, epsilon: float
) -> tuple[Any, Any, Any]:
    """The gradients of `batch_normalization_training` where the statistics have none."""
    scale = _dense(scale, x.dtype)
    if _normalizes(x, axis) and g.dtype == x.dtype:
        changes, of_scale, of_offset = torch.ops.aten.native_batch_norm_backward.default(
            _channels(g, axis), _channels(x, axis), scale, None, None, mean, factor, True, epsilon, [True, True, True]
        )
        return _back(changes, x, axis), of_scale, of_offset
    along, axes = [axis % x.ndim], [i for i in range(x.ndim) if i != axis % x.ndim]
    wide, g = _wide(x), _wide(g)
    mean, factor = (_along(v.to(wide.dtype), along, x) for v in (mean, factor))
    centred = (wide - mean) * factor
    scaled = g if scale is None else g * _along(scale, along, x)
    if axes:
        slope = (scaled * centred).mean(axes, keepdim=True)
        changes = (scaled - scaled.mean(axes, keepdim=True) - centred * slope) * factor
        found = changes, (g * centred).sum(axes), g.sum(axes)
    else:
        found = scaled * 0, g * centred, g.clone()
    return found[0].to(x.dtype), found[1].to(x.dtype), found[2].to(x.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    "batch_normalization_training": batch_normalization_training,
    "batch_normalization_gradient": batch_normalization_gradient,
    "relu": relu,
    "gelu": gelu,
    "gelu_gradient": gelu_gradient,
    "softmax": _normalized(torch.softmax),
    "softmax_gradient": _normalized_gradient(torch.ops.aten._softmax_backward_data.default),
    "log_softmax": _normalized(torch.log_softmax),
    "log_softmax_gradient": _normalized_gradient(torch.ops.aten._log_softmax_backward_data.default),
    "layer_normalization": layer_normalization,
    "layer_normalization_gradient": layer_normalization_gradient,
}
