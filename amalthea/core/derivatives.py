"""Derivatives as functions: `grad`, `value_and_grad`, `vjp`, `custom_gradient`; all of them use the tape."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from amalthea.core import dtypes, tree
from amalthea.core.context import context
from amalthea.core.errors import ArgumentError, GradientError, fail
from amalthea.core.node import fill, slots
from amalthea.core.op import Composite
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


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function its own gradient: it returns (result, backward), where `backward` takes the output's gradient
    (one per output) and returns one per tensor argument.

    >>> import amalthea as am
    >>> @am.custom_gradient
    ... def clipped(x):
    ...     return x, lambda g: am.ops.clip(g, -1.0, 1.0)
    >>> float(am.grad(lambda x: clipped(x) * 100.0)(1.0))
    1.0
    """

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not context.busy:
            return _checked(f(*args, **kwargs), f)[0]
        inputs: list[Tensor] = []
        structure = slots(tree.map_structure(lambda x: as_tensor(x) if _is_value(x) else x, (args, kwargs)), inputs)
        op = _Custom(f, structure)
        return op.call(inputs)

    return call


def _is_value(x: Any) -> bool:
    return hasattr(x, "shape") and hasattr(x, "dtype")


def _checked(pair: Any, function: Callable[..., Any]) -> Any:
    if not (isinstance(pair, tuple) and len(pair) == 2 and callable(pair[1])):
        fail(
            GradientError,
            "a function with a custom gradient returns (result, backward)",
            where=getattr(function, "__name__", "custom_gradient"),
            received=type(pair).__name__,
            fix="return result, lambda g: ...",
        )
    return pair


class _Custom(Composite):
    """A composite for one call of a function with its own gradient; known to no registry."""

    def __init__(self, function: Callable[..., Any], structure: Any) -> None:
        self.name = getattr(function, "__name__", "custom_gradient")
        self.user, self.structure = function, structure
        self.gradient = self.pull
        self.tensors, self.static, self.variadic = ("inputs",), (), ()
        self.signature = inspect.signature(lambda inputs: None)

    def function(self, inputs: Sequence[Tensor]) -> Any:  # type: ignore[override]
        from_slots = fill(self.structure, inputs)
        return _checked(self.user(*from_slots[0], **from_slots[1]), self.user)[0]

    def call(self, inputs: list[Tensor]) -> Any:
        return self._call({"inputs": inputs})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(self.bind(args, kwargs))

    def converted(self, bound: dict[str, Any]) -> dict[str, Any]:
        return bound

    def pull(self, g: Any, out: Any, *inputs: Tensor) -> list[Any]:
        args, kwargs = fill(self.structure, inputs)
        backward = _checked(self.user(*args, **kwargs), self.user)[1]
        grads = backward(*g) if isinstance(g, (tuple, list)) else backward(g)
        grads = list(grads) if isinstance(grads, (tuple, list)) else [grads]
        if len(grads) != len(inputs):
            fail(
                GradientError,
                f"the backward function must return a gradient for each of the {len(inputs)} tensor arguments",
                where=self.name,
                received=f"{len(grads)} gradients",
            )
        return grads
