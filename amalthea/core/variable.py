"""`Variable`, the only thing that changes: a named tensor with a current value."""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar, cast

import numpy as np

from amalthea.core import dtypes
from amalthea.core.context import context, eager_scope
from amalthea.core.errors import ArgumentError, DTypeError, ShapeError, fail
from amalthea.core.loans import Loan
from amalthea.core.registry import registry
from amalthea.core.tensor import Operand, Tensor, alias, as_tensor, is_symbolic

Init = TypeVar("Init", bound=Callable[..., None])

_numbers = itertools.count()


@functools.cache
def _memory() -> float:
    """The memory of this machine in GiB (infinite where the system does not say)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, OSError, ValueError):
        return math.inf


class _Trainability:
    """Counts changes of any variable's `trainable`, so compiled functions know when to look again."""

    epoch = 0


def _or_initial_value(init: Init) -> Init:
    """Let the first argument also be given under TensorFlow's name, `initial_value`."""

    @functools.wraps(init)
    def with_either_name(self: Any, *args: Any, **kwargs: Any) -> None:
        if "initial_value" in kwargs:
            if args or "initializer" in kwargs:
                fail(ArgumentError, "give `initializer` or `initial_value`, not both", where="Variable")
            kwargs["initializer"] = kwargs.pop("initial_value")
        init(self, *args, **kwargs)

    return cast(Init, with_either_name)


