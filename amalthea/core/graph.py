"""`Graph`: the one representation of a computation, at every level from layers down to primitives.

A graph is immutable. It is found by walking back from the values that come out to those that go in. Variables that the
computation reads are extra inputs, those it assigns extra outputs.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

from amalthea.core import tree
from amalthea.core.context import context, no_tapes
from amalthea.core.errors import AmaltheaError, ArgumentError, ShapeError, fail
from amalthea.core.graph_text import graph_text
from amalthea.core.infer import expansion, infer
from amalthea.core.node import Constant, Node, Slot, fill, slots, value_of
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import KerasTensor, Tensor, as_tensor, symbolic
from amalthea.core.tracing import Trace
from amalthea.core.value import Value


class GraphError(AmaltheaError, ValueError):
    """A graph that breaks the rules of its grammar."""


class Graph:
    """A computation: `outputs` from `inputs`, by `nodes` in order.

    Attributes:
        inputs, outputs: the values that go in and come out.
        nodes: the calls, each after those whose results it takes.
        variables: the variables read or assigned; `state_inputs` are their values at the start and `updates` pairs
            (place in `variables`, value at the end) for those assigned.
        captures: values of an enclosing trace that the computation uses (the body of a loop), passed in after the
            inputs.
        structure: the form of the result, with a `Slot` for each output.

    `print(graph)` reads like maths; `run` computes; `expand` goes down a level; `verify` checks the grammar.

    >>> import amalthea as am
    >>> graph = am.trace(lambda x: am.ops.sum(x * x), am.TensorSpec((3,), "float32"))
    >>> float(graph.run(am.Tensor([1.0, 2.0, 3.0])))
    14.0
    """

    def __init__(
        self,
        name: str,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        structure: Any,
        variables: Sequence[Any] = (),
        state_inputs: Sequence[Value] = (),
        updates: Sequence[tuple[int, Value]] = (),
        trace: int = 0,
    ) -> None:
        self.name = name
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        flat = structure is None and bool(outputs)
        self.structure = tuple(Slot(i) for i in range(len(outputs))) if flat else structure
        self.trace = trace
        known = {*self.inputs, *state_inputs}
        nodes, captures = _walk([*self.outputs, *(value for _, value in updates)], known, trace)
        self.nodes: tuple[Node, ...] = nodes
        self.captures: tuple[Value, ...] = captures
        used = {v for node in nodes for v in node.inputs}.union(self.outputs, (v for _, v in updates))
        written = {i for i, _ in updates}
        keep = [i for i, v in enumerate(state_inputs) if v in used or i in written]
        self.variables = tuple(variables[i] for i in keep)
        self.state_inputs = tuple(state_inputs[i] for i in keep)
        self.updates = tuple((keep.index(i), value) for i, value in updates)

    @property
    def all_inputs(self) -> tuple[Value, ...]:
        """The inputs, the captures and the variables' values: what a compiled program takes, in this order."""
        return (*self.inputs, *self.captures, *self.state_inputs)

    @property
    def all_outputs(self) -> tuple[Value, ...]:
        """The outputs and the new values of assigned variables: what a compiled program returns, in this order."""
        return (*self.outputs, *(value for _, value in self.updates))

    def outputs_specs(self) -> list[TensorSpec]:
        """The specs of the outputs."""
        return [value.spec for value in self.outputs]

    @property
    def level(self) -> str:
        """The highest kind of node in it: "layer", "composite" or "primitive"."""
        kinds = {node.op.kind for node in self.nodes}
        return next((kind for kind in ("layer", "composite") if kind in kinds), "primitive")

    def __repr__(self) -> str:
        return graph_text(self)

    # Computing

    def apply(self, *tensors: Tensor, captured: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Call every op again on these tensors: eagerly, under tapes or into another trace. Returns the outputs flat.

        Variables are read and assigned as the code that was traced did.
        """
        return self._replay(list(tensors), captured, _call)

    def _replay(self, tensors: list[Tensor], captured: Sequence[Tensor] | None, call: Any) -> list[Tensor]:
        if len(tensors) != len(self.inputs):
            fail(
                ArgumentError,
                f"the graph takes {len(self.inputs)} inputs",
                where=self.name,
                received=f"{len(tensors)} inputs",
                fix="call it with the inputs it was traced with: " + ", ".join(str(v.spec) for v in self.inputs),
            )
        env: dict[Value, Tensor] = dict(zip(self.inputs, tensors, strict=True))
        outer = captured if captured is not None else [symbolic(value) for value in self.captures]
        env.update(zip(self.captures, outer, strict=True))
        for variable, value in zip(self.variables, self.state_inputs, strict=True):
            env[value] = variable._own()
        before = context.enter(layers=context.layers)
        try:
            base = context.layers
            for node in self.nodes:
                context.layers = (*base, *node.path) if base and node.path[: len(base)] != base else node.path
                found: list[Tensor] = []
                slots(call(node, [_find(env, value) for value in node.inputs]), found)
                env.update(zip(node.outputs, found, strict=True))
        finally:
            context.restore(before)
        for i, value in self.updates:
            self.variables[i].assign(_find(env, value))
        return [_find(env, value) for value in self.outputs]

    def run(self, *args: Any) -> Any:
        """Compute the graph, op by op, on tensors or arrays given as the traced function took them."""
        leaves = [leaf for leaf in tree.flatten(list(args)) if leaf is not None]
        tensors = [as_tensor(leaf) for leaf in leaves]
        for tensor, value in zip(tensors, self.inputs, strict=False):
            check_fits(self.name, tensor, value.spec)
        tensors = [as_tensor(t, v.spec.dtype) for t, v in zip(tensors, self.inputs, strict=False)] + tensors[
            len(self.inputs) :
        ]
        return fill(self.structure, self._replay(tensors, None, _call))

    # Levels

    def expand(self, level: str | None = None, keep: Container[str] = ()) -> Graph:
        """The same computation further down.

        None goes down one level (layers to their parts, or composites to their bodies); "op" opens all layers,
        "primitive" everything but the composites named in `keep` (a backend's own kernels).
        """
        if level not in (None, "op", "primitive"):
            fail(
                ArgumentError,
                "there is no such level",
                where="expand",
                received=repr(level),
                fix="use None, 'op' or 'primitive'",
            )
        opened = self.level

        def call(node: Node, tensors: list[Tensor]) -> Any:
            if level is None and node.op.kind == opened:
                return node.call(node.op.inline, tensors)
            if any(isinstance(value, Graph) for value in tree.flatten(node.attrs)):
                attrs = {key: _expanded(value, level, keep) for key, value in node.attrs.items()}
                args, _ = node.arguments or (tuple(Slot(i) for i in range(len(tensors))), {})
                return node.op(*fill(args, tensors), **attrs)
            return node.call(node.op, tensors)

        with no_tapes(), Trace(level or ("layer" if opened == "layer" else "op"), keep) as trace:
            inputs = [trace.input(value.spec) for value in self.inputs]
            for old, new in zip(self.inputs, inputs, strict=True):
                new._value._name = old._name
            outputs = self._replay(list(inputs), None, call)
        return build(self.name, inputs, fill(self.structure, outputs), trace)

    # Grammar

    def verify(self) -> Graph:
        """Raise GraphError unless the graph is well formed; returns the graph.

        Well formed means: every value is made before it is used and once; attributes are hashable; the specs of each
        primitive's and composite's outputs are those its rule gives; updates have their variable's shape and dtype.
        """
        known: set[Value] = {*self.inputs, *self.captures, *self.state_inputs}
        if len(known) != len(self.all_inputs):
            raise GraphError("an input stands twice in the graph", where=self.name)
        for node in self.nodes:
            for value in node.inputs:
                if not isinstance(value, Constant) and value not in known:
                    raise GraphError(f"{node.op.name} takes {value} before it is made", where=self.name)
            for i, value in enumerate(node.outputs):
                if value in known or value.node is not node or value.index != i:
                    raise GraphError(f"{value} of {node.op.name} is made more than once", where=self.name)
                known.add(value)
            self._verify_specs(node)
        for value in (*self.outputs, *(v for _, v in self.updates)):
            if not isinstance(value, Constant) and value not in known:
                raise GraphError(f"output {value} is never made", where=self.name)
        for i, value in self.updates:
            variable = self.variables[i]
            if value.spec != TensorSpec(variable._shape, variable._dtype):
                raise GraphError(f"update {value.spec} does not fit variable {variable.path}", where=self.name)
        return self

    def _verify_specs(self, node: Node) -> None:
        specs = [value.spec for value in node.inputs]
        try:
            hash(tuple(node.attrs.items())) if node.op.kind != "layer" else None
        except TypeError:
            raise GraphError(f"{node.op.name} has attributes that do not hash: {node.attrs}", where=self.name) from None
        for value in tree.flatten(node.attrs):
            if isinstance(value, Graph):
                value.verify()
        if node.op.kind == "primitive":
            wanted = infer(node.op, specs, node.attrs)[1]
        elif node.op.kind == "composite" and node.arguments is not None:
            wanted = expansion(node.op, tuple(specs), node.arguments[1])
        else:
            return
        got = [value.spec for value in node.outputs]
        if tree.flatten(wanted) != got:
            raise GraphError(f"{node.op.name} gives {wanted}, the graph says {got}", where=self.name)


def _call(node: Node, tensors: list[Tensor]) -> Any:
    return node.call(node.op, tensors)


def _expanded(value: Any, level: str | None, keep: Container[str]) -> Any:
    if isinstance(value, Graph):
        return value.expand(level, keep)
    if isinstance(value, tuple):
        return tuple(_expanded(item, level, keep) for item in value)
    return value


def _find(env: dict[Value, Tensor], value: Value) -> Tensor:
    return value.tensor if isinstance(value, Constant) else env[value]


def _walk(outputs: Iterable[Value], known: set[Value], trace: int) -> tuple[tuple[Node, ...], tuple[Value, ...]]:
    """The nodes that make `outputs` from `known`, in order, and the values of enclosing traces they use."""
    nodes: dict[int, Node] = {}
    captures: dict[Value, None] = {}
    seen: set[Value] = set()
    stack = list(outputs)
    while stack:
        value = stack.pop()
        if value in known or isinstance(value, Constant) or value in seen:
            continue
        seen.add(value)
        if value.node is None or value.trace != trace:
            captures[value] = None
            continue
        if value.node.order not in nodes:
            nodes[value.node.order] = value.node
            stack.extend(value.node.inputs)
    ordered = tuple(nodes[order] for order in sorted(nodes))
    return ordered, tuple(captures)


def build(name: str, inputs: Sequence[KerasTensor], result: Any, trace: Trace | None) -> Graph:
    """The graph from these inputs to the tensors in `result`; assignments made in `trace` are its updates."""
    found: list[Tensor] = []
    structure = slots(result, found)
    states = list(trace.inputs.values()) if trace is not None else []
    places = {id(variable): i for i, (variable, _) in enumerate(states)}
    updates = []
    if trace is not None:
        for key in trace.written:
            updates.append((places[key], value_of(trace.current[key])))
    return Graph(
        name,
        [t._value for t in inputs],
        [value_of(t) for t in found],
        structure,
        [variable for variable, _ in states],
        [value for _, value in states],
        updates,
        0 if trace is None else trace.id,
    )


def check_fits(where: str, tensor: Tensor, spec: TensorSpec) -> None:
    """Raise ShapeError unless the tensor has the shape of the spec (None matches any size)."""
    if len(tensor.shape) != len(spec.shape) or any(
        want is not None and want != got for want, got in zip(spec.shape, tensor.shape, strict=True)
    ):
        fail(
            ShapeError,
            f"the graph was traced for an input {spec}",
            where=where,
            received=f"shape {tuple(tensor.shape)}",
            fix="trace it for this shape, or give the spec None where the size varies",
        )
