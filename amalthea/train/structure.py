"""Matching the structures of losses, metrics, targets and outputs."""

from __future__ import annotations

from typing import Any

from amalthea.core import tree

Path = tuple[Any, ...]


def is_nested(value: Any) -> bool:
    """Whether a value is a dict, list or tuple.

    >>> is_nested([1]), is_nested(1)
    (True, False)
    """
    return isinstance(value, (dict, list, tuple))


def leaf_paths(structure: Any, prefix: Path = ()) -> list[Path]:
    """Paths to the leaves of a structure, in the order of `tree.flatten`.

    >>> leaf_paths({"b": [1, 2], "a": 3})
    [('a',), ('b', 0), ('b', 1)]
    """
    if isinstance(structure, dict):
        keys: Any = sorted(structure)
    elif isinstance(structure, (list, tuple)):
        keys = range(len(structure))
    else:
        return [prefix]
    return [path for key in keys for path in leaf_paths(structure[key], (*prefix, key))]


def at(structure: Any, path: Path) -> Any:
    """The part of a structure at a path.

    >>> at({"b": [1, 2]}, ("b", 1))
    2
    """
    for key in path:
        structure = structure[key]
    return structure


def same_paths(a: Any, b: Any) -> bool:
    """Whether two structures have the same leaves; lists and tuples count as the same.

    >>> same_paths([1, (2,)], (3, [4]))
    True
    """
    return leaf_paths(a) == leaf_paths(b)


def shape_of(structure: Any) -> Any:
    """A structure with shapes in place of its leaves, for messages."""
    return tree.map_structure(lambda leaf: None if leaf is None else tuple(getattr(leaf, "shape", ())), structure)
