"""A graph of primitives as one `tf.function`, in which XLA compiles the clusters where that pays, or everything."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python import pywrap_tfe
from tensorflow.python.eager import context, core

from amalthea.backends.interpreter import interpret
from amalthea.backends.tensorflow.clusters import Part, parts_of
from amalthea.backends.tensorflow.state import Cell
from amalthea.core.errors import ArgumentError
from amalthea.core.graph import Graph
from amalthea.core.loans import LENT
from amalthea.core.node import Constant
from amalthea.core.value import Value

LARGE = 1 << 20
"""Elements of a constant."""

Kernels = dict[str, Callable[..., Any]]


class Program:
    """A graph as a concrete function.

    Args:
        graph: what is computed.
        kernels: by the ops' names.
        jit_compile: whether XLA compiles all of it; None: the clusters where it pays.

    Attributes:
        in_place: outputs and the inputs whose memory they take, by place. An input of these is a `Cell` if it is owned;
            the output is one in any case.
    """

    def __init__(self, graph: Graph, kernels: Kernels, jit_compile: bool | None) -> None:
        self._name = graph.name
        parts = parts_of(graph) if jit_compile is None else [Part(graph, jit_compile)]
        inputs, outputs = graph.all_inputs, graph.all_outputs
        self.in_place = _in_place(graph, parts)
        replaced = {outputs[out]: inputs[place] for out, place in self.in_place.items()}
        run = traceable(graph, parts, kernels, replaced)
        specs = [_spec(value, i in self.in_place.values()) for i, value in enumerate(inputs)]
        self._function = tf.function(lambda *arrays: run(arrays), autograph=False).get_concrete_function(*specs)
        # What checks and packs the arguments takes longer than a small step.
        self._call, self._captured = self._function.inference_fn.call_flat, self._function.captured_inputs
        self._op, self._returned = self._function.name, len(self._function.outputs)

    def __call__(self, arrays: Sequence[Any], owned: Collection[int] = ()) -> list[Any]:
        if not self.in_place:
            return self._refusing(lambda: list(self._call(*arrays, *self._captured) or ()))
        taken, cells = list(arrays), {}
        for out, place in self.in_place.items():
            array = taken[place]
            cells[out] = array if place in owned else Cell(array)
            taken[place] = cells[out].handle
        made: list[list[Any]] = []
        try:
            self._refusing(lambda: self._execute([*taken, *self._captured], made))
            return _whole(made[0], cells)
        except BaseException as interruption:
            if made:
                interruption.outputs = _whole(made[0], cells)  # type: ignore[attr-defined]
            raise

    def _execute(self, inputs: list[Any], made: list[list[Any]]) -> None:
        """Append the outputs to `made` as soon as variables are overwritten."""
        if not tf.executing_eagerly():
            made.append(list(self._call(*inputs) or ()))
            return
        eager = context.context()
        attributes = tuple(itertools.chain(*eager.function_call_options.as_attrs().items()))
        arguments = (eager._handle, eager.device_name, self._op, inputs, attributes, self._returned)
        try:
            # All in C: Ctrl-C, which comes between two steps of the interpreter, finds the outputs in `made`.
            made.extend(map(pywrap_tfe.TFE_Py_Execute, *zip(arguments)))
        except core._NotOkStatusException as error:
            raise core._status_to_exception(error) from None

    def _refusing(self, call: Callable[[], Any]) -> Any:
        """What the call returns; ArgumentError where TensorFlow refuses a value."""
        try:
            return call()
        except tf.errors.InvalidArgumentError as error:
            refused = re.sub(r"{{.*?}}", "", error.message.partition("\n")[0]).strip()
        raise ArgumentError(
            "TensorFlow refuses a value, such as an index out of range",
            where=self._name,
            received=refused,
            fix="look at the indices that the program takes and computes",
        )


def _whole(results: Sequence[Any], cells: dict[int, Cell]) -> list[Any]:
    """All outputs: those that the function returned, and what it wrote."""
    whole = list(results)
    for out, cell in cells.items():  # in ascending order
        whole.insert(out, cell)
    return whole


def _spec(value: Value, held: bool) -> tf.TensorSpec:
    return tf.TensorSpec((), tf.resource) if held else tf.TensorSpec(value.spec.sizes, str(value.spec.dtype))


def _in_place(graph: Graph, parts: Sequence[Part]) -> dict[int, int]:
    """The large updates that XLA computes and nothing else takes, and the inputs that they replace, by place."""
    made = {value for part in parts if part.fused for value in part.graph.all_outputs if value.node is not None}
    taken = [v for part in parts for v in part.graph.all_inputs]
    once = {v for v in made if taken.count(v) == 0 and graph.all_outputs.count(v) == 1}
    first = len(graph.inputs) + len(graph.captures)
    return {
        len(graph.outputs) + i: first + state
        for i, (state, value) in enumerate(graph.updates)
        if value in once and value.spec.size >= LENT
    }


def traceable(
    graph: Graph, parts: Sequence[Part], kernels: Kernels, replaced: dict[Value, Value] | None = None
) -> Callable[[Sequence[Any]], list[Any]]:
    """A function to be traced: takes what stands for `graph.all_inputs`, returns `graph.all_outputs`.

    Args:
        graph: what is computed.
        parts: what it was cut into.
        kernels: by the ops' names.
        replaced: outputs that are not returned but written to resource variables, and the inputs for which the handles
            of these are given.
    """
    written = replaced or {}
    handles = set(written.values())
    calls = [_call(part, kernels, written) for part in parts]
    wanted = [value for value in graph.all_outputs if value not in written]
    taken = {v for part in parts for v in part.graph.all_inputs if not _writes(part, v, written)}
    read = [value for value in graph.all_inputs if value in handles and (value in taken or value in wanted)]

    def run(arrays: Sequence[Any]) -> list[Any]:
        env: dict[Value, Any] = dict(zip(graph.all_inputs, arrays, strict=True))
        held = {value: env.pop(value) for value in handles}
        # Before anything is written.
        env.update({value: _read(held[value], value) for value in read})
        done: list[Any] = [env[value] for value in read]
        for part, call in zip(parts, calls, strict=True):
            writes = [value for value in part.graph.all_inputs if _writes(part, value, written)]
            # A variable is overwritten where it lies if its readers are through.
            with tf.control_dependencies(done if writes else []):
                made = call([held[v] if v in writes else env[v] for v in part.graph.all_inputs])
            outputs = [value for value in part.graph.all_outputs if value not in written]
            env.update(zip(outputs, made, strict=True))
            done += made
        return [_constant(v.tensor.numpy()) if isinstance(v, Constant) else env[v] for v in wanted]

    return run


def _constant(value: Any) -> Any:
    """The value as a tensor; large ones are handed to the program instead of written into it."""
    if isinstance(value, tf.Tensor) or np.size(value) < LARGE:
        return tf.convert_to_tensor(value)
    with tf.init_scope():
        return tf.convert_to_tensor(value)


def _writes(part: Part, value: Value, written: dict[Value, Value]) -> bool:
    return any(written.get(out) is value for out in part.graph.all_outputs)


def _read(handle: Any, value: Value) -> Any:
    array = tf.raw_ops.ReadVariableOp(resource=handle, dtype=str(value.spec.dtype))
    return tf.ensure_shape(array, value.spec.sizes)


def _call(part: Part, kernels: Kernels, written: dict[Value, Value]) -> Callable[[Sequence[Any]], list[Any]]:
    """A part as a function of its inputs, handles for those that it writes; returns the outputs that it does not."""
    graph, fused = part

    def made() -> Callable[[Sequence[Any]], list[Any]]:
        return interpret(graph, kernels, "tensorflow", _constant)

    eagerly = functools.cache(made)

    def run(arrays: Sequence[Any]) -> list[Any]:
        # While a function is traced, anew: constants become part of it.
        return (eagerly() if tf.executing_eagerly() else made())(arrays)

    if not fused:
        return run
    inputs, outputs = graph.all_inputs, graph.all_outputs

    def body(*arrays: Any) -> list[Any]:
        handles = {value: array for value, array in zip(inputs, arrays, strict=True) if array.dtype == tf.resource}
        made = run([_read(array, v) if v in handles else array for v, array in zip(inputs, arrays, strict=True)])
        for value, array in zip(outputs, made, strict=True):
            if value in written:
                tf.raw_ops.AssignVariableOp(resource=handles[written[value]], value=array)
        return [array for value, array in zip(outputs, made, strict=True) if value not in written]

    compiled = tf.function(body, autograph=False, jit_compile=True)
    return lambda arrays: list(compiled(*arrays))
