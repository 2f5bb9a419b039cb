"""PyTorch kernel of `contract`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from amalthea.backends.torch.types import PLAIN, UNSIGNED


def contract(x: Any, y: Any, *, subscripts: str) -> Any:
    """The product of two tensors, summed over the letters that the result does not have."""
    kind = x.dtype
    if kind == torch.bool or kind in UNSIGNED:
        made = torch.einsum(subscripts, x.to(torch.int64), y.to(torch.int64))
        return made != 0 if kind == torch.bool else made.to(kind)
    found = _matrices(subscripts)
    if found is None:
        return torch.einsum(subscripts, x, y)
    turned, x_turned, y_turned = found
    left, right = x.t() if x_turned else x, y.t() if y_turned else y
    return torch.mm(right, left) if turned else torch.mm(left, right)


@functools.lru_cache(maxsize=1024)
def _matrices(subscripts: str) -> tuple[bool, bool, bool] | None:
    """For a product of two matrices: whether they change places, and whether each is transposed before. Else None."""
    x, y, out = subscripts.replace("->", ",").split(",")
    if not len(x) == len(y) == len(out) == 2 or len(set(x)) < 2 or len(set(y)) < 2 or len({*x, *y}) != 3:
        return None
    (summed,) = set(x) & set(y)
    if summed in out or set(out) != {*x, *y} - {summed}:
        return None
    if out[0] in x:
        return False, x[0] == summed, y[1] == summed
    return True, x[1] == summed, y[0] == summed


def _bound(attrs: dict[str, Any]) -> Callable[..., Any]:
    """The kernel for these letters; a plain product of two matrices is torch's function, where it knows the dtype."""
    kernel: Callable[..., Any] = functools.partial(contract, **attrs)
    if _matrices(attrs["subscripts"]) != (False, False, False):
        return kernel
    return lambda x, y: torch.mm(x, y) if x.dtype in PLAIN else kernel(x, y)


contract.bind = _bound  # type: ignore[attr-defined]

KERNELS: dict[str, Callable[..., Any]] = {"contract": contract}
