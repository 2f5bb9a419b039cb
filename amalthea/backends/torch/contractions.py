"""PyTorch kernel of `contract`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from amalthea.backends.torch.types import UNSIGNED


def contract(x: Any, y: Any, *, subscripts: str) -> Any:
    """The product of two tensors, summed over the letters that the result does not have."""
    kind = x.dtype
    if kind == torch.bool or kind in UNSIGNED:
        made = torch.einsum(subscripts, x.to(torch.int64), y.to(torch.int64))
        return made != 0 if kind == torch.bool else made.to(kind)
    if subscripts == "ab,bc->ac":
        return torch.matmul(x, y)
    return torch.einsum(subscripts, x, y)


KERNELS: dict[str, Callable[..., Any]] = {"contract": contract}
