"""PyTorch kernels of the ops that read and write at computed places. None of them writes to its inputs."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch

from amalthea.backends.numpy.indexing import check_range
from amalthea.backends.torch.types import HALF, UNSIGNED, from_ordered, ordered

Ints = tuple[int, ...]


_AS_UNSIGNED = {torch.int32: "uint32", torch.int64: "uint64"}


def _positive(indices: Any, size: int, where: str, axis: int) -> Any:
    """Indices that count from the start; ArgumentError where one is out of range (not looked for on a GPU,
    nor in what goes through `torch.compile`)."""
    if indices.device.type == "cpu" and not torch.compiler.is_compiling():
        found = indices.numpy()
        unsigned = _AS_UNSIGNED.get(indices.dtype)
        if unsigned is not None and (found.view(unsigned) < size).all():  # negative ones are large as unsigned ones
            return indices
        check_range(found, size, where, axis)
    indices = indices.to(torch.int64)
    return torch.where(indices < 0, indices + size, indices)


def gather(x: Any, indices: Any, axis: int) -> Any:
    """The slices of x along an axis at the indices; negative ones count from the end."""
    places = _positive(indices, x.shape[axis], "gather", axis)
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    if x.dtype in UNSIGNED:
        return torch.index_select(x.to(torch.int64), axis, places.reshape(-1)).to(x.dtype).reshape(shape)
    return torch.index_select(x, axis, places.reshape(-1)).reshape(shape)


def _clamped(starts: Any, shape: Ints, sizes: Ints) -> tuple[slice, ...]:
    places = []
    for start, whole, size in zip(starts.tolist(), shape, sizes, strict=True):
        first = min(max(start + whole if start < 0 else start, 0), whole - size)
        places.append(slice(first, first + size))
    return tuple(places)


def dynamic_slice(x: Any, start_indices: Any, shape: Ints) -> Any:
    """The block of a static shape at a computed place, moved inside where it would stick out."""
    return x[_clamped(start_indices, x.shape, shape)]


def dynamic_update_slice(x: Any, updates: Any, start_indices: Any) -> Any:
    """x with the block at a computed place replaced by the updates."""
    out = x.clone()
    out[_clamped(start_indices, x.shape, updates.shape)] = updates
    return out


def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None) -> Any:
    """A copy of the inputs with updates[i] written to, or combined with, the element or slice at indices[i]."""
    depth = indices.shape[-1]
    leading = inputs.shape[:depth]
    indices = indices.reshape(-1, depth)
    if not len(indices) or not inputs.numel():
        return inputs.clone()
    flat: Any = 0
    for axis, size in enumerate(leading):
        places = _positive(indices[:, axis], size, "scatter_update", axis)
        flat = places if not axis else flat.to(torch.int64) * size + places
    wide = torch.float32 if inputs.dtype in HALF else torch.int64 if inputs.dtype in UNSIGNED else inputs.dtype
    compared = reduction in ("max", "min")
    rows, updates = (ordered(x) if compared and x.dtype in UNSIGNED else x.to(wide) for x in (inputs, updates))
    rows, updates = rows.clone().reshape(prod(leading), -1), updates.reshape(len(indices), -1)
    if reduction is None:
        # torch leaves open which of several updates of one place stays: here it is the last
        winner = torch.full((len(rows),), -1, dtype=torch.int64, device=inputs.device)
        winner = winner.scatter_reduce(0, flat.to(torch.int64), torch.arange(len(flat), device=inputs.device), "amax")
        hit = winner >= 0
        rows[hit] = updates[winner[hit]]
    elif reduction == "add":
        rows.index_add_(0, flat, updates)
    else:
        name = {"mul": "prod", "max": "amax", "min": "amin"}[reduction]
        rows.scatter_reduce_(0, flat.to(torch.int64)[:, None].expand_as(updates), updates, name)
    made = rows.reshape(inputs.shape)
    return from_ordered(made, inputs.dtype) if compared else made.to(inputs.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    "gather": gather,
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
    "scatter_update": scatter_update,
}
