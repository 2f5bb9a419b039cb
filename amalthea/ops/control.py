"""Control flow: branches and loops that a trace records as one node each, and that eager code simply runs.

Eagerly `cond` calls one of its functions and loops are Python loops, so tapes record what really happened. In a trace
the functions become graphs inside the node. Variables assigned in them become state of the node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from amalthea.core import dtypes, tree
from amalthea.core.context import context, no_tapes
from amalthea.core.errors import ArgumentError, DTypeError, GradientError, ShapeError, fail
from amalthea.core.graph import Graph
from amalthea.core.linearize import pullback
from amalthea.core.node import fill, slots, value_of
from amalthea.core.op import export, primitive
from amalthea.core.registry import registry
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import KerasTensor, Tensor, as_tensor, is_symbolic, symbolic
from amalthea.core.tracing import Trace
from amalthea.core.value import Value
from amalthea.core.variable import Variable


class _Body:
    """A function traced as the inside of a control-flow node.

    Attributes:
        structure: the form of its result, tensors as Slots.
        outputs: its result's tensors (in the inner trace), flat.
        states: the variables it assigns; `state_outputs` their last values.
        captures: the values of enclosing traces that it uses.
    """

    def __init__(self, function: Callable[..., Any], specs: Any, states: Sequence[Variable], name: str) -> None:
        with no_tapes(), Trace(level=context.trace.level if context.trace is not None else "op") as trace:
            flat: list[KerasTensor] = []
            arguments = _symbols(specs, trace, flat)
            self.state_inputs = [trace.input(TensorSpec(v._shape, v._dtype)) for v in states]
            for variable, tensor in zip(states, self.state_inputs, strict=True):
                trace.current[id(variable)] = tensor
                trace.written[id(variable)] = variable
            result = tree.map_structure(_leaf, function(*arguments))
        self.outputs: list[Tensor] = []
        self.structure = slots(result, self.outputs)
        self.inputs = flat
        self.trace, self.name = trace, name
        self.states = list(trace.written.values())
        self.read = [key for key in trace.current if key not in trace.written]
        probe = self._graph([], [*self.outputs, *(trace.current[id(v)] for v in self.states)])
        self.captures = probe.captures

    def _graph(self, more: Sequence[Value], outputs: Sequence[Tensor]) -> Graph:
        values = [*(t._value for t in self.inputs), *(t._value for t in self.state_inputs), *more]
        return Graph(self.name, values, [value_of(t) for t in outputs], None, trace=self.trace.id)

    def graph(self, captures: Sequence[Value], outputs: Sequence[Tensor] | None = None) -> Graph:
        """The body with its captures as further inputs."""
        return self._graph(captures, self.outputs if outputs is None else outputs)

    def after(self, variable: Variable) -> Tensor:
        """The variable's value when the body ends."""
        found = self.trace.current.get(id(variable))
        return found if found is not None else variable._own()


def _leaf(x: Any) -> Any:
    if isinstance(x, (bool, int, float, np.ndarray, np.generic, Variable)):
        return as_tensor(x)
    return x


def _symbols(structure: Any, trace: Trace, flat: list[KerasTensor]) -> Any:
    def one(leaf: Any) -> Any:
        if leaf is None:
            return None
        flat.append(trace.input(leaf))
        return flat[-1]

    return tree.map_structure(one, structure)


def _specs(structure: Any) -> Any:
    return tree.map_structure(lambda t: None if t is None else TensorSpec(t.shape, t.dtype), structure)


def _tensors(structure: Any) -> Any:
    return tree.map_structure(lambda x: None if x is None else as_tensor(x), structure)


def _settled(function: Callable[..., Any], specs: Any, name: str) -> _Body:
    """The body traced with the variables it assigns as state that goes in and out."""
    states: list[Variable] = []
    while True:
        body = _Body(function, specs, states, name)
        if len(body.states) == len(states):
            return body
        states = body.states


