"""`Tensor`, one immutable array of the active backend, and `KerasTensor`, its symbolic sibling without a value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from amalthea.core import dtypes, foreign
from amalthea.core.backend import active, moved, owner_of, readable, to_numpy
from amalthea.core.context import context, is_tracing
from amalthea.core.errors import ArgumentError, DTypeError, TraceError, fail, user_line
from amalthea.core.numpy_protocol import NumPyProtocol
from amalthea.core.registry import registry
from amalthea.core.spec import Shape, TensorSpec, UnknownDim
from amalthea.core.value import Value

__all__ = ["KerasTensor", "Operand", "Tensor", "TensorSpec", "UnknownDim", "as_tensor", "is_symbolic"]


class Operand(NumPyProtocol):
    """What tensors and variables share: the operators and methods that `ops/` attaches from its records."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

        shape: Any
        dtype: Any

        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __and__(self, other: Any) -> Tensor: ...
        def __or__(self, other: Any) -> Tensor: ...
        def __xor__(self, other: Any) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __lshift__(self, other: Any) -> Tensor: ...
        def __rshift__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __getitem__(self, key: Any) -> Tensor: ...
        def astype(self, dtype: Any) -> Tensor: ...
        def broadcast_to(self, shape: Any) -> Tensor: ...
        def flip(self, axis: Any = None) -> Tensor: ...
        def reshape(self, *newshape: Any) -> Tensor: ...
        def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor: ...
        def transpose(self, *axes: Any) -> Tensor: ...


