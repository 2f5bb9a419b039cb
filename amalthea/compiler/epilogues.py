"""Pointwise work on the result of a contraction, done before it is stored.

Fusion lets roots join the step of a contraction; here what they compute becomes an `Epilogue`: a list of steps on the
finished sums, further operands at affine addresses, and the values that are written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from amalthea.compiler.affine import Affine, Index, offset
from amalthea.compiler.contraction_nest import Constant, Epilogue, Step, Strides
from amalthea.compiler.elementwise import OPS
from amalthea.compiler.indexing import MOVES, sources
from amalthea.compiler.loops import Root
from amalthea.core.dtypes import DType
from amalthea.core.node import Constant as ConstantValue
from amalthea.core.value import Value


def output_index(sizes: Sequence[int], of: Sequence[int]) -> Index:
    """Where an array of shape `sizes` has the element of a result of shape `of`; they differ in axes of size 1 only.

    >>> output_index((4, 1, 5), (1, 4, 5))
    (x1, 0, x2)
    """
    symbols = (Affine.of(f"x{i}") for i, size in enumerate(of) if size != 1)
    return tuple(Affine() if size == 1 else next(symbols) for size in sizes)


def needed(value: Value, index: Index, memory: set[Value]) -> list[tuple[Value, Index]] | None:
    """The elements of inputs and of values in memory that an element of `value` is computed from.

    None where it takes more than pointwise ops, and elements at affine places.
    """
    found: dict[tuple[Value, Index], None] = {}
    stack, seen = sources(value.node, index), set()
    while stack:
        value, index = stack.pop()
        if (value, index) in seen:
            continue
        seen.add((value, index))
        if any(not isinstance(atom, str) for part in index for atom, _ in part.terms):
            return None
        if value.node is None or value in memory:
            found[value, index] = None
        elif value.node.op.name in OPS or value.node.op.name in MOVES:
            stack.extend(sources(value.node, index))
        else:
            return None
    return list(found)


@dataclass(frozen=True)
class PointwiseWork:
    """What follows a contraction in its own kernel.

    Attributes:
        operands: values that are read, besides the sums.
        results: values that are written.
        steps: pointwise ops; value 0 is the sum, then come the operands, then the results of the steps.
        addresses: of each operand, by the axes of the contraction's output.
        stored: for each result its value's number, and its address.
    """

    operands: tuple[Value, ...]
    results: tuple[Value, ...]
    steps: tuple[Step, ...]
    addresses: tuple[Affine, ...]
    stored: tuple[tuple[int, Affine], ...]

    def over(self, axes: Sequence[tuple[int, int]]) -> Epilogue:
        """The epilogue of a contraction whose axes are `(output axis, factor)`, batch, rows and columns in order.

        Two axes of one output axis, as groups and what is within them, differ in their factor.
        """

        def strides(address: Affine) -> Strides:
            steps = dict(address.terms)
            return Strides(tuple(steps.get(f"x{axis}", 0) * factor for axis, factor in axes), address.constant)

        return Epilogue(
            tuple((v.spec.dtype, strides(a)) for v, a in zip(self.operands, self.addresses, strict=True)),
            self.steps,
            tuple((i, v.spec.dtype, strides(a)) for v, (i, a) in zip(self.results, self.stored, strict=True)),
        )


def pointwise_work(
    made: Value, roots: Sequence[Root], stored: bool, memory: set[Value], base: Callable[[Value], Value], sums: DType
) -> PointwiseWork:
    """The work that makes `roots` of the contraction's result `made`.

    Args:
        made: the contraction's result.
        roots: values of its shape, in an order in which they can be made.
        stored: whether `made` is stored itself.
        memory: the values that are in memory.
        base: the value whose memory a stored value lives in.
        sums: the dtype in which the contraction adds.
    """
    return _Writer(made, roots, stored, memory, base, sums).run()


class _Writer:
    def __init__(
        self,
        made: Value,
        roots: Sequence[Root],
        stored: bool,
        memory: set[Value],
        base: Callable[[Value], Value],
        sums: DType,
    ) -> None:
        self.made, self.memory, self.base, self.sums = made, memory, base, sums
        self.inside = {made, *(root.value for root in roots)}
        self.results = [*([made] if stored else []), *(root.value for root in roots if root.stored)]
        self.operands: dict[tuple[Value, Affine], int] = {}
        self.steps: list[Step] = []
        self.known: dict[tuple[Value, Index], int | Constant] = {}

    def run(self) -> PointwiseWork:
        # Operands come before steps in the numbering, so what is read is found first.
        for value in self.results:
            self._collect(value)
        identity = self._place(self.made)
        if self.made.spec.dtype == self.sums:
            self.known[self.made, identity] = 0
        else:
            self.known[self.made, identity] = self._step("cast", (0,), self.made.spec.dtype)
        found = []
        for value in self.results:
            number = self._number(value, self._place(value))
            if isinstance(number, Constant):  # the chain does not depend on the sums
                number = self._step("stop_gradient", (number,), value.spec.dtype)
            found.append((number, offset(self._place(value), value.spec.sizes)))
        operands = tuple(value for value, _ in self.operands)
        addresses = tuple(address for _, address in self.operands)
        return PointwiseWork(operands, tuple(self.results), tuple(self.steps), addresses, tuple(found))

    def _place(self, value: Value) -> Index:
        return output_index(value.spec.sizes, self.made.spec.sizes)

    def _is_read(self, value: Value) -> bool:
        if isinstance(value, ConstantValue):
            return value.spec.size > 1
        return value.node is None or (value in self.memory and value not in self.inside)

    def _collect(self, value: Value) -> None:
        stack, seen = [(value, self._place(value))], set()
        while stack:
            value, index = stack.pop()
            if value is self.made or (value, index) in seen:
                continue
            seen.add((value, index))
            if self._is_read(value):
                key = (self.base(value), offset(index, value.spec.sizes))
                self.operands.setdefault(key, len(self.operands) + 1)
            elif value.node is not None:
                stack.extend(sources(value.node, index))

    def _number(self, value: Value, index: Index) -> int | Constant:
        key = (value, index)
        if key not in self.known:
            self.known[key] = self._made(value, index)
        return self.known[key]

    def _made(self, value: Value, index: Index) -> int | Constant:
        if self._is_read(value):
            return self.operands[self.base(value), offset(index, value.spec.sizes)]
        if isinstance(value, ConstantValue):
            return Constant(value.tensor.numpy().item(), value.spec.dtype)
        node = value.node
        found = tuple(self._number(source, where) for source, where in sources(node, index))
        if node.op.name in MOVES or node.op.name == "stop_gradient":
            return found[0]
        return self._step(node.op.name, found, value.spec.dtype)

    def _step(self, op: str, args: tuple[int | Constant, ...], dtype: DType) -> int:
        self.steps.append(Step(op, args, dtype))
        return len(self.operands) + len(self.steps)
