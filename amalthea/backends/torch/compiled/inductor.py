"""Programs through `torch.compile`, which joins calls into loops of its own (`jit_compile=True`)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from amalthea.backends.torch import types
from amalthea.core.errors import UnsupportedError, fail

Run = Callable[..., list[Any]]


def compiled(run: Run) -> Run:
    """A function of torch calls as one graph of torch's compiler, which compiles it when it is first called.

    Raises UnsupportedError where programs for the processor are asked for and there is no C++ compiler.
    """
    if types.here.device.type == "cpu":
        _check_compiler()
    made: Run = torch.compile(run, fullgraph=True, dynamic=False)
    return made


@functools.cache
def _check_compiler() -> None:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except (InvalidCxxCompiler, RuntimeError) as error:
        fail(
            UnsupportedError,
            f"torch.compile needs a C++ compiler ({str(error).splitlines()[0]})",
            where="jit_compile=True",
            fix="install g++ or clang (the environment variable CXX names another one), or leave jit_compile out: "
            "programs then call torch's functions one by one",
        )
