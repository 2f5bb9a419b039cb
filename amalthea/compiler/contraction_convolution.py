"""Convolutions and their two gradients as contractions, on channels-last arrays.

A convolution needs no patches: a window's place and the place in the kernel are both axes of one affine address. What
is asked of the program is that borders exist: operands are padded beforehand (a loop that fuses with what made them).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd, prod

from amalthea.compiler.contraction import accumulator, contiguous
from amalthea.compiler.contraction_nest import Contraction, Epilogue, Strides
from amalthea.core.dtypes import DType

Ints = Sequence[int]


def convolution(
    x_shape: Ints,
    kernel_shape: Ints,
    dtype: DType,
    *,
    strides: Ints,
    dilation: Ints,
    groups: int = 1,
    epilogue: Epilogue | None = None,
) -> Contraction:
    """The convolution of a padded input.

    Args:
        x_shape: `(batch, *padded_sizes, channels)`.
        kernel_shape: `(*kernel_sizes, channels / groups, filters)`.
        dtype: of both.
        strides, dilation: for each spatial axis.
        groups: equal parts of channels and filters.
        epilogue: addressed over `([groups,] batch, *places, filters / groups)`; the axis of groups only where there
            is more than one.

    The output is `(batch, *places, filters)`.

    >>> from amalthea.core.dtypes import float32
    >>> c = convolution((8, 34, 34, 16), (3, 3, 16, 32), float32, strides=(1, 1), dilation=(1, 1))
    >>> c.rows, c.depth, c.columns
    ((8, 32, 32), (3, 3, 16), (32,))
    """
    size, (part, filters) = tuple(kernel_shape[:-2]), kernel_shape[-2:]
    places = windows(x_shape[1:-1], size, strides, dilation)
    x, k, out = contiguous(x_shape), contiguous(kernel_shape), contiguous((x_shape[0], *places, filters))
    over = groups > 1
    return Contraction(
        batch=(groups,) if over else (),
        rows=(x_shape[0], *places),
        columns=(filters // groups,),
        depth=(*size, part),
        x=Strides(
            (
                *((part,) if over else ()),
                x[0],
                *(step * s for step, s in zip(x[1:-1], strides, strict=True)),
                *(step * d for step, d in zip(x[1:-1], dilation, strict=True)),
                1,
            )
        ),
        y=Strides((*((filters // groups,) if over else ()), *k)),
        out=Strides((*((filters // groups,) if over else ()), *out)),
        dtype=dtype,
        accumulate=accumulator(dtype),
        epilogue=epilogue,
        result=accumulator(dtype) if dtype == "int8" else dtype,
    )


def convolution_kernel_gradient(
    x_shape: Ints,
    y_shape: Ints,
    kernel_size: Ints,
    dtype: DType,
    *,
    strides: Ints,
    dilation: Ints,
    groups: int = 1,
    epilogue: Epilogue | None = None,
) -> Contraction:
    """The gradient of a convolution in its kernel, from the padded input and the gradient of the output.

    Args:
        x_shape: `(batch, *padded_sizes, channels)`.
        y_shape: of the output's gradient, `(batch, *places, filters)`.
        kernel_size: of each spatial axis.
        dtype, strides, dilation, groups: as for `convolution`.
        epilogue: addressed over `([groups,] *kernel_size, channels / groups, filters / groups)`.

    The output is `(*kernel_size, channels / groups, filters)`.
    """
    part, filters = x_shape[-1] // groups, y_shape[-1]
    x, y, out = contiguous(x_shape), contiguous(y_shape), contiguous((*kernel_size, part, filters))
    over = groups > 1
    return Contraction(
        batch=(groups,) if over else (),
        rows=(*kernel_size, part),
        columns=(filters // groups,),
        depth=tuple(y_shape[:-1]),
        x=Strides(
            (
                *((part,) if over else ()),
                *(step * d for step, d in zip(x[1:-1], dilation, strict=True)),
                1,
                x[0],
                *(step * s for step, s in zip(x[1:-1], strides, strict=True)),
            )
        ),
        y=Strides((*((filters // groups,) if over else ()), *y)),
        out=Strides((*((filters // groups,) if over else ()), *out)),
        dtype=dtype,
        accumulate=accumulator(dtype),
        epilogue=epilogue,
    )


@dataclass(frozen=True)
class InputGradient:
    """The gradient of a convolution in its input.

    Attributes:
        padding: zeros that the output's gradient needs (before, after) each spatial axis.
        contractions: one for each phase of the strides; each writes its own elements of the output, together all.
    """

    padding: tuple[tuple[int, int], ...]
    contractions: tuple[Contraction, ...]


def convolution_input_gradient(
    y_shape: Ints,
    kernel_shape: Ints,
    input_size: Ints,
    dtype: DType,
    *,
    strides: Ints,
    padding: Sequence[tuple[int, int]],
    dilation: Ints,
    groups: int = 1,
    epilogue: Epilogue | None = None,
) -> InputGradient:
    """The gradient of a convolution in its (unpadded) input, from the padded gradient of its output and the kernel.

    An input element at i has met the kernel's place k in window p where `p * stride = i + before - k * dilation`. For
    the elements of one phase, `i = phase + stride * j`, only every so many k can do that, and p falls by a fixed amount
    from one such k to the next: an affine address. So strides cost nothing, where a dilated gradient would be mostly
    multiplications by zero.

    Args:
        y_shape: of the output's gradient *before* padding, `(batch, *places, filters)`.
        kernel_shape: `(*kernel_sizes, channels / groups, filters)`.
        input_size: the sizes of the input's spatial axes.
        dtype, strides, dilation, groups: as for `convolution`.
        padding: (before, after) each spatial axis of the input in the forward convolution; negative crops.
        epilogue: addressed over `([groups,] batch, *input_size, channels / groups)`.

    >>> from amalthea.core.dtypes import float32
    >>> found = convolution_input_gradient(
    ...     (8, 16, 16, 32), (3, 3, 16, 32), (32, 32), float32,
    ...     strides=(2, 2), padding=((0, 1), (0, 1)), dilation=(1, 1),
    ... )
    >>> found.padding, [c.depth for c in found.contractions]
    (((1, 0), (1, 0)), [(2, 2, 32), (2, 1, 32), (1, 2, 32), (1, 1, 32)])
    """
    size, (part, filters) = tuple(kernel_shape[:-2]), kernel_shape[-2:]
    per_axis = [
        _phases(*each)
        for each in zip(input_size, size, strides, (before for before, _ in padding), dilation, strict=True)
    ]
    needed = []
    for phases, places in zip(per_axis, y_shape[1:-1], strict=True):
        first = [p.window - (p.taps - 1) * p.fall for p in phases if p.taps]
        last = [p.window + p.count - 1 for p in phases if p.taps]
        needed.append((max(0, *(-f for f in first), 0), max(0, *(n - (places - 1) for n in last), 0)))
    padded = (y_shape[0], *(n + a + b for n, (a, b) in zip(y_shape[1:-1], needed, strict=True)), filters)
    y, k = contiguous(padded), contiguous(kernel_shape)
    over = groups > 1

    def one(phases: tuple[_Phase, ...]) -> Contraction:
        # Where every axis of the output is cut, its address and the epilogue's are those of the first element, with
        # the strides as factors of the steps.
        def cut(strides_: Strides) -> Strides:
            steps = list(strides_.steps)
            offset, lead = strides_.offset, len(steps) - len(phases) - 1
            for i, p in enumerate(phases):
                offset += p.first * steps[lead + i]
                steps[lead + i] *= p.stride
            return Strides(tuple(steps), offset)

        out = contiguous((y_shape[0], *input_size, part * groups))
        adapted = None
        if epilogue is not None:
            adapted = Epilogue(
                tuple((d, cut(s)) for d, s in epilogue.operands),
                epilogue.steps,
                tuple((v, d, cut(s)) for v, d, s in epilogue.results),
            )
        empty = not all(p.taps for p in phases)
        start = sum((p.window + a) * s for p, (a, _), s in zip(phases, needed, y[1:-1], strict=True))
        group_filters = filters // groups
        return Contraction(
            batch=(groups,) if over else (),
            rows=(y_shape[0], *(p.count for p in phases)),
            columns=(part,),
            depth=(*(p.taps for p in phases), group_filters),
            x=Strides(
                (
                    *((group_filters,) if over else ()),
                    *y[:-1],
                    *(-p.fall * s for p, s in zip(phases, y[1:-1], strict=True)),
                    1,
                ),
                0 if empty else start,
            ),
            y=Strides(
                (
                    *((group_filters,) if over else ()),
                    *(p.tap_step * s for p, s in zip(phases, k[:-2], strict=True)),
                    1,
                    k[-2],
                ),
                0 if empty else sum(p.tap * s for p, s in zip(phases, k[:-2], strict=True)),
            ),
            out=cut(Strides((*((part,) if over else ()), *out))),
            dtype=dtype,
            accumulate=accumulator(dtype),
            epilogue=adapted,
        )

    contractions = [one(phases) for phases in itertools.product(*per_axis)]
    return InputGradient(tuple(needed), tuple(c for c in contractions if prod(c.rows) * prod(c.columns)))


@dataclass(frozen=True)
class _Phase:
    """The elements `first + stride * j` of one input axis, for j < count.

    They meet the kernel's places `tap + tap_step * t`, for t < taps, in the windows `window + j - fall * t`.
    """

    first: int
    stride: int
    count: int
    tap: int
    tap_step: int
    taps: int
    window: int
    fall: int


def _phases(size: int, kernel: int, stride: int, before: int, dilation: int) -> list[_Phase]:
    found = []
    for first in range(min(stride, size)):
        taps = [k for k in range(kernel) if (first + before - k * dilation) % stride == 0]
        tap_step = stride // gcd(stride, dilation)
        window = (first + before - taps[0] * dilation) // stride if taps else 0
        count = -(-(size - first) // stride)
        fall = dilation * tap_step // stride
        found.append(_Phase(first, stride, count, taps[0] if taps else 0, tap_step, len(taps), window, fall))
    return found


def windows(sizes: Ints, kernel: Ints, strides: Ints, dilation: Ints) -> tuple[int, ...]:
    """The number of windows along each axis of a padded input."""
    return tuple(
        max((n - (k - 1) * d - 1) // s + 1, 0) for n, k, s, d in zip(sizes, kernel, strides, dilation, strict=True)
    )
