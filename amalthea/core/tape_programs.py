"""Backward passes of eager tapes as compiled programs.

A loop that runs op by op makes the same tape again and again. The third time that a tape of one structure is
differentiated (the same ops on the same shapes, wired in the same way), its backward pass is traced; from then on it is
one program instead of one op after another: machine code where the backend finds that compiling so much work pays, else
kernel after kernel. What is computed is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from amalthea.core.backend import active, kept_ops
from amalthea.core.config import code_settings
from amalthea.core.graph import Graph, build
from amalthea.core.infer import tree_key
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import KerasTensor, Tensor, array_of, key_of, wrap
from amalthea.core.tracing import Trace

Record = tuple[Any, Sequence[Any], Any, dict[str, Any], Any]  # op, inputs, output, attributes, plan
Backward = Callable[[list[Record], dict[int, Any], dict[int, Any], set[int]], None]

SEEN_BEFORE = 2  # how often a structure runs op by op first
OFTEN = 200  # runs after which a program is compiled that is too small to be compiled for a few
KEPT = 256  # programs, and structures seen

_programs: dict[Any, _Compiled] = {}
_seen: dict[Any, int] = {}


class _Compiled:
    """A backward pass: which tensors of the records it takes, its program, and which gradients it returns."""

    def __init__(self, takes: list[tuple[int, int, int]], graph: Graph, places: list[int | None], kept: Any) -> None:
        self.takes, self.graph, self.places = takes, graph, places
        self.kept = kept  # the plans in the key, whose ids must not be used again
        self.runs = 0
        opened = graph.expand("primitive", keep=kept_ops())
        self.program: Any = active.backend.compile_eager(opened)
        self.waits = self.program is None and active.backend.large is not None
        if self.program is None:
            self.program = active.backend.interpret(graph.expand("primitive", keep=active.kernels))

    def run(self, records: list[Record], seeds: list[Tensor]) -> list[Tensor | None]:
        arrays = []
        for record, side, i in self.takes:
            if side == 0:
                arrays.append(array_of(seeds[i]))
            else:
                held: Any = records[record][side]
                arrays.append(array_of(held if isinstance(held, Tensor) else held[i]))
        self.runs += 1
        if self.waits and self.runs == OFTEN:
            self.program = active.backend.compile(self.graph.expand("primitive", keep=kept_ops()))
        results = self.program(arrays)
        return [None if place is None else wrap(results[place]) for place in self.places]


def gradients(
    records: list[Record], live: dict[int, Any], seeds: dict[int, Tensor], sources: list[list[int]], backward: Backward
) -> list[Tensor | None] | None:
    """The gradients of the sources by a compiled program; None if this structure has none (yet).

    Args:
        records: the calls on the tape.
        live: what is watched or depends on it, by key.
        seeds: the gradients to start from, by the key of their tensors.
        sources: for each source the keys of the tensors that stand for it.
        backward: the walk back through records that are symbolic.
    """
    found = _structure(records, live, seeds, sources)
    if found is None:
        return None
    key, plans = found
    program = _programs.get(key)
    if program is None:
        count = _seen[key] = _seen.get(key, 0) + 1
        if count <= SEEN_BEFORE:
            if len(_seen) > KEPT:
                _seen.clear()
            return None
        if len(_programs) >= KEPT:
            _programs.clear()
        program = _programs[key] = _compile(records, live, seeds, sources, backward, plans)
    return program.run(records, list(seeds.values()))


def _structure(
    records: list[Record], live: dict[int, Any], seeds: dict[int, Tensor], sources: list[list[int]]
) -> tuple[Any, list[Any]] | None:
    """A key for all that the backward pass depends on but values; None where that cannot be told."""
    numbers: dict[int, int] = {}
    parts: list[Any] = [active.backend, code_settings()]
    plans: list[Any] = []
    for op, inputs, out, attrs, plan in records:
        if plan is not None:
            plans.append(plan)
            parts.append(id(plan))
        elif getattr(op, "kind", None) == "composite" and type(op.gradient) is not _METHOD:
            parts.append((op.name, tree_key(attrs), tuple([(x.shape, x._array.dtype) for x in inputs])))
        else:
            return None
        for x in inputs:
            number = numbers.setdefault(id(x), len(numbers))
            parts.append(number if id(x) in live else -1 - number)
        for x in (out,) if type(out) is Tensor else out:
            if type(x) is not Tensor:
                return None
            parts.append(numbers.setdefault(id(x), len(numbers)))
    parts += [(numbers.get(k), g.shape, g._array.dtype) for k, g in seeds.items()]
    parts += [tuple([numbers.get(k) for k in keys]) for keys in sources]
    try:
        key = tuple(parts)
        hash(key)
    except TypeError:
        return None
    return key, plans


def _compile(
    records: list[Record],
    live: dict[int, Any],
    seeds: dict[int, Tensor],
    sources: list[list[int]],
    backward: Backward,
    plans: list[Any],
) -> _Compiled:
    places: list[tuple[int, int, int]] = []
    inputs: list[KerasTensor] = []
    made: dict[int, KerasTensor] = {}

    def symbol(x: Any, place: tuple[int, int, int]) -> KerasTensor:
        found = made.get(id(x))
        if found is None:
            found = made[id(x)] = trace.input(TensorSpec(x.shape, x.dtype))
            inputs.append(found)
            places.append(place)
        return found

    with Trace(level="op") as trace:
        copies: list[Record] = []
        for r, (op, taken, out, attrs, plan) in enumerate(records):
            symbols = [symbol(x, (r, 1, i)) for i, x in enumerate(taken)]
            if type(out) is Tensor:
                result: Any = symbol(out, (r, 2, 0))
            else:
                result = type(out)([symbol(x, (r, 2, i)) for i, x in enumerate(out)])
            copies.append((op, symbols, result, attrs, plan))
        watched = {key_of(made[k]): None for k in live if k in made}
        grads: dict[int, Any] = {}
        for i, (k, g) in enumerate(seeds.items()):
            seed = trace.input(TensorSpec(g.shape, g.dtype))
            inputs.append(seed)
            places.append((0, 0, i))
            if k in made:
                grads[key_of(made[k])] = seed
        wanted = [[key_of(made[k]) for k in keys if k in made] for keys in sources]
        backward(copies, watched, grads, {k for keys in wanted for k in keys})
        results = [_total([grads[k] for k in keys if k in grads]) for keys in wanted]
    kept = [g for g in results if g is not None]
    graph = _with_used_inputs(build("gradient", inputs, kept, trace), inputs, places)
    order = iter(range(len(kept)))
    return _Compiled(places, graph, [None if g is None else next(order) for g in results], plans)


def _total(grads: list[Any]) -> Any:
    total = None
    for g in grads:
        total = g if total is None else total + g
    return total


def _with_used_inputs(graph: Graph, inputs: list[KerasTensor], places: list[Any]) -> Graph:
    """The graph without inputs that nothing uses; `places` is shortened with them."""
    used = {value for node in graph.nodes for value in node.inputs} | set(graph.outputs)
    keep = [i for i, x in enumerate(inputs) if x._value in used]
    places[:] = [places[i] for i in keep]
    values = [inputs[i]._value for i in keep]
    return Graph(graph.name, values, graph.outputs, graph.structure, trace=graph.trace)


class _Bound:
    def method(self) -> None: ...


_METHOD = type(_Bound().method)  # the gradient of one call of a custom gradient is a method: it is not kept
