"""Which objects of a model have state, under which path it is written, and how it is put back all or not at all.

The layout is Keras 3's: a functional or sequential model's layers lie in `layers/<class_name>[_n]`, any other layer or
optimizer under the names of the attributes that lead to it, items of lists, tuples and dicts as `<class_name>[_n]`
inside the container's name. Attributes are visited in alphabetic order, private ones last, every object once.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from amalthea.core.variable import Variable
from amalthea.nn.layer import Layer
from amalthea.nn.naming import to_snake_case
from amalthea.nn.optimizers.optimizer import Optimizer
from amalthea.ops.random import SeedGenerator
from amalthea.saving.errors import SavedFileError, refuse
from amalthea.saving.hdf5 import Stored, WeightsFile


@dataclass(frozen=True)
class Stateful:
    """One object with state, and its path in the weights file (`""` for the model itself)."""

    path: str
    owner: Any

    @property
    def name(self) -> str | None:
        """What the group is labelled with."""
        name = getattr(self.owner, "name", None)
        return name if isinstance(name, str) and not isinstance(self.owner, SeedGenerator) else None

    def __str__(self) -> str:
        return f"{type(self.owner).__name__} {self.name!r} at '{self.path or '/'}'"


def stateful_objects(model: Any, skip: tuple[Any, ...] = ()) -> list[Stateful]:
    """Every layer, optimizer and seed generator below `model` (itself first), in the order in which files list them."""
    found: list[Stateful] = []
    _visit(model, "", found, {id(item) for item in skip}, set())
    return found


def _visit(owner: Any, path: str, found: list[Stateful], seen: set[int], containers: set[int]) -> None:
    if isinstance(owner, (Layer, Optimizer, SeedGenerator)):
        if id(owner) in seen:
            return
        seen.add(id(owner))
        found.append(Stateful(path, owner))
        if not isinstance(owner, SeedGenerator):
            for name, child in _children(owner):
                _visit(child, f"{path}/{name}" if path else name, found, seen, containers)
    elif isinstance(owner, (list, tuple, dict)):
        if id(owner) in containers:
            return
        containers.add(id(owner))
        used: dict[str, int] = {}
        for item in owner.values() if isinstance(owner, dict) else owner:
            if isinstance(item, (Layer, Optimizer)):
                kind = to_snake_case(type(item).__name__)
            elif isinstance(item, (list, tuple, dict)):
                kind = "container"
            else:
                continue
            count = used[kind] = used.get(kind, -1) + 1
            _visit(item, f"{path}/{kind}_{count}" if count else f"{path}/{kind}", found, seen, containers)


def _children(owner: Any) -> Iterator[tuple[str, Any]]:
    if getattr(owner, "_layers_come_first", False):
        yield "layers", owner.layers
    inherited = _layer_attributes() if isinstance(owner, Layer) else frozenset(dir(Optimizer))
    skipped = inherited | getattr(owner, "_attributes_without_state", frozenset())
    for name in sorted(dir(owner), key=lambda name: (name.startswith("_"), name)):
        if name.startswith("__") or name in skipped:
            continue
        try:
            child = getattr(owner, name)
        except Exception:  # a property that has no value yet
            continue
        if isinstance(child, (Layer, Optimizer, SeedGenerator, list, tuple, dict)):
            yield name, child


@functools.cache
def _layer_attributes() -> frozenset[str]:
    """What every layer has: its bookkeeping, which leads to nothing that has no path of its own."""
    return frozenset(dir(Layer()))


def variables_of(owner: Any) -> list[Variable]:
    """The variables that the owner itself (not a layer inside it) writes, in file order."""
    if isinstance(owner, Layer):
        return [*owner._trainable_variables, *owner._non_trainable_variables]
    if isinstance(owner, SeedGenerator):
        return [owner.state]
    return list(owner.variables)


def collect(objects: list[Stateful]) -> list[tuple[str, str | None, dict[str, np.ndarray]]]:
    """The records for `hdf5.write_weights`: what each object's `save_own_variables` puts into a dict."""
    records = []
    for item in objects:
        store: dict[str, Any] = {}
        if isinstance(item.owner, SeedGenerator):
            store["0"] = item.owner.state
        else:
            item.owner.save_own_variables(store)
        arrays = {key: value.numpy() if hasattr(value, "numpy") else np.asarray(value) for key, value in store.items()}
        records.append((item.path, item.name, arrays))
    return records


