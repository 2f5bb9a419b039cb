"""PyTorch kernels of sorting and searching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from amalthea.backends.torch.types import UNSIGNED


def argsort(x: Any, axis: int) -> Any:
    """The int32 order that sorts along an axis; equal elements keep theirs and NaN comes last."""
    return torch.argsort(x.to(torch.int64) if x.dtype in UNSIGNED else x, dim=axis, stable=True).to(torch.int32)


def searchsorted(sorted_sequence: Any, values: Any, side: str) -> Any:
    """The int32 place of each value in a sorted vector."""
    return torch.searchsorted(sorted_sequence.contiguous(), values.contiguous(), side=side).to(torch.int32)


KERNELS: dict[str, Callable[..., Any]] = {"argsort": argsort, "searchsorted": searchsorted}
