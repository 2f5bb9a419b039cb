"""One package under a second dotted name, whose modules are not executed a second time."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any


class ModuleAlias(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `alias.x.y` as the module `package.x.y`, so that `from package.alias.x import y` works.

    >>> import amalthea.keras.layers
    >>> amalthea.keras.layers is amalthea.layers
    True
    """

    def __init__(self, alias: str, package: str) -> None:
        self.alias, self.package = alias, package
        self._specs: dict[str, Any] = {}

    def install(self) -> None:
        """Make the alias known to `import`."""
        sys.modules[self.alias] = sys.modules[self.package]
        sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(self.alias + "."):
            return None
        real = self.package + fullname.removeprefix(self.alias)
        if real not in sys.modules and importlib.util.find_spec(real) is None:
            return None
        return importlib.machinery.ModuleSpec(fullname, self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.package + spec.name.removeprefix(self.alias))
        self._specs[spec.name] = module.__spec__, module.__loader__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just put the alias' spec on the module; it gets its own back.
        assert module.__spec__ is not None
        module.__spec__, module.__loader__ = self._specs.pop(module.__spec__.name)
