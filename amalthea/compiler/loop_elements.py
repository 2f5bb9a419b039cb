"""`Elements`: the code of single elements of values inside loops: what they are computed from, indices, addresses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from amalthea.compiler import elementwise
from amalthea.compiler.affine import Affine, Atom, Index, Lookup, Quotient, Remainder, offset
from amalthea.compiler.emitter import Emitter, literal, llvm_type
from amalthea.compiler.indexing import MOVES, Part, Test, is_choice, parts, reads, sources
from amalthea.compiler.loops import Root
from amalthea.compiler.random_bits import threefry_word
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value


class Elements:
    """What a function made from a loop kernel knows while its body is written.

    Attributes:
        e: where instructions go.
        stored, base: the values in memory, and whose memory each lives in.
        names: the parameter that points to each memory.
        made: the roots of the kernel by their value.
        variables: of the loops, by their name in indices; those `replaced` are counted by an inner one.
        known: elements that have been computed, in scopes.
        row_values: the values that belong to the current row and column.
        stage: the pass over the inner axes that is being written.
        ranges: what is known of loop variables in the code being written: from, and to before.
        residue: (variable, by, rest): the variable is `by` times that of `turn_of(variable)`, plus `rest`.
    """

    e: Emitter
    stored: set[Value]
    base: Callable[[Value], Value]
    names: dict[Value, str]
    made: dict[Value, Root]
    variables: dict[str, str]
    replaced: set[str]
    known: list[dict[tuple[Value, Index], str]]
    row_values: dict[Value, str]
    stage: int
    ranges: dict[str, tuple[int, int]]
    residue: tuple[str, int, int] | None

    def element(self, value: Value, index: Index) -> str:
        """The LLVM value of an element."""
        if value in self.row_values:
            return self.row_values[value]
        key = (value, index)
        for scope in reversed(self.known):
            if key in scope:
                return scope[key]
        result = self._made(value, index)
        self.known[-1][key] = result
        return result

    def _made(self, value: Value, index: Index) -> str:
        if isinstance(value, Constant):
            if value.spec.size == 1:
                return literal(value.tensor.numpy().item(), value.spec.dtype)
            return self._load(value, value, index)
        root = self.made.get(value)
        if root is not None and root.kind == "each" and root.stage < self.stage:
            return self._load(value, value, index)
        if root is None and (value.node is None or value in self.stored):
            return self._load(value, self.base(value), index)
        node: Node = value.node
        name = node.op.name
        if is_choice(node):
            return self._chosen(value, parts(node, index))
        if name == "iota":
            place = self._number(index[0])
            return elementwise.emit(self.e, "cast", [place], ["int64"], value.spec.dtype)
        found = [self.element(source, where) for source, where in sources(node, index)]
        if name in MOVES or name == "stop_gradient":
            return found[0]
        if name == "threefry2x32":
            return threefry_word(self.e, value.index, found)
        return elementwise.emit(
            self.e, name, found, [v.spec.dtype for v in node.inputs], value.spec.dtype, attrs=node.attrs
        )

    def _chosen(self, value: Value, cases: Sequence[Part]) -> str:
        """The element of the first case whose tests hold, found by branches, or by selects where that is safe."""
        e, kind = self.e, llvm_type(value.spec.dtype)
        cases = self._possible(cases)
        branches = not all(case.value is None or self._is_safe(case.value, case.index) for case in cases)
        found: list[tuple[str, str]] = []  # condition or block, and value
        done = e.block("chosen")
        for case in cases:
            condition = self._holds(case)
            last = condition is None
            following = e.block("other")
            if branches and not last:
                inside = e.block("case")
                e.branch(str(condition), inside, following)
                e.label(inside)
            if branches:
                self.known.append({})
            if case.value is None:
                result = literal(case.fill, value.spec.dtype)
            else:
                result = self.element(case.value, case.index)
            if branches:
                self.known.pop()
                found.append((e.current, result))
                e.jump(done)
                if not last:
                    e.label(following)
            else:
                found.append((str(condition), result))
            if last:
                break
        if branches:
            e.label(done)
            return e.value(f"phi {kind} " + ", ".join(f"[ {result}, %{block} ]" for block, result in found))
        chosen = found.pop()[1]
        for condition, result in reversed(found):
            chosen = e.value(f"select i1 {condition}, {kind} {result}, {kind} {chosen}")
        return chosen

    def _possible(self, cases: Sequence[Part]) -> list[Part]:
        """The cases that there are where this code runs, without the tests that always hold."""
        found = []
        for case in cases:
            verdicts = {test: self._verdict(test) for test in case.tests}
            if False not in verdicts.values():
                tests = tuple(test for test, verdict in verdicts.items() if verdict is None)
                found.append(Part(tests, case.value, case.index, case.fill))
                if not tests:
                    break
        return found

    def _verdict(self, test: Test) -> bool | None:
        """Whether a test holds for all that a variable can be here, or for nothing of it; None if neither is known."""
        terms = [term for term in test.index.terms if term[0] not in self.replaced]
        if len(terms) != 1 or terms[0][1] != 1:
            return None
        atom, bounds = terms[0][0], None
        if isinstance(atom, Remainder):
            known = self._divided(atom)
            bounds = None if known is None else (known[1], known[1] + 1)
        elif isinstance(atom, str):
            bounds = self.ranges.get(atom)
        if bounds is None:
            return None
        low, high = (bound + test.index.constant for bound in bounds)
        if test.low <= low and high <= test.high:
            return True
        return False if high <= test.low or test.high <= low else None

    def _divided(self, atom: Quotient | Remainder) -> tuple[Affine, int] | None:
        """Quotient and remainder of a division that what is known of a variable settles."""
        if self.residue is None or self.residue[1] != atom.by:
            return None
        variable, by, rest = self.residue
        terms = [(a, f) for a, f in atom.index.terms if a not in self.replaced]
        if any(f % by for a, f in terms if a != variable):
            return None
        factor = dict(terms).get(variable, 0)
        whole, left = divmod(factor * rest + atom.index.constant, by)
        total = Affine.of(turn_of(variable)) * factor + whole
        for a, f in terms:
            if a != variable:
                total = total + Affine.of(a) * (f // by)
        return total, left

    def _holds(self, case: Part) -> str | None:
        """An i1, whether all tests hold; None for a case without."""
        e, holds = self.e, None
        for test in case.tests:
            at = self._number(test.index + -test.low)
            one = e.value(f"icmp ult i64 {at}, {test.high - test.low}")
            holds = one if holds is None else e.value(f"and i1 {holds}, {one}")
        return holds

    def _is_safe(self, value: Value, index: Index) -> bool:
        """Whether the element can be computed where it is not wanted: all that is read has a fixed place."""
        if value.node is None or value in self.stored or value in self.made or isinstance(value, Constant):
            return all(not part.terms for part in index)
        return all(self._is_safe(x, where) for x, where in reads(value.node, index))

    def _number(self, affine: Affine) -> str:
        """An i64 with the value of the sum."""
        total = str(affine.constant)
        for atom, factor in affine.terms:
            if atom in self.replaced:
                continue
            part = self._atom(atom)
            if factor != 1:
                part = self.e.value(f"mul nsw i64 {part}, {factor}")
            total = part if total == "0" else self.e.value(f"add nsw i64 {part}, {total}")
        return total

    def _atom(self, atom: Atom) -> str:
        e = self.e
        if isinstance(atom, str):
            return self.variables[atom]
        if isinstance(atom, Lookup):
            dtype = atom.value.spec.dtype
            at = elementwise.emit(e, "cast", [self.element(atom.value, atom.index)], [dtype], "int64")
            wrapped = e.value(f"add i64 {at}, {atom.wrap}")
            at = e.value(f"select i1 {e.value(f'icmp slt i64 {at}, 0')}, i64 {wrapped}, i64 {at}")
            at = e.call("i64", "llvm.smax.i64", ("i64", at), ("i64", "0"))
            return e.call("i64", "llvm.smin.i64", ("i64", at), ("i64", str(atom.high)))
        known = self._divided(atom)
        if known is not None:
            return self._number(known[0]) if isinstance(atom, Quotient) else str(known[1])
        how = "udiv" if isinstance(atom, Quotient) else "urem"
        return e.value(f"{how} i64 {self._number(atom.index)}, {atom.by}")

    def _address(self, value: Value, memory: Value, index: Index) -> str:
        total = self._number(offset(index, value.spec.sizes))
        kind = llvm_type(value.spec.dtype)
        return self.e.value(f"getelementptr inbounds {kind}, ptr %{self.names[memory]}, i64 {total}")

    def _load(self, value: Value, memory: Value, index: Index) -> str:
        return self.e.value(f"load {llvm_type(value.spec.dtype)}, ptr {self._address(value, memory, index)}")

    def _store(self, value: Value, index: Index, result: str) -> None:
        self.e.line(f"store {llvm_type(value.spec.dtype)} {result}, ptr {self._address(value, value, index)}")


def turn_of(variable: str) -> str:
    """The name of the variable that counts the turns of a loop which takes several steps of a variable at once."""
    return f"{variable}'"
