"""Conversions between tensors, arrays and dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from amalthea.core import dtypes
from amalthea.core.custom_gradient import custom_gradient as custom_gradient
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.op import composite, export, nondifferentiable, primitive
from amalthea.core.tensor import Operand, Tensor, as_tensor
from amalthea.ops.elementwise import clip
from amalthea.ops.samples import integers, values
from amalthea.ops.specs import tensor_of


def _dtype_attr(x: Any, dtype: Any) -> dict[str, Any]:
    return {"dtype": dtypes.standardize(dtype)}


def _cast_gradient(g: Tensor, out: Tensor, x: Tensor, dtype: Any) -> Tensor | None:
    return cast(g, x.dtype) if dtypes.is_floating(x.dtype) and dtypes.is_floating(dtype) else None


@primitive(
    gradient=(_cast_gradient,),
    normalize=_dtype_attr,
    samples=lambda: [
        ((values(2, 3), "float64"), {}),
        ((values(2, 3), "int32"), {}),
        ((values(2, 3), "bool"), {}),
        ((integers(3), "bfloat16"), {}),
        ((values(3) > 0, "float32"), {}),
    ],
)
def cast(x: Tensor, dtype: Any) -> Tensor:
    """x in another dtype. Floating values go to integers towards zero, and to bool by being nonzero.

    What an integer dtype cannot hold becomes its nearest end and NaN 0, on `native`, `numpy` and `jax`; PyTorch and
    TensorFlow leave it open.

    The gradient passes between floating dtypes and is none through integers and bools.

    >>> import amalthea as am
    >>> am.ops.cast([1.7, -1.7], "int32").tolist()
    [1, -1]
    """
    return tensor_of(x.shape, dtype)


@composite(samples=lambda: [(([-1.5, 2.0, 300.0], "uint8"), {}), ((integers(3, low=-200, high=200), "int8"), {})])
def saturate_cast(x: Tensor, dtype: Any) -> Tensor:
    """x in another dtype, with values outside its range set to the nearest end of it.

    >>> import amalthea as am
    >>> am.ops.saturate_cast([-1.0, 300.0], "uint8").tolist()
    [0, 255]
    """
    wanted = dtypes.standardize(dtype)
    if wanted == "bool":
        return clip(x, 0, 1).astype(wanted)
    low, high = _range(wanted)
    from_low, from_high = _range(x.dtype)
    if low <= from_low and high >= from_high:
        return x.astype(wanted)
    low, high = max(low, from_low), min(high, from_high)
    if dtypes.is_floating(x.dtype) and dtypes.is_integer(wanted):
        # The greatest integer may round up, out of range, in x's dtype.
        held = np.asarray(high, dtypes.to_numpy(x.dtype))
        if float(held) > high:
            high = float(np.nextafter(held, np.zeros_like(held)))
    return clip(x, low, high).astype(wanted)


def _range(dtype: dtypes.DType) -> tuple[float, float]:
    if dtype == "bool":
        return 0, 1
    if dtypes.is_integer(dtype):
        info = np.iinfo(dtypes.to_numpy(dtype))
        return int(info.min), int(info.max)
    limits = dtypes.float_limits(dtype)
    return limits.low, limits.high


def _view_spec(x: Any, dtype: Any) -> dict[str, Any]:
    return {"dtype": dtypes.standardize(dtype or x.dtype)}


@primitive(
    gradient=nondifferentiable,
    normalize=_view_spec,
    samples=lambda: [((values(2, 3).astype("float32"), "int32"), {}), ((integers(2, 4).astype("uint8"), "uint32"), {})],
)
def view(x: Tensor, dtype: Any = None) -> Tensor:
    """The bits of x read as another dtype. Where its width differs, the last axis shrinks or grows accordingly.

    >>> import amalthea as am
    >>> am.ops.view(am.ops.convert_to_tensor([1.0], "float32"), "int32").tolist()
    [1065353216]
    """
    width, wanted = dtypes.to_numpy(x.dtype).itemsize, dtypes.to_numpy(dtype).itemsize
    shape = x.shape
    if width != wanted:
        if not shape or shape[-1] * width % wanted:
            fail(
                ShapeError,
                f"a last axis of {x.dtype} cannot be read as {dtype}",
                received=f"x of shape {shape}",
                fix="make the bytes of the last axis a multiple of the new width",
            )
        shape = (*shape[:-1], shape[-1] * width // wanted)
    return tensor_of(shape, dtype)


@primitive(gradient=nondifferentiable, samples=lambda: [((values(2, 3),), {})])
def stop_gradient(variable: Tensor) -> Tensor:
    """The input itself, as a constant to gradients.

    >>> import amalthea as am
    >>> am.ops.stop_gradient([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """
    return tensor_of(variable.shape, variable.dtype)


@composite(samples=lambda: [((values(2, 3),), {})])
def copy(x: Tensor) -> Tensor:
    """The same values; tensors never change, so nothing has to be copied.

    >>> import amalthea as am
    >>> am.ops.copy([1, 2]).tolist()
    [1, 2]
    """
    return x + 0 if x.dtype != "bool" else x | False


def convert_to_tensor(x: Any, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None) -> Tensor:
    """A Tensor from a number, a nested list, an array, a variable or another framework's tensor.

    Python floats become floatx and Python ints int32; arrays keep their dtype unless `dtype` is given. `sparse` and
    `ragged` are accepted for compatibility: tensors here are always dense, and True raises ArgumentError.

    >>> import amalthea as am
    >>> am.ops.convert_to_tensor([1, 2], dtype="float32").numpy()
    array([1., 2.], dtype=float32)
    """
    if sparse or ragged:
        fail(
            ArgumentError,
            "sparse and ragged tensors are not supported",
            where="convert_to_tensor",
            received=f"sparse={sparse}, ragged={ragged}",
            fix="leave the argument out: the result is dense",
        )
    return as_tensor(x, dtype)


def array(x: Any, dtype: Any = None) -> Tensor:
    """Another name of `convert_to_tensor`.

    >>> import amalthea as am
    >>> am.ops.array([1, 2]).tolist()
    [1, 2]
    """
    return convert_to_tensor(x, dtype)


def convert_to_numpy(x: Any) -> np.ndarray:
    """The values as a NumPy array of one's own; raises TraceError for symbolic tensors.

    >>> import amalthea as am
    >>> am.ops.convert_to_numpy(am.ops.ones(2))
    array([1., 1.], dtype=float32)
    """
    return np.array(as_tensor(x).numpy())


def is_tensor(x: Any) -> bool:
    """Whether x is a tensor of this package (concrete or symbolic).

    >>> import amalthea as am
    >>> am.ops.is_tensor(am.ops.ones(2)), am.ops.is_tensor([1.0])
    (True, False)
    """
    return isinstance(x, Tensor)


def shape(x: Any) -> tuple[int | None, ...]:
    """The shape as a tuple, with None for sizes that are not known yet.

    >>> import amalthea as am
    >>> am.ops.shape(am.ops.zeros((2, 3)))
    (2, 3)
    """
    return tuple(x.shape if isinstance(x, Operand) else as_tensor(x).shape)


def dtype(x: Any) -> str:
    """The dtype of x as a tensor, as a string.

    >>> import amalthea as am
    >>> am.ops.dtype([1.0])
    amalthea.float32
    """
    return x.dtype if isinstance(x, Operand) else as_tensor(x).dtype


def ndim(x: Any) -> int:
    """The number of axes.

    >>> import amalthea as am
    >>> am.ops.ndim([[1, 2]])
    2
    """
    return len(shape(x))


def size(x: Any) -> int | None:
    """The number of elements; None where a size is not known yet.

    >>> import amalthea as am
    >>> am.ops.size([[1, 2], [3, 4]])
    4
    """
    sizes = shape(x)
    return None if None in sizes else int(np.prod(sizes))  # type: ignore[arg-type]


export(__name__, "custom_gradient")
