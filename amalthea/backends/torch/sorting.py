"""PyTorch kernels of sorting and searching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from amalthea.backends.torch.types import ordered


def argsort(x: Any, axis: int) -> Any:
    """The int32 order that sorts along an axis; equal elements keep theirs and NaN comes last."""
    return torch.argsort(ordered(x), dim=axis, stable=True).to(torch.int32)


def searchsorted(sorted_sequence: Any, values: Any, side: str) -> Any:
    """The int32 place of each value in a sorted vector."""
    return torch.searchsorted(ordered(sorted_sequence).contiguous(), ordered(values).contiguous(), side=side).to(
        torch.int32
    )


KERNELS: dict[str, Callable[..., Any]] = {"argsort": argsort, "searchsorted": searchsorted}
