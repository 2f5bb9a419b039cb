"""Control flow on tensors, under TensorFlow's names.

Hints to TensorFlow's runtime (`parallel_iterations`, `swap_memory`, `infer_shape`) have no effect here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from amalthea import ops
from amalthea.core import dtypes, tree
from amalthea.core.context import context
from amalthea.core.errors import ArgumentError, DTypeError, fail
from amalthea.core.tensor import Operand, as_tensor
from amalthea.tensorflow_names.adapting import known_values, refuse


def cond(
    pred: Any,
    true_fn: Callable[[], Any] | None = None,
    false_fn: Callable[[], Any] | None = None,
    name: str | None = None,
) -> Any:
    """The one function's result if `pred` is true and the other's if not.

    >>> import amalthea as tf
    >>> float(tf.cond(tf.constant(2.0) > 1.0, lambda: 1.0, lambda: 0.0))
    1.0
    """
    if not callable(true_fn) or not callable(false_fn):
        fail(
            ArgumentError,
            "true_fn and false_fn must be functions without arguments",
            where="cond",
            received=f"true_fn={true_fn!r}, false_fn={false_fn!r}",
            fix="wrap values: lambda: value",
        )
    return ops.cond(pred, true_fn, false_fn)


def case(
    pred_fn_pairs: Any,
    default: Callable[[], Any] | None = None,
    exclusive: bool = False,
    strict: bool = False,
    name: str | None = "case",
) -> Any:
    """The result of the first function whose condition holds, else of `default`."""
    refuse("case", exclusive=exclusive, strict=strict)
    pairs = list(pred_fn_pairs.items() if hasattr(pred_fn_pairs, "items") else pred_fn_pairs)
    if default is None:
        *pairs, (_, default) = pairs

    def choose(rest: list[Any]) -> Any:
        return default() if not rest else ops.cond(rest[0][0], rest[0][1], lambda: choose(rest[1:]))

    return choose(pairs)


def switch_case(
    branch_index: Any, branch_fns: Any, default: Callable[[], Any] | None = None, name: str | None = "switch_case"
) -> Any:
    """The result of the function with this number, else of `default` (by default the last one).

    >>> import amalthea as tf
    >>> float(tf.switch_case(1, [lambda: 1.0, lambda: 2.0]))
    2.0
    """
    items = list(branch_fns.items()) if isinstance(branch_fns, dict) else list(branch_fns)
    table = dict(items if items and not callable(items[0]) else enumerate(items))
    last = default or table[max(table)]
    branches = [table.get(i, last) for i in range(max(table) + 1)] + [last]
    index = as_tensor(branch_index)
    inside = ops.logical_and(index >= 0, index < len(branches) - 1)
    return ops.switch(ops.where(inside, index, len(branches) - 1), branches)


def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    shape_invariants: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    maximum_iterations: int | None = None,
    name: str | None = None,
) -> Any:
    """Repeat `body` while `cond` holds, both of the loop's variables, whose shapes stay.

    >>> import amalthea as tf
    >>> i, total = tf.while_loop(lambda i, t: i < 3, lambda i, t: (i + 1, t + i), (tf.constant(0), tf.constant(0)))
    >>> int(total)
    3
    """
    refuse("while_loop", "keep the shapes of the loop's variables the same", shape_invariants=shape_invariants)
    kind = type(loop_vars)
    result = ops.while_loop(cond, body, tuple(loop_vars), maximum_iterations=maximum_iterations)
    if not back_prop:
        result = tree.map_structure(ops.stop_gradient, result)
    result = result if isinstance(result, list | tuple) else (result,)
    if len(result) == 1 and not isinstance(loop_vars, list | tuple):
        return result[0]
    return list(result) if kind is list else result


def map_fn(
    fn: Callable[[Any], Any],
    elems: Any,
    dtype: Any = None,
    parallel_iterations: int | None = None,
    back_prop: bool = True,
    swap_memory: bool = False,
    infer_shape: bool = True,
    name: str | None = None,
    fn_output_signature: Any = None,
) -> Any:
    """The function of each slice along the first axis, stacked.

    Args:
        fn: gets one slice (of nested `elems`, the slices in their structure).
        elems: a tensor or a nested structure of tensors.
        dtype, fn_output_signature: the dtypes of the results, or specs; not needed, and checked if given.
        back_prop: False to let no gradient flow.

    >>> import amalthea as tf
    >>> tf.map_fn(lambda x: x * 2, tf.constant([1, 2])).numpy().tolist()
    [2, 4]
    """
    result = ops.map(fn, tree.map_structure(as_tensor, elems))
    wanted = fn_output_signature if fn_output_signature is not None else dtype
    if wanted is not None:
        specs = tree.flatten(wanted)
        got = [leaf.dtype for leaf in tree.flatten(result)]
        if [dtypes.standardize(getattr(spec, "dtype", spec)) for spec in specs] != got:
            fail(
                DTypeError,
                "the function's results do not have the dtypes that fn_output_signature names",
                where="map_fn",
                received=f"results {[str(d) for d in got]}, fn_output_signature={wanted!r}",
                fix="leave fn_output_signature out, or cast the results",
            )
    return result if back_prop else tree.map_structure(ops.stop_gradient, result)


def vectorized_map(fn: Callable[[Any], Any], elems: Any, fallback_to_while_loop: bool = True, warn: bool = True) -> Any:
    """As `map_fn`, with all slices computed at once where that is possible."""
    return ops.vectorized_map(fn, elems)


def scan(
    fn: Callable[[Any, Any], Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    infer_shape: bool = True,
    reverse: bool = False,
    name: str | None = None,
) -> Any:
    """All intermediate results of `foldl` (or with `reverse` of `foldr`), stacked along a new first axis.

    >>> import amalthea as tf
    >>> tf.scan(lambda total, x: total + x, tf.constant([1, 2, 3])).numpy().tolist()
    [1, 3, 6]
    """
    start, elems = _start(elems, initializer, reverse)

    def step(carry: Any, x: Any) -> tuple[Any, Any]:
        after = fn(carry, x)
        return after, after

    _, results = ops.scan(step, start, elems, reverse=reverse)
    if initializer is None:
        edge = tree.map_structure(lambda x: ops.expand_dims(x, 0), start)
        results = tree.map_structure(lambda a, b: ops.concatenate([b, a] if reverse else [a, b], axis=0), edge, results)
    return results if back_prop else tree.map_structure(ops.stop_gradient, results)


def foldl(
    fn: Callable[[Any, Any], Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    name: str | None = None,
) -> Any:
    """`fn(... fn(fn(initializer, first), second) ..., last)` over the slices along the first axis.

    >>> import amalthea as tf
    >>> int(tf.foldl(lambda total, x: total * 10 + x, tf.constant([1, 2, 3])))
    123
    """
    return _fold(fn, elems, initializer, back_prop, reverse=False)


def foldr(
    fn: Callable[[Any, Any], Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    name: str | None = None,
) -> Any:
    """As `foldl`, from the last slice to the first."""
    return _fold(fn, elems, initializer, back_prop, reverse=True)


def _fold(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any, back_prop: bool, reverse: bool) -> Any:
    start, elems = _start(elems, initializer, reverse)
    result, _ = ops.scan(lambda carry, x: (fn(carry, x), carry), start, elems, reverse=reverse)
    return result if back_prop else tree.map_structure(ops.stop_gradient, result)


def _start(elems: Any, initializer: Any, reverse: bool) -> tuple[Any, Any]:
    """The first value, and the slices that remain."""
    elems = tree.map_structure(as_tensor, elems)
    if initializer is not None:
        return tree.map_structure(as_tensor, initializer), elems
    first = tree.map_structure(lambda x: x[-1] if reverse else x[0], elems)
    return first, tree.map_structure(lambda x: x[:-1] if reverse else x[1:], elems)


def executing_eagerly() -> bool:
    """Whether code runs at once, and not inside a trace.

    >>> import amalthea as tf
    >>> tf.executing_eagerly()
    True
    """
    return context.trace is None


def print(*inputs: Any, output_stream: Any = None, summarize: int = 3, sep: str = " ", end: str = "\n") -> None:
    """Print values to the standard error (or another stream), as TensorFlow does.

    Traced code has no values to print when it is traced and prints nothing when it runs, so there it is an error.

    >>> import amalthea as tf, sys
    >>> tf.print("loss:", tf.constant(1.5), output_stream=sys.stdout)
    loss: 1.5
    """
    known_values("print", *tree.flatten(list(inputs)))
    shown = [tree.map_structure(lambda x: x.numpy() if isinstance(x, Operand) else x, one) for one in inputs]
    stream = output_stream if hasattr(output_stream, "write") else sys.stderr
    if output_stream is not None and stream is not output_stream:
        refuse("print", "pass an open text stream such as sys.stdout", output_stream=output_stream)
    stream.write(sep.join(str(one) for one in shown) + end)
