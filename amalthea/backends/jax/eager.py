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
    """The kernel of a primitive for eager calls; its `bind` gives the program for some attributes, a dict.

    Args:
        kernel: the one that programs are traced from.
        check: called with the same arguments before; raises for values that a program cannot refuse.
    """
    programs: dict[Any, Kernel] = {}

    def bind(attrs: dict[str, Any]) -> Kernel:
        key = tuple([value or repr(value) for value in attrs.values()])  # 0, False, 0.0 and -0.0 would be equal keys
        program = programs.get(key)
        if program is None:
            if len(programs) >= KEPT:
                programs.clear()
            made = jax.jit(functools.partial(kernel, **attrs) if attrs else kernel)
            program = programs[key] = made if check is None else _checked(made, functools.partial(check, **attrs))
        return program

    def call(*arrays: Any, **attrs: Any) -> Any:
        return bind(attrs)(*arrays)

    call.bind = bind  # type: ignore[attr-defined]
    return call


def _checked(program: Kernel, check: Kernel) -> Kernel:
    def call(*arrays: Any) -> Any:
        check(*arrays)
        return program(*arrays)

    return call
