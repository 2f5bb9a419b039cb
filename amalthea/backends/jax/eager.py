"""Kernels for single ops that eager code calls: each is one jitted program for its attributes.

A kernel of several calls of JAX would be as many programs, each compiled and started by itself; and a jitted function
is found and started in C++, faster than the Python around `jax.numpy`'s own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax

Kernel = Callable[..., Any]

KEPT = 1024
"""Programs of an op, by attributes; JAX keeps one for each set of shapes and dtypes behind each of them."""


def eager_kernel(kernel: Kernel, check: Kernel | None = None) -> Kernel:
    """The kernel of a primitive for eager calls.

    Args:
        kernel: the one that programs are traced from.
        check: called with the same arguments before; raises for values that a program cannot refuse.
    """
    plain = jax.jit(kernel)
    programs: dict[Any, Kernel] = {}

    def call(*arrays: Any, **attrs: Any) -> Any:
        if check is not None:
            check(*arrays, **attrs)
        if not attrs:
            return plain(*arrays)
        key = tuple([value or repr(value) for value in attrs.values()])  # 0, False, 0.0 and -0.0 would be equal keys
        program = programs.get(key)
        if program is None:
            if len(programs) >= KEPT:
                programs.clear()
            program = programs[key] = jax.jit(functools.partial(kernel, **attrs))
        return program(*arrays)

    return call
