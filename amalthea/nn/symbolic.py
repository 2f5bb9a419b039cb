"""Layers on tensors without values: what a call would return, and how it becomes a node of a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from amalthea.core import dtypes, tree
from amalthea.core.context import context
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.infer import abstract_call
from amalthea.core.node import record, slots
from amalthea.core.spec import spec_of
from amalthea.core.tensor import KerasTensor, Tensor
from amalthea.nn.calls import Arguments, CallFacts, map_over_shapes, map_shapes, shapes_for
from amalthea.nn.tracking import untracked


class LayerSymbols:
    """The part of `Layer` that is about symbolic tensors."""

    kind = "layer"  # among the ops of a graph
    _opened = False
    _symbolic_calls: list[Any]
    name: str
    if TYPE_CHECKING:

        @property
        def compute_dtype(self) -> dtypes.DType: ...

    def _facts(self) -> CallFacts:
        raise NotImplementedError

    def call(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def _record(self, given: tuple[Any, Any], outputs: Any) -> Any:
        """Put the call into the graph of its symbolic inputs; returns symbolic outputs of the specs of `outputs`."""
        found: list[Tensor] = []
        places = slots(given, found)
        made = record(self, found, {}, tree.map_structure(spec_of, outputs), places)
        if context.trace is None:
            with untracked():
                self._symbolic_calls.append((given, made))
        return made

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The output for symbolic inputs, as symbolic tensors with its shapes and dtypes.

        Asks `compute_output_shape` where a subclass has one, and otherwise runs `call` on symbolic tensors.
        """
        if type(self).compute_output_shape is not LayerSymbols.compute_output_shape:
            facts = self._facts()
            arguments = Arguments(facts, args, kwargs, type(self).__name__)
            shapes = shapes_for(self.compute_output_shape, arguments.shapes(), arguments, type(self).__name__)
            shape = self.compute_output_shape(**shapes)
            return map_over_shapes(lambda item: KerasTensor(tuple(item), self.compute_dtype), shape)
        return self._spec_by_calling(*args, **kwargs)

    def _spec_by_calling(self, *args: Any, **kwargs: Any) -> Any:
        """The output of `call` on symbolic tensors."""
        specs = abstract_call(self.call, *args, **kwargs)
        if specs is None:
            self._refuse_nothing()
        return tree.map_structure(lambda spec: KerasTensor(spec.shape, spec.dtype), specs)

    def _refuse_nothing(self) -> NoReturn:
        """The error for a `call` without a `return`."""
        fail(
            ArgumentError,
            "`call` returned nothing",
            where=type(self).__name__,
            received="None instead of a tensor",
            fix="end `call` with `return` and the output",
        )

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The output's shape, given the input's (None for unknown sizes)."""
        named = {key.removesuffix("_shape"): self._symbols(shape) for key, shape in kwargs.items()}
        return map_shapes(self._spec_by_calling(*[self._symbols(shape) for shape in args], **named))

    def _symbols(self, shape: Any) -> Any:
        """Symbolic tensors of a shape or structure of shapes, in the compute dtype."""
        return map_over_shapes(lambda item: KerasTensor(tuple(item), self.compute_dtype), shape)

    def inline(self, *args: Any, **kwargs: Any) -> Any:
        """The call, one level down in a graph: what is inside the layer instead of the layer as one node."""
        self.__dict__["_opened"] = True
        try:
            return self(*args, **kwargs)
        finally:
            self.__dict__["_opened"] = False

    def _is_recorded(self) -> bool:
        """Whether a call on symbolic tensors becomes one node of a graph: outside traces, and in traces of layers.

        Not while a tape records, which has to see the ops inside.
        """
        opened, self.__dict__["_opened"] = self._opened, False
        return not opened and (context.trace is None or (context.trace.level == "layer" and not context.tapes))

    # Its place among symbolic tensors

    def _first_symbolic_call(self, what: str) -> Any:
        if not self._symbolic_calls:
            fail(
                ArgumentError,
                f"'{self.name}' has no {what}, because it was never called on symbolic tensors",
                where=f"{type(self).__name__}.{what}",
                fix="use it in a functional or Sequential model with an Input first",
            )
        return self._symbolic_calls[0]

    @property
    def input(self) -> Any:
        """The symbolic tensor (or structure of them) on which the layer was first called."""
        args, kwargs = self._first_symbolic_call("input")[0]
        return (
            args[0]
            if len(args) == 1 and not kwargs
            else [x for x in tree.flatten((args, kwargs)) if isinstance(x, KerasTensor)]
        )

    @property
    def output(self) -> Any:
        """The symbolic tensor (or structure of them) that the first symbolic call returned."""
        return self._first_symbolic_call("output")[1]