def _announce(bodies: Sequence[_Body]) -> list[Tensor]:
    """The captured values as tensors of this trace; variables read inside count as read here, for tapes."""
    if context.tapes and context.trace is not None:
        for body in bodies:
            for key in body.read:
                owner = context.trace
                while owner is not None and key not in owner.inputs:
                    owner = owner.parent
                if owner is not None:
                    owner.inputs[key][0]._own()
    unique: dict[Value, None] = {}
    for body in bodies:
        unique.update(dict.fromkeys(body.captures))
    return [symbolic(value) for value in unique]


def _tracing(*structures: Any) -> bool:
    return context.trace is not None or any(is_symbolic(t) for s in structures for t in tree.flatten(s))


def _check_same(where: str, what: str, got: Sequence[Any], want: Sequence[Any]) -> None:
    if len(got) != len(want):
        fail(
            ShapeError,
            f"{what} must have the same structure",
            where=where,
            received=f"{len(got)} and {len(want)} tensors",
        )
    for a, b in zip(got, want, strict=True):
        if tuple(a.shape) != tuple(b.shape) or a.dtype != b.dtype:
            fail(
                ShapeError if tuple(a.shape) != tuple(b.shape) else DTypeError,
                f"{what} must have the same shapes and dtypes",
                where=where,
                received=f"{TensorSpec(a.shape, a.dtype)} and {TensorSpec(b.shape, b.dtype)}",
                fix="cast or reshape inside the function so that they agree",
            )


# Branches


def _branch_gradient(g: Any, out: Any, *inputs: Tensor, graphs: tuple[Graph, ...]) -> list[Any]:
    operands = inputs[1:]
    floating = [x for x in operands if x.dtype.is_floating]
    seeds = [gi for gi, y in zip(_seq(g), _seq(out), strict=True) if y.dtype.is_floating]
    if not floating:
        return [None] * len(inputs)
    found = list(_seq(branch([inputs[0], *operands, *seeds], graphs=tuple(pullback(graph) for graph in graphs))))
    return [None, *(found.pop(0) if x.dtype.is_floating else None for x in operands)]


def _seq(x: Any) -> Sequence[Any]:
    return x if isinstance(x, (tuple, list)) else (x,)


def _sample_graph(function: Callable[..., Any], *specs: TensorSpec) -> Graph:
    body = _Body(function, list(specs), [], "body")
    return body.graph(())


def _f64(*shape: int) -> TensorSpec:
    return TensorSpec(shape, "float64")


