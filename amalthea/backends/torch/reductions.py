"""PyTorch kernels of the reductions and cumulative ops; half-precision sums are accumulated in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from amalthea.backends.torch.types import HALF, UNSIGNED, from_ordered, ordered

Axis = tuple[int, ...]


def _wide(x: Any) -> Any:
    if x.dtype in HALF:
        return x.float()
    return x.to(torch.int64) if x.dtype in UNSIGNED else x


def sum(x: Any, axis: Axis, keepdims: bool) -> Any:
    """The sum over the axes, in x's own dtype."""
    if not axis:
        return x
    if x.dtype.is_floating_point:
        return torch.sum(x, axis, keepdims)  # adds half precision up in float32
    wide = _wide(x)
    return torch.sum(wide, dim=axis, keepdim=keepdims, dtype=wide.dtype).to(x.dtype)


def prod(x: Any, axis: Axis, keepdims: bool) -> Any:
    """The product over the axes, in x's own dtype."""
    made = _wide(x)
    kind = made.dtype
    for a in sorted(axis, reverse=True):
        made = torch.prod(made, dim=a, keepdim=keepdims, dtype=kind)
    return made.to(x.dtype)


def _best(reduce: Callable[..., Any], pick: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, axis: Axis, keepdims: bool, initial: float | None) -> Any:
        wide = x.to(torch.uint8) if x.dtype == torch.bool else ordered(x)
        if not axis:
            made = wide
        elif any(wide.shape[a] == 0 for a in axis) and initial is not None:
            shape = [1 if i in axis else n for i, n in enumerate(x.shape) if keepdims or i not in axis]
            return torch.full(shape, initial, dtype=x.dtype, device=x.device)
        else:
            made = reduce(wide, dim=axis, keepdim=keepdims)
        if initial is not None:
            kind = x.dtype if x.dtype in UNSIGNED else made.dtype
            made = pick(made, ordered(torch.as_tensor(initial, dtype=kind, device=made.device)))
        return from_ordered(made, x.dtype)

    return run


def _place(largest: bool) -> Callable[..., Any]:
    def run(x: Any, axis: int | None, keepdims: bool) -> Any:
        wide = _wide(ordered(x)) if x.dtype != torch.bool else x.to(torch.uint8)
        flat = wide.reshape(-1) if axis is None else wide
        dim = 0 if axis is None else axis
        # torch leaves open which of equal elements it finds: the first is where the best one occurs first
        best = flat.amax(dim, keepdim=True) if largest else flat.amin(dim, keepdim=True)
        hit = (flat == best) | (flat != flat)
        made = hit.to(torch.uint8).argmax(dim, keepdim=axis is not None and keepdims)
        if axis is None and keepdims:
            made = made.reshape((1,) * x.ndim)
        return made.to(torch.int32)

    return run


def cumulative_sum(x: Any, axis: int) -> Any:
    """Running sums along an axis, in x's own dtype."""
    wide = _wide(x)
    return torch.cumsum(wide, dim=axis, dtype=wide.dtype).to(x.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    "sum": sum,
    "prod": prod,
    "max": _best(torch.amax, torch.maximum),
    "min": _best(torch.amin, torch.minimum),
    "argmax": _place(True),
    "argmin": _place(False),
    "cumulative_sum": cumulative_sum,
}
