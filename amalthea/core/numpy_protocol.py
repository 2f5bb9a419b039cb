"""What NumPy does with tensors: its functions compute on their arrays, its operators become ours.

NumPy asks `__array_function__` and `__array_ufunc__` (NEP 18 and NEP 13) of what it is called with. Functions of
concrete tensors give NumPy arrays. An operator between an array and a tensor gives a tensor, by the op and its dtype
promotion, whichever of the two stands first. A symbolic tensor has no array to compute on: the error names the op.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from amalthea.core import dtypes, foreign
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.registry import exported

# What Python calls on the second operand where the first cannot compute, by the ufunc NumPy has for the operator.
_SWAPPED = {
    np.add: "__radd__",
    np.subtract: "__rsub__",
    np.multiply: "__rmul__",
    np.divide: "__rtruediv__",
    np.floor_divide: "__rfloordiv__",
    np.remainder: "__rmod__",
    np.power: "__rpow__",
    np.matmul: "__rmatmul__",
    np.bitwise_and: "__rand__",
    np.bitwise_or: "__ror__",
    np.bitwise_xor: "__rxor__",
    np.left_shift: "__rlshift__",
    np.right_shift: "__rrshift__",
    np.equal: "__eq__",
    np.not_equal: "__ne__",
    np.less: "__gt__",
    np.less_equal: "__ge__",
    np.greater: "__lt__",
    np.greater_equal: "__le__",
}
_SIGNS = {np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/", np.power: "**", np.matmul: "@"}
_OTHER_NAMES = {"around": "round", "remainder": "mod", "fabs": "abs", "float_power": "power", "concat": "concatenate"}


class NumPyProtocol:
    """What tensors and variables answer to NumPy, and what code written for arrays asks of them besides."""

    __slots__ = ()
    __array_priority__ = 1000

    shape: Any
    dtype: Any
    size: Any

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        name = _name(ufunc) + ("" if method == "__call__" else f".{method}")
        if out is None:
            swapped = _SWAPPED.get(ufunc)
            if swapped and method == "__call__" and not options and not isinstance(inputs[0], NumPyProtocol):
                return getattr(inputs[1], swapped)(inputs[0])
            return getattr(ufunc, method)(*_arrays(inputs, name), **_arrays(options, name))
        _refuse_results_in_tensors(out, name)
        fix = None
        if method == "__call__" and ufunc in _SIGNS and len(inputs) == 2 and inputs[0] is out[0]:
            fix = f"an array cannot be changed in place by a symbolic tensor: write a = a {_SIGNS[ufunc]} x"
        return getattr(ufunc, method)(*_arrays(inputs, name, fix), out=out, **_arrays(options, name))

    def __array_function__(self, function: Any, types: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        if not all(issubclass(kind, (NumPyProtocol, np.ndarray)) for kind in types):
            return NotImplemented
        name = _name(function)
        if function in (np.shape, np.ndim) and not kwargs and args[0] is self:
            return tuple(self.shape) if function is np.shape else len(self.shape)
        _refuse_results_in_tensors(kwargs.get("out"), name)
        return function(*_arrays(args, name), **_arrays(kwargs, name))

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return dtypes.to_numpy(self.dtype).itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return int(self.size) * self.itemsize

    def tobytes(self) -> bytes:
        """The bytes of the elements in row-major order."""
        return np.asarray(self).tobytes()

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        fix = (
            "make a new one with ops.slice_update, ops.scatter_update or ops.where, or change a copy: x.numpy().copy()"
        )
        if hasattr(self, "assign"):
            fix = "give the variable a whole new value with assign(...)"
        raise TypeError(f"[{type(self).__name__}] the elements of tensors cannot be changed. Fix: {fix}.")


def _name(function: Any) -> str:
    """The function as users write it: "np.linalg.norm"."""
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module.replace('numpy', 'np', 1)}.{function.__name__}"


def _arrays(x: Any, name: str, fix: str | None = None) -> Any:
    """The structure with arrays for tensors and variables; raises TraceError for symbolic ones."""
    if isinstance(x, NumPyProtocol):
        tensor: Any = x._read() if hasattr(x, "_read") else x
        if hasattr(tensor, "_no_value"):
            tensor._no_value(name, fix or _fix(name))
        return tensor.numpy()
    if type(x) is list or type(x) is tuple:
        return type(x)([_arrays(item, name, fix) for item in x])
    if type(x) is dict:
        return {key: _arrays(item, name, fix) for key, item in x.items()}
    return foreign.read(x) if foreign.is_array(x) and not isinstance(x, (np.ndarray, np.generic)) else x


def _fix(name: str) -> str | None:
    """To use the op that does the same, if there is one."""
    short = name.removeprefix("np.").removeprefix("linalg.")
    op = short if short in exported else _OTHER_NAMES.get(short)
    return f"use am.ops.{op}" if op in exported else None


def _refuse_results_in_tensors(out: Any, name: str) -> None:
    if any(isinstance(x, NumPyProtocol) for x in (out if isinstance(out, tuple) else (out,))):
        fail(
            ArgumentError,
            "tensors cannot be changed, so they cannot take results",
            where=name,
            received="a tensor as `out`",
            fix="leave `out` out, or pass a NumPy array",
        )
