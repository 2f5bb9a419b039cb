"""JAX kernels of the elementwise ops: mostly `jax.numpy`'s own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, fail


def cast(x: Any, dtype: str) -> Any:
    """Convert to a dtype."""
    if x.dtype.kind == "b" and dtypes.is_floating(dtype):
        one = np.ones((), dtypes.to_numpy(dtype))
        return jnp.where(x, one, one - one)  # of a converted bool XLA's CPU compiler takes 0 / 0 for 0
    return lax.convert_element_type(x, dtypes.to_numpy(dtype))


def view(x: Any, dtype: str) -> Any:
    """The same bits read as another dtype; where widths differ the last axis grows or shrinks."""
    wanted = dtypes.to_numpy(dtype)
    if "b" in (x.dtype.kind, wanted.kind):
        return x if x.dtype == wanted else x.astype(jnp.uint8).view(wanted) if x.dtype.kind == "b" else x != 0
    if wanted.itemsize > x.dtype.itemsize:
        x = x.reshape(*x.shape[:-1], -1, wanted.itemsize // x.dtype.itemsize)
    made = lax.bitcast_convert_type(x, wanted)
    return made.reshape(*x.shape[:-1], -1) if wanted.itemsize < x.dtype.itemsize else made


def _in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*xs: Any) -> Any:
        dtype = xs[0].dtype
        if dtype.itemsize > 2:
            return function(*xs)
        return function(*[x.astype(jnp.float32) for x in xs]).astype(dtype)

    return run


def _in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """XLA's own in float32 are right to five digits only where they are nearly 0 or 1."""
    return lambda x: function(x.astype(jnp.float64)).astype(x.dtype)


def erfinv(x: Any) -> Any:
    """The inverse of erf: XLA's, and where that is steep a step of Newton's method from there."""
    y, size = lax.erf_inv(x), jnp.abs(x)
    error = lax.erfc(jnp.abs(y)) - (1 - size)
    better = jnp.sign(y) * (jnp.abs(y) + error * (np.sqrt(np.pi) / 2) * jnp.exp(y * y))
    return jnp.where((size > 0.5) & jnp.isfinite(y), better, y)


def _check_power(x1: Any, x2: Any) -> None:
    if not jnp.issubdtype(x2.dtype, jnp.inexact) and (np.asarray(x2) < 0).any():
        fail(ArgumentError, "there are no negative integer powers of integers", where="power", fix="use floats")


KERNELS: dict[str, Callable[..., Any]] = {
    "negative": lambda x: jnp.negative(x),
    "abs": jnp.abs,
    "sign": jnp.sign,
    "exp": jnp.exp,
    "expm1": jnp.expm1,
    "log": jnp.log,
    "log1p": jnp.log1p,
    "sqrt": jnp.sqrt,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "erf": _in_float32(lax.erf),
    "erfc": _in_float64(lax.erfc),
    "erfinv": _in_float64(erfinv),
    "floor": jnp.floor,
    "round_half_even": jnp.rint,
    "isfinite": jnp.isfinite,
    "bitwise_not": jnp.invert,
    "add": jnp.add,
    "subtract": jnp.subtract,
    "multiply": jnp.multiply,
    "divide": jnp.true_divide,
    "floor_divide": jnp.floor_divide,
    "mod": jnp.remainder,
    "power": jnp.power,
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
    "arctan2": jnp.arctan2,
    "equal": jnp.equal,
    "less": jnp.less,
    "less_equal": jnp.less_equal,
    "bitwise_and": jnp.bitwise_and,
    "bitwise_or": jnp.bitwise_or,
    "bitwise_xor": jnp.bitwise_xor,
    "left_shift": jnp.left_shift,
    "right_shift": jnp.right_shift,
    "where": jnp.where,
    "cast": cast,
    "view": view,
    "stop_gradient": lambda variable: variable,
}

CHECKS: dict[str, Callable[..., Any]] = {"power": _check_power}
"""What eager calls look at before a program runs, which cannot refuse."""
