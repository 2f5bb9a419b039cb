"""Kernels of composites that torch computes in one call, and of their gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
import torch.nn.functional as F

from amalthea.backends.torch.types import to_torch
from amalthea.core import config, dtypes

Axes = Sequence[int] | int


def _real(x: Any) -> Any:
    """Integers and bools as the default floating dtype."""
    return x if x.dtype.is_floating_point else x.to(to_torch(dtypes.floatx()))


def _wide(x: Any) -> Any:
    """At least float32."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


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
    """`v`, with one axis for each of `axes` (or for all of `x`), in a shape that broadcasts with `x`."""
    return v if v.ndim == x.ndim else v.reshape([n if i in axes else 1 for i, n in enumerate(x.shape)])


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
        found = (changes * factor, (g * base).sum(kept) if kept else g * base, g.sum(kept) if kept else g)
    return found[0].to(kind), found[1].to(own), found[2].to(own)


KERNELS: dict[str, Callable[..., Any]] = {
    "gelu": gelu,
    "gelu_gradient": gelu_gradient,
    "softmax": _normalized(torch.softmax),
    "softmax_gradient": _normalized_gradient(torch.ops.aten._softmax_backward_data.default),
    "log_softmax": _normalized(torch.log_softmax),
    "log_softmax_gradient": _normalized_gradient(torch.ops.aten._log_softmax_backward_data.default),
    "layer_normalization": layer_normalization,
    "layer_normalization_gradient": layer_normalization_gradient,
}