class Tensor(Operand):
    """An immutable array on the active backend.

    Made by ops and `am.ops.convert_to_tensor`; behaves like a NumPy array (operators, indexing, `np.asarray`), with
    Keras 3's dtype promotion. `==` compares element by element; the hash is the identity.

    >>> import amalthea as am
    >>> x = am.Tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> (x * 2 + 1).numpy().tolist()
    [[3.0, 5.0], [7.0, 9.0]]
    """

    __slots__ = ("__weakref__", "_array", "_keras_mask")

    _array: Any
    _keras_mask: Any

    def __init__(self, value: Any, dtype: Any = None) -> None:
        made = as_tensor(value, dtype)
        if type(made) is not Tensor:
            fail(TraceError, "a symbolic tensor has no value to copy", where="Tensor", fix="use it directly in ops")
        self._array = made._array

    @property
    def shape(self) -> Any:
        """The sizes of its axes, a tuple of ints."""
        return tuple(self._array.shape)

    @property
    def dtype(self) -> dtypes.DType:
        """Its dtype, a string such as "float32"."""
        return dtypes.from_numpy(self._array.dtype)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._array.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def device(self) -> str:
        """The device that holds it, e.g. "cpu:0"."""
        return owner_of(self._array).device_of(self._array)

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array that cannot be written to: it may share the tensor's memory."""
        array = self._array
        view = (array if type(array) is np.ndarray else to_numpy(array)).view()
        view.flags.writeable = False
        return view

    def item(self, *place: Any) -> Any:
        """One element as a Python number: the only one (else ArgumentError), or the one at a place, `x.item(1, 2)`."""
        array = self.numpy()
        if place:
            return array.item(*place)
        if array.size != 1:
            fail(
                ArgumentError,
                "only a tensor with one element has an item",
                where="Tensor.item",
                received=f"shape {self.shape}",
                fix="index it first or use .numpy()",
            )
        return array.item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return self.numpy().tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, **options: Any) -> Any:
        array = readable(self._array)
        return np.array(array).__dlpack__(**options) if type(array) is np.ndarray else array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = readable(self._array).__dlpack_device__()
        return device

    def __len__(self) -> int:
        shape = self.shape
        if not shape:
            raise TypeError("[Tensor] a scalar tensor has no length. Fix: use .item() for its value.")
        if shape[0] is None:
            raise TypeError("[KerasTensor] the length of the first axis is not known yet. Fix: use ops on all of it.")
        return int(shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if not dtypes.is_integer(self.dtype) or self.size != 1:
            raise TypeError(
                f"[Tensor] only an integer tensor with one element can be an index. Received: {self.dtype} of shape "
                f"{self.shape}. Fix: use ops.take."
            )
        return int(self.item())

    def __format__(self, format_spec: str) -> str:
        return format(self.item() if format_spec else str(self), format_spec)

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        text = np.array2string(self.numpy(), separator=", ", threshold=200, prefix="Tensor(")
        return f"Tensor({text}, shape={self.shape}, dtype={self.dtype!s})"

    def __reduce__(self) -> Any:
        return (_from_numpy, (np.array(self.numpy()),))

    def __copy__(self) -> Tensor:
        return self

    def __deepcopy__(self, memo: Any) -> Tensor:
        return self

    def get_shape(self) -> Any:
        """Its shape (TensorFlow's name)."""
        return self.shape


def _from_numpy(array: np.ndarray) -> Tensor:
    return wrap(active.backend.to_array(array))


class KerasTensor(Tensor):
    """A tensor without a value yet: what `Input` returns, and what functions see while they are traced.

    Sizes that are not known are None. Raises TraceError where Python asks for its value.

    >>> import amalthea as am
    >>> am.ops.sum(am.KerasTensor((None, 3), "float32"), axis=1).shape
    (None,)
    """

    __slots__ = ("_value",)

    _value: Value

    def __init__(
        self,
        shape: Sequence[int | None],
        dtype: Any = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
    ) -> None:
        if sparse or ragged:
            fail(
                ArgumentError, "sparse and ragged tensors are not supported", where="KerasTensor", fix="use dense ones"
            )
        self._value = Value(TensorSpec(shape, dtype, name))

    @property
    def shape(self) -> Shape:
        return self._value.spec.shape

    @property
    def dtype(self) -> dtypes.DType:
        return self._value.spec.dtype

    @property
    def ndim(self) -> int:
        return len(self._value.spec.shape)

    @property
    def size(self) -> Any:
        return None if None in self.shape else self._value.spec.size

    @property
    def name(self) -> str:
        return self._value.name

    @property
    def sparse(self) -> bool:
        return False

    @property
    def ragged(self) -> bool:
        return False

    @property
    def device(self) -> str:
        return context.device or active.backend.devices()[0]

    def _no_value(self, what: str, fix: str | None = None) -> NoReturn:
        when = "while a function is traced" if self._value.trace else "while a model is built"
        if self._value.trace and not is_tracing(self._value.trace):
            when = "and never will have one: the trace that it belongs to has ended"
            fix = "return it from the traced function instead of storing it elsewhere"
        raise TraceError(
            f"{what} needs the value of a symbolic tensor {self._value.spec}, which has none {when} (at {user_line()})",
            fix=fix or "use am.ops on it; for control flow ops.cond, ops.where, ops.while_loop or ops.scan",
        )

    def numpy(self) -> np.ndarray:
        return self._no_value("numpy()")

    def item(self, *place: Any) -> Any:
        return self._no_value("item()")

    def __dlpack__(self, **options: Any) -> Any:
        return self._no_value("DLPack")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._no_value("np.asarray")

    def __bool__(self) -> bool:
        return self._no_value("a Python `if`, `while`, `and`, `or` or `not`")

    def __int__(self) -> int:
        return self._no_value("int()")

    def __float__(self) -> float:
        return self._no_value("float()")

    def __index__(self) -> int:
        return self._no_value("a Python index or `range`")

    def __format__(self, format_spec: str) -> str:
        return self._no_value(f"the format {format_spec!r}") if format_spec else repr(self)

    def __hash__(self) -> int:
        return id(self)

    def __reduce__(self) -> Any:
        raise TypeError("[KerasTensor] a symbolic tensor cannot be pickled. Fix: save the model instead.")

    def __repr__(self) -> str:
        spec = self._value.spec
        return f"<KerasTensor shape={spec.shape}, dtype={spec.dtype!s}, name={self.name}>"


_new = Tensor.__new__


def wrap(array: Any) -> Tensor:
    """A Tensor around an array of the active backend."""
    tensor = _new(Tensor)
    tensor._array = array
    return tensor


def alias(tensor: Tensor) -> Tensor:
    """Another Tensor object with the same value: to tapes, a tensor of its own."""
    if type(tensor) is Tensor:
        return wrap(tensor._array)
    return symbolic(tensor._value)


def key_of(x: Any) -> int:
    """What identifies a tensor to tapes: a symbolic one by the value it stands for, others by the object."""
    return id(x._value) if type(x) is KerasTensor else id(x)


def symbolic(value: Value) -> KerasTensor:
    """A symbolic tensor for a value of a graph."""
    tensor = _new(KerasTensor)
    tensor._value = value
    return tensor


def is_symbolic(x: Any) -> bool:
    """Whether x is a tensor without a value yet."""
    return isinstance(x, KerasTensor)


def array_of(tensor: Tensor) -> Any:
    """The tensor's array on the active backend (moved there if another backend made it)."""
    array = tensor._array
    return array if type(array) is active.array_type else moved(array)


def as_tensor(x: Any, dtype: Any = None) -> Tensor:
    """The Tensor for a number, list, array, variable or another framework's tensor, cast to `dtype` if given.

    Python floats become `floatx`, Python ints int32 (int64 if they do not fit); arrays keep their dtype.
    Raises DTypeError for what has no numeric dtype.
    """
    kind = type(x)
    if kind is not Tensor and kind is not KerasTensor:
        if isinstance(x, Operand):
            read = getattr(x, "_read", None)
            x = read() if read is not None else x
        else:
            return wrap(_convert(x, dtype))
    if dtype is not None and x.dtype != dtype:
        x = registry["cast"](x, dtypes.standardize(dtype))
    tensor: Tensor = x
    return tensor


def _convert(x: Any, dtype: Any) -> Any:
    kind = type(x)
    if kind is bool or kind is int or kind is float:
        if dtype is None:
            dtype = dtypes.bool_ if kind is bool else dtypes.floatx() if kind is float else dtypes.int32
            if kind is int and not -(2**31) <= x < 2**31:
                dtype = dtypes.int64
        return active.backend.to_array(np.asarray(x, dtypes.to_numpy(dtype)))
    own = None if kind is np.ndarray else foreign.taken(x, active.backend)
    if own is None and kind is not np.ndarray:
        x = _to_numpy_array(x)
    try:
        found = dtypes.from_numpy((x if own is None else own).dtype)
    except ValueError:
        fail(
            DTypeError,
            f"values of dtype {x.dtype} are not numbers",
            where="convert_to_tensor",
            received=repr(x)[:80],
            fix="pass numbers; encode text as integers first; lists must not be ragged",
        )
    wanted = dtypes.to_numpy(found if dtype is None else dtypes.standardize(dtype))
    if own is not None:
        return own if dtype is None else active.backend.to_array(own, wanted)
    # A copy of what can be changed: the tensor must not change when the caller's array does.
    shared = kind is np.ndarray or (kind is not list and x.flags.writeable)
    return active.backend.to_array(np.array(x, wanted) if shared else np.asarray(x, wanted))


def _to_numpy_array(x: Any) -> np.ndarray:
    """A list or a foreign array as NumPy; Python floats in lists become floatx, ints int32."""
    if isinstance(x, (list, tuple)):
        if any(isinstance(leaf, Operand) for leaf in x):
            if any(is_symbolic(leaf) for leaf in x):
                fail(
                    TraceError,
                    "a list of symbolic tensors is not a tensor",
                    where="convert_to_tensor",
                    fix="use ops.stack or ops.concatenate",
                )
            x = [np.asarray(leaf) for leaf in x]
            return np.stack(x)
        try:
            array = np.asarray(x)
        except ValueError:
            fail(
                DTypeError,
                "a ragged list is not a tensor",
                where="convert_to_tensor",
                received=repr(x)[:80],
                fix="make all rows equally long, e.g. with am.utils.pad_sequences",
            )
        if array.dtype == np.float64 and not _holds_numpy(x):
            return array.astype(dtypes.to_numpy(dtypes.floatx()))
        if array.dtype == np.int64 and not _holds_numpy(x) and (not array.size or abs(array).max() < 2**31):
            return array.astype(np.int32)
        return array
    return foreign.read(x)


def _holds_numpy(x: Any) -> bool:
    while isinstance(x, (list, tuple)) and x:
        x = x[0]
    return isinstance(x, (np.ndarray, np.generic))
