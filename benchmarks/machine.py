"""What figures were measured on: kind of processor and versions, nothing that names the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path


def machine(packages: Iterable[str] = ()) -> dict[str, object]:
    """The kind of this machine, and the versions of some packages."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": versions(packages),
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of the packages that are installed, by the name they are imported under.

    >>> sorted(versions(["numpy", "no_such_package"]))
    ['numpy']
    """
    owners = metadata.packages_distributions()
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(owners.get(package, [package])[0])
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
