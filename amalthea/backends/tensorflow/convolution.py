"""TensorFlow kernels of the convolution primitives.

TensorFlow's CPU kernels know neither dilation with strides nor gradients of groups: kernels are spread by zeros, and
groups are computed one by one, but for depthwise convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from amalthea.backends.tensorflow.shaping import constant_pad
from amalthea.backends.tensorflow.types import in_float32

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def padded(x: Any, padding: Sequence[tuple[int, int]], value: float = 0) -> Any:
    """`x` (batch, *sizes, channels) with (before, after) elements added to the inner axes; negatives crop."""
    low, high = [0, *(lo for lo, _ in padding), 0], [0, *(hi for _, hi in padding), 0]
    return constant_pad(x, tuple(low), tuple(high), (0,) * len(low), value)


def _spread(kernel: Any, dilation: Ints) -> Any:
    if max(dilation) == 1:
        return kernel
    zeros = (0,) * (len(dilation) + 2)
    return constant_pad(kernel, zeros, zeros, (*(d - 1 for d in dilation), 0, 0), 0)


def _flat(function: Callable[..., Any]) -> Callable[..., Any]:
    """One-dimensional convolutions as two-dimensional ones of height 1; integers in float64."""

    def run(a: Any, b: Any, *, padding: Pairs, strides: Ints, dilation: Ints, groups: int, **sizes: Ints) -> Any:
        kind = a.dtype
        if not kind.is_floating:
            a, b = tf.cast(a, tf.float64), tf.cast(b, tf.float64)
        if len(strides) > 1:
            made = function(a, b, padding=padding, strides=strides, dilation=dilation, groups=groups, **sizes)
        else:
            # an array is (batch, 1, size, channels), a kernel (1, size, channels, filters)
            first = tf.expand_dims(a, 1)
            second = tf.expand_dims(b, 1 if function is _kernel_gradient else 0)
            grown = {name: (1, *size) for name, size in sizes.items()}
            made = function(
                first,
                second,
                padding=((0, 0), *padding),
                strides=(1, *strides),
                dilation=(1, *dilation),
                groups=groups,
                **grown,
            )
            made = tf.squeeze(made, 0 if function is _kernel_gradient else 1)
        return made if made.dtype == kind else tf.cast(made, kind)

    return run


def _full(strides: Ints) -> list[int]:
    return [1, *strides, 1]


def _parts(x: Any, groups: int) -> list[Any]:
    return tf.split(x, groups, axis=-1)


def _same(size: Sequence[int], window: Sequence[int], strides: Ints, padding: Pairs) -> bool:
    """Whether the padding is what TensorFlow calls "SAME"; it adds such padding without a copy of the input."""
    for n, k, s, (low, high) in zip(size, window, strides, padding, strict=True):
        whole = max((-(-n // s) - 1) * s + k - n, 0)
        if (low, high) != (whole // 2, whole - whole // 2):
            return False
    return True


def _convolution(x: Any, kernel: Any, *, strides: Ints, padding: Pairs, dilation: Ints, groups: int) -> Any:
    kernel = _spread(kernel, dilation)
    if not x.shape[0]:  # TensorFlow would give a wrong shape
        sizes = [n + sum(p) for n, p in zip(x.shape[1:-1], padding, strict=True)]
        places = [(n - k) // s + 1 for n, k, s in zip(sizes, kernel.shape[:-2], strides, strict=True)]
        return tf.zeros((0, *places, kernel.shape[-1]), x.dtype)
    same = _same(x.shape[1:-1], kernel.shape[:-2], strides, padding)
    x, how = (x, "SAME") if same else (padded(x, padding), "VALID")
    call = tf.nn.conv2d if len(strides) == 2 else tf.nn.conv3d
    if groups == 1:
        return call(x, kernel, _full(strides), how)
    made = [call(a, b, _full(strides), how) for a, b in zip(_parts(x, groups), _parts(kernel, groups), strict=True)]
    return tf.concat(made, -1)


def _input_part(y: Any, kernel: Any, full: Sequence[int], strides: Ints, how: str) -> Any:
    shape = [y.shape[0], *full, kernel.shape[-2]]
    if len(strides) == 2:
        return tf.raw_ops.Conv2DBackpropInput(
            input_sizes=shape, filter=kernel, out_backprop=y, strides=_full(strides), padding=how
        )
    return tf.raw_ops.Conv3DBackpropInputV2(
        input_sizes=shape, filter=kernel, out_backprop=y, strides=_full(strides), padding=how
    )


def _input_gradient(
    y: Any, kernel: Any, *, input_size: Ints, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    kernel = _spread(kernel, dilation)
    same = _same(input_size, kernel.shape[:-2], strides, padding)
    if same:
        full, how = list(input_size), "SAME"
    else:
        full, how = [n + lo + hi for n, (lo, hi) in zip(input_size, padding, strict=True)], "VALID"
    made = [
        _input_part(a, b, full, strides, how) for a, b in zip(_parts(y, groups), _parts(kernel, groups), strict=True)
    ]
    whole = made[0] if groups == 1 else tf.concat(made, -1)
    return whole if same else padded(whole, [(-lo, -hi) for lo, hi in padding])


def _kernel_part(x: Any, y: Any, size: Sequence[int], strides: Ints, how: str) -> Any:
    shape = [*size, x.shape[-1], y.shape[-1]]
    if how == "VALID":  # what no window covers must go: TensorFlow wants the sizes to fit exactly
        used = [(n - 1) * s + k for n, s, k in zip(y.shape[1:-1], strides, size, strict=True)]
        x = x[(slice(None), *(slice(0, n) for n in used))]
    if len(strides) == 2:
        return tf.raw_ops.Conv2DBackpropFilter(
            input=x, filter_sizes=shape, out_backprop=y, strides=_full(strides), padding=how
        )
    return tf.raw_ops.Conv3DBackpropFilterV2(
        input=x, filter_sizes=shape, out_backprop=y, strides=_full(strides), padding=how
    )


def _kernel_gradient(
    x: Any, y: Any, *, kernel_size: Ints, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    size = [(k - 1) * d + 1 for k, d in zip(kernel_size, dilation, strict=True)]
    same = _same(x.shape[1:-1], size, strides, padding)
    x, how = (x, "SAME") if same else (padded(x, padding), "VALID")
    made = [_kernel_part(a, b, size, strides, how) for a, b in zip(_parts(x, groups), _parts(y, groups), strict=True)]
    whole = made[0] if groups == 1 else tf.concat(made, -1)
    return whole[tuple(slice(None, None, d) for d in dilation)]


KERNELS: dict[str, Callable[..., Any]] = {
    "convolution": in_float32(_flat(_convolution)),
    "conv_input_gradient": in_float32(_flat(_input_gradient)),
    "conv_kernel_gradient": in_float32(_flat(_kernel_gradient)),
}
