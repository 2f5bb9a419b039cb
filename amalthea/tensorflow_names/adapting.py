"""How an op becomes a function with TensorFlow's arguments."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from amalthea.core import dtypes
from amalthea.core.context import context, eager_scope
from amalthea.core.errors import ArgumentError, TraceError, fail
from amalthea.core.tensor import Tensor, is_symbolic


class OfOne(Protocol):
    """A function of one tensor, called `x`, with a `name` that has no effect."""

    def __call__(self, x: Any, name: str | None = None) -> Tensor: ...


class OfTwo(Protocol):
    """A function of two tensors, called `x` and `y`, with a `name` that has no effect."""

    def __call__(self, x: Any, y: Any, name: str | None = None) -> Tensor: ...


def of_one(op: Callable[[Any], Any], name: str | None = None) -> OfOne:
    """The op as a function `(x, name=None)`, under TensorFlow's name if that is another."""

    def call(x: Any, name: str | None = None) -> Tensor:
        return op(x)

    return _described(call, op, name)


def of_two(op: Callable[[Any, Any], Any], name: str | None = None) -> OfTwo:
    """The op as a function `(x, y, name=None)`, under TensorFlow's name if that is another."""

    def call(x: Any, y: Any, name: str | None = None) -> Tensor:
        return op(x, y)

    return _described(call, op, name)


def _described(call: Any, op: Callable[..., Any], name: str | None) -> Any:
    call.__name__ = call.__qualname__ = name or op.__name__
    first = (op.__doc__ or "").strip().split("\n")[0]
    call.__doc__ = f"{first}\n\nTensorFlow's arguments for the op `am.ops.{op.__name__}`; `name` has no effect."
    return call


def refuse(where: str, fix: str = "leave it out", **arguments: Any) -> None:
    """Fail if one of these arguments, which cannot be honoured, has another value than None or False."""
    for name, value in arguments.items():
        if value is not None and value is not False:
            fail(ArgumentError, f"`{name}` is not supported here", where=where, received=f"{name}={value!r}", fix=fix)


def known_values(where: str, *tensors: Any) -> None:
    """Fail if one of the tensors is symbolic: what is asked for needs its values, not only its shape."""
    if any(is_symbolic(tensor) for tensor in tensors):
        fail(
            TraceError,
            "this needs the values of its tensors, which are not known while a function or model is traced",
            where=where,
            fix="call it outside of traced code, or (in `fit`) compile the model with run_eagerly=True",
        )


def sizes_at_once(*values: Any) -> AbstractContextManager[None]:
    """A scope in which whole numbers that are known are computed with at once, in traced code too.

    TensorFlow's code makes shapes with ops, as in `tf.tile(x, tf.concat([tf.shape(x)[:1], [2]], 0))`. Sizes are known
    when code is traced, and have to stay so.
    """
    if context.trace is not None and all(_is_size(value) for value in values):
        return eager_scope()
    return nullcontext()


def _is_size(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_size(part) for part in value)
    if isinstance(value, Tensor):
        return not is_symbolic(value) and dtypes.is_integer(value.dtype)
    return isinstance(value, int)
