"""`Primitive`: an op that backends know, called eagerly, under tapes and in traces."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from amalthea.core import dtypes
from amalthea.core.arguments import KEPT, NUMBERS, as_dtype, check_alive, constant, freeze, weak
from amalthea.core.backend import active, fail_without_kernel
from amalthea.core.context import context
from amalthea.core.errors import AmaltheaError
from amalthea.core.infer import infer
from amalthea.core.node import record, slots
from amalthea.core.op_record import Op, nondifferentiable
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import KerasTensor, Tensor, array_of, as_tensor, wrap

_new = Tensor.__new__


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
        for i, x in enumerate(inputs):
            kind = type(x)
            if kind is not Tensor and hasattr(x, "_read"):  # a variable
                inputs = list(inputs)
                inputs[i] = x = x._read()
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
            converted = [weak(x) if isinstance(x, NUMBERS) else self.tensor(x) for x in inputs]
            if any(isinstance(x, KerasTensor) for x in converted):
                return self.record(converted, attrs)
            return self.dispatch(converted, attrs)
        try:
            if attrs:
                key.extend([value or repr(value) for value in attrs.values()])  # 0, False, 0.0 and -0.0 are equal keys
            plan = self.plans.get(tuple(key))
        except (TypeError, ValueError):  # a list or an array
            return self.dispatch(inputs, freeze(attrs))
        if plan is None:
            plan = self.plan(inputs, attrs)
            if len(self.plans) >= KEPT:
                self.plans.clear()
            self.plans[tuple(key)] = plan
        if plan.casts is not None:
            inputs = self.cast(inputs, plan.casts)
            arrays = [array_of(x) for x in inputs]
        try:
            kernel = active.kernels[self.name]
        except KeyError:
            self.no_kernel()
        if plan.kernel is not kernel:
            plan.bind(kernel)
        result = plan.bound(*arrays)
        if plan.single:
            out: Any = _new(Tensor)
            out._array = result if type(result) is active.array_type else active.backend.to_array(result)
        else:
            out = tuple([wrap(active.backend.to_array(r)) for r in result])
        if context.tapes and plan.floating:
            self.tape(inputs, out, plan)
        return out

    def tensor(self, x: Any) -> Tensor:
        try:
            return as_tensor(x)
        except AmaltheaError as error:
            error.where = self.name
            raise

    def no_kernel(self) -> NoReturn:
        fail_without_kernel(self.name, active.backend.name)

    def cast(self, inputs: Sequence[Any], casts: tuple[Any, ...]) -> list[Tensor]:
        """The inputs in the dtypes of the plan; Python numbers become tensors."""
        return [
            constant(x, dtype) if type(x) in NUMBERS else as_tensor(x, dtype)
            for x, dtype in zip(inputs, casts, strict=True)
        ]

    def tape(self, inputs: Sequence[Any], out: Any, plan: _Plan) -> None:
        if self.gradient is nondifferentiable:
            return
        for tape in context.tapes:
            tape._record(self, inputs, out, plan.attrs, plan)

    def record(self, inputs: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """Put a call of the op into the graph being made."""
        tensors: list[Any] = [weak(x) if isinstance(x, NUMBERS) else self.tensor(x) for x in inputs]
        attrs = freeze(attrs)
        check_alive(self.name, tensors)
        key = (
            *[(type(x) if type(x) in NUMBERS else (x.shape, str(x.dtype))) for x in tensors],
            *[value or repr(value) for value in attrs.values()],
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
            self.tape(tensors, out, plan)
        return out

    # Rules

    def plan(self, inputs: Sequence[Any], attrs: dict[str, Any]) -> _Plan:
        """What a call with inputs of these shapes and dtypes does: casts, canonical attributes, output specs."""
        casts = self._promotion(inputs)
        numbers = any(type(x) in NUMBERS for x in inputs)
        wanted = [
            TensorSpec(() if type(x) in NUMBERS else x.shape, as_dtype(x) if c is None else c)
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
    __slots__ = ("attrs", "bound", "casts", "floating", "kernel", "out", "single")

    kernel: Any  # which `bound` was made from
    bound: Any  # a backend's kernel with the attributes

    def __init__(self, casts: tuple[Any, ...] | None, attrs: dict[str, Any], out: Any) -> None:
        self.casts, self.attrs, self.out = casts, attrs, out
        self.kernel = self.bound = None
        self.single = isinstance(out, TensorSpec)
        self.floating = any(spec.dtype.is_floating for spec in ([out] if self.single else out))

    def bind(self, kernel: Callable[..., Any]) -> None:
        """Make `bound`, by the kernel's own `bind` if it has one."""
        bind = getattr(kernel, "bind", None)
        self.bound = bind(self.attrs) if bind is not None else functools.partial(kernel, **self.attrs)
        self.kernel = kernel
