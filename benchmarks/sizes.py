"""How much an installation takes on disk: a package with everything that it needs."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def installed_size(packages: Iterable[str]) -> dict[str, int]:
    """Bytes of each distribution that these packages need, themselves among them, in this interpreter.

    Requirements of extras are left out, and so is what is not installed: its condition does not hold here.

    Args:
        packages: names to import; "amalthea" may be this checkout.

    >>> sizes = installed_size(["numpy"])
    >>> list(sizes), sizes["numpy"] > 1_000_000
    (['numpy'], True)
    """
    owners = metadata.packages_distributions()
    sizes: dict[str, int] = {}
    waiting = []
    for package in packages:
        if package == "amalthea":
            sizes[package] = _folder(ROOT / "amalthea")
            project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
            waiting += [_name(requirement) for requirement in project["dependencies"]]
        else:
            waiting.append(_name(owners.get(package, [package])[0]))
    while waiting:
        name = waiting.pop()
        if name in sizes:
            continue
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        places = (Path(str(file.locate())) for file in found.files or ())
        sizes[name] = sum(place.stat().st_size for place in places if place.suffix != ".pyc" and place.is_file())
        waiting += [_name(r) for r in found.requires or () if not re.search(r";.*\bextra\b", r)]
    return sizes


def _name(requirement: str) -> str:
    """
    >>> _name("Ml_Dtypes>=0.5; python_version > '3'")
    'ml-dtypes'
    """
    found = re.match(r"[\w.-]+", requirement)
    return re.sub(r"[-_.]+", "-", found.group() if found else requirement).lower()


def _folder(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
