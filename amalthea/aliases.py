"""TensorFlow's names for what exists here, so that `import amalthea as tf` runs existing code.

Most are ops under another name; a few take their arguments differently and are written out below. They are looked up
when they are first used, by `amalthea.__getattr__`.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any

from amalthea.core import dtypes

_SAME_OP = """
    abs acos acosh add asin asinh atan atan2 atanh broadcast_to cast ceil clip cond convert_to_tensor cos cosh
    cumprod cumsum divide einsum equal exp expand_dims expm1 eye floor full greater greater_equal
    is_tensor less less_equal linspace log log1p logical_and logical_not logical_or matmul maximum meshgrid minimum
    multiply negative not_equal ones ones_like outer power repeat reshape roll round rsqrt scan shape sigmoid sign sin
    sinh size sort sqrt square squeeze stack stop_gradient subtract switch tan tanh tensordot tile transpose unstack
    vectorized_map where while_loop zeros zeros_like"""
_OP_OF_NAME = {
    **{name: name for name in _SAME_OP.split()},
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
    "argsort": "argsort",
    "clip_by_value": "clip",
    "fill": "full",
    "floordiv": "floor_divide",
    "identity": "copy",
    "pow": "power",
    "range": "arange",
    "rank": "ndim",
    "reduce_all": "all",
    "reduce_any": "any",
    "reduce_logsumexp": "logsumexp",
    "reduce_max": "max",
    "reduce_mean": "mean",
    "reduce_min": "min",
    "reduce_prod": "prod",
    "reduce_std": "std",
    "reduce_sum": "sum",
    "reduce_variance": "var",
    "reverse": "flip",
    "truediv": "true_divide",
}
_DTYPES = """bfloat16 bool float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32
    uint64""".split()
_MATH = "bincount erf erfinv in_top_k log10 segment_max segment_sum softplus top_k".split()


def constant(value: Any, dtype: Any = None, shape: Sequence[int] | None = None, name: str | None = None) -> Any:
    """A tensor with this value, and if a shape is given, of that shape (a scalar fills it).

    >>> import amalthea as tf
    >>> tf.constant([1.0, 2.0]).numpy().tolist()
    [1.0, 2.0]
    """
    from amalthea import ops

    tensor = ops.convert_to_tensor(value, dtype=dtype)
    if shape is None:
        return tensor
    return ops.broadcast_to(tensor, shape) if tensor.size == 1 else ops.reshape(tensor, shape)


def concat(values: Any, axis: int = 0, name: str | None = None) -> Any:
    """Join tensors along an axis."""
    from amalthea import ops

    return ops.concatenate(values, axis=axis)


def split(value: Any, num_or_size_splits: Any, axis: int = 0, num: int | None = None, name: str | None = None) -> Any:
    """Cut a tensor into so many equal parts, or into parts of the given sizes.

    >>> import amalthea as tf
    >>> [part.shape for part in tf.split(tf.zeros((5, 2)), [2, 3])]
    [(2, 2), (3, 2)]
    """
    from amalthea import ops

    if isinstance(num_or_size_splits, int):
        return ops.split(value, num_or_size_splits, axis=axis)
    ends, total = [], 0
    for size in list(num_or_size_splits)[:-1]:
        total += int(size)
        ends.append(total)
    return ops.split(value, ends, axis=axis)


def gather(params: Any, indices: Any, axis: int = 0, name: str | None = None) -> Any:
    """The slices of `params` at `indices` along an axis."""
    from amalthea import ops

    return ops.take(params, indices, axis=axis)


def argmax(input: Any, axis: int = 0, output_type: Any = "int64", name: str | None = None) -> Any:
    """The positions of the largest values along an axis."""
    from amalthea import ops

    return ops.cast(ops.argmax(input, axis=axis), output_type)


def argmin(input: Any, axis: int = 0, output_type: Any = "int64", name: str | None = None) -> Any:
    """The positions of the smallest values along an axis."""
    from amalthea import ops

    return ops.cast(ops.argmin(input, axis=axis), output_type)


def one_hot(
    indices: Any,
    depth: int,
    on_value: Any = 1,
    off_value: Any = 0,
    axis: int = -1,
    dtype: Any = "float32",
    name: str | None = None,
) -> Any:
    """A vector of `depth` for each index, with `on_value` in its place and `off_value` elsewhere."""
    from amalthea import ops

    encoded = ops.one_hot(indices, depth, axis=axis, dtype=dtype)
    return encoded if (on_value, off_value) == (1, 0) else encoded * (on_value - off_value) + off_value


def pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0, name: str | None = None) -> Any:
    """Put values around a tensor; `paddings` is a pair (before, after) for each axis."""
    from amalthea import ops

    if mode.lower() == "constant":
        return ops.pad(tensor, paddings, mode="constant", constant_values=constant_values)
    return ops.pad(tensor, paddings, mode=mode.lower())


def assert_equal(x: Any, y: Any, message: str | None = None) -> None:
    """Raise ValueError unless all elements are equal (eagerly)."""
    from amalthea import ops

    if not bool(ops.all(ops.equal(x, y))):
        raise ValueError(f"[assert_equal] {message or 'the values differ'}. Received: {x!r} and {y!r}.")


_WRITTEN_OUT = {f.__name__: f for f in (constant, concat, split, gather, argmax, argmin, one_hot, pad, assert_equal)}


def find(name: str) -> Any:
    """What TensorFlow's top-level `name` stands for here; AttributeError if nothing."""
    if name in _WRITTEN_OUT:
        return _WRITTEN_OUT[name]
    if name in _DTYPES:
        return dtypes.standardize(name)
    if name == "math":
        return _math()
    if name == "newaxis":
        return None
    if name in _OP_OF_NAME:
        from amalthea import ops

        return getattr(ops, _OP_OF_NAME[name])
    raise AttributeError(name)


def _math() -> types.SimpleNamespace:
    """`tf.math`: the ops that TensorFlow has in it, by its names."""
    from amalthea import ops

    renamed = {**_OP_OF_NAME, **{name: name for name in _MATH}, "is_nan": "isnan", "is_finite": "isfinite"}
    found = {key: getattr(ops, value) for key, value in renamed.items() if hasattr(ops, value)}
    return types.SimpleNamespace(**found, argmax=argmax, argmin=argmin)


def names() -> list[str]:
    """All names that `find` knows."""
    return sorted({*_WRITTEN_OUT, *_DTYPES, *_OP_OF_NAME, "math", "newaxis"})
