"""TensorFlow kernels of branches and loops: `tf.switch_case` and `tf.while_loop` around the graphs inside."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from amalthea.backends.tensorflow.clusters import parts_of
from amalthea.backends.tensorflow.program import traceable
from amalthea.core.backend import named
from amalthea.core.graph import Graph

_bodies: weakref.WeakKeyDictionary[Graph, Any] = weakref.WeakKeyDictionary()


def _traceable(graph: Graph) -> Any:
    found = _bodies.get(graph)
    if found is None:
        opened = graph if graph.level == "primitive" else graph.expand("primitive", keep=named("tensorflow").composites)
        found = _bodies[graph] = traceable(opened, parts_of(opened), named("tensorflow").bare_kernels)  # type: ignore[attr-defined]
    return found


def _run(run: Any, operands: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(run(operands))


def branch(index: Any, *operands: Any, graphs: tuple[Graph, ...]) -> tuple[Any, ...]:
    """One of the graphs on the operands."""
    chosen = tf.clip_by_value(tf.cast(index, tf.int32), 0, len(graphs) - 1)
    runs = [functools.partial(_run, _traceable(graph), operands) for graph in graphs]
    return tuple(tf.switch_case(chosen, runs)) if graphs[0].outputs else ()


def scan_loop(
    *inputs: Any, body: Graph, carries: int, sequences: int, length: int, reverse: bool, save: bool
) -> tuple[Any, ...]:
    """A loop over the first axis of the sequences."""
    run = _traceable(body)
    xs, constants = inputs[carries : carries + sequences], inputs[carries + sequences :]
    specs = [value.spec for value in (*body.outputs[carries:], *(body.inputs[:carries] if save else ()))]
    if not length:
        return (*inputs[:carries], *(tf.zeros((0, *s.sizes), str(s.dtype)) for s in specs))
    arrays = tuple(tf.TensorArray(str(s.dtype), length, element_shape=s.sizes) for s in specs)

    def step(i: Any, carry: Any, arrays: Any) -> Any:
        at = length - 1 - i if reverse else i
        results = run([*carry, *(x[at] for x in xs), *constants])
        rows = [*results[carries:], *(carry if save else ())]
        return i + 1, tuple(results[:carries]), tuple(a.write(at, row) for a, row in zip(arrays, rows, strict=True))

    first = (tf.constant(0), tuple(inputs[:carries]), arrays)
    _, carry, arrays = tf.while_loop(lambda i, *_: i < length, step, first)
    return (*carry, *(a.stack() for a in arrays))


def loop(*inputs: Any, test: Graph, body: Graph, carries: int) -> tuple[Any, ...]:
    """A loop while the test holds."""
    going, run = _traceable(test), _traceable(body)
    constants = inputs[carries:]
    return tuple(
        tf.while_loop(
            lambda *carry: going([*carry, *constants])[0],
            lambda *carry: tuple(run([*carry, *constants])),
            tuple(inputs[:carries]),
        )
    )


KERNELS: dict[str, Callable[..., Any]] = {"branch": branch, "scan_loop": scan_loop, "loop": loop}
