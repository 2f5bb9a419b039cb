"""The active backend: the engine that computes. `core` knows it only by its name and this protocol."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import os
import pkgutil
import threading
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NoReturn, Protocol

import numpy as np

from amalthea.core import config
from amalthea.core.errors import ArgumentError, UnsupportedError, fail

Program = Callable[[Sequence[Any]], list[Any]]

DEFAULT = "native"


class Backend(Protocol):
    """What a folder in `backends/` offers as `BACKEND`."""

    name: str
    array_type: type
    state_types: Collection[type]
    """Other types in which its programs give the new values of variables; `to_array` and `to_numpy` take them too."""
    kernels: dict[str, Callable[..., Any]]
    """What eager code calls, by op."""
    bare_kernels: dict[str, Callable[..., Any]]
    """The same for programs: without what eager calls need besides, such as looks at indices."""
    large: int | None
    """Elements of a tensor from which an eager call of a composite is offered to `compile_eager`; None is never."""
    composites: Collection[str]
    """Composites that `compile` and `compile_eager` take as they are; all others are opened before."""

    def to_array(self, value: Any, dtype: np.dtype | None = None) -> Any:
        """An array of this backend from a NumPy array, a number or another backend's array."""

    def to_numpy(self, array: Any) -> np.ndarray:
        """The array as NumPy, without a copy where none is needed."""

    def compile(self, graph: Any, jit_compile: bool | None = None) -> Program:
        """A program for a `Graph` of primitives: from the arrays of its `all_inputs` to those of its `all_outputs`.

        A program may have an attribute `in_place`, a mapping from outputs to inputs, by place: it is then called with
        the places of inputs that it may overwrite as a second argument, and need not keep the arrays of these inputs
        whole. Such an output may be the array of its input. If it is interrupted (Ctrl-C) after it gave up inputs, the
        exception has the outputs in its attribute `outputs`.

        Args:
            graph: what is computed.
            jit_compile: whether a compiler of the engine's that is slow to start is used too; None is the engine's own
                choice. Engines that have no such choice ignore it.
        """

    def lendable(self, array: Any) -> bool:
        """Whether a program may overwrite an array that nobody refers to but its variable."""

    def loops_well(self, graph: Any) -> bool:
        """Whether a loop around a graph inside a program is as fast as calling the graph's own program each time."""

    def compile_eager(self, graph: Any) -> Program | None:
        """A program for what eager code would compute op by op, if one pays that is made for a few calls; else None."""

    def interpret(self, graph: Any) -> Program:
        """A program that calls kernel after kernel: slower than a compiled one, and made at once."""

    def devices(self) -> list[str]:
        """The names of the devices it can use, e.g. ["cpu:0"]; the first is where arrays are made."""

    def device_of(self, array: Any) -> str:
        """The name of the device that holds an array."""

    def on(self, device: str) -> contextlib.AbstractContextManager[Any]:
        """A context in which arrays are made on the named device, one of `devices()`."""


class _Active:
    """Holds the active backend, loaded when first asked for; its attributes are read on every op call."""

    backend: Backend
    array_type: type
    kernels: dict[str, Callable[..., Any]]
    large: int | None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _choose()
        return self.__dict__[name]


active = _Active()


_owners: dict[type, Backend] = {}
"""The backends loaded so far by the type of their arrays; of several with one type the first."""


def owner_of(array: Any) -> Backend:
    """The backend that made an array; the active one where that is not known."""
    return _owners.get(type(array), active.backend)


def to_numpy(array: Any) -> np.ndarray:
    """An array of any backend as NumPy, without a copy where none is needed."""
    return owner_of(array).to_numpy(array)


def readable(array: Any) -> Any:
    """The array as other libraries can read it: what holds the state of a backend's programs need not be one."""
    owner = owner_of(array)
    return owner.to_array(array) if type(array) in owner.state_types else array


def moved(array: Any) -> Any:
    """An array of another backend, or of none, on the active one."""
    owner = _owners.get(type(array))
    if owner is None or owner is active.backend:
        return active.backend.to_array(array)
    return active.backend.to_array(owner.to_numpy(array))


def _choose() -> None:
    """The backend that is asked for, or else the default; NumPy, with a warning, where that cannot run."""
    asked = config.preferred_backend()
    try:
        set_backend(asked or _with_accelerator() or DEFAULT)
    except ImportError as error:
        if asked:
            raise
        warnings.warn(f"{error} The numpy backend computes meanwhile, more slowly.", stacklevel=4)
        set_backend("numpy")


DRIVERS = ("/proc/driver/nvidia/version", "/dev/kfd")
"""Files that are there where a graphics processor of NVIDIA or AMD can compute."""


