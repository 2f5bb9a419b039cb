"""NumPy kernel of `contract`: transposed views, merged axes and one (batched) matrix product."""

from __future__ import annotations

import functools
from collections.abc import Callable
from math import prod
from typing import NamedTuple

import numpy as np

_NARROW = (np.dtype("float16"),)  # summed in float32: NumPy has no fast product for them, and Keras rounds once


class Plan(NamedTuple):
    """How the axes of two operands are ordered as (batch, free, summed) and (batch, summed, free)."""

    x_order: tuple[int, ...] | None  # None where the operand is in order already
    y_order: tuple[int, ...] | None
    out_order: tuple[int, ...] | None
    batch: int
    x_free: int
    y_free: int
    summed: int
    is_matmul: bool  # it is what np.matmul does to the operands as they are


@functools.lru_cache(maxsize=4096)
def plan_of(subscripts: str) -> Plan:
    operands, out = subscripts.split("->")
    x, y = operands.split(",")
    batch = [c for c in out if c in x and c in y]
    x_free = [c for c in out if c in x and c not in y]
    y_free = [c for c in out if c in y and c not in x]
    summed = [c for c in x if c not in out]

    def order(term: str, letters: list[str]) -> tuple[int, ...] | None:
        axes = tuple(term.index(c) for c in letters)
        return None if axes == tuple(range(len(axes))) else axes

    orders = (
        order(x, batch + x_free + summed),
        order(y, batch + summed + y_free),
        order("".join(batch + x_free + y_free), list(out)),
    )
    counts = (len(batch), len(x_free), len(y_free), len(summed))
    return Plan(*orders, *counts, orders == (None, None, None) and counts[1:] == (1, 1, 1))


def contract(x: np.ndarray, y: np.ndarray, *, subscripts: str) -> np.ndarray:
    plan = plan_of(subscripts)
    dtype = x.dtype
    if plan.is_matmul and dtype.char in "fd":
        return np.matmul(x, y)
    if dtype in _NARROW or dtype.kind == "V":  # bfloat16 and the like are of kind V
        return contract(x.astype(np.float32), y.astype(np.float32), subscripts=subscripts).astype(dtype)
    if plan.x_order is not None:
        x = x.transpose(plan.x_order)
    if plan.y_order is not None:
        y = y.transpose(plan.y_order)
    n, i, k, j = plan.batch, plan.x_free, plan.summed, plan.y_free
    batch, rows, columns = x.shape[:n], x.shape[n : n + i], y.shape[n + k :]
    if not k:  # nothing to sum: a plain product
        out = np.multiply(x.reshape(batch + rows + (1,) * j), y.reshape(batch + (1,) * i + columns))
    else:
        if i != 1 or k != 1:
            x = x.reshape((*batch, prod(rows), prod(x.shape[n + i :])))
        if j != 1 or k != 1:
            y = y.reshape((*batch, prod(y.shape[n : n + k]), prod(columns)))
        out = np.matmul(_for_blas(x), _for_blas(y))
        if i != 1 or j != 1:
            out = out.reshape(batch + rows + columns)
    return out if plan.out_order is None else out.transpose(plan.out_order)


def _for_blas(x: np.ndarray) -> np.ndarray:
    """BLAS takes a matrix with unit stride on either of the last axes; otherwise NumPy would fall to a slow loop."""
    row, column = x.strides[-2:]
    return x if row == x.itemsize or column == x.itemsize else np.ascontiguousarray(x)


KERNELS: dict[str, Callable] = {"contract": contract}
