"""Devices: what the active backend can compute on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from amalthea.core.backend import active
from amalthea.core.context import context
from amalthea.core.errors import ArgumentError, fail


def devices() -> list[str]:
    """The names of the devices that the active backend can use.

    >>> import amalthea as am
    >>> am.devices()
    ['cpu:0']
    """
    return list(active.backend.devices())


@contextlib.contextmanager
def device(name: str) -> Iterator[None]:
    """Compute on the named device ("cpu", "cpu:0", "gpu:0" ...) inside the `with` block.

    Raises ArgumentError if the active backend has no such device.

    >>> import amalthea as am
    >>> with am.device("cpu:0"):
    ...     am.ops.ones((2,)).device
    'cpu:0'
    """
    wanted = str(name).lower().lstrip("/").removeprefix("device:")
    wanted = wanted if ":" in wanted else f"{wanted}:0"
    known = devices()
    if wanted not in known:
        fail(
            ArgumentError,
            f"the {active.backend.name} backend has no such device",
            where="device",
            received=repr(name),
            fix=f"use one of {', '.join(known)}, or another backend",
        )
    before = context.enter(device=wanted)
    try:
        with active.backend.on(wanted):
            yield
    finally:
        context.restore(before)