def _with_accelerator() -> str | None:
    """An installed engine that can reach an accelerator of this machine; none is imported where there is no driver."""
    if any(os.path.exists(path) for path in DRIVERS):
        for name, reaches_one in importlib.import_module("amalthea.backends").REACHES_ONE.items():
            try:
                if importlib.util.find_spec(name) is not None and reaches_one():
                    return str(name)
            except Exception:  # an installation that is broken, in whatever way: nobody asked for it
                continue
    return None


def names() -> list[str]:
    """The backends that this installation has code for."""
    package = importlib.import_module("amalthea.backends")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.ispkg)


def fail_without_kernel(op: str, backend: str) -> NoReturn:
    """Raise UnsupportedError for an op that a backend cannot compute."""
    others = " or ".join(repr(name) for name in names() if name != backend)
    fail(
        UnsupportedError,
        f"the {backend} backend has no kernel for this op",
        where=op,
        fix=f"add a row for it to a table of kernels in amalthea/backends/{backend} (docs/how-to-add-an-op.md)"
        + (f", or compute on another backend, {others}: am.config.set_backend(...)" if others else ""),
    )


def missing_engine(backend: str, error: ImportError) -> ImportError:
    """The error, to be raised from None, for an engine that is not installed or, as `error` says, cannot be loaded."""
    if isinstance(error, ModuleNotFoundError) and error.name == backend:
        return ImportError(
            f"[set_backend]: the {backend} backend needs {backend}, which is not installed. Fix: pip install "
            f'"amalthea[{backend}]"'
        )
    return ImportError(
        f"[set_backend]: the {backend} backend cannot import {backend}: {error}. Fix: mend its installation, with "
        f'pip install --force-reinstall "amalthea[{backend}]" for example'
    )


def named(name: str) -> Any:
    """The backend of one of `names()`; raises ImportError, with what to install, where its engine is missing."""
    return importlib.import_module(f"amalthea.backends.{name}").BACKEND


def set_backend(name: str) -> None:
    """Make the named backend compute from now on; tensors and variables move to it when they are next used.

    Raises ArgumentError for an unknown name and ImportError, with what to install, where its engine is missing.

    >>> set_backend("native")
    """
    known = names()
    if name not in known:
        near = difflib.get_close_matches(str(name), known, 1)
        fail(
            ArgumentError,
            "there is no such backend",
            where="set_backend",
            received=repr(name),
            fix=f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}",
        )
    chosen = named(name)
    active.backend, active.array_type = chosen, chosen.array_type
    for kind in (chosen.array_type, *chosen.state_types):
        _owners.setdefault(kind, chosen)
    active.kernels, active.large = chosen.kernels, chosen.large


def kept_ops(backend: Backend | None = None) -> set[str]:
    """Ops that a backend's programs take as they are: its kernels, and composites that it has code for.

    Without an argument those of the active backend.
    """
    backend = active.backend if backend is None else backend
    return {*backend.kernels, *backend.composites}


def backend() -> str:
    """The name of the active backend.

    >>> import amalthea as am
    >>> am.config.backend() in ("native", "numpy")
    True
    """
    return active.backend.name


class _Scopes:
    """The scopes that threads are in. The active backend is the whole process's: an op asks for it too often to look up
    its thread each time. So threads in scopes at the same time must mean the same backend, and the last restores what
    was before the first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.names: dict[int, list[str]] = {}  # for each thread in a scope, those it is in
        self.before = ""

    def enter(self, name: str) -> None:
        own = threading.get_ident()
        with self.lock:
            theirs = {names[-1] for thread, names in self.names.items() if thread != own} - {name}
            if theirs:
                fail(
                    ArgumentError,
                    "another thread is in a scope of another backend, and all threads of a process share one",
                    where="backend_scope",
                    received=f"{name!r} beside {theirs.pop()!r}",
                    fix="let one wait for the other (threading.Lock), or use a process for each",
                )
            if not self.names:
                self.before = backend()
            set_backend(name)
            self.names.setdefault(own, []).append(name)

    def leave(self, thread: int, before: str) -> None:
        with self.lock:
            self.names[thread].pop()
            nested = bool(self.names[thread])
            if not nested:
                del self.names[thread]
            if nested or not self.names:
                set_backend(before if nested else self.before)


_scopes = _Scopes()


@contextlib.contextmanager
def backend_scope(name: str) -> Iterator[None]:
    """Use the named backend inside the `with` block, in all threads of the process.

    Raises ArgumentError, besides what `set_backend` raises, while another thread is in a scope of another backend.

    >>> import amalthea as am
    >>> with am.backend_scope("numpy"):
    ...     am.ops.add(1, 2).item()
    3
    """
    before, thread = backend(), threading.get_ident()
    _scopes.enter(name)
    try:
        yield
    finally:
        _scopes.leave(thread, before)
