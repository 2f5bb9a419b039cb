"""Runs generated contraction kernels on NumPy arrays that end where readable memory ends."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import sys
from collections.abc import Sequence
from math import prod

import numpy as np

from amalthea.compiler.contraction import Contraction, Generated, Tiling, generate
from amalthea.compiler.contraction_nest import Strides
from amalthea.compiler.engine import Loaded, compile_module
from amalthea.compiler.target import Target
from amalthea.core import dtypes

_LOADED: list[Loaded] = []
_PAGE = mmap.PAGESIZE
_KEPT: list = []


def functions(generated: Generated, target: Target) -> list:
    """The kernels as callables `f(*pointers, lo, hi)`."""
    declarations = set().union(*(kernel.declarations for kernel in generated.kernels))
    loaded = compile_module([kernel.text for kernel in generated.kernels], sorted(declarations), target)
    _LOADED.append(loaded)
    made = []
    for kernel, arguments in zip(generated.kernels, generated.arguments, strict=True):
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(arguments), ctypes.c_int64, ctypes.c_int64)
        made.append(kind(loaded.address(kernel.name)))
    return made


def guarded(values: np.ndarray, at_end: bool) -> np.ndarray:
    """A copy that begins or ends at a page that cannot be touched."""
    if not sys.platform.startswith("linux"):
        return values.copy()
    pages = -(-max(values.nbytes, 1) // _PAGE)
    memory = mmap.mmap(-1, (pages + 2) * _PAGE)
    _KEPT.append(memory)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (0, pages + 1):
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(base + page * _PAGE), ctypes.c_size_t(_PAGE), 0) == 0
    offset = _PAGE + (pages * _PAGE - values.nbytes if at_end else 0)
    copy = np.frombuffer(memory, values.dtype, values.size, offset).reshape(values.shape)
    copy[...] = values
    return copy


def extent_of(strides: Strides, sizes: Sequence[int]) -> int:
    """Elements of the smallest array that holds all addresses."""
    if not all(sizes):
        return strides.offset + 1
    return 1 + strides.offset + sum((n - 1) * max(step, 0) for n, step in zip(sizes, strides.steps, strict=True))


def seen(array: np.ndarray, strides: Strides, sizes: Sequence[int]) -> np.ndarray:
    """The array as its address sees it."""
    steps = [step * array.itemsize for step in strides.steps]
    return np.lib.stride_tricks.as_strided(array.reshape(-1)[strides.offset :], tuple(sizes), steps)


def values_of(size: int, dtype: str, seed: int) -> np.ndarray:
    """Small whole numbers for integers, normal ones for floats."""
    r = np.random.default_rng(seed)
    if dtypes.is_floating(dtype):
        return r.normal(size=size).astype(dtypes.to_numpy(dtype))
    return r.integers(0 if dtype.startswith("u") else -100, 100, size).astype(dtypes.to_numpy(dtype))


def run(
    generated: Generated,
    target: Target,
    arrays: dict[str, np.ndarray],
    splits: Sequence[float] = (),
) -> None:
    """Run all kernels on the arrays, each with its index cut at the given fractions of its extent."""
    memory = dict(arrays)
    for i, size in enumerate(generated.scratch):
        memory[f"scratch{i}"] = guarded(np.full(size // 4, np.nan, np.float32), True)
    for f, kernel, names in zip(functions(generated, target), generated.kernels, generated.arguments, strict=True):
        pointers = [memory[name].ctypes.data for name in names]
        cuts = sorted({0, kernel.extent, *(int(kernel.extent * s) for s in splits)})
        for lo, hi in list(itertools.pairwise(cuts))[::-1]:
            f(*pointers, lo, hi)


def reference(c: Contraction, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The sums by einsum, in float64 or the accumulator's integers."""
    wide = np.float64 if c.accumulate.is_floating else dtypes.to_numpy(c.accumulate)
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    b, m, k, n = ("".join(next(letters) for _ in sizes) for sizes in (c.batch, c.rows, c.depth, c.columns))
    return np.einsum(
        f"{b}{m}{k},{b}{k}{n}->{b}{m}{n}",
        seen(x, c.x, c.batch + c.rows + c.depth).astype(wide),
        seen(y, c.y, c.batch + c.depth + c.columns).astype(wide),
        optimize=True,
    )


def computed(
    c: Contraction,
    target: Target,
    splits: Sequence[float] = (),
    at_end: bool = True,
    tiling: Tiling | None = None,
    generated: Generated | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What the kernels give and what is right, over batch + rows + columns."""
    x = guarded(values_of(extent_of(c.x, c.batch + c.rows + c.depth), str(c.dtype), 1), at_end)
    y = guarded(values_of(extent_of(c.y, c.batch + c.depth + c.columns), str(c.dtype), 2), at_end)
    sizes = c.batch + c.rows + c.columns
    out = guarded(np.full(extent_of(c.out, sizes), 77, dtypes.to_numpy(c.result_dtype)), at_end)
    run(generated or generate(c, target, tiling=tiling), target, {"x": x, "y": y, "out0": out}, splits)
    written = np.zeros(out.size, bool)
    seen(written, c.out, sizes)[...] = True
    assert np.all(out[~written] == 77), "wrote outside of the output"
    return seen(out, c.out, sizes), reference(c, x, y)


def check(c: Contraction, target: Target, **options: object) -> None:
    """Compare with einsum, within the rounding of the output and of a sum of that length."""
    got, right = computed(c, target, **options)  # type: ignore[arg-type]
    if not c.accumulate.is_floating:
        np.testing.assert_array_equal(got, right.astype(got.dtype))
        return
    eps = {"float64": 2e-16, "float32": 1e-7, "float16": 1e-3, "bfloat16": 8e-3}[str(c.result_dtype)]
    sums = {"float64": 2e-16, "float32": 1e-7}[str(c.accumulate)] * 4 * max(prod(c.depth), 1)
    np.testing.assert_allclose(got.astype(np.float64), right, rtol=eps, atol=sums + eps)
