"""Nested structures of lists, tuples, named tuples and dicts, as functions take and return them. None is a leaf."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


def is_nested(structure: Any) -> bool:
    """Whether the structure is a container rather than a leaf.

    >>> is_nested([1]), is_nested(1)
    (True, False)
    """
    return isinstance(structure, (list, tuple, Mapping))


def flatten(structure: Any) -> list[Any]:
    """The leaves in order; dicts in the order of their sorted keys.

    >>> from amalthea.core import tree
    >>> tree.flatten({"b": [1, 2], "a": (3, None)})
    [3, None, 1, 2]
    """
    leaves: list[Any] = []
    _flatten_into(structure, leaves)
    return leaves


def _keys(mapping: Mapping[Any, Any]) -> list[Any]:
    try:
        return sorted(mapping)
    except TypeError:
        return list(mapping)


def _flatten_into(structure: Any, leaves: list[Any]) -> None:
    kind = type(structure)
    if kind is list or kind is tuple:
        for item in structure:
            _flatten_into(item, leaves)
    elif isinstance(structure, Mapping):
        for key in _keys(structure):
            _flatten_into(structure[key], leaves)
    elif isinstance(structure, (list, tuple)):
        for item in structure:
            _flatten_into(item, leaves)
    else:
        leaves.append(structure)


def pack(structure: Any, leaves: Any) -> Any:
    """A structure like the given one, with these leaves; raises ValueError if their number differs.

    >>> pack({"x": 0, "y": [0]}, [1, 2])
    {'x': 1, 'y': [2]}
    """
    iterator = iter(leaves)
    try:
        packed = _pack(structure, iterator)
    except StopIteration:
        raise ValueError("[tree.pack] there are fewer leaves than the structure has places") from None
    for _ in iterator:
        raise ValueError("[tree.pack] there are more leaves than the structure has places")
    return packed


def _next(leaves: Iterator[Any]) -> Any:
    return leaves.__next__()


def _pack(structure: Any, leaves: Iterator[Any]) -> Any:
    if isinstance(structure, Mapping):
        filled = {key: _pack(structure[key], leaves) for key in _keys(structure)}
        ordered = {key: filled[key] for key in structure}
        try:
            return type(structure)(ordered)  # type: ignore[call-arg]
        except TypeError:
            return ordered
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*[_pack(item, leaves) for item in structure])
    if isinstance(structure, (list, tuple)):
        items = [_pack(item, leaves) for item in structure]
        return tuple(items) if isinstance(structure, tuple) else items
    return _next(leaves)


def map_structure(function: Callable[..., Any], *structures: Any) -> Any:
    """Apply `function` leaf by leaf over structures of the same form.

    >>> map_structure(lambda a, b: a + b, {"x": 1, "y": [2]}, {"x": 10, "y": [20]})
    {'x': 11, 'y': [22]}
    """
    first = structures[0]
    if len(structures) == 1:
        return pack(first, [function(leaf) for leaf in flatten(first)])
    for other in structures[1:]:
        assert_same(first, other)
    columns = [flatten(s) for s in structures]
    return pack(first, [function(*leaves) for leaves in zip(*columns, strict=True)])


def form(structure: Any) -> Any:
    """A hashable description of the structure without its leaves."""
    if isinstance(structure, Mapping):
        return ("dict", *((key, form(structure[key])) for key in _keys(structure)))
    if isinstance(structure, (list, tuple)):
        return (type(structure).__name__, *(form(item) for item in structure))
    return None


def assert_same(a: Any, b: Any) -> None:
    """Raise ValueError unless both have the same form (containers, lengths, keys).

    >>> assert_same({"a": [1, 2]}, {"a": [3, 4]})
    """
    if form(a) != form(b):
        raise ValueError(
            f"[tree] the two structures differ. Received: {_describe(a)} and {_describe(b)}. Fix: use the same "
            "containers, lengths and keys."
        )


def _describe(structure: Any) -> str:
    if isinstance(structure, Mapping):
        return "{" + ", ".join(f"{key!r}: {_describe(structure[key])}" for key in _keys(structure)) + "}"
    if isinstance(structure, (list, tuple)):
        inside = ", ".join(_describe(item) for item in structure)
        return f"[{inside}]" if isinstance(structure, list) else f"({inside})"
    return "*"
