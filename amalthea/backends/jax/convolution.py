"""JAX kernels of the convolution primitives: XLA's convolution and its two transposes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def _convolve(x: Any, kernel: Any, strides: Ints, padding: Pairs, dilation: Ints, groups: int) -> Any:
    letters = "DHW"[3 - len(strides) :]
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
        feature_group_count=groups,
    )


def _wide(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute in float32 what is shorter, and integers in float64, where XLA's convolution has no integers."""

    def run(a: Any, b: Any, **attrs: Any) -> Any:
        dtype = a.dtype
        if jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize == 2:
            return function(a.astype(jnp.float32), b.astype(jnp.float32), **attrs).astype(dtype)
        if not jnp.issubdtype(dtype, jnp.floating):
            return function(a.astype(jnp.float64), b.astype(jnp.float64), **attrs).astype(dtype)
        return function(a, b, **attrs)

    return run


@_wide
def convolution(x: Any, kernel: Any, *, strides: Ints, padding: Pairs, dilation: Ints, groups: int) -> Any:
    """The convolution of (batch, *sizes, channels) with (*kernel_sizes, channels / groups, filters)."""
    return _convolve(x, kernel, strides, padding, dilation, groups)


@_wide
def conv_input_gradient(
    y: Any, kernel: Any, *, input_size: Ints, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    """What a convolution's output gradient gives for its input."""
    x = jax.ShapeDtypeStruct((y.shape[0], *input_size, kernel.shape[-2] * groups), y.dtype)
    return jax.linear_transpose(lambda v: _convolve(v, kernel, strides, padding, dilation, groups), x)(y)[0]


@_wide
def conv_kernel_gradient(
    x: Any, y: Any, *, kernel_size: Ints, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    """What a convolution's output gradient gives for its kernel."""
    kernel = jax.ShapeDtypeStruct((*kernel_size, x.shape[-1] // groups, y.shape[-1]), x.dtype)
    return jax.linear_transpose(lambda k: _convolve(x, k, strides, padding, dilation, groups), kernel)(y)[0]


KERNELS: dict[str, Callable[..., Any]] = {
    "convolution": convolution,
    "conv_input_gradient": conv_input_gradient,
    "conv_kernel_gradient": conv_kernel_gradient,
}
