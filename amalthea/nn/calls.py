"""What stands around one call of a layer: its signature, its bound arguments, and the calls nested in it."""

from __future__ import annotations

import inspect
import threading
from typing import Any

from amalthea.core import tree
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.spec import UnknownDim
from amalthea.core.tensor import Tensor
from amalthea.nn.signatures import CallError

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class CallFacts:
    """What one class's (or instance's) `call` signature says; worked out once and kept."""

    __slots__ = ("has_mask", "has_training", "mask_names", "names", "signature", "simple", "training_default")

    def __init__(self, call: Any) -> None:
        self.signature = inspect.signature(call)
        parameters = self.signature.parameters
        self.names = frozenset(parameters)
        self.has_training = "training" in parameters
        self.has_mask = "mask" in parameters
        self.mask_names = tuple(name for name in parameters if name.endswith("_mask"))
        default = parameters["training"].default if self.has_training else None
        self.training_default = None if default is inspect.Parameter.empty else default
        first = next(iter(parameters.values()), None)
        # A call with one positional tensor needs no binding when everything else has a default that is not filled in.
        self.simple = first is not None and first.kind in _POSITIONAL and not self.mask_names


class Frame:
    """The outermost layer call of a thread and the values (`training`, ...) that its nested calls inherit."""

    __slots__ = ("entry", "values")

    def __init__(self, entry: Any) -> None:
        self.entry = entry
        self.values: dict[str, Any] = {}


class _Calls(threading.local):
    frame: Frame | None = None


calls = _Calls()


class Arguments:
    """The bound arguments of one call."""

    __slots__ = ("first", "given", "tensors", "values")

    def __init__(self, facts: CallFacts, args: tuple[Any, ...], kwargs: dict[str, Any], where: str) -> None:
        try:
            bound = facts.signature.bind(*args, **kwargs)
        except TypeError as error:
            fail(
                CallError,
                f"the call does not fit `call{facts.signature}`: {error}",
                where=where,
                received=f"{len(args)} positional argument(s)" + (f" and {', '.join(kwargs)}" if kwargs else ""),
                fix="pass the arguments that `call` declares",
            )
        self.given = dict(bound.arguments)
        bound.apply_defaults()
        self.values = bound.arguments
        self.first = next(iter(self.values.values()), None)
        self.tensors: dict[str, Any] = {}
        for name, value in self.values.items():
            if isinstance(value, Tensor):
                self.tensors[name] = value
            elif isinstance(value, (list, tuple, dict)) and value:
                leaves = tree.flatten(value)
                if any(isinstance(leaf, Tensor) for leaf in leaves):
                    if not all(leaf is None or isinstance(leaf, Tensor) for leaf in leaves):
                        fail(
                            ArgumentError,
                            f"the argument `{name}` mixes tensors and other values",
                            where=where,
                            received=", ".join(type(leaf).__name__ for leaf in leaves),
                            fix="pass tensors and settings as separate arguments of `call`",
                        )
                    self.tensors[name] = value

    def shapes(self) -> dict[str, Any]:
        """`{"x_shape": shape}` of each tensor argument `x` (nested as the argument is), masks left out."""
        found = {}
        for name, value in self.tensors.items():
            if name not in ("mask", "args", "kwargs"):
                found[f"{name}_shape"] = shape_of(value) if isinstance(value, Tensor) else map_shapes(value)
        return found


def shape_of(tensor: Any) -> tuple[int | None, ...] | None:
    """The shape of a tensor, with None for sizes that only stand in for an unknown one."""
    if tensor is None:
        return None
    return tuple([None if type(size) is UnknownDim else size for size in tensor.shape])


def masks_of(structure: Any) -> Any:
    """The mask attached to each tensor of a structure (None where there is none)."""
    if isinstance(structure, (list, tuple, dict)):
        return tree.map_structure(masks_of, structure)
    return getattr(structure, "_keras_mask", None)


def map_shapes(structure: Any) -> Any:
    """The structure with each tensor replaced by its shape."""
    if isinstance(structure, dict):
        return {key: map_shapes(value) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        items = [map_shapes(value) for value in structure]
        return tuple(items) if isinstance(structure, tuple) else items
    return shape_of(structure)


def is_shape(value: Any) -> bool:
    """Whether the value is one shape, not a structure of shapes."""
    return isinstance(value, (list, tuple)) and all(size is None or isinstance(size, int) for size in value)


def as_shapes(value: Any) -> Any:
    """Shapes as tuples, where a file gives lists."""
    if value is None or callable(value) or isinstance(value, (str, int, float)):
        return value
    if is_shape(value):
        return tuple(value)
    if isinstance(value, dict):
        return {key: as_shapes(item) for key, item in value.items()}
    return [as_shapes(item) for item in value]


def map_over_shapes(fn: Any, structure: Any) -> Any:
    """Apply `fn` to each shape in a structure of shapes."""
    if structure is None or is_shape(structure):
        return fn(structure)
    if isinstance(structure, dict):
        return {key: map_over_shapes(fn, value) for key, value in structure.items()}
    items = [map_over_shapes(fn, value) for value in structure]
    return tuple(items) if isinstance(structure, tuple) else items


def shapes_for(method: Any, shapes: dict[str, Any], arguments: Arguments, where: str) -> dict[str, Any]:
    """Which shapes to pass to `build` or `compute_output_shape`.

    A method with one argument gets the shape of the first tensor. One with several gets shapes by name:
    `build(self, query_shape, value_shape)` belongs to `call(self, query, value)`.
    """
    parameters = [p for p in inspect.signature(method).parameters.values() if p.kind not in _VARIADIC]
    if len(parameters) == 1:
        return {parameters[0].name: next(iter(shapes.values()), None)}
    chosen = {}
    for parameter in parameters:
        name = parameter.name
        if not name.endswith("_shape") or name.removesuffix("_shape") not in arguments.values:
            fail(
                ArgumentError,
                f"`{method.__name__}` takes several arguments, so each must be named after one of `call`'s",
                where=where,
                received=f"`{method.__name__}({', '.join(p.name for p in parameters)})` "
                f"for `call({', '.join(arguments.values)})`",
                fix=f"for example `{method.__name__}(self, x_shape, y_shape)` for `call(self, x, y)`",
            )
        if name in shapes:
            chosen[name] = shapes[name]
    return chosen
