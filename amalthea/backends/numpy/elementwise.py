"""NumPy kernels of the elementwise ops: arithmetic, comparisons, bits, elementary and special functions.

Most rows are NumPy's own ufuncs. Inputs arrive promoted to one dtype, except where a kernel says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from amalthea.core import dtypes


def cast(x: np.ndarray, dtype: str) -> np.ndarray:
    """Convert to a dtype; floating values turn into integers towards zero, and into bool by being nonzero.

    What an integer dtype cannot hold becomes its least or greatest number, and NaN 0, as compiled code has it.
    """
    wanted = dtypes.to_numpy(dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        made = x.astype(wanted)
        if wanted.kind not in "iu" or x.dtype.kind in "iub" or not x.size:
            return made
        info = np.iinfo(wanted)
        low, high = float(info.min), float(info.max)  # the greatest may round up, to what is not held any more
        if x.min() > low and x.max() < high:
            return made
        made = np.where(x >= high, info.max, np.where(x <= low, info.min, made))
        return np.where(x != x, 0, made).astype(wanted)


def view(x: np.ndarray, dtype: str) -> np.ndarray:
    """The same bits read as another dtype of the same width."""
    return np.asarray(x).view(dtypes.to_numpy(dtype))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow and with full relative precision in the left tail."""
    e = np.exp(-np.abs(x))
    one = x.dtype.type(1)
    return np.where(x >= 0, one, e) / (one + e)


# Power-basis coefficients (lowest first) of two Chebyshev interpolants, fitted to double precision with 40-digit
# arithmetic. erf(x) / x over x**2 in [0, 1], in the variable u = 2 x**2 - 1:
_ERF_SMALL = (
    0.9654687386698673, -0.1405360890227171, 0.019852496688983708, -0.0022854855611441132, 0.00021751715604159932,
    -1.7537169441124866e-05, 1.223382738359897e-06, -7.511569286591727e-08, 4.115800583208149e-09,
    -2.035228405815769e-10, 9.167619596865806e-12, -3.8078824063194953e-13, 1.4543887079465116e-14,
)  # fmt: skip
# exp(x**2) erfc(x) / t over x in [1, 27], t = 1 / (1 + x / 2), in u = t mapped onto [-1, 1]:
_ERFC_LARGE = (
    0.4293414302560407, 0.1639030357183716, 0.04339549025732715, 0.005733958946550584, -0.0006673338293892974,
    -0.0003637902890268509, 1.0399422935190965e-05, 2.465022096519327e-05, -8.188146648885463e-07,
    -1.9872084647051986e-06, 2.0903841383800533e-07, 1.6813738492064952e-07, -4.227392405885806e-08,
    -1.1506065685499272e-08, 6.761734738590218e-09, 1.0243253680034157e-11, -8.384547497856693e-10,
    1.9165766694490875e-10, 6.992080537848796e-11, -3.8840426281408174e-11, -2.532341805979282e-12,
    3.5278827285447937e-12,
)  # fmt: skip
_T_LOW, _T_HIGH = 1 / (1 + 27 / 2), 1 / (1 + 1 / 2)


def _polynomial(coefficients: tuple[float, ...], u: np.ndarray) -> np.ndarray:
    total = np.full_like(u, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total *= u
        total += coefficient
    return total


def _erf_near_zero(x: np.ndarray) -> np.ndarray:
    return x * _polynomial(_ERF_SMALL, 2 * x * x - 1)


def _erfc_far(x: np.ndarray) -> np.ndarray:
    """erfc of x >= 1; it is 0 in double precision from 27.3 on."""
    x = np.minimum(x, 28.0)
    t = 1 / (1 + x / 2)
    return t * np.exp(-x * x) * _polynomial(_ERFC_LARGE, (2 * t - (_T_LOW + _T_HIGH)) / (_T_HIGH - _T_LOW))


def _erf64(x: np.ndarray) -> np.ndarray:
    size = np.abs(x)
    near = size < 1
    tail = 1 - _erfc_far(np.maximum(size, 1.0))
    return np.where(near, _erf_near_zero(np.where(near, x, 0.0)), np.copysign(tail, x))


def _erfc64(x: np.ndarray) -> np.ndarray:
    size = np.abs(x)
    near = size < 1
    tail = _erfc_far(np.maximum(size, 1.0))
    return np.where(near, 1 - _erf_near_zero(np.where(near, x, 0.0)), np.where(x < 0, 2 - tail, tail))


def _erfinv64(x: np.ndarray) -> np.ndarray:
    size = np.abs(x)
    inside = size < 1
    p = np.where(inside, size, 0.5)
    log = np.log1p(-p * p)
    a = 0.147
    half = 2 / (np.pi * a) + log / 2
    y = np.sqrt(np.maximum(np.sqrt(half * half - log / a) - half, 0.0))
    for _ in range(3):
        error = np.where(p < 0.5, _erf64(y) - p, (1 - p) - _erfc64(y))
        step = error / (2 / np.sqrt(np.pi) * np.exp(-y * y))
        y = y - step / (1 + y * step)
    y = np.where(inside, y, np.where(size == 1, np.inf, np.nan))
    return np.copysign(y, x)


BLOCK = 1 << 12  # elements at a time, so that some twenty temporaries in double precision stay in cache


def _in_double(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """The function of each element, computed in double precision block by block."""
    flat, out = x.reshape(-1), np.empty(x.shape, x.dtype)
    into = out.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        part = slice(start, start + BLOCK)
        into[part] = function(flat[part].astype(np.float64))
    return out


def erf(x: np.ndarray) -> np.ndarray:
    """The error function, computed in double precision."""
    return _in_double(_erf64, x)


def erfc(x: np.ndarray) -> np.ndarray:
    """1 - erf(x), with full relative precision where it is tiny; computed in double precision."""
    return _in_double(_erfc64, x)


def erfinv(x: np.ndarray) -> np.ndarray:
    """The inverse of erf on (-1, 1): Winitzki's elementary guess (0.2 %), then three steps of Halley's method.

    The steps solve erfc(y) = 1 - |x|, which keeps its precision next to 1. Computed in double precision.
    """
    return _in_double(_erfinv64, x)


def stop_gradient(variable: np.ndarray) -> np.ndarray:
    """The input itself."""
    return variable


KERNELS: dict[str, Callable[..., Any]] = {
    "negative": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "erf": erf,
    "erfc": erfc,
    "erfinv": erfinv,
    "floor": np.floor,
    "round_half_even": np.rint,
    "isfinite": np.isfinite,
    "bitwise_not": np.invert,
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.true_divide,
    "floor_divide": np.floor_divide,
    "mod": np.remainder,
    "power": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "arctan2": np.arctan2,
    "equal": np.equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "left_shift": np.left_shift,
    "right_shift": np.right_shift,
    "where": np.where,
    "cast": cast,
    "view": view,
    "stop_gradient": stop_gradient,
}
