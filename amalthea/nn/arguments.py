"""Checks of constructor arguments that many layers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from amalthea.core import config
from amalthea.core.errors import ArgumentError, fail


def checked_data_format(value: str | None, where: str) -> str:
    """`"channels_last"` or `"channels_first"`; None is the configured default."""
    if value is None:
        return config.image_data_format()
    lowered = str(value).lower()
    if lowered not in ("channels_last", "channels_first"):
        fail(
            ArgumentError,
            "unknown `data_format`",
            where=where,
            received=f"data_format={value!r}",
            fix="'channels_last' or 'channels_first'",
        )
    return lowered


def whole_numbers(value: Any, count: int, where: str, name: str, minimum: int = 1) -> tuple[int, ...]:
    """`count` whole numbers, given as one number for all or as a sequence."""
    numbers = (value,) * count if isinstance(value, int) and not isinstance(value, bool) else value
    good = (
        isinstance(numbers, Sequence)
        and not isinstance(numbers, str)
        and len(numbers) == count
        and all(isinstance(n, int) and not isinstance(n, bool) and n >= minimum for n in numbers)
    )
    if not good:
        fail(
            ArgumentError,
            f"`{name}` must be a whole number or {count} of them, none below {minimum}",
            where=where,
            received=f"{name}={value!r}",
            fix=f"for example {name}={max(minimum, 2)} or {name}={tuple(range(minimum + 1, minimum + 1 + count))}",
        )
    return tuple(numbers)


def whole_number(value: Any, where: str, name: str, minimum: int = 1) -> int:
    """One whole number."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < minimum:
        fail(
            ArgumentError,
            f"`{name}` must be a whole number of at least {minimum}",
            where=where,
            received=f"{name}={value!r} (of type {type(value).__name__})",
            fix=f"for example {name}={max(minimum, 8)}",
        )
    return int(value)


def fraction(value: Any, where: str, name: str) -> Any:
    """A number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        fail(
            ArgumentError,
            f"`{name}` must be a number from 0 to 1",
            where=where,
            received=f"{name}={value!r}",
            fix=f"for example {name}=0.5",
        )
    return value


def edges(value: Any, axes: int, where: str, name: str) -> tuple[tuple[int, int], ...]:
    """(before, after) for each spatial axis, given as one number, one number per axis, or pairs."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = (value,) * axes
    if not isinstance(value, Sequence) or len(value) != axes:
        fail(
            ArgumentError,
            f"`{name}` must be a whole number, or {axes} numbers or pairs of numbers",
            where=where,
            received=f"{name}={value!r}",
            fix=f"for example {name}=1 or {name}={tuple((1, 1) for _ in range(axes))}",
        )
    return tuple(whole_numbers(pair, 2, where, name, minimum=0) for pair in value)  # type: ignore[misc]


def check_settings(values: Mapping[str, Any], where: str) -> None:
    """Refuse a `training` that is no truth value, and masks that are no tensors."""
    training = values.get("training")
    if isinstance(training, (str, bytes, float, list, tuple, dict)):
        fail(
            ArgumentError,
            "`training` must be True, False or None",
            where=where,
            received=f"training={training!r}",
            fix="pass training=True while training, else leave it out",
        )
    mask = values.get("mask")
    if isinstance(mask, (str, bytes, int, float)):
        fail(
            ArgumentError,
            "`mask` must be a tensor of truth values, or None",
            where=where,
            received=f"mask={mask!r}",
            fix="pass a boolean tensor of shape (batch, steps)",
        )