@primitive(
    gradient=_branch_gradient,
    samples=lambda: [
        (
            ([np.int32(i), np.array([0.5, -1.5]), np.array([2.0, 3.0])],),
            {
                "graphs": (
                    _sample_graph(lambda x, y: [x * y], _f64(2), _f64(2)),
                    _sample_graph(lambda x, y: [x * x + y], _f64(2), _f64(2)),
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
    """
    for graph in graphs[1:]:
        _check_same("cond", "what the branches return", graph.outputs_specs(), graphs[0].outputs_specs())
    return tuple(graphs[0].outputs_specs())  # type: ignore[return-value]


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """`true_fn()` if `pred` holds, else `false_fn()`.

    Args:
        pred: a boolean scalar, tensor or Python value.
        true_fn, false_fn: functions without arguments that return the same structure of tensors with the same
            shapes and dtypes (in a trace; eagerly only one is called).

    Differentiable. Eagerly one function is called; in a trace both are traced and one of them runs.

    >>> import amalthea as am
    >>> x = am.ops.convert_to_tensor(-2.0)
    >>> float(am.ops.cond(x > 0.0, lambda: x, lambda: -x))
    2.0
    """
    for name, function in (("true_fn", true_fn), ("false_fn", false_fn)):
        if not callable(function):
            fail(ArgumentError, f"{name} must be a function", where="cond", received=type(function).__name__)
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
    if not _tracing(pred):
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
    index = as_tensor(index)
    if not dtypes.is_integer(index.dtype) or tuple(index.shape) != ():
        fail(
            ArgumentError,
            "the index must be an integer scalar",
            where="switch",
            received=repr(TensorSpec(index.shape, index.dtype)),
        )
    if not _tracing(index, operands):
        return branches[min(max(int(index), 0), len(branches) - 1)](*operands)
    return _branches(index, [lambda b=b: b(*operands) for b in branches], "switch")


def _branches(index: Tensor, functions: Sequence[Callable[[], Any]], where: str) -> Any:
    bodies = [_settled(f, [], f"branch_{i}") for i, f in enumerate(functions)]
    states: list[Variable] = []
    for body in bodies:
        states += [v for v in body.states if all(v is not s for s in states)]
    if states:
        bodies = [_Body(f, [], states, f"branch_{i}") for i, f in enumerate(functions)]
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
        _check_same(where, "what the branches return", body.outputs, first.outputs)
    operands = _announce(bodies)
    captures = [t._value for t in operands]
    graphs = tuple(b.graph(captures, [*b.outputs, *(b.after(v) for v in states)]) for b in bodies)
    results = branch([registry["cast"](index, "int32"), *(v._own() for v in states), *operands], graphs=graphs)
    count = len(first.outputs)
    for variable, tensor in zip(states, results[count:], strict=True):
        variable.assign(tensor)
    return fill(first.structure, results[:count])


# Loops over a sequence


def _scan_gradient(
    g: Any, out: Any, *inputs: Tensor, body: Graph, carries: int, sequences: int, length: int, reverse: bool, save: bool
) -> list[Any]:
    outs, gs = list(_seq(out)), list(_seq(g))
    xs, constants = inputs[carries : carries + sequences], inputs[carries + sequences :]
    stacked = len(body.outputs) - carries
    if save:
        saved, g_saved = outs[-carries:] if carries else [], gs[-carries:] if carries else []
    else:
        options = {"body": body, "carries": carries, "sequences": sequences, "length": length, "reverse": reverse}
        again = list(_seq(scan_loop(list(inputs), save=True, **options)))
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
                "body": _sample_graph(lambda c, x, w: [c * w + x * x, c * x], _f64(2), _f64(2), _f64(2)),
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
    """
    specs = [TensorSpec(x.shape, x.dtype) for x in inputs]
    outs = body.outputs_specs()
    _check_same("scan", "the carried values before and after a step", outs[:carries], specs[:carries])
    for x in specs[carries : carries + sequences]:
        if not x.shape or x.shape[0] != length:
            fail(ShapeError, f"a sequence must have {length} steps", where="scan", received=repr(x))
    stacked = [TensorSpec((length, *s.shape), s.dtype) for s in outs[carries:]]
    kept = [TensorSpec((length, *s.shape), s.dtype) for s in specs[:carries]] if save else []
    return (*outs[:carries], *stacked, *kept)  # type: ignore[return-value]


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
    if not callable(f):
        fail(ArgumentError, "f must be a function (carry, x) -> (carry, y)", where="scan", received=type(f).__name__)
    init, xs = _tensors(init), _tensors(xs)
    length = _scan_length(xs, length)
    if not _tracing(init, xs) or length == 0:
        if length == 0 and not _tracing(init, xs):
            return _scan_traced(f, init, xs, 0, reverse)
        if not _tracing(init, xs):
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
        carry = _tensors(carry)
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
        new, y = _tensors(new), _tensors(y)
        carried[:] = [[t for t in tree.flatten(new) if t is not None]]
        return new, y

    body = _settled(call, [_specs(init), steps], "scan_body")
    first = [t for t in tree.flatten(init) if t is not None]
    sequences = [t for t in tree.flatten(xs) if t is not None]
    n = len(carried[0])
    _check_same("scan", "the carried values before and after a step", carried[0], first)
    states = body.states
    operands = _announce([body])
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


# Loops with a condition


def _no_loop_gradient(g: Any, out: Any, *inputs: Tensor, **attrs: Any) -> Any:
    fail(
        GradientError,
        "a traced loop without a bound on its number of steps has no reverse gradient",
        where="while_loop",
        fix="pass maximum_iterations=..., use fori_loop with Python bounds or scan, or run it eagerly",
    )


@primitive(
    gradient=_no_loop_gradient,
    samples=lambda: [
        (
            ([np.int32(0), np.array([1.0, 2.0])],),
            {
                "test": _sample_graph(lambda i, x: [i < 3], TensorSpec((), "int32"), _f64(2)),
                "body": _sample_graph(lambda i, x: [i + 1, x * 2.0], TensorSpec((), "int32"), _f64(2)),
                "carries": 2,
            },
        )
    ],
)
def loop(inputs: Sequence[Tensor], test: Graph, body: Graph, carries: int) -> tuple[Tensor, ...]:
    """A loop: while `test` holds of the carried values, `body` makes new ones. Constants follow the carried values.

    Both graphs take the carried values and the constants. This is what `while_loop` becomes in a trace.
    """
    specs = [TensorSpec(x.shape, x.dtype) for x in inputs[:carries]]
    _check_same("while_loop", "the loop variables before and after a step", body.outputs_specs(), specs)
    return tuple(specs)  # type: ignore[return-value]


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
    variables = _tensors((loop_vars,) if single else tuple(loop_vars))

    def step(*now: Any) -> Any:
        new = body(*now)
        whole = single and tree.form(new) != tree.form(variables)
        return _tensors((new,) if whole or not isinstance(new, (list, tuple)) else tuple(new))

    if not _tracing(variables):
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
        new = globals()["cond"](going, lambda: step(*carry[1]), lambda: carry[1])
        return (going, new), None

    (_, result), _ = scan(once, (as_tensor(True), variables), None, length=bound)
    return result


def _loop_traced(test: Callable[..., Any], step: Callable[..., Any], variables: Any) -> Any:
    specs = [_specs(v) for v in variables]
    body = _settled(step, specs, "loop_body")
    condition = _Body(lambda *now: as_tensor(test(*now)), specs, body.states, "loop_test")
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
    _check_same("while_loop", "the loop variables before and after a step", body.outputs, first)
    operands = _announce([condition, body])
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
    if isinstance(lower, (int, np.integer)) and isinstance(upper, (int, np.integer)):
        if upper <= lower:
            return _tensors(init_val)
        indices = as_tensor(np.arange(lower, upper, dtype=np.int32))
        return scan(lambda val, i: (_tensors(body_fun(i, val)), None), _tensors(init_val), indices)[0]
    _, result = while_loop(
        lambda i, val: i < upper, lambda i, val: (i + 1, _tensors(body_fun(i, val))), (as_tensor(lower), init_val)
    )
    return result


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """`f` applied to each slice of `xs` along the first axis, the results stacked.

    >>> import amalthea as am
    >>> am.ops.map(lambda x: x * x, am.ops.arange(3)).numpy().tolist()
    [0, 1, 4]
    """
    return scan(lambda carry, x: (carry, f(x)), (), xs)[1]


def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """`function` applied to each slice of `elements` along the first axis, the results stacked.

    Written as a loop; a trace has one node for it, not one per slice.

    >>> import amalthea as am
    >>> am.ops.vectorized_map(lambda x: x + 1, am.ops.arange(3)).numpy().tolist()
    [1, 2, 3]
    """
    return map(function, elements)


def associative_scan(f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """The running combination of `elems` along `axis` by the associative function `f`, in logarithmic depth.

    >>> import amalthea as am
    >>> am.ops.associative_scan(lambda a, b: a + b, am.ops.arange(5)).numpy().tolist()
    [0, 1, 3, 6, 10]
    """
    if not callable(f):
        fail(ArgumentError, "f must be a function of two elements", where="associative_scan", received=type(f).__name__)
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
