"""`tf.debugging`: checks that raise. Those of values work eagerly; those of shapes and dtypes in traced code too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amalthea import ops
from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, DTypeError, ShapeError, fail
from amalthea.core.public_face import public_face
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.tensorflow_names.adapting import known_values

__all__ = [
    "Assert",
    "assert_all_finite",
    "assert_equal",
    "assert_greater",
    "assert_greater_equal",
    "assert_integer",
    "assert_less",
    "assert_less_equal",
    "assert_near",
    "assert_negative",
    "assert_non_negative",
    "assert_non_positive",
    "assert_none_equal",
    "assert_positive",
    "assert_rank",
    "assert_rank_at_least",
    "assert_scalar",
    "assert_shapes",
    "assert_type",
    "check_numerics",
]


def assert_equal(x: Any, y: Any, message: str | None = None, summarize: Any = None, name: str | None = None) -> None:
    """Raise ArgumentError unless the elements of x are equal to those of y."""
    _check("assert_equal", "x and y must be equal", ops.equal(x, y), message, x, y)


def assert_none_equal(
    x: Any, y: Any, summarize: Any = None, message: str | None = None, name: str | None = None
) -> None:
    """Raise ArgumentError unless the elements of x differ everywhere from those of y."""
    _check("assert_none_equal", "x and y must differ everywhere", ops.not_equal(x, y), message, x, y)


def assert_greater(x: Any, y: Any, message: str | None = None, summarize: Any = None, name: str | None = None) -> None:
    """Raise ArgumentError unless the elements of x are greater than those of y."""
    _check("assert_greater", "x and y must be greater", ops.greater(x, y), message, x, y)


def assert_greater_equal(
    x: Any, y: Any, message: str | None = None, summarize: Any = None, name: str | None = None
) -> None:
    """Raise ArgumentError unless the elements of x are greater or equal than those of y."""
    _check("assert_greater_equal", "x and y must be greater or equal", ops.greater_equal(x, y), message, x, y)


def assert_less(x: Any, y: Any, message: str | None = None, summarize: Any = None, name: str | None = None) -> None:
    """Raise ArgumentError unless the elements of x are less from those of y."""
    _check("assert_less", "x and y must be less", ops.less(x, y), message, x, y)


def assert_less_equal(
    x: Any, y: Any, message: str | None = None, summarize: Any = None, name: str | None = None
) -> None:
    """Raise ArgumentError unless the elements of x are less or equal than those of y."""
    _check("assert_less_equal", "x and y must be less or equal", ops.less_equal(x, y), message, x, y)


def assert_positive(x: Any, message: str | None = None, summarize: Any = None, name: str | None = None) -> None:
    """Raise ArgumentError unless all elements are > 0."""
    _check("assert_positive", "all elements must be > 0", as_tensor(x) > 0, message, x)


def assert_negative(x: Any, message: str | None = None, summarize: Any = None, name: str | None = None) -> None:
    """Raise ArgumentError unless all elements are < 0."""
    _check("assert_negative", "all elements must be < 0", as_tensor(x) < 0, message, x)


def assert_non_negative(x: Any, message: str | None = None, summarize: Any = None, name: str | None = None) -> None:
    """Raise ArgumentError unless all elements are >= 0."""
    _check("assert_non_negative", "all elements must be >= 0", as_tensor(x) >= 0, message, x)


def assert_non_positive(x: Any, message: str | None = None, summarize: Any = None, name: str | None = None) -> None:
    """Raise ArgumentError unless all elements are <= 0."""
    _check("assert_non_positive", "all elements must be <= 0", as_tensor(x) <= 0, message, x)


def assert_near(
    x: Any,
    y: Any,
    rtol: float | None = None,
    atol: float | None = None,
    message: str | None = None,
    summarize: Any = None,
    name: str | None = None,
) -> None:
    """Raise ArgumentError unless |x - y| <= atol + rtol * |y|; both are ten times the dtype's precision by default.

    >>> import amalthea as tf
    >>> tf.debugging.assert_near([1.0], [1.0 + 1e-7])
    """
    x, y = as_tensor(x), as_tensor(y)
    bound = 10 * {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}.get(x.dtype, 0.0)
    rtol, atol = (bound if tolerance is None else tolerance for tolerance in (rtol, atol))
    near = ops.absolute(x - y) <= atol + rtol * ops.absolute(y)
    _check("assert_near", "x and y must be near each other", near, message, x, y)


def assert_all_finite(x: Any, message: str, name: str | None = None) -> Tensor:
    """The tensor itself; ArgumentError if an element is infinite or not a number."""
    return check_numerics(x, message)


def check_numerics(tensor: Any, message: str, name: str | None = None) -> Tensor:
    """The tensor itself; ArgumentError with this message if an element is infinite or not a number."""
    x = as_tensor(tensor)
    _check("check_numerics", "all elements must be finite", ops.isfinite(x), message, x)
    return x


def Assert(condition: Any, data: Any, summarize: Any = None, name: str | None = None) -> None:
    """Raise ArgumentError, showing the data, unless the condition holds."""
    _check("Assert", "the condition does not hold", as_tensor(condition), None, *data)


def assert_rank(x: Any, rank: int, message: str | None = None, name: str | None = None) -> None:
    """Raise ShapeError unless the tensor has so many axes.

    >>> import amalthea as tf
    >>> tf.debugging.assert_rank(tf.zeros((2, 3)), 2)
    """
    if len(as_tensor(x).shape) != int(rank):
        _shape("assert_rank", message or f"the tensor must have {rank} axes", x)


def assert_rank_at_least(x: Any, rank: int, message: str | None = None, name: str | None = None) -> None:
    """Raise ShapeError unless the tensor has at least so many axes."""
    if len(as_tensor(x).shape) < int(rank):
        _shape("assert_rank_at_least", message or f"the tensor must have at least {rank} axes", x)


def assert_scalar(tensor: Any, message: str | None = None, name: str | None = None) -> Tensor:
    """The tensor itself; ShapeError if it has any axis."""
    x = as_tensor(tensor)
    if x.shape:
        _shape("assert_scalar", message or "the tensor must be a scalar", x)
    return x


def assert_shapes(
    shapes: Any, data: Any = None, summarize: Any = None, message: str | None = None, name: str | None = None
) -> None:
    """Raise ShapeError unless shapes fit: pairs (tensor, sizes), in which a letter means one size everywhere.

    >>> import amalthea as tf
    >>> tf.debugging.assert_shapes([(tf.zeros((2, 3)), ("n", 3)), (tf.zeros((2,)), ("n",))])
    """
    sizes: dict[Any, Any] = {}
    for tensor, wanted in shapes.items() if hasattr(shapes, "items") else shapes:
        shape = as_tensor(tensor).shape
        if len(shape) != len(wanted):
            _shape("assert_shapes", message or f"the shape must fit {tuple(wanted)}", tensor)
        for size, want in zip(shape, wanted, strict=True):
            if want is not None and size != (want if isinstance(want, int) else sizes.setdefault(want, size)):
                _shape("assert_shapes", message or f"the shape must fit {tuple(wanted)} with {sizes}", tensor)


def assert_type(tensor: Any, tf_type: Any, message: str | None = None, name: str | None = None) -> None:
    """Raise DTypeError unless the tensor has this dtype."""
    if as_tensor(tensor).dtype != dtypes.standardize(tf_type):
        _dtype("assert_type", message or f"the tensor must be of dtype {tf_type}", tensor)


def assert_integer(x: Any, message: str | None = None, name: str | None = None) -> None:
    """Raise DTypeError unless the tensor has an integer dtype."""
    if not dtypes.is_integer(as_tensor(x).dtype):
        _dtype("assert_integer", message or "the tensor must be of an integer dtype", x)


def _check(where: str, rule: str, holds: Any, message: str | None, *shown: Any) -> None:
    known_values(f"debugging.{where}", holds)
    if not bool(ops.all(holds)):
        text = f"{message}: {rule}" if message else rule
        fail(ArgumentError, text, where=f"debugging.{where}", received=", ".join(f"{x!r:.200}" for x in shown))


def _shape(where: str, message: str, x: Any) -> None:
    fail(ShapeError, message, where=f"debugging.{where}", received=f"shape {as_tensor(x).shape}")


def _dtype(where: str, message: str, x: Any) -> None:
    fail(DTypeError, message, where=f"debugging.{where}", received=f"dtype {as_tensor(x).dtype}")


if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
