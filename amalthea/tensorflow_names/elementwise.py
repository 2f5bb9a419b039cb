"""Functions of each element, under TensorFlow's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.tensorflow_names.adapting import of_one, of_two

abs = of_one(ops.absolute, "abs")
acos = of_one(ops.arccos, "acos")
acosh = of_one(ops.arccosh, "acosh")
asin = of_one(ops.arcsin, "asin")
asinh = of_one(ops.arcsinh, "asinh")
atan = of_one(ops.arctan, "atan")
atanh = of_one(ops.arctanh, "atanh")
ceil = of_one(ops.ceil)
conj = of_one(ops.conj)
cos = of_one(ops.cos)
cosh = of_one(ops.cosh)
erf = of_one(ops.erf)
erfc = of_one(ops.erfc)
erfinv = of_one(ops.erfinv)
exp = of_one(ops.exp)
expm1 = of_one(ops.expm1)
floor = of_one(ops.floor)
is_finite = of_one(ops.isfinite, "is_finite")
is_inf = of_one(ops.isinf, "is_inf")
is_nan = of_one(ops.isnan, "is_nan")
log = of_one(ops.log)
log1p = of_one(ops.log1p)
log_sigmoid = of_one(ops.log_sigmoid)
logical_not = of_one(ops.logical_not)
negative = of_one(ops.negative)
reciprocal = of_one(ops.reciprocal)
round = of_one(ops.round)
rint = of_one(ops.round, "rint")
rsqrt = of_one(ops.rsqrt)
sigmoid = of_one(ops.sigmoid)
sign = of_one(ops.sign)
sin = of_one(ops.sin)
sinh = of_one(ops.sinh)
sqrt = of_one(ops.sqrt)
square = of_one(ops.square)
tan = of_one(ops.tan)
tanh = of_one(ops.tanh)

add = of_two(ops.add)
divide = of_two(ops.true_divide, "divide")
divide_no_nan = of_two(ops.divide_no_nan)
equal = of_two(ops.equal)
floordiv = of_two(ops.floor_divide, "floordiv")
floormod = of_two(ops.mod, "floormod")
greater = of_two(ops.greater)
greater_equal = of_two(ops.greater_equal)
less = of_two(ops.less)
less_equal = of_two(ops.less_equal)
logical_and = of_two(ops.logical_and)
logical_or = of_two(ops.logical_or)
maximum = of_two(ops.maximum)
minimum = of_two(ops.minimum)
mod = of_two(ops.mod)
multiply = of_two(ops.multiply)
not_equal = of_two(ops.not_equal)
pow = of_two(ops.power, "pow")
realdiv = of_two(ops.true_divide, "realdiv")
subtract = of_two(ops.subtract)
truediv = of_two(ops.true_divide, "truediv")


def atan2(y: Any, x: Any, name: str | None = None) -> Tensor:
    """The angle of the point (x, y), in radians from -pi to pi.

    >>> import amalthea as tf
    >>> float(tf.atan2(y=0.0, x=1.0))
    0.0
    """
    return ops.arctan2(y, x)


def logical_xor(x: Any, y: Any, name: str | None = "LogicalXor") -> Tensor:
    """Whether exactly one of both is true."""
    return ops.logical_xor(x, y)


def angle(input: Any, name: str | None = None) -> Tensor:
    """The angle of each element as a complex number."""
    return ops.angle(input)


def real(input: Any, name: str | None = None) -> Tensor:
    """The real part of each element."""
    return ops.real(input)


def imag(input: Any, name: str | None = None) -> Tensor:
    """The imaginary part of each element."""
    return ops.imag(input)


def add_n(inputs: Any, name: str | None = None) -> Tensor:
    """The sum of tensors of one shape.

    >>> import amalthea as tf
    >>> tf.add_n([[1, 2], [3, 4]]).numpy().tolist()
    [4, 6]
    """
    tensors = [as_tensor(tensor) for tensor in (inputs if isinstance(inputs, list | tuple) else [inputs])]
    if not tensors or len({tensor.shape for tensor in tensors}) > 1:
        fail(
            ArgumentError,
            "the tensors must be at least one and have one shape",
            where="add_n",
            received=f"shapes {[tensor.shape for tensor in tensors]}",
            fix="use + to add tensors whose shapes broadcast",
        )
    total = tensors[0]
    for tensor in tensors[1:]:
        total = total + tensor
    return total


def scalar_mul(scalar: Any, x: Any, name: str | None = None) -> Tensor:
    """A tensor times a number."""
    return ops.multiply(scalar, x)


def squared_difference(x: Any, y: Any, name: str | None = None) -> Tensor:
    """The square of x - y.

    >>> import amalthea as tf
    >>> tf.math.squared_difference([3.0], [1.0]).numpy().tolist()
    [4.0]
    """
    return ops.square(ops.subtract(x, y))


def multiply_no_nan(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x * y, and 0 where y is 0 whatever x is."""
    product = ops.multiply(x, y)
    return ops.where(ops.equal(y, 0), ops.zeros_like(product), product)


