"""Ops: one record each, declared once, called eagerly, under tapes and in traces.

A *primitive* is an op that backends know: its declaration gives the shape and dtype rule (the function's body), the
gradient, how dtypes promote, and sample calls for the tests. A *composite* is an op whose body, written in other ops,
is its meaning; its gradient follows from the body unless it gives one.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from amalthea.core import dtypes, tree
from amalthea.core.backend import active
from amalthea.core.context import context
from amalthea.core.errors import AmaltheaError, ArgumentError, TraceError, UnsupportedError, fail
from amalthea.core.infer import expansion, infer
from amalthea.core.node import record, slots
from amalthea.core.registry import registry
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import KerasTensor, Operand, Tensor, alias, array_of, as_tensor, wrap

__all__ = ["Composite", "Op", "Primitive", "composite", "export", "nondifferentiable", "primitive", "registry"]

R = TypeVar("R", covariant=True)


class OpFunction(Protocol[R]):
    """A declared op. It takes for each tensor whatever `as_tensor` takes, so the arguments are not typed further."""

    op: Any
    __name__: str

    def __call__(self, *args: Any, **kwargs: Any) -> R: ...


class _Nondifferentiable:
    def __repr__(self) -> str:
        return "nondifferentiable"


nondifferentiable = _Nondifferentiable()
_NUMBERS = (bool, int, float)
_PLANS_KEPT = 8192


class Op:
    """The record of an op: all that is known of it, in one place."""

    kind = "op"

    if TYPE_CHECKING:

        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

    def __init__(self, function: Callable[..., Any], gradient: Any, samples: Any, name: str | None) -> None:
        self.name = name or function.__name__
        self.function = function
        self.module = function.__module__
        self.doc = inspect.getdoc(function) or ""
        self.samples = samples
        self.gradient = gradient
        self.signature = inspect.signature(function)
        parameters = list(self.signature.parameters.values())
        self.parameters = tuple(p.name for p in parameters)
        text = [str(p.annotation) for p in parameters]
        self.tensors = tuple(p.name for p, t in zip(parameters, text, strict=True) if "Tensor" in t)
        self.variadic = tuple(
            p.name for p, t in zip(parameters, text, strict=True) if "Tensor" in t and ("Sequence" in t or "list" in t)
        )
        self._check()

    def _check(self) -> None:
        if not self.doc:
            raise TypeError(f"[{self.name}] an op needs a docstring")
        if self.samples is None:
            raise TypeError(f"[{self.name}] an op needs sample calls: samples=lambda: [(args, kwargs), ...]")
        if self.name in registry:
            raise TypeError(f"[{self.name}] there is an op of this name already, in {registry[self.name].op.module}")

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """All arguments by name, defaults filled in; raises ArgumentError for a wrong call."""
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(str(error), where=self.name, fix=f"call {self.name}{self.signature}") from None
        bound.apply_defaults()
        return dict(bound.arguments)

    def input_gradients(
        self, grads: Any, out: Any, inputs: Sequence[Tensor], node_call: dict[str, Any], needed: list[bool]
    ) -> list[Any]:
        """The gradients with respect to the needed inputs, by the op's own rule (None where there is none)."""
        rule = self.gradient
        if isinstance(rule, tuple):
            return [
                part(grads, out, *inputs, **node_call) if need and callable(part) else None
                for part, need in zip(rule, needed, strict=True)
            ]
        found = rule(grads, out, *inputs, **node_call)
        return list(found) if isinstance(found, (tuple, list)) else [found]

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}{self.signature}>"


