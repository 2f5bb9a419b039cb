"""Shapes and dtypes of a call without its values.

Rules and bodies only ever see static sizes. Where a size is unknown, they are evaluated twice with different stand-in
sizes; what differs between the two results is unknown in the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from amalthea.core import config, dtypes, tree
from amalthea.core.errors import AmaltheaError
from amalthea.core.node import Slot, fill
from amalthea.core.spec import TensorSpec, UnknownDim
from amalthea.core.tensor import Tensor
from amalthea.core.tracing import Trace

# Sizes with many divisors, so that reshapes by common factors work out.
STAND_INS = (UnknownDim(27720 * 2), UnknownDim(27720 * 3))


def with_stand_ins(evaluate: Callable[[list[TensorSpec]], Any], specs: Sequence[TensorSpec]) -> Any:
    """`evaluate(specs)`, a structure of specs, where the given specs may have unknown sizes."""
    if all(spec.is_static for spec in specs):
        return evaluate(list(specs))
    results = [
        evaluate([TensorSpec(tuple(size if d is None else d for d in s.shape), s.dtype) for s in specs])
        for size in STAND_INS
    ]
    return tree.map_structure(_merge, *results)


def _merge(a: Any, b: Any) -> Any:
    if not isinstance(a, TensorSpec):
        return a
    sizes = tuple(None if x is None or x != y else int(x) for x, y in zip(a.shape, b.shape, strict=True))
    return TensorSpec(sizes, a.dtype)


def infer(op: Any, specs: Sequence[TensorSpec], attrs: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Canonical attributes and output specs of a primitive; attributes stay as given where a size is unknown."""
    if all(None not in spec.shape for spec in specs):
        known: tuple[dict[str, Any], Any] = op.rule(specs, attrs)
        return known
    return attrs, with_stand_ins(lambda static: op.rule(static, attrs)[1], specs)


def abstract_call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What `function(*args, **kwargs)` would return, as specs, with a spec or symbolic tensor for each tensor.

    Nothing is computed; assignments to variables inside are forgotten.
    """
    found: list[Tensor | TensorSpec] = []
    places = _places((args, kwargs), found)
    specs = [x if isinstance(x, TensorSpec) else TensorSpec(x.shape, x.dtype) for x in found]

    def evaluate(static: list[TensorSpec]) -> Any:
        with Trace(level="op") as trace:
            a, k = fill(places, [trace.input(spec) for spec in static])
            return tree.map_structure(_spec_or_same, function(*a, **k))

    return with_stand_ins(evaluate, specs)


def _spec_or_same(x: Any) -> Any:
    return TensorSpec(x.shape, x.dtype) if isinstance(x, Tensor) or hasattr(x, "_read") else x


def _places(structure: Any, found: list[Any]) -> Any:
    if isinstance(structure, (Tensor, TensorSpec)):
        found.append(structure)
        return Slot(len(found) - 1)
    if isinstance(structure, dict):
        return {key: _places(item, found) for key, item in structure.items()}
    if isinstance(structure, (list, tuple)):
        items = [_places(item, found) for item in structure]
        if hasattr(structure, "_fields"):
            return type(structure)(*items)
        return tuple(items) if isinstance(structure, tuple) else items
    return structure


_expansions: dict[Any, Any] = {}
dtypes.when_floatx_changes(_expansions.clear)


def expansion(op: Any, specs: tuple[TensorSpec, ...], arguments: dict[str, Any]) -> Any:
    """The output specs of a composite called with these arguments (a `Slot` for each tensor)."""
    key = None
    try:
        key = (op, specs, tree_key(arguments), config.image_data_format())
        found = _expansions.get(key)
        if found is not None:
            return found
    except TypeError:
        key = None

    def evaluate(static: list[TensorSpec]) -> Any:
        with Trace(level="op") as trace:
            bound = fill(arguments, [trace.input(spec) for spec in static])
            return tree.map_structure(_spec_or_same, op.function(**bound))

    try:
        result = with_stand_ins(evaluate, specs)
    except AmaltheaError as error:
        error.where = op.name
        raise
    if key is not None:
        if len(_expansions) > 8192:
            _expansions.clear()
        _expansions[key] = result
    return result


def tree_key(structure: Any) -> Any:
    """A hashable key for call arguments in which 1, 1.0 and True differ."""
    if type(structure) is Slot:
        return ("slot", structure.index)
    if isinstance(structure, dict):
        return tuple((name, tree_key(item)) for name, item in structure.items())
    if isinstance(structure, (list, tuple)):
        return (type(structure).__name__, *(tree_key(item) for item in structure))
    if isinstance(structure, (bool, int, float)):
        return (type(structure).__name__, structure if structure and structure == structure else repr(structure))
    return structure
