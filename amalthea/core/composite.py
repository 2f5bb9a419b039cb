"""`Composite`: an op whose body, written in other ops, is its meaning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from amalthea.core import dtypes, tree
from amalthea.core.arguments import NUMBERS, check_alive, freeze, weak
from amalthea.core.backend import active
from amalthea.core.context import context
from amalthea.core.dtypes import DType
from amalthea.core.eager_programs import compiled_call
from amalthea.core.errors import AmaltheaError
from amalthea.core.infer import expansion
from amalthea.core.node import record, slots
from amalthea.core.op_record import Op, nondifferentiable
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import KerasTensor, Operand, Tensor, alias, array_of, as_tensor, wrap

_LITERALS = frozenset({int, float, bool, str, type(None), DType})
"""Types of arguments that are told apart by their value."""
_KEPT = 1024  # forms of arguments of one composite


class Composite(Op):
    """An op whose body, written in other ops, is its meaning."""

    kind = "composite"

    def __init__(
        self,
        function: Callable[..., Any],
        gradient: Any,
        samples: Any,
        name: str | None = None,
        gradient_needs: str | None = None,
    ) -> None:
        super().__init__(function, gradient, samples, name)
        self.gradient_needs = gradient_needs
        self._calls: dict[Any, tuple[list[int], dict[str, Any], Any]] = {}
        self.positions = tuple(i for i, p in enumerate(self.parameters) if p in self.tensors)
        self.static = tuple(p for p in self.parameters if p not in self.tensors)

    def opens(self) -> bool:
        """Whether a tape records the body: there is no gradient, or the backend has no kernel for what that needs."""
        if self.gradient_needs is None:
            return self.gradient is None
        return self.gradient_needs not in active.backend.composites

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if context.trace is None and not context.tapes and self.name in active.kernels:
            return self._by_kernel(args, kwargs)
        if context.trace is None and (not context.tapes or self.opens()):  # without kernel, or recorded op by op
            ready = self._ready(args, kwargs)
            if ready is not None:
                try:
                    found = None if active.large is None else compiled_call(self, ready, kwargs)
                    return self.function(*ready, **kwargs) if found is None else found
                except AmaltheaError as error:
                    error.where = self.name
                    raise
                except TypeError:
                    self.bind(args, kwargs)
                    raise
        return self._call(self.converted(self.bind(args, kwargs)))

    def _by_kernel(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result by the backend's kernel. How arguments of a form are passed is found out once and kept."""
        form: list[Any] = [active.backend]
        for x in args:
            kind = type(x)
            if kind is Tensor and type(x._array) is active.array_type:
                array: Any = x._array
                form.append(array.shape)
                form.append(array.dtype)
            elif kind in _LITERALS:
                form.append((kind, x or repr(x)))  # 0.0 equals -0.0
            else:
                return self._call(self.converted(self.bind(args, kwargs)))
        for name, x in kwargs.items():
            if type(x) not in _LITERALS:
                return self._call(self.converted(self.bind(args, kwargs)))
            form.append((name, type(x), x or repr(x)))
        key = tuple(form)
        known = self._calls.get(key)
        if known is None:
            bound = self.converted(self.bind(args, kwargs))
            result = self._call(bound)
            given = [(i, bound[name]) for i, name in enumerate(self.parameters) if name in self.tensors]
            taken = {i: x for i, x in given if x is not None}
            as_given = all(i < len(args) and args[i] is x for i, x in taken.items())
            if as_given and not self.variadic and len(self._calls) < _KEPT:
                places = list(taken)
                form_of = None if isinstance(result, Tensor) else result
                structure = None if form_of is None else tree.map_structure(lambda x: None, form_of)
                static = freeze({name: bound[name] for name in self.static})
                self._calls[key] = places, static, structure
            return result
        places, static, structure = known
        made = active.kernels[self.name](*[args[i]._array for i in places], **static)
        to_array = active.backend.to_array
        if structure is None:
            return wrap(made if type(made) is active.array_type else to_array(made))
        return tree.pack(structure, [wrap(to_array(array)) for array in made])

    def _ready(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any] | None:
        """The positional arguments, if all tensors among the arguments have values already; variables are read."""
        ready: Sequence[Any] = args
        for i in self.positions:
            if i >= len(args):
                break
            if type(args[i]) is not Tensor and not _are_tensors(args[i]):
                read = getattr(args[i], "_read", None)
                if read is None:
                    return None
                if ready is args:
                    ready = list(args)
                ready[i] = read()  # type: ignore[index]
        for name in kwargs:
            if name in self.tensors and type(kwargs[name]) is not Tensor:
                return None
        return ready

    def _call(self, bound: dict[str, Any]) -> Any:
        found: list[Tensor] = []
        slots([bound[name] for name in self.tensors], found)
        try:
            if context.trace is None and not any(isinstance(t, KerasTensor) for t in found):
                watched = any(tape._watches(found) for tape in context.tapes)
                if watched and not self.opens():
                    return self._taped(found, bound)
                return self.function(**bound) if watched else self._computed(bound)
            return self.record(found, bound)
        except AmaltheaError as error:
            error.where = self.name
            raise

    def _computed(self, bound: dict[str, Any]) -> Any:
        """The result by the backend's own kernel if it has one, else by the body."""
        kernel = active.kernels.get(self.name)
        if kernel is None:
            found = None if active.large is None else compiled_call(self, (), bound)
            return self.function(**bound) if found is None else found
        static = freeze({name: bound[name] for name in self.static})
        places: list[Tensor] = []
        arguments = {**static, **{name: slots(bound[name], places) for name in self.tensors}}
        result = infer_composite(self, places, arguments)
        made = kernel(*[array_of(t) for t in places], **static)
        if isinstance(result, TensorSpec):
            return wrap(active.backend.to_array(made))
        return tree.pack(result, [wrap(active.backend.to_array(array)) for array in made])

    def converted(self, bound: dict[str, Any]) -> dict[str, Any]:
        """The arguments with those that are tensors converted; Python numbers take a dtype beside the others."""
        known: list[Any] = []
        for name in self.tensors:
            x = bound[name]
            if x is None:
                continue
            if isinstance(x, NUMBERS):
                bound[name] = weak(x)
                continue
            try:
                if name in self.variadic and not isinstance(x, Operand):
                    x = [as_tensor(item) for item in x]
                    known.extend(t.dtype for t in x)
                else:
                    x = as_tensor(x)
                    known.append(x.dtype)
            except AmaltheaError as error:
                error.where = self.name
                raise
            bound[name] = x
        for name in self.tensors:
            x = bound[name]
            kind: Any = type(x)
            if kind in NUMBERS:
                dtype = dtypes.result_type(*known, kind) if known else None
                bound[name] = as_tensor(x, dtype)
        return bound

    def _taped(self, found: list[Tensor], bound: dict[str, Any]) -> Any:
        tapes = context.tapes
        before = context.enter(tapes=())
        try:
            out = self._computed(bound)
        finally:
            context.restore(before)
        if self.gradient is not nondifferentiable:
            # A body may return an input as it is: to the tape the output is another tensor.
            out = tree.map_structure(lambda x: alias(x) if isinstance(x, Tensor) else x, out)
            attrs = {name: bound[name] for name in self.static}
            for tape in tapes:
                tape._record(self, found, out, attrs)
        return out

    def record(self, found: list[Tensor], bound: dict[str, Any]) -> Any:
        """Put a call into the graph being made, or the body where a tape or the trace's level asks for it."""
        check_alive(self.name, found)
        trace = context.trace
        taped = self.opens() and any(tape._watches(found) for tape in context.tapes)
        opens = trace is not None and trace.level == "primitive" and self.name not in trace.keep
        if taped or (opens and not context.tapes):
            return self.function(**bound)
        static = freeze({name: bound[name] for name in self.static})
        places: list[Tensor] = []
        arguments = {**static, **{name: slots(bound[name], places) for name in self.tensors}}
        result = infer_composite(self, places, arguments)
        out = record(self, places, static, result, ((), arguments))
        if self.gradient is not nondifferentiable:
            for tape in context.tapes:
                tape._record(self, places, out, static)
        return out

    def inline(self, *args: Any, **kwargs: Any) -> Any:
        """The body itself, one level down."""
        return self.function(**self.converted(self.bind(args, kwargs)))


def _are_tensors(x: Any) -> bool:
    return type(x) in (list, tuple) and all(type(item) is Tensor for item in x)


def infer_composite(op: Composite, inputs: list[Tensor], arguments: dict[str, Any]) -> Any:
    """The output specs of a composite, from its body evaluated without values."""
    return expansion(op, tuple(TensorSpec(t.shape, t.dtype) for t in inputs), arguments)
