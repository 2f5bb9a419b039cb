"""The operators and methods of tensors and variables, attached to their common base class from the ops.

Nothing here computes: each entry names the op that it calls. It is imported once, by `amalthea.ops`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amalthea.core.op import Primitive
from amalthea.core.registry import registry
from amalthea.core.tensor import Operand, Tensor
from amalthea.ops.bitwise import bitwise_and, bitwise_not, bitwise_or, bitwise_xor, left_shift, right_shift
from amalthea.ops.comparison import equal, less, less_equal
from amalthea.ops.core_ops import cast
from amalthea.ops.elementary import power, sqrt
from amalthea.ops.elementwise import abs, add, divide, floor_divide, maximum, minimum, mod, multiply, negative, subtract
from amalthea.ops.getitem import get_item
from amalthea.ops.selection import nonzero
from amalthea.ops.shaping import reshape, transpose

_NONE: dict[str, Any] = {}


def _binary(function: Any, swapped: bool = False) -> Callable[[Any, Any], Tensor]:
    """An operator that calls a primitive of two tensors, without the detour over its signature."""
    op: Primitive = function.op
    if swapped:
        return lambda self, other: op.dispatch((other, self), _NONE)
    return lambda self, other: op.dispatch((self, other), _NONE)


def _unary(function: Any) -> Callable[[Any], Tensor]:
    op: Primitive = function.op
    return lambda self: op.dispatch((self,), _NONE)


def _later(name: str) -> Callable[..., Any]:
    """An operator or method for an op that is found by its name when it is used."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return registry[name](self, *args, **kwargs)

    function = registry.get(name)
    call.__name__, call.__doc__ = name, f"`ops.{name}` of this tensor." if function is None else function.__doc__
    return call


def _equal(self: Any, other: Any) -> Any:
    if other is None or isinstance(other, str):
        return NotImplemented
    return equal.op.dispatch((self, other), _NONE)


def _not_equal(self: Any, other: Any) -> Any:
    if other is None or isinstance(other, str):
        return NotImplemented
    return ~equal.op.dispatch((self, other), _NONE)


def _power(self: Any, other: Any) -> Tensor:
    if type(other) in (int, float) and self.dtype != "bool":  # the common powers, by cheaper ops
        if other == 2:
            return multiply(self, self)
        if other == 0.5:
            return sqrt(self)
    return power(self, other)


def _matmul_swapped(self: Any, other: Any) -> Tensor:
    product: Tensor = registry["matmul"](other, self)
    return product


def _reshape(self: Any, *newshape: Any) -> Tensor:
    """The same elements under another shape: `x.reshape(2, -1)` or `x.reshape((2, -1))`."""
    return reshape(self, newshape[0] if len(newshape) == 1 else newshape)


def _transpose(self: Any, *axes: Any) -> Tensor:
    """The axes in another order: `x.transpose()` reverses them, `x.transpose(1, 0)` or `x.transpose((1, 0))`."""
    if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list))):
        return transpose(self, axes[0])
    return transpose(self, axes or None)


def _astype(self: Any, dtype: Any) -> Tensor:
    """The tensor in another dtype; itself where it has that dtype."""
    if isinstance(self, Tensor) and self.dtype == dtype:
        return self
    return cast(self, dtype)


def _flatten(self: Any) -> Tensor:
    """All elements in row-major order, a vector."""
    vector: Tensor = registry["ravel"](self)
    return vector


def _clip(self: Any, x_min: Any = None, x_max: Any = None) -> Tensor:
    """The values kept between two bounds, either of which may be left out."""
    out = self if x_min is None else maximum(self, x_min)
    return out if x_max is None else minimum(out, x_max)


_OPERATORS: dict[str, Callable[..., Any]] = {
    "__add__": _binary(add),
    "__radd__": _binary(add, swapped=True),
    "__sub__": _binary(subtract),
    "__rsub__": _binary(subtract, swapped=True),
    "__mul__": _binary(multiply),
    "__rmul__": _binary(multiply, swapped=True),
    "__truediv__": _binary(divide),
    "__rtruediv__": _binary(divide, swapped=True),
    "__floordiv__": _binary(floor_divide),
    "__rfloordiv__": _binary(floor_divide, swapped=True),
    "__mod__": _binary(mod),
    "__rmod__": _binary(mod, swapped=True),
    "__pow__": _power,
    "__rpow__": _binary(power, swapped=True),
    "__and__": _binary(bitwise_and),
    "__rand__": _binary(bitwise_and, swapped=True),
    "__or__": _binary(bitwise_or),
    "__ror__": _binary(bitwise_or, swapped=True),
    "__xor__": _binary(bitwise_xor),
    "__rxor__": _binary(bitwise_xor, swapped=True),
    "__lshift__": _binary(left_shift),
    "__rlshift__": _binary(left_shift, swapped=True),
    "__rshift__": _binary(right_shift),
    "__rrshift__": _binary(right_shift, swapped=True),
    "__lt__": _binary(less),
    "__le__": _binary(less_equal),
    "__gt__": _binary(less, swapped=True),
    "__ge__": _binary(less_equal, swapped=True),
    "__eq__": _equal,
    "__ne__": _not_equal,
    "__neg__": _unary(negative),
    "__pos__": lambda self: self,
    "__abs__": _unary(abs),
    "__invert__": _unary(bitwise_not),
    "__matmul__": _later("matmul"),
    "__rmatmul__": _matmul_swapped,
    "__round__": lambda self, decimals=0: registry["round"](self, decimals),
    "__getitem__": get_item,
}

_METHODS: dict[str, Callable[..., Any]] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "astype": _astype,
    "flatten": _flatten,
    "clip": _clip,
    "nonzero": lambda self: nonzero(self),
}

# Methods that are the op of the same name, with the tensor as its first argument.
_SAME_NAME = (
    "all any argmax argmin argsort broadcast_to conj conjugate copy cumprod cumsum diagonal dot expand_dims flip max "
    "mean min prod ravel repeat round searchsorted sort squeeze std sum swapaxes take trace var"
).split()


def attach() -> None:
    """Give `Operand`, the base of tensors and variables, its operators and methods."""
    for name, function in {**_OPERATORS, **_METHODS}.items():
        setattr(Operand, name, function)
    for name in _SAME_NAME:
        if name not in vars(Operand):
            setattr(Operand, name, _later(name))
    Operand.T = property(lambda self: transpose(self), doc="The tensor with its axes reversed.")  # type: ignore[attr-defined]
    Operand.real = property(lambda self: registry["real"](self), doc="The real part.")  # type: ignore[attr-defined]
    Operand.imag = property(lambda self: registry["imag"](self), doc="The imaginary part.")  # type: ignore[attr-defined]


attach()
