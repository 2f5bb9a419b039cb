"""Classes as vectors."""

from __future__ import annotations

from typing import Any

from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, DTypeError, fail
from amalthea.core.op import composite, export
from amalthea.core.tensor import Tensor
from amalthea.ops.core_ops import cast
from amalthea.ops.creation import arange
from amalthea.ops.reductions import max as reduce_max
from amalthea.ops.samples import integers
from amalthea.ops.shaping import expand_dims, reshape
from amalthea.ops.specs import count, normal_axis


def _whole(x: Tensor, name: str) -> Tensor:
    if dtypes.is_floating(x.dtype):
        fail(
            DTypeError,
            f"`{name}` must be whole numbers",
            received=f"{name} of dtype {x.dtype}",
            fix="cast to 'int32' first",
        )
    return x


def _no_sparse(sparse: bool) -> None:
    if sparse:
        fail(ArgumentError, "sparse tensors are not supported", received="sparse=True", fix="leave `sparse` out")


@composite(
    samples=lambda: [
        ((integers(3, low=0, high=4), 4), {}),
        ((integers(2, 3, low=-1, high=4), 3), {"axis": 1, "dtype": "int32"}),
    ]
)
def one_hot(x: Tensor, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Tensor:
    """Vectors with 1 at the place of the class and 0 elsewhere.

    Args:
        x: Classes, whole numbers; one that is not in [0, num_classes) gives zeros only.
        num_classes: The number of classes.
        axis: Where the new axis goes, the last by default.
        dtype: The dtype of the result; None: `am.config.floatx()`.
        sparse: Only False is supported.

    Returns:
        A tensor with an axis of size `num_classes` more than `x`.

    Raises:
        DTypeError: If `x` is floating.

    Example:

    >>> import amalthea as am
    >>> am.ops.one_hot([0, 2], 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    _no_sparse(sparse)
    num_classes = count(num_classes, "num_classes")
    x = cast(_whole(x, "x"), "int32") if x.dtype == "bool" else _whole(x, "x")
    axis = normal_axis(axis, len(x.shape) + 1)
    classes = reshape(arange(num_classes, dtype=x.dtype), (num_classes, *(1,) * (len(x.shape) - axis)))
    return cast(expand_dims(x, axis) == classes, dtypes.standardize(dtype))


@composite(
    name="multi_hot",
    samples=lambda: [((integers(3, low=0, high=4), 4), {}), ((integers(2, 3, low=-1, high=4), 4), {})],
)
def _multi_hot(inputs: Tensor, num_classes: int, axis: int = -1, dtype: Any = None) -> Tensor:
    """`ops.multi_hot`, without the arguments that Keras keeps from its past."""
    inputs = _whole(inputs, "inputs")
    rank = len(inputs.shape)
    # Keras takes the maximum over axis 1 of the one-hot vectors, whichever axis the classes are on
    return reduce_max(one_hot(inputs, num_classes, axis=axis, dtype=dtype), axis=1 if rank > 1 else 0)


def multi_hot(
    inputs: Any,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: Any = None,
    sparse: bool = False,
    **kwargs: Any,
) -> Tensor:
    """One vector for each row of classes, with 1 at the place of each class in it.

    Args:
        inputs: Classes, whole numbers, `(batch, classes)` or `(classes,)`; those outside [0, num_classes) count not.
        num_classes: The number of classes.
        axis: Where the axis of classes goes, the last by default.
        dtype: The dtype of the result; None: `am.config.floatx()`.
        sparse: Only False is supported.
        **kwargs: `num_tokens`, a former name of `num_classes`.

    Returns:
        A tensor `(batch, num_classes)` or `(num_classes,)`.

    Raises:
        ArgumentError: If `num_classes` is missing.

    Example:

    >>> import amalthea as am
    >>> am.ops.multi_hot([[0, 2], [1, 1]], 3).tolist()
    [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    _no_sparse(sparse)
    if num_classes is None:
        num_classes = kwargs.pop("num_tokens", None)
    if num_classes is None or kwargs:
        received = ", ".join(sorted(kwargs)) or "num_classes=None"
        fail(ArgumentError, "`num_classes` is needed", where="multi_hot", received=received, fix="pass num_classes")
    return _multi_hot(inputs, num_classes, axis=axis, dtype=dtype)


export(__name__)
