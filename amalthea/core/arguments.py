"""What ops do with their arguments: weak Python numbers, hashable attributes, tensors of traces that ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea.core import dtypes
from amalthea.core.backend import active
from amalthea.core.context import context, is_tracing
from amalthea.core.errors import TraceError, fail
from amalthea.core.registry import registry
from amalthea.core.tensor import KerasTensor, Tensor, as_tensor

NUMBERS = (bool, int, float)
"""The types of Python numbers, whose dtype is weak."""

KEPT = 8192
"""How many plans or constants are kept."""


def weak(number: Any) -> Any:
    """The number as a plain Python one, whose dtype gives way to those of tensors.

    np.float64, what NumPy's functions return for Python floats, is itself a Python float and becomes one here; so
    `x * np.sqrt(2.0)` keeps the dtype of x.
    """
    if type(number) in NUMBERS:
        return number
    return int(number) if isinstance(number, int) else float(number)


def as_dtype(x: Any) -> dtypes.DType:
    """The dtype of a tensor, array or Python number."""
    kind = type(x)
    if kind in NUMBERS:
        return dtypes.bool_ if kind is bool else dtypes.int32 if kind is int else dtypes.floatx()
    dtype: dtypes.DType = x.dtype
    return dtype


_constants: dict[Any, Tensor] = {}


def constant(number: bool | int | float, dtype: dtypes.DType) -> Tensor:
    """The Tensor of a Python number; those used often are kept, which saves most of the cost of `x * 2`."""
    key = (number or repr(number), dtype, active.backend, context.device)  # 0.0 and -0.0 would be equal keys
    found = _constants.get(key)
    if found is None:
        if len(_constants) >= KEPT:
            _constants.clear()
        found = _constants[key] = as_tensor(number, dtype)
    return found


def _forget_plans() -> None:
    for function in registry.values():
        getattr(function.op, "plans", {}).clear()


dtypes.when_floatx_changes(_forget_plans)


def freeze(attrs: dict[str, Any]) -> dict[str, Any]:
    """The static attributes in hashable form: lists become tuples, small arrays tuples of numbers."""
    return {name: _frozen(value) for name, value in attrs.items()}


def _frozen(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return tuple([_frozen(item) for item in value])
    if isinstance(value, Tensor) and not isinstance(value, KerasTensor):
        return _frozen(value.numpy())
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return _frozen(value.tolist())
    return value


def check_alive(name: str, tensors: Sequence[Any]) -> None:
    """Raise TraceError for a symbolic tensor whose trace has ended."""
    for t in tensors:
        if isinstance(t, KerasTensor) and t._value.trace and not is_tracing(t._value.trace):
            fail(
                TraceError,
                f"a tensor {t._value.spec} of a traced function is used after the trace has ended",
                where=name,
                fix="return it from the function instead of storing it elsewhere",
            )
