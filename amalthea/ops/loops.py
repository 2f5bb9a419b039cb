"""Loops with a condition: eagerly a Python loop; in a trace one node with two graphs inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from amalthea.core import tree
from amalthea.core.errors import ArgumentError, GradientError, ShapeError, fail
from amalthea.core.graph import Graph
from amalthea.core.node import fill
from amalthea.core.op import export, primitive
from amalthea.core.registry import registry
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.ops.bodies import (
    Body,
    announce,
    check_fed,
    check_same,
    check_takes,
    f64,
    is_traced,
    sample_graph,
    settled_body,
    specs_of,
    tensors_of,
)
from amalthea.ops.branches import cond as _cond
from amalthea.ops.scanning import scan


def _no_loop_gradient(g: Any, out: Any, *inputs: Tensor, **attrs: Any) -> Any:
    fail(
        GradientError,
        "a traced loop without a bound on its number of steps has no reverse gradient",
        where="gradient of while_loop",
        fix="pass maximum_iterations=..., use fori_loop with Python bounds or scan, or run it eagerly",
    )


@primitive(
    gradient=_no_loop_gradient,
    samples=lambda: [
        (
            ([np.int32(0), np.array([1.0, 2.0])],),
            {
                "test": sample_graph(lambda i, x: [i < 3], TensorSpec((), "int32"), f64(2)),
                "body": sample_graph(lambda i, x: [i + 1, x * 2.0], TensorSpec((), "int32"), f64(2)),
                "carries": 2,
            },
        )
    ],
)
def loop(inputs: Sequence[Tensor], test: Graph, body: Graph, carries: int) -> tuple[Tensor, ...]:
    """A loop: while `test` holds of the carried values, `body` makes new ones. Constants follow the carried values.

    Both graphs take the carried values and the constants. This is what `while_loop` becomes in a trace.

    >>> import amalthea as am
    >>> halve = lambda x: am.ops.while_loop(lambda x: x > 1.0, lambda x: (x / 2,), (x,))[0]
    >>> am.trace(halve, am.TensorSpec((), "float32")).run(8.0).item()
    1.0
    """
    specs = [TensorSpec(x.shape, x.dtype) for x in inputs[:carries]]
    check_same("while_loop", "the loop variables before and after a step", body.outputs_specs(), specs)
    for graph in (test, body):
        check_fed("while_loop", graph, inputs)
    return tuple(specs)  # type: ignore[arg-type]


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """While `cond(*loop_vars)` holds, `loop_vars = body(*loop_vars)`.

    Args:
        cond: returns a boolean scalar.
        body: returns new loop variables of the same structure, shapes and dtypes.
        loop_vars: a list or tuple of (structures of) tensors, or one tensor.
        maximum_iterations: the largest number of steps; with it the loop is differentiable in a trace too.

    >>> import amalthea as am
    >>> i, x = am.ops.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2.0), (0, 1.0))
    >>> float(x)
    8.0
    """
    single = not isinstance(loop_vars, (list, tuple))
    variables = tensors_of((loop_vars,) if single else tuple(loop_vars))
    names = [f"v{i}" for i in range(len(variables))]
    check_takes("while_loop", "cond", cond, *names)
    check_takes("while_loop", "body", body, *names)

    def step(*now: Any) -> Any:
        new = body(*now)
        whole = single and tree.form(new) != tree.form(variables)
        return tensors_of((new,) if whole or not isinstance(new, (list, tuple)) else tuple(new))

    if not is_traced(variables):
        done = 0
        while (maximum_iterations is None or done < maximum_iterations) and bool(as_tensor(cond(*variables))):
            variables, done = step(*variables), done + 1
        result: Any = variables
    elif maximum_iterations is not None:
        result = _bounded_loop(cond, step, variables, int(maximum_iterations))
    else:
        result = _loop_traced(cond, step, variables)
    if single:
        return result[0]
    return list(result) if isinstance(loop_vars, list) else tuple(result)


def _bounded_loop(test: Callable[..., Any], step: Callable[..., Any], variables: Any, bound: int) -> Any:
    def once(carry: Any, _: Any) -> Any:
        going = registry["logical_and"](carry[0], test(*carry[1]))
        new = _cond(going, lambda: step(*carry[1]), lambda: carry[1])
        return (going, new), None

    (_, result), _ = scan(once, (as_tensor(True), variables), None, length=bound)
    return result


def _loop_traced(test: Callable[..., Any], step: Callable[..., Any], variables: Any) -> Any:
    specs = [specs_of(v) for v in variables]
    body = settled_body(step, specs, "loop_body")
    condition = Body(lambda *now: as_tensor(test(*now)), specs, body.states, "loop_test")
    if len(condition.states) > len(body.states):
        fail(ArgumentError, "the condition of a loop cannot assign variables", where="while_loop")
    if tuple(condition.outputs[0].shape) != ():
        fail(
            ShapeError,
            "the condition must be a scalar",
            where="while_loop",
            received=f"shape {condition.outputs[0].shape}",
        )
    first = [t for t in tree.flatten(variables) if t is not None]
    check_same("while_loop", "the loop variables before and after a step", body.outputs, first)
    operands = announce([condition, body])
    captures = [t._value for t in operands]
    results = list(
        loop(
            [*first, *(v._own() for v in body.states), *operands],
            test=condition.graph(captures, condition.outputs[:1]),
            body=body.graph(captures, [*body.outputs, *(body.after(v) for v in body.states)]),
            carries=len(first) + len(body.states),
        )
    )
    for variable, tensor in zip(body.states, results[len(first) :], strict=True):
        variable.assign(tensor)
    return fill(body.structure, results[: len(first)])


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """`val = body_fun(i, val)` for i from `lower` to `upper` - 1, starting with `init_val`.

    Differentiable if the bounds are Python ints.

    >>> import amalthea as am
    >>> float(am.ops.fori_loop(0, 3, lambda i, x: x * 2.0, 1.0))
    8.0
    """
    check_takes("fori_loop", "body_fun", body_fun, "i", "val")
    if isinstance(lower, (int, np.integer)) and isinstance(upper, (int, np.integer)):
        if upper <= lower:
            return tensors_of(init_val)
        indices = as_tensor(np.arange(lower, upper, dtype=np.int32))
        return scan(lambda val, i: (tensors_of(body_fun(i, val)), None), tensors_of(init_val), indices)[0]
    _, result = while_loop(
        lambda i, val: i < upper, lambda i, val: (i + 1, tensors_of(body_fun(i, val))), (as_tensor(lower), init_val)
    )
    return result


export(__name__)
