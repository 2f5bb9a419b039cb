"""Results of a step as callbacks see them: a flat dict of Python floats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def pythonify_logs(logs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Flatten nested dicts of results, sort them by name, and turn scalars into floats.

    Args:
        logs: mapping from names to scalars, Tensors or further mappings; None counts as empty.

    Returns:
        A flat dict. Values that are no scalars stay as they are.

    >>> pythonify_logs({"loss": 1, "a": {"b": 2}})
    {'b': 2.0, 'loss': 1.0}
    """
    result: dict[str, Any] = {}
    for key in sorted(logs or {}):
        value = logs[key]  # type: ignore[index]
        if isinstance(value, Mapping):
            result.update(pythonify_logs(value))
            continue
        try:
            value = float(value)
        except (TypeError, ValueError):
            pass
        result[key] = value
    return result