def collect_assets(objects: list[Stateful]) -> dict[str, bytes]:
    """The files that objects with `save_assets(folder)` write, by path."""
    assets: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for item in objects:
            if hasattr(item.owner, "save_assets"):
                inner = os.path.join(folder, *item.path.split("/"))
                os.makedirs(inner, exist_ok=True)
                item.owner.save_assets(inner)
        for base, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(base, name)
                with open(path, "rb") as file:
                    assets[os.path.relpath(path, folder).replace(os.sep, "/")] = file.read()
    return assets


@contextlib.contextmanager
def all_or_nothing(objects: list[Stateful]) -> Iterator[None]:
    """Inside, variables may be assigned; an exception gives every one of them its former value again."""
    before = [(variable, variable.value) for item in objects for variable in variables_of(item.owner)]
    try:
        yield
    except BaseException:
        for variable, value in before:
            variable.assign(value)
        raise


def restore(
    objects: list[Stateful],
    file: WeightsFile,
    where: str,
    *,
    skip_mismatch: bool = False,
    assets: Mapping | None = None,
) -> None:
    """Put the state in `file` back into `objects`: all of it, or an error and none of it.

    With `skip_mismatch`, objects that the file does not fit keep their values, and a warning lists them.

    Raises:
        SavedFileError: arrays are missing, or differ from the variables in number, shape or kind.
    """
    misfits: list[str] = []
    with all_or_nothing(objects):
        for item in objects:
            if isinstance(item.owner, SeedGenerator) and item.path not in file:
                continue  # Keras does not write them
            try:
                with all_or_nothing([item]):
                    _restore_one(item, file[item.path])
            except Warning:  # where warnings are errors they are not misfits
                raise
            except Exception as error:
                detail = error.message if isinstance(error, SavedFileError) else f"{type(error).__name__}: {error}"
                misfits.append(f"{item}: {detail}")
        if misfits and not skip_mismatch:
            shown = "; ".join(misfits[:3]) + (f"; and {len(misfits) - 3} more" if len(misfits) > 3 else "")
            refuse(
                where,
                f"{len(misfits)} of {len(objects)} objects do not fit the file, and nothing was loaded: {shown}",
                "build the model as it was when the file was saved, or pass skip_mismatch=True to load_weights",
            )
        if assets is not None:
            _restore_assets(objects, assets)
    if misfits:
        warnings.warn(
            f"[{where}] {len(misfits)} objects do not fit the file and keep their values: {'; '.join(misfits)}",
            stacklevel=4,
        )


def _restore_one(item: Stateful, stored: Stored) -> None:
    if isinstance(item.owner, SeedGenerator):
        check_fit([item.owner.state], stored, item.path)
        item.owner.state.assign(stored["0"])
        return
    if isinstance(item.owner, Optimizer) and _never_stepped(stored) and len(stored) < len(item.owner.variables):
        return  # saved before it was built: all that it had is in its config
    if type(item.owner).load_own_variables is Layer.load_own_variables:
        check_fit(variables_of(item.owner), stored, item.path)
    item.owner.load_own_variables(stored)


def _never_stepped(stored: Stored) -> bool:
    """Whether an optimizer's saved iteration counter, its first variable, stands at zero."""
    return "0" in stored and stored.shape("0") == () and stored.kind("0") == "int" and int(stored["0"]) == 0


def check_fit(variables: list[Variable], stored: Stored, path: str) -> None:
    """Refuse arrays that differ from the variables in number, shape or kind, before any of them is read."""
    if len(variables) != len(stored):
        names = ", ".join(variable.name for variable in variables) or "none"
        refuse(path, f"the model has {len(variables)} variables here ({names}), the file has {len(stored)}")
    for position, variable in enumerate(variables):
        key = str(position)
        if key not in stored:
            refuse(path, f"the file has no '{key}' here, only {sorted(stored)}")
        if tuple(variable.shape) != stored.shape(key):
            refuse(path, f"'{variable.name}' has the shape {tuple(variable.shape)}, in the file {stored.shape(key)}")
        kind = _kind(str(variable.dtype))
        if kind != stored.kind(key):
            refuse(path, f"'{variable.name}' has the dtype {variable.dtype}, in the file it is {stored.kind(key)}")


def _kind(dtype: str) -> str:
    for kind in ("float", "int", "bool", "complex"):
        if kind in dtype:
            return kind
    return dtype


def _restore_assets(objects: list[Stateful], assets: Mapping[str, bytes]) -> None:
    """Unpack the assets (their names have been checked) and hand each object its folder."""
    folder = tempfile.mkdtemp()
    try:
        for path, content in assets.items():
            target = os.path.join(folder, *path.split("/"))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(content)
        for item in objects:
            if hasattr(item.owner, "load_assets"):
                item.owner.load_assets(os.path.join(folder, *item.path.split("/")))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
