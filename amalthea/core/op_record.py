"""`Op`: what every op declares, in one record."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from amalthea.core.errors import ArgumentError
from amalthea.core.registry import registry


class _Nondifferentiable:
    def __repr__(self) -> str:
        return "nondifferentiable"


nondifferentiable = _Nondifferentiable()


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
        if isinstance(gradient, tuple):
            self.gradient = tuple(part if callable(part) else None for part in gradient)
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

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}{self.signature}>"
