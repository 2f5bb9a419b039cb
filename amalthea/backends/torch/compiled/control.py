"""Lowering of branches and loops: Python decides, the graphs inside are functions of calls as the one around them is.

A loop may overwrite the values that it carries, as a program does with variables: a step of training inside a loop
updates weights where they lie.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from amalthea.backends.torch.compiled.calls import Call
from amalthea.backends.torch.compiled.contractions import is_transposed
from amalthea.backends.torch.compiled.lowering import Lowering, rule, temporary
from amalthea.backends.torch.control import branched, looped, scanned
from amalthea.core.graph import Graph
from amalthea.core.node import Node
from amalthea.core.value import Value


def _carrying(
    lowering: Lowering, node: Node, body: Graph, carries: int
) -> tuple[dict[int, int], Callable[..., list[Any]]]:
    """A function of a loop's body, and for outputs, by place, the carried inputs whose memory they take.

    Two places that begin with the same value have one memory: the body may overwrite neither.
    """
    outputs = body.all_outputs
    alone = [i for i in range(carries) if outputs.count(outputs[i]) == 1 and node.inputs.count(node.inputs[i]) == 1]
    updates = {outputs[i]: body.all_inputs[i] for i in alone}
    replaced, run = lowering.inner(body, updates)
    return {i: i for i in range(carries) if body.all_inputs[i] in replaced}, run


def _call(
    function: Callable[..., Any], node: Node, writes: dict[int, int], inputs: Sequence[Value] | None = None
) -> Sequence[Call]:
    inputs = node.inputs if inputs is None else inputs
    written: dict[int, Value] = {out: inputs[place] for out, place in writes.items()}
    return [Call(function, *inputs, outputs=node.outputs, packed=True, writes=written)]


@rule("branch")
def branch(lowering: Lowering, node: Node) -> Sequence[Call]:
    return _call(functools.partial(branched, [lowering.inner(g, {})[1] for g in node.attrs["graphs"]]), node, {})


@rule("scan_loop")
def scan_loop(lowering: Lowering, node: Node) -> Sequence[Call]:
    attrs, body = node.attrs, node.attrs["body"]
    if attrs["save"]:
        writes: dict[int, int] = {}
        run = lowering.inner(body, {})[1]
    else:
        writes, run = _carrying(lowering, node, body, attrs["carries"])
    calls, inputs = _laid_out(node, body, attrs["carries"] + attrs["sequences"], attrs["length"])
    specs = [value.spec for value in body.outputs[attrs["carries"] :]]
    settings = [attrs[name] for name in ("carries", "sequences", "length", "reverse", "save")]
    return [*calls, *_call(functools.partial(scanned, run, specs, *settings), node, writes, inputs)]


def _laid_out(node: Node, body: Graph, first: int, length: int) -> tuple[list[Call], list[Value]]:
    """The inputs of a loop, of which matrices from the `first` on, the same in each step, lie in memory as the products
    in the body want them: one copy before the loop, and each product that transposes is a third faster."""
    calls, inputs = [], list(node.inputs)
    for i in range(first, len(inputs)):
        users = [n for n in body.nodes if body.inputs[i] in n.inputs]
        if length >= LONG and users and all(is_transposed(n, body.inputs[i]) for n in users):
            inputs[i] = temporary(node.inputs[i])
            calls.append(Call(transposed_copy, node.inputs[i], outputs=[inputs[i]], fresh=True))
    return calls, inputs


LONG = 8  # steps of a loop from which a copy of a matrix pays


def transposed_copy(x: Any) -> Any:
    """A copy of a matrix in whose memory the columns lie one after the other."""
    return x.t().contiguous().t()


@rule("loop")
def loop(lowering: Lowering, node: Node) -> Sequence[Call]:
    writes, run = _carrying(lowering, node, node.attrs["body"], node.attrs["carries"])
    going = lowering.inner(node.attrs["test"], {})[1]
    return _call(functools.partial(looped, going, run, node.attrs["carries"]), node, writes)