def reciprocal_no_nan(x: Any, name: str | None = None) -> Tensor:
    """1 / x, and 0 where x is 0."""
    return ops.divide_no_nan(ops.ones_like(x), x)


def xlogy(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x log(y), and 0 where x is 0.

    >>> import amalthea as tf
    >>> tf.math.xlogy([0.0, 2.0], [0.0, 1.0]).numpy().tolist()
    [0.0, 0.0]
    """
    nothing = ops.equal(x, 0)
    product = ops.multiply(x, ops.log(ops.where(nothing, 1.0, y)))
    return ops.where(nothing, ops.zeros_like(product), product)


def xlog1py(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x log(1 + y), and 0 where x is 0."""
    nothing = ops.equal(x, 0)
    product = ops.multiply(x, ops.log1p(ops.where(nothing, 0.0, y)))
    return ops.where(nothing, ops.zeros_like(product), product)


def xdivy(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x / y, and 0 where x is 0."""
    nothing = ops.equal(x, 0)
    quotient = ops.true_divide(x, ops.where(nothing, 1.0, y))
    return ops.where(nothing, ops.zeros_like(quotient), quotient)


def softplus(features: Any, name: str | None = None) -> Tensor:
    """log(1 + exp(features))."""
    return ops.softplus(features)


def softsign(features: Any, name: str | None = None) -> Tensor:
    """features / (1 + |features|)."""
    return ops.softsign(features)


def polyval(coeffs: Sequence[Any], x: Any, name: str | None = None) -> Tensor:
    """The polynomial with these coefficients, the highest power first, at x.

    >>> import amalthea as tf
    >>> float(tf.math.polyval([2.0, 1.0], 3.0))
    7.0
    """
    result = ops.zeros_like(x)
    for coefficient in coeffs:
        result = result * x + coefficient
    return result


def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Tensor:
    """Each element, but no less than the one bound and no more than the other.

    >>> import amalthea as tf
    >>> tf.clip_by_value([-3.0, 0.5], clip_value_min=-1.0, clip_value_max=1.0).numpy().tolist()
    [-1.0, 0.5]
    """
    return ops.clip(t, clip_value_min, clip_value_max)


def cast(x: Any, dtype: Any, name: str | None = None) -> Tensor:
    """The tensor in another dtype.

    >>> import amalthea as tf
    >>> tf.cast([True, False], tf.float32).numpy().tolist()
    [1.0, 0.0]
    """
    return ops.cast(x, dtypes.standardize(dtype))


def saturate_cast(value: Any, dtype: Any, name: str | None = None) -> Tensor:
    """The tensor in another dtype; values outside its range become its smallest or largest."""
    return ops.saturate_cast(value, dtype)


def bitcast(input: Any, type: Any, name: str | None = None) -> Tensor:
    """The same bits read as another dtype."""
    return ops.view(input, dtype=type)


def identity(input: Any, name: str | None = None) -> Tensor:
    """A tensor with the same values."""
    return ops.copy(input)


def stop_gradient(input: Any, name: str | None = None) -> Tensor:
    """The same values, through which no gradient flows."""
    return ops.stop_gradient(input)