class Variable(Operand):
    """A tensor with a name whose value can be assigned; usable wherever a tensor is.

    Args:
        initializer: a value (number, list, array, tensor), or a function `(shape, dtype=...)` that makes one; may also
            be called `initial_value`.
        shape: the shape, needed if `initializer` is a function.
        dtype: the dtype; default: the value's own, or `floatx`.
        trainable: whether optimizers change it and tapes watch it by themselves.
        autocast: whether reading it in a layer of lower compute precision casts it.
        name: its name; default "variable_N".

    Inside a traced function reads and assignments become inputs and outputs of the graph, with the same code.

    >>> import amalthea as am
    >>> v = am.Variable([1.0, 2.0], name="v")
    >>> v.assign_add([1.0, 1.0]).numpy().tolist()
    [2.0, 3.0]
    """

    @_or_initial_value
    def __init__(
        self,
        initializer: Any,
        shape: Sequence[int] | None = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str = "none",
        synchronization: str = "auto",
        name: str | None = None,
        layout: Any = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            fail(ArgumentError, f"unknown arguments {sorted(kwargs)}", where="Variable")
        self._name = name or f"variable_{next(_numbers)}"
        if "/" in self._name:
            fail(ArgumentError, "the name of a variable cannot contain '/'", where="Variable", received=repr(name))
        self._path = "/".join((*context.names, self._name))
        self._trainable = bool(trainable)
        self._autocast = bool(autocast)
        self.aggregation = aggregation
        self.synchronization = synchronization
        self.overwrite_with_gradient = False
        self.regularizer: Any = None
        self.constraint: Any = None
        self._tensor: Any  # a Tensor, or a Loan while a program works on its array
        with eager_scope():
            self._tensor = alias(self._first_value(initializer, shape, dtype))
        self._shape: tuple[int, ...] = self._tensor.shape
        self._dtype: dtypes.DType = self._tensor.dtype
        self._floating = dtypes.is_floating(self._dtype)

    def _first_value(self, initializer: Any, shape: Sequence[int] | None, dtype: Any) -> Tensor:
        if is_symbolic(initializer):
            fail(
                ArgumentError,
                "a variable cannot start from a symbolic tensor, which has no value yet",
                where="Variable",
                fix="create it outside the traced function, or pass a function (shape, dtype) as the initializer",
            )
        if callable(initializer) and not isinstance(initializer, Operand):
            if shape is None:
                fail(ArgumentError, "an initializer function needs a shape", where="Variable", fix="pass shape=(...)")
            if any(d is None for d in shape):
                fail(ShapeError, "a variable needs a known shape", where="Variable", received=f"shape {tuple(shape)}")
            dtype = dtypes.standardize(dtype)
            if context.allocate is not None:
                context.allocate(shape, dtype)
            sizes = tuple(int(d) for d in shape)
            gib = math.prod(sizes) * dtypes.to_numpy(dtype).itemsize / 2**30
            if gib > _memory():
                self._refuse(sizes, dtype, gib)
            try:
                return as_tensor(initializer(sizes, dtype=dtype), dtype)
            except MemoryError:
                self._refuse(sizes, dtype, gib)
        value = as_tensor(initializer, dtype)
        if shape is not None and tuple(shape) != value.shape:
            fail(
                ShapeError,
                "the value does not have the shape asked for",
                where="Variable",
                received=f"a value of shape {value.shape}, shape={tuple(shape)}",
            )
        return value

    def _refuse(self, shape: tuple[int, ...], dtype: dtypes.DType, gib: float) -> NoReturn:
        """Raise MemoryError: where a variable does not fit is for the user to say, not for the operating system."""
        fail(
            MemoryError,
            f"the variable '{self._path}' of shape {shape} and dtype {dtype} takes {gib:,.1f} GiB, for which this "
            "machine has no memory",
            where="Variable",
            received=f"shape {shape}",
            fix="make the layer or its input smaller, or use a smaller dtype",
        )

    # Reading

    def _current(self) -> Tensor:
        """The tensor; while a program overwrites its array, that is waited for."""
        while type(self._tensor) is Loan:
            self._tensor.wait()
        tensor: Tensor = self._tensor
        return tensor

    def _read(self) -> Tensor:
        tensor: Tensor = self._current() if type(self._tensor) is Loan else self._tensor
        if context.busy:
            if context.trace is not None:
                tensor = context.trace.read(self)
            for tape in context.tapes:
                tape._accessed(self, tensor)
        if context.autocast is not None and self._autocast and self._floating:
            return as_tensor(tensor, context.autocast)
        return tensor

    @property
    def value(self) -> Tensor:
        """The current value."""
        return self._read()

    def read_value(self) -> Tensor:
        """The current value (TensorFlow's name)."""
        return self._read()

    def numpy(self) -> np.ndarray:
        """A copy of the current value as a NumPy array."""
        return np.array(self._current().numpy() if context.trace is None else self._read().numpy())

    def item(self, *place: Any) -> Any:
        """One element as a Python number: the only one, or the one at a place."""
        return self._read().item(*place)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._read().__array__(dtype, copy)

    def __bool__(self) -> bool:
        return bool(self._read())

    def __int__(self) -> int:
        return int(self._read())

    def __float__(self) -> float:
        return float(self._read())

    def __index__(self) -> int:
        return self._read().__index__()

    def __len__(self) -> int:
        return len(self._read())

    def __iter__(self) -> Any:
        return iter(self._read())

    def __format__(self, format_spec: str) -> str:
        return format(self._read(), format_spec)

    # Writing

    def assign(self, value: Any) -> Variable:
        """Set the value; it must have the variable's shape and is cast to its dtype. Returns the variable."""
        tensor = as_tensor(value)
        if tensor.shape != self._shape:
            fail(
                ShapeError,
                f"the value does not fit variable '{self.path}'",
                where="assign",
                received=f"a value of shape {tensor.shape} for a variable of shape {self._shape}",
                fix="reshape the value, or create a variable of that shape",
            )
        if tensor.dtype != self._dtype:
            if dtypes.is_floating(tensor.dtype) and not self._floating:
                fail(
                    DTypeError,
                    f"floating values would lose their fractions in variable '{self.path}'",
                    where="assign",
                    received=f"{tensor.dtype} for a variable of dtype {self._dtype}",
                    fix="cast the value with ops.cast",
                )
            tensor = as_tensor(tensor, self._dtype)
        if context.trace is not None:
            # To a tape the variable's next reading is a tensor of its own, not the assigned one.
            context.trace.write(self, registry["stop_gradient"](tensor) if context.tapes else alias(tensor))
        elif is_symbolic(tensor):
            fail(
                ArgumentError,
                f"variable '{self.path}' cannot hold a symbolic tensor, which has no value",
                where="assign",
                fix="assign inside the traced function, or compute the value eagerly",
            )
        else:
            self._tensor = alias(tensor)
        return self

    def assign_add(self, value: Any) -> Variable:
        """Add to the value. Returns the variable."""
        return self.assign(self._own() + value)

    def assign_sub(self, value: Any) -> Variable:
        """Subtract from the value. Returns the variable."""
        return self.assign(self._own() - value)

    def _own(self) -> Tensor:
        """The value in the variable's own dtype, whatever the autocast scope."""
        if context.autocast is None:
            return self._read()
        before = context.enter(autocast=None)
        try:
            return self._read()
        finally:
            context.restore(before)

    # Facts

    @property
    def name(self) -> str:
        return self._name

    @property
    def path(self) -> str:
        """Its name with the names of the layers that own it: "model/dense/kernel"."""
        return self._path

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def ndim(self) -> int:
        return len(self._shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self._shape))

    @property
    def dtype(self) -> dtypes.DType:
        if context.autocast is not None and self._autocast and self._floating:
            return dtypes.standardize(context.autocast)
        return self._dtype

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if self._trainable != bool(value):
            _Trainability.epoch += 1
        self._trainable = bool(value)

    @property
    def autocast(self) -> bool:
        return self._autocast

    @property
    def device(self) -> str:
        return self._current().device

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        head = f"<Variable path={self._path}, shape={self._shape}, dtype={self._dtype!s}"
        return f"{head}, value={self.numpy()}>" if context.trace is None else f"{head}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        copied: Variable = Variable(
            self._current(), trainable=self._trainable, autocast=self._autocast, name=self._name
        )
        copied._path = self._path
        copied.regularizer, copied.constraint = self.regularizer, self.constraint
        memo[id(self)] = copied
        return copied


def trainability_epoch() -> int:
    """A number that changes whenever some variable's `trainable` does."""
    return _Trainability.epoch
