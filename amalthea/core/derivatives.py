"""Derivatives as functions: `grad`, `value_and_grad`, `vjp`; all of them use the tape."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from amalthea.core import dtypes, tree
from amalthea.core.errors import ArgumentError, GradientError, fail
from amalthea.core.registry import registry
from amalthea.core.tape import GradientTape
from amalthea.core.tensor import Tensor, as_tensor, key_of


def _tensors(structure: Any, where: str, seen: set[int]) -> Any:
    """The structure with tensors, each a source of its own even where one tensor is passed twice."""

    def one(leaf: Any) -> Tensor:
        tensor = as_tensor(leaf)
        if key_of(tensor) in seen:
            tensor = registry["reshape"](tensor, tuple(tensor.shape))
        seen.add(key_of(tensor))
        if not dtypes.is_floating(tensor.dtype):
            fail(
                GradientError,
                "only floating arguments have gradients",
                where=where,
                received=f"dtype {tensor.dtype}",
                fix="pass floats, or choose other arguments with argnums",
            )
        return tensor

    return tree.map_structure(one, structure)


def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns `function`'s value and its gradient with respect to the arguments at `argnums`.

    With `has_aux` the function returns (value, anything else), and the value comes back as that pair.

    >>> import amalthea as am
    >>> value, slope = am.value_and_grad(lambda x: x * x)(3.0)
    >>> float(value), float(slope)
    (9.0, 6.0)
    """
    places = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @functools.wraps(function)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        for i in places:
            if not -len(args) <= i < len(args):
                fail(ArgumentError, f"there is no argument {i}", where="grad", received=f"{len(args)} arguments")
        seen: set[int] = set()
        sources = [_tensors(args[i], "grad", seen) for i in places]
        call = list(args)
        for i, source in zip(places, sources, strict=True):
            call[i] = source
        with GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            value = function(*call, **kwargs)
            target = value[0] if has_aux else value
        if not isinstance(target, Tensor) or tuple(target.shape) != ():
            fail(
                GradientError,
                "the function must return a scalar tensor",
                where="grad",
                received=f"shape {tuple(target.shape)}" if isinstance(target, Tensor) else type(target).__name__,
                fix="reduce it with ops.sum or ops.mean, or use vjp",
            )
        grads = tape.gradient(target, sources, unconnected_gradients="zero")
        return value, (grads[0] if isinstance(argnums, int) else tuple(grads))

    return differentiated


def grad(function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of `function`, which returns a scalar.

    >>> import amalthea as am
    >>> float(am.grad(am.grad(lambda x: x * x * x))(2.0))
    12.0
    """
    both = value_and_grad(function, argnums, has_aux)

    @functools.wraps(function)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, grads = both(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads

    return gradient


def vjp(function: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
    """`function(*primals)`, and a function from an output gradient to the gradients of the primals (a tuple).

    >>> import amalthea as am
    >>> y, pull = am.vjp(lambda x: x * x, am.ops.convert_to_tensor([1.0, 2.0]))
    >>> pull(am.ops.convert_to_tensor([1.0, 10.0]))[0].numpy().tolist()
    [2.0, 40.0]
    """
    seen: set[int] = set()
    sources = [_tensors(p, "vjp", seen) for p in primals]
    tape = GradientTape(persistent=True, watch_accessed_variables=False)
    with tape:
        tape.watch(sources)
        result = function(*sources)

    def pull(output_gradients: Any) -> Any:
        return tuple(tape.gradient(result, sources, output_gradients, unconnected_gradients="zero"))

    return result, pull
