"""Sums that a loop takes step by step as one contraction or one sum after the loop: the gradients of weights."""

from __future__ import annotations

from amalthea.compiler.passes.contracting import LETTERS, terms
from amalthea.compiler.passes.facts import is_float, is_number
from amalthea.compiler.passes.loops import Carry, Loop, is_plain
from amalthea.compiler.passes.rewriting import Replacement, Sweep, count_uses
from amalthea.core.graph import Graph
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value

SPACE = 2  # a sum leaves the loop if what must be stacked for it is at most so many times what each step adds


def sum_after_loops(graph: Graph) -> Graph:
    """The graph with carried sums of contractions, or of sums, taken after the loop over all steps at once.

    One product of large matrices instead of one product a step, and no matrix that is read and written in each step.
    Sums are taken in another order, so the last digits may differ.

    >>> import amalthea as am
    >>> from amalthea.compiler.passes.loop_sums import sum_after_loops
    >>> def f(xs, ys):
    ...     zero = am.ops.zeros((3, 4))
    ...     return am.ops.scan(lambda c, xy: (c + am.ops.matmul(xy[0], xy[1]), None), zero, (xs, ys))[0]
    >>> specs = am.TensorSpec((9, 3, 2), "float32", name="x"), am.TensorSpec((9, 2, 4), "float32", name="y")
    >>> made = sum_after_loops(am.trace(f, *specs, level="primitive"))
    >>> print(made.nodes[-1].op.name, made.nodes[-1].attrs)
    contract {'subscripts': 'lij,ljk->ik'}
    """
    return _Sums(graph).result()


class _Sums(Sweep):
    def visit(self, node: Node) -> Replacement:
        if not is_plain(node) or not node.attrs["length"]:
            return None
        loop = Loop(node)
        plans = [plan for c in loop.carries if (plan := _plan(loop, c)) is not None]
        if not plans:
            return None
        stacked: dict[Value, Value] = {}  # a value of the body, and the output that will stand for it
        for carry, part in plans:
            loop.carries.remove(carry)
            for value in part.inputs:
                if value not in {port.inner for port in loop.sequences} and value not in loop.stacks.values():
                    # Any value can be a key here: emit asks only for the outputs of the node.
                    loop.stacks[Value(value.spec)] = value
        found = self._emit(loop, stacked)
        finals = {c.inner: out for out, c in zip(node.outputs, Loop(node).carries, strict=False)}
        places = {out: i for i, out in enumerate(node.outputs)}
        for carry, part in plans:
            found[places[finals[carry.inner]]] = self._total(carry, part, stacked)
        return found

    def _emit(self, loop: Loop, stacked: dict[Value, Value]) -> list[Value]:
        found = loop.emit(self)
        made = self.nodes[-1]
        order = dict.fromkeys(loop.stacks.values())
        stacked.update({port.inner: port.outer for port in loop.sequences})
        stacked.update(zip(order, made.outputs[len(loop.carries) :], strict=True))
        return found

    def _total(self, carry: Carry, part: Node, stacked: dict[Value, Value]) -> Value:
        all_steps = [stacked[value] for value in part.inputs]
        if part.op.name == "contract":
            x, y, out = terms(part.attrs["subscripts"])
            step = next(c for c in LETTERS if c not in x + y)
            total = self.make("contract", *all_steps, subscripts=f"{step}{x},{step}{y}->{out}")
        else:
            axes = (0, *(axis + 1 for axis in part.attrs["axis"]))
            total = self.make("sum", *all_steps, axis=axes, keepdims=False)
            total = self.reshaped(total, part.outputs[0].spec.shape)  # type: ignore[arg-type]
        return total if _is_zero(self, carry.outer) else self.make("add", carry.outer, total)


def _is_zero(sweep: Sweep, value: Value) -> bool:
    inner = sweep.maker(value, "broadcast_to")
    return is_number(inner.inputs[0] if inner is not None else value, 0.0)


def _plan(loop: Loop, carry: Carry) -> tuple[Carry, Node] | None:
    """(the carry, the contraction or sum that each step adds to it), if it can be taken after the loop."""
    graph = loop.graph()
    uses = count_uses(graph)
    made = carry.after.node
    inputs = set(graph.inputs)
    if made is None or carry.after in inputs or made.op.name != "add" or not is_float(carry.after):
        return None
    if carry.inner not in made.inputs or uses.get(carry.inner) != 1 or uses.get(carry.after) != 1:
        return None
    term = made.inputs[1] if made.inputs[0] is carry.inner else made.inputs[0]
    part = term.node
    if part is None or term in inputs or part.op.name not in ("contract", "sum") or term.spec != carry.inner.spec:
        return None
    fixed = {port.inner for port in loop.constants}
    if any(type(value) is Constant or value in fixed for value in part.inputs):
        return None
    known = {*loop.stacks.values(), *(port.inner for port in loop.sequences)}
    more = sum(value.spec.size for value in set(part.inputs) - known)
    return (carry, part) if more <= SPACE * term.spec.size else None
