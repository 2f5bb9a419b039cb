"""Data types and the promotion lattice.

A dtype is a plain string to users ("float32"); `DType` only adds a few questions one asks of it. Promotion follows
Keras 3 and JAX: the least upper bound in a lattice in which Python numbers are weak, so `x * 2` keeps the dtype of x.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np


class DType(str):
    """The name of a data type, e.g. "float32"; equal to the string and to the NumPy dtype of the same name.

    >>> import amalthea as am
    >>> am.float32 == "float32" and am.float32.is_floating
    True
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return str.__eq__(self, other)
        try:
            return str.__eq__(self, standardize(other))
        except (TypeError, ValueError):
            return False

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    @property
    def name(self) -> str:
        return str(self)

    @property
    def as_numpy_dtype(self) -> type:
        return to_numpy(self).type

    @property
    def is_floating(self) -> bool:
        return is_floating(self)

    @property
    def is_integer(self) -> bool:
        return is_integer(self)

    @property
    def is_bool(self) -> bool:
        return self == "bool"

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return to_numpy(self).itemsize

    def __repr__(self) -> str:
        return f"amalthea.{self!s}"


bool_ = DType("bool")
uint8, uint16, uint32, uint64 = DType("uint8"), DType("uint16"), DType("uint32"), DType("uint64")
int8, int16, int32, int64 = DType("int8"), DType("int16"), DType("int32"), DType("int64")
bfloat16, float16, float32, float64 = DType("bfloat16"), DType("float16"), DType("float32"), DType("float64")
float8_e4m3fn, float8_e5m2 = DType("float8_e4m3fn"), DType("float8_e5m2")

UNSIGNED = (uint8, uint16, uint32, uint64)
SIGNED = (int8, int16, int32, int64)
FLOATING = (bfloat16, float16, float32, float64, float8_e4m3fn, float8_e5m2)
ALL = {str(d): d for d in (bool_, *UNSIGNED, *SIGNED, *FLOATING)}

_NUMPY: dict[str, np.dtype] = {
    name: np.dtype(getattr(ml_dtypes, name)) if name.startswith(("bfloat", "float8")) else np.dtype(name)
    for name in ALL
}
_BY_NUMPY: dict[np.dtype, DType] = {numpy_dtype: ALL[name] for name, numpy_dtype in _NUMPY.items()}
_FLOATING_NAMES = frozenset(str(d) for d in FLOATING)
_INTEGER_NAMES = frozenset(str(d) for d in UNSIGNED + SIGNED)

_floatx = float32
_listeners: list[Callable[[], None]] = []


def floatx() -> DType:
    """The default floating dtype, "float32" unless changed with `am.config.set_floatx`."""
    return _floatx


def set_floatx(dtype: Any) -> None:
    """Set the default floating dtype: "float16", "bfloat16", "float32" or "float64"."""
    global _floatx
    wanted = standardize(dtype)
    if wanted not in ("float16", "bfloat16", "float32", "float64"):
        raise ValueError(
            f"[set_floatx] the default dtype must be floating. Received: {dtype!r}. Fix: use 'float16', 'bfloat16', "
            "'float32' or 'float64'."
        )
    _floatx = wanted
    for forget in _listeners:
        forget()


def standardize(dtype: Any) -> DType:
    """The `DType` that `dtype` names: a string, a NumPy dtype or scalar type, a Python type, or None for `floatx()`."""
    if type(dtype) is DType:
        return dtype
    if dtype is None:
        return _floatx
    if type(dtype) is np.dtype:
        found = _BY_NUMPY.get(dtype)
        if found is not None:
            return found
    if isinstance(dtype, str):
        found = ALL.get(dtype)
        if found is not None:
            return found
        if dtype in ("float", "int"):
            return _floatx if dtype == "float" else int32
    if dtype is float:
        return _floatx
    if dtype is int:
        return int32
    if dtype is bool:
        return bool_
    name = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype)
    found = ALL.get(str(name).rsplit(".", 1)[-1].removesuffix("_"))
    if found is None:
        raise ValueError(f"[dtype] there is no such data type. Received: {dtype!r}. Fix: use one of {', '.join(ALL)}.")
    return found


