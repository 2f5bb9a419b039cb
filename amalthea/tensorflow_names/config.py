"""`tf.config`: what of it there is, beside `keras.config`."""

from __future__ import annotations

from typing import NamedTuple

from amalthea.core.device import devices


class PhysicalDevice(NamedTuple):
    """A device: `/physical_device:CPU:0`, of type `CPU`."""

    name: str
    device_type: str


class LogicalDevice(NamedTuple):
    """A device as programs name it: `/device:CPU:0`, of type `CPU`."""

    name: str
    device_type: str


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The devices that the active backend can use, or those of one type ("CPU", "GPU").

    >>> import amalthea as tf
    >>> [device.name for device in tf.config.list_physical_devices("CPU")]
    ['/physical_device:CPU:0']
    """
    return [PhysicalDevice(f"/physical_device:{d}", d.split(":")[0]) for d in _devices(device_type)]


def list_logical_devices(device_type: str | None = None) -> list[LogicalDevice]:
    """As `list_physical_devices`: each is used as one.

    >>> import amalthea as tf
    >>> tf.config.list_logical_devices("CPU")[0].name
    '/device:CPU:0'
    """
    return [LogicalDevice(f"/device:{d}", d.split(":")[0]) for d in _devices(device_type)]


def _devices(device_type: str | None) -> list[str]:
    found = [name.upper() for name in devices()]
    return [name for name in found if device_type is None or name.split(":")[0] == device_type.upper()]


__all__ = ["LogicalDevice", "PhysicalDevice", "list_logical_devices", "list_physical_devices"]
