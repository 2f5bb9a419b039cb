"""`Input` and `InputLayer`: where data enter a model."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from amalthea.core import dtypes
from amalthea.core.context import eager_scope
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import KerasTensor
from amalthea.nn.layer import Layer
from amalthea.nn.registry import public

Shape = Sequence[int | None]


@public("keras.layers.InputLayer")
class InputLayer(Layer):
    """The layer behind `Input`: it has no computation, and its `output` is the symbolic tensor.

    Args:
        shape: the shape of one sample, without the batch axis; None for axes of any size.
        batch_size: the size of the batch axis; None is any size.
        dtype: the dtype that data are cast to; default `floatx()`.
        batch_shape: the whole shape, in place of `shape` and `batch_size`.
        input_tensor: a `KerasTensor` to stand for, instead of a new one.
        optional: whether None may be passed for this input.
        name: the key of this input in dicts of data; made up if None.

    Raises:
        ValueError: shapes are missing or contradict each other; `sparse` or `ragged` is asked for.

    >>> import amalthea as am
    >>> am.layers.InputLayer(shape=(32,)).output.shape
    (None, 32)
    """

    def __init__(
        self,
        shape: Shape | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Shape | None = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name)
        if "input_shape" in kwargs:
            warnings.warn("[InputLayer] `input_shape` is the old name. Fix: use `shape`.", stacklevel=2)
            shape = kwargs.pop("input_shape")
        if "batch_input_shape" in kwargs:
            batch_shape = kwargs.pop("batch_input_shape")
        if kwargs:
            fail(ArgumentError, f"unknown arguments {sorted(kwargs)}", where="Input", fix="leave them out")
        if sparse or ragged:
            fail(
                ArgumentError,
                "sparse and ragged inputs are not supported",
                where="Input",
                received=f"sparse={sparse}, ragged={ragged}",
                fix="pass dense arrays, padded to one length",
            )
        if input_tensor is not None:
            batch_shape, dtype = _given(input_tensor, shape, batch_size, batch_shape, dtype)
        elif batch_shape is None:
            if shape is None:
                fail(
                    ArgumentError,
                    "an input needs a shape",
                    where="Input",
                    fix="pass `shape`, the shape of one sample: Input(shape=(28, 28, 1))",
                )
            batch_shape = (batch_size, *checked_shape(shape))
        elif shape is not None or batch_size is not None:
            fail(
                ArgumentError,
                "`batch_shape` is the whole shape, so `shape` and `batch_size` cannot be given with it",
                where="Input",
                received=f"shape={shape}, batch_size={batch_size}, batch_shape={batch_shape}",
                fix="pass either `batch_shape` or the other two",
            )
        self._batch_shape = checked_shape(batch_shape)
        self._dtype = dtypes.standardize(dtype)
        self.sparse = False
        self.ragged = False
        self.optional = optional
        with eager_scope():  # an input belongs to no trace
            self._record(((), {}), TensorSpec(self._batch_shape, self._dtype, self.name))
        self.built = True

    def call(self) -> None:
        """An input computes nothing."""

    @property
    def batch_shape(self) -> tuple[int | None, ...]:
        """The shape, batch axis included."""
        return self._batch_shape

    @property
    def dtype(self) -> dtypes.DType:
        """The dtype that data are cast to."""
        return self._dtype

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {
            "batch_shape": self.batch_shape,
            "dtype": str(self.dtype),
            "sparse": self.sparse,
            "ragged": self.ragged,
            "name": self.name,
            "optional": self.optional,
        }


def checked_shape(shape: Any) -> tuple[int | None, ...]:
    """The shape as a tuple; an error for what is no shape."""
    if isinstance(shape, int):
        fail(
            ArgumentError,
            "a shape is a tuple",
            where="Input",
            received=f"shape={shape!r}",
            fix=f"write ({shape},) with a comma",
        )
    try:
        sizes = tuple(None if size is None else int(size) for size in shape)
    except (TypeError, ValueError):
        sizes = (-1,)
    if any(size is not None and size < 0 for size in sizes):
        fail(
            ArgumentError,
            "a shape is a tuple of non-negative whole numbers, and None for axes of any size",
            where="Input",
            received=f"shape={shape!r}",
            fix="for example shape=(28, 28, 1) or shape=(None, 64)",
        )
    return sizes


def _given(
    tensor: Any, shape: Shape | None, batch_size: int | None, batch_shape: Shape | None, dtype: Any
) -> tuple[Shape, Any]:
    """The shape and dtype of a tensor that is to be the input; the other arguments may not contradict it."""
    if not isinstance(tensor, KerasTensor):
        fail(
            ArgumentError,
            "`tensor` must be a KerasTensor",
            where="Input",
            received=f"{tensor!r} (of type {type(tensor).__name__})",
            fix="pass the output of a layer that was called on an Input",
        )
    wanted = {
        "batch_size": (batch_size, tensor.shape[:1] and tensor.shape[0]),
        "shape": (shape and tuple(shape), tensor.shape[1:]),
        "batch_shape": (batch_shape and tuple(batch_shape), tensor.shape),
        "dtype": (dtype and dtypes.standardize(dtype), tensor.dtype),
    }
    for name, (given, found) in wanted.items():
        if given is not None and given != found:
            fail(
                ArgumentError,
                f"`{name}` contradicts the tensor that is given",
                where="Input",
                received=f"{name}={given} for {tensor!r}",
                fix=f"leave `{name}` out",
            )
    return tensor.shape, tensor.dtype


@public("keras.Input", "keras.layers.Input")
def Input(
    shape: Shape | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Shape | None = None,
    name: str | None = None,
    tensor: KerasTensor | None = None,
    optional: bool = False,
) -> KerasTensor:
    """A symbolic tensor that stands for one input of a model.

    Layers and ops that are called on it are recorded instead of computed; `Model(inputs, outputs)` makes a model of the
    record.

    Args:
        shape: the shape of one sample, without the batch axis; None for axes of any size.
        batch_size: the size of the batch axis; None is any size.
        dtype: the dtype that data are cast to; default `floatx()`.
        batch_shape: the whole shape, in place of `shape` and `batch_size`.
        name: the key of this input in dicts of data; made up if None.
        tensor: a `KerasTensor` to use as it is, instead of making a new one.
        optional: whether None may be passed for this input.

    Returns:
        A `KerasTensor` of shape (batch, *shape). `sparse` and `ragged` are refused.

    Raises:
        ValueError: shapes are missing or contradict each other.

    >>> import amalthea as am
    >>> x = am.Input((3,))
    >>> model = am.Model(x, am.layers.Dense(2)(x))
    >>> model.output_shape
    (None, 2)
    """
    layer = InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        sparse=sparse,
        ragged=ragged,
        batch_shape=batch_shape,
        input_tensor=tensor,
        optional=optional,
        name=name,
    )
    return tensor if tensor is not None else layer.output
