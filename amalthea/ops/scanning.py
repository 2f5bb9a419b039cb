"""Loops over a sequence, eagerly a Python loop that tapes record step by step, in a trace one node with a graph inside.

Variables assigned in the body are carried from step to step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from amalthea.core import tree
from amalthea.core.context import context
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.graph import Graph
from amalthea.core.linearize import pullback
from amalthea.core.node import fill, value_of
from amalthea.core.op import export, primitive
from amalthea.core.registry import registry
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.ops.bodies import (
    announce,
    as_sequence,
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


def _scan_gradient(
    g: Any, out: Any, *inputs: Tensor, body: Graph, carries: int, sequences: int, length: int, reverse: bool, save: bool
) -> list[Any]:
    outs, gs = list(as_sequence(out)), list(as_sequence(g))
    xs, constants = inputs[carries : carries + sequences], inputs[carries + sequences :]
    stacked = len(body.outputs) - carries
    if save:
        saved, g_saved = outs[-carries:] if carries else [], gs[-carries:] if carries else []
    else:
        options = {"body": body, "carries": carries, "sequences": sequences, "length": length, "reverse": reverse}
        again = list(as_sequence(scan_loop(list(inputs), save=True, **options)))
        saved, g_saved = again[len(again) - carries :], [None] * carries
    back = pullback(body)
    floats = [v.spec.dtype.is_floating for v in body.inputs]
    ct = [gi if f else None for gi, f in zip(gs[:carries], floats, strict=False)]
    accumulated = [
        registry["zeros_like"](c) if f else None for c, f in zip(constants, floats[carries + sequences :], strict=True)
    ]
    g_ys = [
        gi if y.dtype.is_floating else None
        for gi, y in zip(gs[carries : carries + stacked], outs[carries:], strict=False)
    ]

    def step(state: Any, now: Any) -> Any:
        ct, accumulated = state
        carry, x, g_y, g_carry = now
        seeds = [s for s in (*ct, *g_y) if s is not None]
        found = back.apply(*carry, *x, *constants, *seeds) if back.outputs else []
        grads = [found.pop(0) if f else None for f in floats]
        new = [
            None if a is None else (a if b is None else a + b) for a, b in zip(grads[:carries], g_carry, strict=True)
        ]
        total = [None if a is None else a + b for a, b in zip(accumulated, grads[carries + sequences :], strict=True)]
        return (new, total), grads[carries : carries + sequences]

    sequence = (list(saved), list(xs), g_ys, [gi if f else None for gi, f in zip(g_saved, floats, strict=False)])
    (ct, accumulated), g_xs = scan(step, (ct, accumulated), sequence, length=length, reverse=not reverse)
    return [*ct, *g_xs, *accumulated]


@primitive(
    gradient=_scan_gradient,
    samples=lambda: [
        (
            ([np.array([0.5, 1.5]), np.linspace(0.1, 1.0, 6).reshape(3, 2), np.array([0.3, 0.7])],),
            {
                "body": sample_graph(lambda c, x, w: [c * w + x * x, c * x], f64(2), f64(2), f64(2)),
                "carries": 1,
                "sequences": 1,
                "length": 3,
                "reverse": reverse,
                "save": save,
            },
        )
        for reverse, save in ((False, False), (True, True))
    ],
)
def scan_loop(
    inputs: Sequence[Tensor], body: Graph, carries: int, sequences: int, length: int, reverse: bool, save: bool
) -> tuple[Tensor, ...]:
    """A loop over the first axis of sequences, with values carried from step to step.

    `inputs` are the `carries` first values, the `sequences` (length, ...) and constants; `body` takes the carried
    values, one step of each sequence and the constants, and returns new carried values and what to stack.
    Returns the last carried values, the stacked results, and with `save` the carried values before each step, stacked.

    >>> import amalthea as am
    >>> sums = lambda xs: am.ops.scan(lambda total, x: (total + x, total + x), 0.0, xs)[1]
    >>> am.trace(sums, am.TensorSpec((3,), "float32")).run(am.Tensor([1.0, 2.0, 3.0])).tolist()
    [1.0, 3.0, 6.0]
    """
    specs = [TensorSpec(x.shape, x.dtype) for x in inputs]
    outs = body.outputs_specs()
    check_same("scan", "the carried values before and after a step", outs[:carries], specs[:carries])
    for x in specs[carries : carries + sequences]:
        if not x.shape or x.shape[0] != length:
            fail(ShapeError, f"a sequence must have {length} steps", where="scan", received=repr(x))
    steps = [TensorSpec(x.shape[1:], x.dtype) for x in specs[carries : carries + sequences]]
    check_fed("scan", body, [*specs[:carries], *steps, *specs[carries + sequences :]])
    stacked = [TensorSpec((length, *s.shape), s.dtype) for s in outs[carries:]]
    kept = [TensorSpec((length, *s.shape), s.dtype) for s in specs[:carries]] if save else []
    return (*outs[:carries], *stacked, *kept)  # type: ignore[arg-type]


def scan(
    f: Callable[[Any, Any], Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int = 1,
) -> Any:
    """Apply `f` along the first axis of `xs`, carrying values from step to step.

    Args:
        f: `(carry, x) -> (carry, y)`; the carry keeps its structure, shapes and dtypes.
        init: the first carry, any structure of tensors.
        xs: any structure of tensors of shape (length, ...), or None.
        length: the number of steps; needed if `xs` is None.
        reverse: go from the last step to the first.
        unroll: accepted as in Keras; it changes nothing that can be seen.

    Returns:
        (the last carry, the `y`s stacked along a new first axis). Differentiable.

    >>> import amalthea as am
    >>> total, sums = am.ops.scan(lambda c, x: (c + x, c + x), 0.0, am.ops.arange(4, dtype="float32"))
    >>> float(total), sums.numpy().tolist()
    (6.0, [0.0, 1.0, 3.0, 6.0])
    """
    check_takes("scan", "f", f, "carry", "x")
    init, xs = tensors_of(init), tensors_of(xs)
    length = _scan_length(xs, length)
    if not is_traced(init, xs) or length == 0:
        if length == 0 and not is_traced(init, xs):
            return _scan_traced(f, init, xs, 0, reverse)
        if not is_traced(init, xs):
            return _scan_eager(f, init, xs, length, reverse)
    return _scan_traced(f, init, xs, length, reverse)


def _scan_length(xs: Any, length: int | None) -> int:
    sizes = set()
    for x in tree.flatten(xs):
        if x is not None:
            if not x.shape:
                fail(ShapeError, "a sequence needs a first axis", where="scan", received="a scalar")
            sizes.add(x.shape[0])
    if length is not None:
        sizes.add(int(length))
    if len(sizes) != 1:
        fail(
            ShapeError,
            "all sequences must have the same number of steps" if sizes else "the number of steps is not known",
            where="scan",
            received=f"lengths {sorted(str(s) for s in sizes)}",
            fix="pass sequences of one length, or length=... when xs is None",
        )
    (size,) = sizes
    if size is None:
        fail(ShapeError, "the number of steps is not known", where="scan", fix="give the axis a fixed size")
    return int(size)


def _scan_eager(f: Callable[..., Any], init: Any, xs: Any, length: int, reverse: bool) -> Any:
    carry, ys = init, []
    for i in reversed(range(length)) if reverse else range(length):
        x = tree.map_structure(lambda t, i=i: None if t is None else t[i], xs)
        carry, y = _pair(f(carry, x))
        carry = tensors_of(carry)
        ys.append(y)
    if reverse:
        ys.reverse()
    flat = [tree.flatten(y) for y in ys]
    stack = registry["stack"]
    columns = [
        None if column[0] is None else stack([as_tensor(c) for c in column]) for column in zip(*flat, strict=True)
    ]
    return carry, tree.pack(ys[0], columns)


def _pair(result: Any) -> Any:
    if not (isinstance(result, (tuple, list)) and len(result) == 2):
        fail(ArgumentError, "f must return (carry, y)", where="scan", received=type(result).__name__)
    return result


def _scan_traced(f: Callable[..., Any], init: Any, xs: Any, length: int, reverse: bool) -> Any:
    steps = tree.map_structure(lambda t: None if t is None else TensorSpec(t.shape[1:], t.dtype), xs)
    carried: list[Any] = []

    def call(carry: Any, x: Any) -> Any:
        new, y = _pair(f(carry, x))
        new, y = tensors_of(new), tensors_of(y)
        carried[:] = [[t for t in tree.flatten(new) if t is not None]]
        return new, y

    body = settled_body(call, [specs_of(init), steps], "scan_body")
    first = [t for t in tree.flatten(init) if t is not None]
    sequences = [t for t in tree.flatten(xs) if t is not None]
    n = len(carried[0])
    check_same("scan", "the carried values before and after a step", carried[0], first)
    states = body.states
    operands = announce([body])
    values = [t._value for t in body.inputs]
    inner = [*values[:n], *(t._value for t in body.state_inputs), *values[n:], *(t._value for t in operands)]
    outputs = [*body.outputs[:n], *(body.after(v) for v in states), *body.outputs[n:]]
    graph = Graph("scan_body", inner, [value_of(t) for t in outputs], None, trace=body.trace.id)
    results = list(
        scan_loop(
            [*first, *(v._own() for v in states), *sequences, *operands],
            body=graph,
            carries=n + len(states),
            sequences=len(sequences),
            length=length,
            reverse=reverse,
            save=bool(context.tapes),
        )
    )
    for variable, tensor in zip(states, results[n : n + len(states)], strict=True):
        variable.assign(tensor)
    ys = results[n + len(states) : n + len(states) + len(body.outputs) - n]
    return fill(body.structure, [*results[:n], *ys])


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """`f` applied to each slice of `xs` along the first axis, the results stacked.

    >>> import amalthea as am
    >>> am.ops.map(lambda x: x * x, am.ops.arange(3)).numpy().tolist()
    [0, 1, 4]
    """
    check_takes("map", "f", f, "x")
    return scan(lambda carry, x: (carry, f(x)), (), xs)[1]


def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """`function` applied to each slice of `elements` along the first axis, the results stacked.

    Written as a loop; a trace has one node for it, not one per slice.

    >>> import amalthea as am
    >>> am.ops.vectorized_map(lambda x: x + 1, am.ops.arange(3)).numpy().tolist()
    [1, 2, 3]
    """
    check_takes("vectorized_map", "function", function, "x")
    return map(function, elements)


def associative_scan(f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """The running combination of `elems` along `axis` by the associative function `f`, in logarithmic depth.

    >>> import amalthea as am
    >>> am.ops.associative_scan(lambda a, b: a + b, am.ops.arange(5)).numpy().tolist()
    [0, 1, 3, 6, 10]
    """
    check_takes("associative_scan", "f", f, "a", "b")
    flat = [as_tensor(e) for e in tree.flatten(elems)]
    sizes = {e.shape[axis] for e in flat}
    if len(sizes) != 1:
        fail(ShapeError, "all elements need one length", where="associative_scan", received=f"lengths {sorted(sizes)}")
    move, flip, concatenate, stack = (registry[name] for name in ("moveaxis", "flip", "concatenate", "stack"))
    flat = [move(e, axis, 0) for e in flat]
    if reverse:
        flat = [flip(e, axis=0) for e in flat]

    def combine(a: list[Tensor], b: list[Tensor]) -> list[Tensor]:
        return [as_tensor(t) for t in tree.flatten(f(tree.pack(elems, a), tree.pack(elems, b)))]

    def run(parts: list[Tensor]) -> list[Tensor]:
        size = parts[0].shape[0]
        if size < 2:
            return parts
        odd = run(combine([p[0:-1:2] for p in parts], [p[1::2] for p in parts]))
        rest = [o[:-1] for o in odd] if size % 2 == 0 else odd
        even = combine(rest, [p[2::2] for p in parts]) if rest[0].shape[0] else rest
        even = [concatenate([p[:1], e], axis=0) for p, e in zip(parts, even, strict=True)]
        paired = [stack([e[: o.shape[0]], o], axis=1) for e, o in zip(even, odd, strict=True)]
        woven = [registry["reshape"](p, (2 * p.shape[0], *p.shape[2:])) for p in paired]
        return [w if size % 2 == 0 else concatenate([w, e[-1:]], axis=0) for w, e in zip(woven, even, strict=True)]

    result = run(flat)
    if reverse:
        result = [flip(r, axis=0) for r in result]
    return tree.pack(elems, [move(r, 0, axis) for r in result])


export(__name__)
