"""Branches: eagerly one function is called; in a trace a node holds them all as graphs.

Variables assigned in a branch become state of the node.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.graph import Graph
from amalthea.core.linearize import pullback
from amalthea.core.node import fill
from amalthea.core.op import export, primitive
from amalthea.core.registry import registry
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.core.variable import Variable
from amalthea.ops.bodies import (
    Body,
    announce,
    as_sequence,
    check_fed,
    check_same,
    check_takes,
    f64,
    is_traced,
    sample_graph,
    settled_body,
)


def _branch_gradient(g: Any, out: Any, *inputs: Tensor, graphs: tuple[Graph, ...]) -> list[Any]:
    operands = inputs[1:]
    floating = [x for x in operands if x.dtype.is_floating]
    seeds = [gi for gi, y in zip(as_sequence(g), as_sequence(out), strict=True) if y.dtype.is_floating]
    if not floating:
        return [None] * len(inputs)
    found = list(as_sequence(branch([inputs[0], *operands, *seeds], graphs=tuple(pullback(graph) for graph in graphs))))
    return [None, *(found.pop(0) if x.dtype.is_floating else None for x in operands)]


@primitive(
    gradient=_branch_gradient,
    samples=lambda: [
        (
            ([np.int32(i), np.array([0.5, -1.5]), np.array([2.0, 3.0])],),
            {
                "graphs": (
                    sample_graph(lambda x, y: [x * y], f64(2), f64(2)),
                    sample_graph(lambda x, y: [x * x + y], f64(2), f64(2)),
                )
            },
        )
        for i in (0, 1)
    ],
)
def branch(inputs: Sequence[Tensor], graphs: tuple[Graph, ...]) -> tuple[Tensor, ...]:
    """The result of one of several graphs on the same operands: `graphs[inputs[0]](*inputs[1:])`.

    The index is clamped to the graphs there are. All graphs take the operands and return the same shapes and dtypes.
    This is what `cond` and `switch` become in a trace.

    >>> import amalthea as am
    >>> graph = am.trace(lambda x: am.ops.cond(x > 0, lambda: x, lambda: -x), am.TensorSpec((), "float32"))
    >>> "branch" in [node.op.name for node in graph.expand("op").nodes]
    True
    """
    for graph in graphs:
        check_fed("cond", graph, inputs[1:])
        check_same("cond", "what the branches return", graph.outputs_specs(), graphs[0].outputs_specs())
    return tuple(graphs[0].outputs_specs())  # type: ignore[arg-type]


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """`true_fn()` if `pred` holds, else `false_fn()`.

    Args:
        pred: a boolean scalar, tensor or Python value.
        true_fn, false_fn: functions without arguments that return the same structure of tensors with the same
            shapes and dtypes.

    Differentiable. Eagerly only the chosen function is called, and the other may return anything. In a trace both are
    traced and one of them runs; there what they return is compared, and a difference raises ShapeError or DTypeError.

    >>> import amalthea as am
    >>> x = am.ops.convert_to_tensor(-2.0)
    >>> float(am.ops.cond(x > 0.0, lambda: x, lambda: -x))
    2.0
    """
    check_takes("cond", "true_fn", true_fn)
    check_takes("cond", "false_fn", false_fn)
    if isinstance(pred, (bool, np.bool_)):
        return true_fn() if pred else false_fn()
    pred = as_tensor(pred)
    if tuple(pred.shape) != ():
        fail(
            ShapeError,
            "the predicate must be a scalar",
            where="cond",
            received=f"shape {tuple(pred.shape)}",
            fix="reduce it with ops.all or ops.any, or choose element by element with ops.where",
        )
    if not is_traced(pred):
        return true_fn() if bool(pred) else false_fn()
    return _branches(registry["cast"](pred, "bool"), (false_fn, true_fn), "cond")


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """`branches[index](*operands)`, the index clamped to the branches there are.

    >>> import amalthea as am
    >>> float(am.ops.switch(1, [lambda x: x, lambda x: x * 10.0], am.ops.convert_to_tensor(2.0)))
    20.0
    """
    if not branches:
        fail(ArgumentError, "there are no branches", where="switch")
    for i, function in enumerate(branches):
        check_takes("switch", f"branches[{i}]", function, *(f"x{k}" for k in range(len(operands))))
    index = as_tensor(index)
    if not dtypes.is_integer(index.dtype) or tuple(index.shape) != ():
        fail(
            ArgumentError,
            "the index must be an integer scalar",
            where="switch",
            received=repr(TensorSpec(index.shape, index.dtype)),
        )
    if not is_traced(index, operands):
        return branches[min(max(int(index), 0), len(branches) - 1)](*operands)
    return _branches(index, [functools.partial(b, *operands) for b in branches], "switch")


def _branches(index: Tensor, functions: Sequence[Callable[[], Any]], where: str) -> Any:
    bodies = [settled_body(f, [], f"branch_{i}") for i, f in enumerate(functions)]
    states: list[Variable] = []
    for body in bodies:
        states += [v for v in body.states if all(v is not s for s in states)]
    if states:
        bodies = [Body(f, [], states, f"branch_{i}") for i, f in enumerate(functions)]
    first = bodies[0]
    for body in bodies[1:]:
        if body.structure != first.structure:
            fail(
                ArgumentError,
                "the branches return different structures",
                where=where,
                received=f"{body.structure} and {first.structure}",
                fix="return the same structure of tensors from each",
            )
        check_same(where, "what the branches return", body.outputs, first.outputs)
    operands = announce(bodies)
    captures = [t._value for t in operands]
    graphs = tuple(b.graph(captures, [*b.outputs, *(b.after(v) for v in states)]) for b in bodies)
    results = branch([registry["cast"](index, "int32"), *(v._own() for v in states), *operands], graphs=graphs)
    count = len(first.outputs)
    for variable, tensor in zip(states, results[count:], strict=True):
        variable.assign(tensor)
    return fill(first.structure, results[:count])


export(__name__)