class FloatLimits(NamedTuple):
    """The finite bounds of a floating dtype, and the distance from 1 to the next number."""

    low: float
    high: float
    eps: float


def float_limits(dtype: Any) -> FloatLimits:
    """The limits of a floating dtype, also of those that NumPy does not have.

    >>> import amalthea as am
    >>> am.core.dtypes.float_limits("float16").high
    65504.0
    """
    finfo: Any = ml_dtypes.finfo  # has no annotations
    found = finfo(to_numpy(dtype))
    return FloatLimits(float(found.min), float(found.max), float(found.eps))


def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype given in any way: by name, as a NumPy or other framework's dtype, or None for `floatx()`.

    >>> standardize_dtype(np.float32)
    'float32'
    """
    return str(standardize(dtype))


def to_numpy(dtype: Any) -> np.dtype:
    """The NumPy dtype of that name (bfloat16 and float8 through ml_dtypes)."""
    return _NUMPY[dtype if type(dtype) is DType else standardize(dtype)]


def from_numpy(dtype: np.dtype) -> DType:
    """The `DType` of an array's dtype, NumPy's or another engine's; raises ValueError for strings, objects and such."""
    found = _BY_NUMPY.get(dtype)
    if found is None:
        found = standardize(dtype)
        if type(dtype).__module__.partition(".")[0] in ("torch", "tensorflow"):
            _BY_NUMPY[dtype] = found
    return found


def is_floating(dtype: Any) -> bool:
    """Whether the dtype is floating-point.

    >>> is_floating("float16")
    True
    """
    return standardize(dtype) in _FLOATING_NAMES


def is_integer(dtype: Any) -> bool:
    """Whether the dtype is a signed or unsigned integer (bool is not).

    >>> is_integer("uint8")
    True
    """
    return standardize(dtype) in _INTEGER_NAMES


def is_bool(dtype: Any) -> bool:
    """Whether the dtype is bool."""
    return standardize(dtype) == "bool"


def when_floatx_changes(forget: Callable[[], None]) -> None:
    """Call `forget` whenever `floatx` changes: for caches of what depends on it."""
    _listeners.append(forget)


# What each dtype promotes to directly; "int" and "float" are Python's weak types.
_EDGES: dict[str, tuple[str, ...]] = {
    "bool": ("int",),
    "int": ("uint8", "int8"),
    "uint8": ("int16", "uint16"),
    "uint16": ("int32", "uint32"),
    "uint32": ("int64", "uint64"),
    "uint64": ("float",),
    "int8": ("int16",),
    "int16": ("int32",),
    "int32": ("int64",),
    "int64": ("float",),
    "float": ("bfloat16", "float16"),
    "bfloat16": ("float32",),
    "float16": ("float32",),
    "float32": ("float64",),
    "float64": (),
}


def _upper_bounds(name: str) -> frozenset[str]:
    return frozenset({name}.union(*(_upper_bounds(above) for above in _EDGES[name])))


_ABOVE = {name: _upper_bounds(name) for name in _EDGES}


def _lattice_name(dtype: Any) -> str:
    if dtype is int or dtype is float:
        return dtype.__name__
    return str(standardize(dtype))


@functools.lru_cache(maxsize=4096)
def result_type(*dtypes: Any) -> DType:
    """The dtype that values of these dtypes (or the weak Python types int and float) promote to.

    >>> import amalthea as am
    >>> am.core.dtypes.result_type("int32", "bfloat16"), am.core.dtypes.result_type("int64", float)
    (amalthea.bfloat16, amalthea.float32)
    """
    names = {_lattice_name(d) for d in dtypes} or {"float"}
    if len(names) == 1:
        (only,) = names
    else:
        unknown = sorted(names - _ABOVE.keys())
        if unknown:
            raise TypeError(
                f"[result_type] {', '.join(unknown)} does not promote implicitly. Received: "
                f"{', '.join(sorted(names))}. Fix: cast to one dtype with ops.cast."
            )
        common = frozenset.intersection(*(_ABOVE[n] for n in names))
        (only,) = (n for n in common if common <= _ABOVE[n])
    if only == "float":
        return _floatx
    if only == "int":
        return int32
    return ALL[only]


when_floatx_changes(result_type.cache_clear)
