"""Ops: one record each, declared once, called eagerly, under tapes and in traces.

A *primitive* is an op that backends know: its declaration gives the shape and dtype rule (the function's body), the
gradient, how dtypes promote, and sample calls for the tests. A *composite* is an op whose body, written in other ops,
is its meaning; its gradient follows from the body unless it gives one.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from amalthea.core.composite import Composite
from amalthea.core.op_record import Op, nondifferentiable
from amalthea.core.primitive import Primitive
from amalthea.core.registry import exported, registry

__all__ = ["Composite", "Op", "Primitive", "composite", "export", "nondifferentiable", "primitive", "registry"]

R = TypeVar("R", covariant=True)


class OpFunction(Protocol[R]):
    """A declared op. It takes for each tensor whatever `as_tensor` takes, so the arguments are not typed further."""

    op: Any
    __name__: str

    def __call__(self, *args: Any, **kwargs: Any) -> R: ...


def _public(op: Op, function: Callable[..., R]) -> OpFunction[R]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return op(*args, **kwargs)

    call.op = op  # type: ignore[attr-defined]
    registry[op.name] = call
    return call  # type: ignore[return-value]


def primitive(
    *,
    gradient: Any,
    samples: Any,
    promote: Any = None,
    broadcasts: bool = False,
    normalize: Callable[..., dict[str, Any]] | None = None,
    name: str | None = None,
) -> Callable[[Callable[..., R]], OpFunction[R]]:
    """Declare a primitive; the decorated function's body is its shape and dtype rule on `TensorSpec`s.

    Args:
        gradient: one rule per tensor input, each `(g, out, *inputs, **attrs) -> gradient` (None or
            `nondifferentiable` for none); or one function that returns the gradients of all inputs; or
            `nondifferentiable`.
        samples: a function that returns sample calls [(args, kwargs), ...], from which the tests are made.
        promote: how input dtypes are made one: None (not at all), "common", "float", or a function of the list of
            dtypes (`int` and `float` for Python numbers) that returns one dtype for all inputs or a tuple, one each.
        broadcasts: whether inputs broadcast; gradients are then summed to each input's shape.
        normalize: `(*specs, **attrs) -> attrs` in canonical, hashable form.
    """

    def declare(function: Callable[..., R]) -> OpFunction[R]:
        return _public(Primitive(function, gradient, samples, promote, broadcasts, normalize, name), function)

    return declare


def composite(
    *, samples: Any, gradient: Any = None, name: str | None = None, gradient_needs: str | None = None
) -> Callable[[Callable[..., R]], OpFunction[R]]:
    """Declare a composite; the decorated function's body, written in other ops, is its meaning.

    Args:
        samples, name: as for a primitive.
        gradient: as for a primitive; None where it follows from the body.
        gradient_needs: a composite in the gradient without whose kernel the gradient is not worth it: on backends that
            have none it follows from the body.
    """

    def declare(function: Callable[..., R]) -> OpFunction[R]:
        return _public(Composite(function, gradient, samples, name, gradient_needs), function)

    return declare


def export(module: str, *more: str) -> None:
    """Set the module's `__all__`: the ops declared in it, its other public functions and classes, and `more`.

    It is set from here because a type checker that sees an assignment to `__all__` it cannot evaluate takes the module
    to export nothing.
    """
    space = vars(sys.modules[module])
    ops = [name for name, function in registry.items() if function.op.module == module and name in space]
    others = [
        name
        for name, thing in space.items()
        if not name.startswith("_") and callable(thing) and getattr(thing, "__module__", None) == module
    ]
    space["__all__"] = sorted({*ops, *others, *more})
    exported.update(space["__all__"])