class Primitive(Op):
    """An op that every backend must know. Called with tensors first, then static attributes."""

    kind = "primitive"

    def __init__(
        self,
        function: Callable[..., Any],
        gradient: Any,
        samples: Any,
        promote: Any = None,
        broadcasts: bool = False,
        normalize: Callable[..., dict[str, Any]] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(function, gradient, samples, name)
        self.promote, self.broadcasts, self.normalize = promote, broadcasts, normalize
        self.plans: dict[Any, _Plan] = {}
        self.n = len(self.tensors)
        self.static = tuple(p for p in self.parameters if p not in self.tensors)
        self.template = {name: self.signature.parameters[name].default for name in self.static}
        self.required = tuple(name for name, value in self.template.items() if value is inspect.Parameter.empty)

    def _check(self) -> None:
        super()._check()
        if self.gradient is None:
            raise TypeError(f"[{self.name}] a primitive needs a gradient rule, or gradient=nondifferentiable")
        if self.parameters[: len(self.tensors)] != self.tensors:
            raise TypeError(f"[{self.name}] the tensor parameters of a primitive come first")
        if isinstance(self.gradient, tuple) and len(self.gradient) != len(self.tensors):
            raise TypeError(f"[{self.name}] one gradient rule per tensor input: {self.tensors}")

    # Calling

    def split(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        """The tensor inputs in order and the static attributes by name."""
        n = self.n
        if len(args) < n or len(args) > len(self.parameters):
            return self._split_slowly(args, kwargs)
        attrs = self.template.copy()
        for name in kwargs:
            if name not in attrs:
                return self._split_slowly(args, kwargs)
        attrs.update(kwargs)
        if len(args) > n:
            for name, value in zip(self.static, args[n:], strict=False):
                if name in kwargs:
                    return self._split_slowly(args, kwargs)
                attrs[name] = value
        if self.required and any(attrs[name] is inspect.Parameter.empty for name in self.required):
            return self._split_slowly(args, kwargs)
        if self.variadic:
            first = args[0]
            return [*(first if isinstance(first, (list, tuple)) else list(first)), *args[1:n]], attrs
        return args[:n], attrs

    def _split_slowly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        bound = self.bind(args, kwargs)
        inputs = [bound[t] for t in self.tensors]
        if self.variadic:
            inputs = [*bound[self.tensors[0]], *inputs[1:]]
        return inputs, {name: bound[name] for name in self.static}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs and len(args) == self.n and not self.static and not self.variadic:
            inputs, attrs = args, kwargs
        else:
            inputs, attrs = self.split(args, kwargs)  # type: ignore[assignment]
        return self.dispatch(inputs, attrs)

    def dispatch(self, inputs: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """Compute (eagerly) or record (in a trace) the op on its inputs."""
        if context.trace is not None:
            return self.record(inputs, attrs)
        arrays: list[Any] = []
        key: list[Any] = []
        clean = True
        for x in inputs:
            kind = type(x)
            if kind is Tensor:
                array = x._array
                if type(array) is not active.array_type:
                    array = array_of(x)
                arrays.append(array)
                key.append(array.shape)
                key.append(array.dtype)
            elif kind is float or kind is int or kind is bool:
                arrays.append(x)
                key.append(kind)
            else:
                clean = False
                break
        if not clean:
            converted = [weak(x) if isinstance(x, _NUMBERS) else self.tensor(x) for x in inputs]
            if any(isinstance(x, KerasTensor) for x in converted):
                return self.record(converted, attrs)
            return self.dispatch(converted, attrs)
        if attrs:
            key.extend(attrs.values())
        try:
            plan = self.plans.get(tuple(key))
        except TypeError:
            return self.dispatch(inputs, freeze(attrs))
        if plan is None:
            plan = self.plan(inputs, attrs)
            if len(self.plans) >= _PLANS_KEPT:
                self.plans.clear()
            self.plans[tuple(key)] = plan
        if plan.casts is not None:
            inputs = self.cast(inputs, plan.casts)
            arrays = [x._array for x in inputs]
        kernel = active.kernels.get(self.name)
        if kernel is None:
            self.no_kernel()
        result = kernel(*arrays, **plan.attrs)  # type: ignore[misc]
        if plan.single:
            out: Any = _new(Tensor)
            out._array = result if type(result) is active.array_type else active.backend.to_array(result)
        else:
            out = tuple([wrap(active.backend.to_array(r)) for r in result])
        if context.tapes and plan.floating:
            self.tape(inputs, out, plan.attrs)
        return out

    def tensor(self, x: Any) -> Tensor:
        try:
            return as_tensor(x)
        except AmaltheaError as error:
            error.where = self.name
            raise

    def no_kernel(self) -> Any:
        fail(
            UnsupportedError,
            f"the {active.backend.name} backend has no kernel for this op",
            where=self.name,
            fix="use another backend: am.config.set_backend(...)",
        )

    def cast(self, inputs: Sequence[Any], casts: tuple[Any, ...]) -> list[Tensor]:
        """The inputs in the dtypes of the plan; Python numbers become tensors."""
        return [
            constant(x, dtype) if type(x) in _NUMBERS else as_tensor(x, dtype)
            for x, dtype in zip(inputs, casts, strict=True)
        ]

    def tape(self, inputs: Sequence[Any], out: Any, attrs: dict[str, Any]) -> None:
        if self.gradient is nondifferentiable:
            return
        for tape in context.tapes:
            tape._record(self, inputs, out, attrs)

    def record(self, inputs: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """Put a call of the op into the graph being made."""
        tensors: list[Any] = [weak(x) if isinstance(x, _NUMBERS) else self.tensor(x) for x in inputs]
        attrs = freeze(attrs)
        check_alive(self.name, tensors)
        key = (
            *[(type(x) if type(x) in _NUMBERS else (x.shape, str(x.dtype))) for x in tensors],
            *attrs.values(),
        )
        plan = self.plans.get(key)
        if plan is None:
            plan = self.plan(tensors, attrs)
            self.plans[key] = plan
        if plan.casts is not None:
            tensors = self.cast(tensors, plan.casts)
        arguments = None
        if self.variadic:
            arguments = (tuple(slots([tensors], [])), plan.attrs)
        out = record(self, tensors, plan.attrs, plan.out, arguments)
        if context.tapes and plan.floating:
            self.tape(tensors, out, plan.attrs)
        return out

    # Rules

    def plan(self, inputs: Sequence[Any], attrs: dict[str, Any]) -> _Plan:
        """What a call with inputs of these shapes and dtypes does: casts, canonical attributes, output specs."""
        casts = self._promotion(inputs)
        numbers = any(type(x) in _NUMBERS for x in inputs)
        wanted = [
            TensorSpec(() if type(x) in _NUMBERS else x.shape, as_dtype(x) if c is None else c)
            for x, c in zip(inputs, casts, strict=True)
        ]
        change = numbers or any(c is not None and c != x.dtype for c, x in zip(casts, inputs, strict=True))
        try:
            canonical, out = infer(self, wanted, attrs)
        except AmaltheaError as error:
            error.where = error.where or self.name
            raise
        kept = tuple(w.dtype for w in wanted) if change else None
        return _Plan(kept, canonical, out)

    def _promotion(self, inputs: Sequence[Any]) -> list[Any]:
        if self.promote is None:
            return [None] * len(inputs)
        found: list[Any] = [type(x) if type(x) in (int, float) else as_dtype(x) for x in inputs]
        try:
            if callable(self.promote):
                target = self.promote(found)
            else:
                target = dtypes.result_type(*found)
                if self.promote == "float" and not dtypes.is_floating(target):
                    target = dtypes.floatx()
        except TypeError as error:
            raise type(error)(f"[{self.name}] {str(error).split('] ', 1)[-1]}") from None
        return list(target) if isinstance(target, tuple) else [target] * len(inputs)

    def rule(self, specs: Sequence[TensorSpec], attrs: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        """Canonical attributes and output specs for inputs of static shape."""
        grouped: Sequence[Any] = [list(specs)] if self.variadic and self.n == 1 else specs
        if self.normalize is not None:
            attrs = self.normalize(*grouped, **attrs)
        return attrs, self.function(*grouped, **attrs)

    def inline(self, *args: Any, **kwargs: Any) -> Any:
        """A primitive has nothing below it: the call itself."""
        return self(*args, **kwargs)


class _Plan:
    __slots__ = ("attrs", "casts", "floating", "out", "single")

    def __init__(self, casts: tuple[Any, ...] | None, attrs: dict[str, Any], out: Any) -> None:
        self.casts, self.attrs, self.out = casts, attrs, out
        self.single = isinstance(out, TensorSpec)
        self.floating = any(spec.dtype.is_floating for spec in ([out] if self.single else out))


class Composite(Op):
    """An op whose body, written in other ops, is its meaning."""

    kind = "composite"

    def __init__(self, function: Callable[..., Any], gradient: Any, samples: Any, name: str | None = None) -> None:
        super().__init__(function, gradient, samples, name)
        self.positions = tuple(i for i, p in enumerate(self.parameters) if p in self.tensors)
        self.static = tuple(p for p in self.parameters if p not in self.tensors)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if context.trace is None and (self.gradient is None or not context.tapes):
            if self._ready(args, kwargs) and self.name not in active.kernels:
                try:
                    return self.function(*args, **kwargs)
                except AmaltheaError as error:
                    error.where = self.name
                    raise
                except TypeError:
                    self.bind(args, kwargs)
                    raise
        return self._call(self.converted(self.bind(args, kwargs)))

    def _ready(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether all tensor arguments are tensors with values already, so that the body can be called as it is."""
        n = len(args)
        for i in self.positions:
            if i < n and type(args[i]) is not Tensor:
                return False
        for name in kwargs:
            if name in self.tensors and type(kwargs[name]) is not Tensor:
                return False
        return True

    def _call(self, bound: dict[str, Any]) -> Any:
        found: list[Tensor] = []
        slots([bound[name] for name in self.tensors], found)
        try:
            if context.trace is None and not any(isinstance(t, KerasTensor) for t in found):
                watched = any(tape._watches(found) for tape in context.tapes)
                if watched and self.gradient is not None:
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
            return self.function(**bound)
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
            if isinstance(x, _NUMBERS):
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
            if kind in _NUMBERS:
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
        taped = self.gradient is None and any(tape._watches(found) for tape in context.tapes)
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


def infer_composite(op: Composite, inputs: list[Tensor], arguments: dict[str, Any]) -> Any:
    """The output specs of a composite, from its body evaluated without values."""
    return expansion(op, tuple(TensorSpec(t.shape, t.dtype) for t in inputs), arguments)


def weak(number: Any) -> Any:
    """The number as a plain Python one, whose dtype gives way to those of tensors.

    np.float64, what NumPy's functions return for Python floats, is itself a Python float and becomes one here; so
    `x * np.sqrt(2.0)` keeps the dtype of x.
    """
    if type(number) in _NUMBERS:
        return number
    return int(number) if isinstance(number, int) else float(number)


def as_dtype(x: Any) -> dtypes.DType:
    """The dtype of a tensor, array or Python number."""
    kind = type(x)
    if kind in _NUMBERS:
        return dtypes.bool_ if kind is bool else dtypes.int32 if kind is int else dtypes.floatx()
    return x.dtype


_constants: dict[Any, Tensor] = {}


def constant(number: bool | int | float, dtype: dtypes.DType) -> Tensor:
    """The Tensor of a Python number; those used often are kept, which saves most of the cost of `x * 2`."""
    key = (number or repr(number), dtype, active.backend)  # 0.0 and -0.0 would be equal keys
    found = _constants.get(key)
    if found is None:
        if len(_constants) >= _PLANS_KEPT:
            _constants.clear()
        found = _constants[key] = as_tensor(number, dtype)
    return found


def _forget_plans() -> None:
    for function in registry.values():
        getattr(function.op, "plans", {}).clear()


dtypes.when_floatx_changes(_forget_plans)


def freeze(attrs: dict[str, Any]) -> dict[str, Any]:
    """The static attributes in hashable form: lists become tuples, small arrays tuples of numbers."""
    return {name: _frozen(value) for name, value in attrs.items()}


def _frozen(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return tuple([_frozen(item) for item in value])
    if isinstance(value, Tensor) and not isinstance(value, KerasTensor):
        return _frozen(value.numpy())
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return _frozen(value.tolist())
    return value


def check_alive(name: str, tensors: Sequence[Any]) -> None:
    """Raise TraceError for a symbolic tensor whose trace has ended."""
    for t in tensors:
        if isinstance(t, KerasTensor) and t._value.trace:
            trace = context.trace
            while trace is not None and trace.id != t._value.trace:
                trace = trace.parent
            if trace is None:
                fail(
                    TraceError,
                    f"a tensor {t._value.spec} of a traced function is used after the trace has ended",
                    where=name,
                    fix="return it from the function instead of storing it elsewhere",
                )


_new = Tensor.__new__


def _public(op: Op, function: Callable[..., R]) -> OpFunction[R]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return op(*args, **kwargs)

    call.op = op  # type: ignore[attr-defined]
    registry[op.name] = call
    return call  # type: ignore[return-value]


def primitive(
    *,
    gradient: Any,
    samples: Any,
    promote: Any = None,
    broadcasts: bool = False,
    normalize: Callable[..., dict[str, Any]] | None = None,
    name: str | None = None,
) -> Callable[[Callable[..., R]], OpFunction[R]]:
    """Declare a primitive; the decorated function's body is its shape and dtype rule on `TensorSpec`s.

    Args:
        gradient: one rule per tensor input, each `(g, out, *inputs, **attrs) -> gradient` (None or
            `nondifferentiable` for none); or one function that returns the gradients of all inputs; or
            `nondifferentiable`.
        samples: a function that returns sample calls [(args, kwargs), ...], from which the tests are made.
        promote: how input dtypes are made one: None (not at all), "common", "float", or a function of the list of
            dtypes (`int` and `float` for Python numbers) that returns one dtype for all inputs or a tuple, one each.
        broadcasts: whether inputs broadcast; gradients are then summed to each input's shape.
        normalize: `(*specs, **attrs) -> attrs` in canonical, hashable form.
    """

    def declare(function: Callable[..., R]) -> OpFunction[R]:
        return _public(Primitive(function, gradient, samples, promote, broadcasts, normalize, name), function)

    return declare


def composite(
    *, samples: Any, gradient: Any = None, name: str | None = None
) -> Callable[[Callable[..., R]], OpFunction[R]]:
    """Declare a composite; the decorated function's body, written in other ops, is its meaning."""

    def declare(function: Callable[..., R]) -> OpFunction[R]:
        return _public(Composite(function, gradient, samples, name), function)

    return declare


def export(module: str, *more: str) -> None:
    """Set the module's `__all__`: the ops declared in it, its other public functions and classes, and `more`.

    It is set from here because a type checker that sees an assignment to `__all__` it cannot evaluate takes the module
    to export nothing.
    """
    space = vars(sys.modules[module])
    ops = [name for name, function in registry.items() if function.op.module == module and name in space]
    others = [
        name
        for name, thing in space.items()
        if not name.startswith("_") and callable(thing) and getattr(thing, "__module__", None) == module
    ]
    space["__all__"] = sorted({*ops, *others, *more})
