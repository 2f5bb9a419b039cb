"""From LLVM functions as text to machine code in memory: assemble modules, optimise, emit objects, cache, load.

Where the time goes, measured with 300 kernels (42,000 lines of text) on one core: parsing 0.07 s, verifying 0.02 s,
passes 0.7 to 1.9 s, code generation 0.9 to 1.7 s, loading 0.015 s. Hence two pass lists (`_optimize`), a module for
each function, compiled on several threads, and the cache. That holds each function's code, so that a changed model
reuses what it shares with earlier ones (1.5 ms is what a module costs beside its function), and under one key the code
of all functions that were compiled together, which is found in one look and leaves only the loading.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import itertools
import os
import re
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from amalthea.compiler import half, spmd
from amalthea.compiler.cache import ObjectCache, folder
from amalthea.compiler.target import Target
from amalthea.core.errors import AmaltheaError, fail

_REVISION = 2
"""Part of every key of the cache: count it up when passes or code generation change."""

_ALONE = 3_000  # characters of text that are compiled before threads to share them have started
_WEIGHTS = {"loops": 2.5, "vectors": 1.0, "plain": 0.1}  # time that LLVM takes for a text of each kind
_NAME = r'"[^"\n]+"|[-\w.$]+'
_REFERENCE = re.compile(rf"@({_NAME})")
_ITEM = re.compile(rf"(?:define|declare)\b[^@\n]*@({_NAME})|@({_NAME})\s*=|(%[-\w.$]+)\s*=\s*type|(![\w.]+)\s*=")
_PRIVATE = re.compile(r"^(?:define|@\S+\s*=)\s+(?:dso_local\s+)?(?:private|internal|linkonce_odr|linkonce)\b")
_LOCAL = re.compile(r"%[-\w.$]+")
_NUMBER = re.compile(r"!(\d+)\b")
_HALF = re.compile(r"\bhalf\b")
_VECTOR = re.compile(r"<\d+ x ")
_PLAIN = re.compile(r"\boptnone\b")


class CompileError(AmaltheaError, RuntimeError):
    """LLVM refused generated code: a mistake in a generator, not in a user's program."""


@dataclass(frozen=True)
class _Item:
    """One top-level thing of LLVM's language: a function, a declaration, a constant, a named type."""

    name: str
    text: str

    @property
    def declares(self) -> bool:
        return self.text.startswith("declare")

    @functools.cached_property
    def kind(self) -> str:
        """What it needs of LLVM: "plain" (nothing), "vectors" (written with vectors) or "loops" (to be vectorised)."""
        if _PLAIN.search(self.text.partition("\n")[0]):
            return "plain"
        return "vectors" if _VECTOR.search(self.text) else "loops"

    @property
    def private(self) -> bool:
        """Copied into each module that needs it."""
        return not self.text.startswith("define") or _PRIVATE.match(self.text) is not None

    @functools.cached_property
    def references(self) -> frozenset[str]:
        """Names of functions and constants in the text."""
        return frozenset(name.strip('"') for name in _REFERENCE.findall(self.text))

    @functools.cached_property
    def locals(self) -> frozenset[str]:
        """Names in the text that may be those of named types."""
        return frozenset(_LOCAL.findall(self.text))


class Loaded:
    """Machine code in memory; it stays there as long as this object lives.

    Attributes:
        key: under which the cache keeps it.
        names: the functions that have addresses.
        size: bytes of object code.
        seconds: what it took to compile (or to read from the cache) and to load.
        cached: whether it came from the cache.
    """

    def __init__(self, tracker: Any, names: Sequence[str]) -> None:
        self._tracker, self.names = tracker, tuple(names)
        self.key, self.size, self.seconds, self.cached = "", 0, 0.0, False

    def address(self, name: str) -> int:
        """The address of a function, an integer; raises KeyError for an unknown name."""
        return int(self._tracker[name])

    def __repr__(self) -> str:
        return f"Loaded({len(self.names)} functions, {self.size} bytes)"


def compile_module(
    texts: Iterable[str],
    declarations: Iterable[str] = (),
    target: Target | None = None,
    symbols: Mapping[str, int] | None = None,
) -> Loaded:
    """Compile LLVM functions, or fetch their code from the cache, and load them. Safe from several threads.

    Functions may call each other in any order. Equal texts count once. Private helpers (`define internal`) go into
    every module that calls them; a `declare` of something that is defined is dropped. Functions of the C library
    and of this process can be called once declared, and so can `amalthea_barrier` (see `spmd`). Numbered metadata may
    follow a function's closing brace; it is renumbered. In a function that has vectors of its own, loops over scalars
    stay as they are, and helpers are inlined only if they are `alwaysinline`. A function with the attribute `optnone`,
    one that only calls others, is not optimised at all.

    Args:
        texts: function definitions; each may be followed by its metadata.
        declarations: `declare` lines, helper functions, constants; only what is referred to is used.
        target: the host unless given; it must be able to run here.
        symbols: addresses for functions that are declared only, e.g. of a Python callback.

    Raises:
        CompileError: LLVM refuses a text, two definitions share a name, or a called function exists nowhere.

    >>> import ctypes
    >>> loaded = compile_module(['define i64 @double_it(i64 %x) {\\n  %y = add i64 %x, %x\\n  ret i64 %y\\n}'])
    >>> ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(loaded.address("double_it"))(21)
    42
    """
    begin = time.perf_counter()
    target = target or Target.host()
    source = _source(texts, declarations, target)
    key = source.key(target)
    identity = (key, tuple(sorted((symbols or {}).items())), os.getpid())
    with _lock:
        known = _loaded.get(identity)
    if known is not None:
        return known
    cache = ObjectCache(folder())
    objects = cache.get(key)
    loaded = None
    if objects is not None:
        with contextlib.suppress(RuntimeError):  # whatever was kept does not load here: compile again
            loaded = _load(objects, source, target, symbols or {})
            loaded.cached = True
    if loaded is None:
        found = source.objects(target, ObjectCache(None) if objects is not None else cache)
        objects = list(found.values())
        loaded = _load(objects, source, target, symbols or {})
        cache.put_all({name: [code] for name, code in found.items()} | {key: objects})
    loaded.key, loaded.size = key, sum(map(len, objects or ()))
    loaded.seconds = time.perf_counter() - begin
    with _lock:
        return _loaded.setdefault(identity, loaded)


def object_code(texts: Iterable[str], declarations: Iterable[str] = (), target: Target | None = None) -> list[bytes]:
    """Object files of these functions, for any target; nothing is loaded or cached.

    >>> object_code(["define void @nothing() {\\n  ret void\\n}"], target=Target.named("neon"))[0][:4]
    b'\\x7fELF'
    """
    target = target or Target.host()
    return list(_source(texts, declarations, target).objects(target, ObjectCache(None)).values())


def assembly(texts: Iterable[str], declarations: Iterable[str] = (), target: Target | None = None) -> str:
    """The same as assembly text, to read.

    >>> "ret" in assembly(["define void @nothing() {\\n  ret void\\n}"])
    True
    """
    target = target or Target.host()
    return "\n".join(part.assembly(target) for part in _source(texts, declarations, target).parts())


_lock = threading.Lock()
_loaded: weakref.WeakValueDictionary[Any, Loaded] = weakref.WeakValueDictionary()
_libraries = itertools.count()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Source:
    """Function texts and what they refer to, by name."""

    def __init__(self, texts: Iterable[str], declarations: Iterable[str], machine: str) -> None:
        self.functions: dict[str, _Item] = {}
        self.helpers: dict[str, _Item] = {}
        self.metadata: dict[str, list[str]] = {}
        for text in texts:
            self._read(text)
        for text in sorted(set(declarations)):
            self._read(text)
        called = {name for item in (*self.functions.values(), *self.helpers.values()) for name in item.references}
        if "amalthea_barrier" in called and not self._defines("amalthea_barrier"):
            for text in spmd.functions("amalthea_barrier", machine):
                self._read(text)
        for name in [name for name, item in self.helpers.items() if item.declares and name in self.functions]:
            del self.helpers[name]

    def _defines(self, name: str) -> bool:
        return name in self.functions or (name in self.helpers and not self.helpers[name].declares)

    def _read(self, text: str) -> None:
        last = ""
        for item in _items(text):
            if item.name.startswith("!"):
                if not last:
                    fail(CompileError, "metadata belongs after its function", where="compile_module", received=text)
                self.metadata.setdefault(last, []).append(item.text)
                continue
            last = item.name
            place = self.functions if item.text.startswith("define") and not item.private else self.helpers
            known = place.get(item.name)
            if known is None or (known.declares and not item.declares):
                place[item.name] = item
            elif known.text != item.text and not item.declares:
                fail(
                    CompileError,
                    f"two different definitions are called @{item.name}",
                    where="compile_module",
                    fix="name generated functions by their content",
                )

    def key(self, target: Target) -> str:
        """A hash of everything that decides the machine code; of one function it is that of its part."""
        if len(self.functions) == 1:
            return self.parts()[0].key(target)
        made = versions(target)
        for items in (self.functions, self.helpers):
            for name in sorted(items):
                made.update(f"\0{items[name].text}\0{self.metadata.get(name)}".encode())
        return made.hexdigest()

    def parts(self) -> list[_Part]:
        """A module for each function, first those that probably take longest."""
        items = sorted(self.functions.values(), key=lambda item: -len(item.text) * _WEIGHTS[item.kind])
        return [_Part(self, item) for item in items]

    def objects(self, target: Target, cache: ObjectCache) -> dict[str, bytes]:
        """The object file of each part under its key: from the cache, or compiled on as many threads as are of use."""
        parts = {part.key(target): part for part in self.parts()}
        found: dict[str, bytes] = {}
        for key in parts:
            kept = cache.get(key)
            if kept:
                found[key] = kept[0]
        missing = [key for key in parts if key not in found]
        threads = min(len(missing), _cores())

        def emit(key: str) -> bytes:
            return parts[key].emit(target)

        if threads <= 1 or sum(len(parts[key].item.text) for key in missing) < _ALONE:
            found.update(zip(missing, map(emit, missing), strict=True))
        else:
            with ThreadPoolExecutor(threads) as pool:
                found.update(zip(missing, pool.map(emit, missing), strict=True))
        return found

    def closure(self, item: _Item) -> list[_Item]:
        """What a module of this function must contain beside it: helpers, and declarations of other functions."""
        found: dict[str, _Item] = {}
        waiting = [item]
        types = any(name.startswith("%") for name in self.helpers)
        while waiting:
            user = waiting.pop()
            for name in sorted(user.references | user.locals if types else user.references):
                if name == item.name or name in found:
                    continue
                if name in self.functions:
                    head = self.functions[name].text.partition("{\n")[0].removeprefix("define")
                    found[name] = _Item(name, f"declare{head.rstrip()}")
                elif name in self.helpers:
                    found[name] = self.helpers[name]
                    waiting.append(self.helpers[name])
        return list(found.values())


def _source(texts: Iterable[str], declarations: Iterable[str], target: Target) -> _Source:
    """The texts, with the conversions of float16 where it occurs and the target has no instructions for them."""
    texts, declarations = list(texts), list(declarations)
    if not target.has_f16c and any(_HALF.search(text) for text in (*texts, *declarations)):
        texts += half.support(False)
    return _Source(texts, declarations, target.arch)


def versions(target: Target) -> Any:
    """A hash, to be continued, of what decides the machine code beside a text."""
    import llvmlite
    import llvmlite.binding as llvm

    package = sys.modules[__name__.partition(".")[0]]
    version = getattr(package, "__version__", "")
    return hashlib.sha256(repr((_REVISION, version, llvmlite.__version__, llvm.llvm_version_info, target.key)).encode())


@dataclass(frozen=True)
class _Part:
    """The LLVM module of one function of a source."""

    source: _Source
    item: _Item

    @functools.cached_property
    def text(self) -> str:
        written, count = [], 0
        for item in (*self.source.closure(self.item), self.item):
            text = "\n".join([item.text, *self.source.metadata.get(item.name, ())])
            numbers = sorted({int(n) for n in _NUMBER.findall(text)}) if "!" in text else ()
            if numbers:
                renamed = {n: count + i for i, n in enumerate(numbers)}
                text = _NUMBER.sub(lambda match, new=renamed: f"!{new[int(match[1])]}", text)  # type: ignore[misc]
                count += len(numbers)
            written.append(text)
        return "\n".join(written)

    def key(self, target: Target) -> str:
        """A hash of everything that decides the machine code."""
        made = versions(target)
        made.update(self.text.encode())
        return str(made.hexdigest())

    def assembly(self, target: Target) -> str:
        """The optimised module as assembly text."""
        machine = self._machine(target)
        return str(machine.emit_assembly(self._optimized(machine)))

    def emit(self, target: Target) -> bytes:
        """Object code of this module."""
        from llvmlite.binding import ffi

        machine = self._machine(target)
        module = self._optimized(machine)
        emit = _unlocked(ffi.lib.LLVMPY_TargetMachineEmitToMemory)
        with ffi.OutputString() as error:
            buffer = emit(machine, module, 1, error)
            if not buffer:
                self._refuse(str(error))
        try:
            start = ffi.lib.LLVMPY_GetBufferStart(buffer)
            return ctypes.string_at(start, ffi.lib.LLVMPY_GetBufferSize(buffer))
        finally:
            ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)

    def _machine(self, target: Target) -> Any:
        return _machine(target, 0 if self.item.kind == "plain" else 2)

    def _optimized(self, machine: Any) -> Any:
        import llvmlite.binding as llvm

        try:
            module = llvm.parse_assembly(self.text, llvm.create_context())
            module.triple = machine.triple
            module.data_layout = str(machine.target_data)
            module.verify()
            if self.item.kind != "plain":
                _optimize(llvm, module, machine, self.item.kind == "vectors")
            return module
        except RuntimeError as error:
            self._refuse(str(error))

    def _refuse(self, message: str) -> Any:
        fail(
            CompileError,
            f"LLVM refuses generated code in @{self.item.name}: {' '.join(message.split())}",
            where="compile_module",
            fix="report this as a bug with the program that caused it; set_backend('numpy') works meanwhile",
        )


_machines = threading.local()


def _machine(target: Target, optimization: int) -> Any:
    """A target machine of this thread; making one takes as long as compiling a small function does."""
    made = f"{target.key}|{optimization}"
    known = _machines.__dict__
    if made not in known:
        known[made] = target.machine(optimization)
    return known[made]


def _optimize(llvm: Any, module: Any, machine: Any, vectors: bool) -> None:
    """Run LLVM's passes over a module.

    Functions that were written with vectors get the scalar simplifications only (inlining of what must be inlined,
    common subexpressions, loop-invariant motion): the loop vectoriser and unroller would find nothing but the
    remainders of their loops, to no gain in speed, and they double the time and the code. Scalar loops get all of
    level 2.
    """
    from llvmlite.binding import ffi

    options = llvm.create_pipeline_tuning_options(1 if vectors else 2)
    options.loop_vectorization = options.loop_unrolling = options.loop_interleaving = not vectors
    options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    if not vectors:
        with _freed(builder.getModulePassManager()) as everything:
            _unlocked(ffi.lib.LLVMPY_RunNewModulePassManager)(everything, module, builder)
        return
    with _freed(llvm.create_new_module_pass_manager()) as inline:
        inline.add_always_inliner_pass()
        inline.run(module, builder)
    run = _unlocked(ffi.lib.LLVMPY_RunNewFunctionPassManager)
    with _freed(builder.getFunctionPassManager()) as simplify:
        for function in module.functions:
            if not function.is_declaration:
                run(simplify, function, builder)


@contextlib.contextmanager
def _freed(manager: Any) -> Iterator[Any]:
    """A pass manager that is freed after use; llvmlite 0.50 forgets to (60 KB for each module)."""
    from llvmlite.binding.newpassmanagers import NewPassManager

    try:
        yield manager
    finally:
        NewPassManager._dispose(manager)
        manager.detach()


def _unlocked(function: Any) -> Any:
    """llvmlite's C function without the lock that llvmlite puts around every call.

    LLVM itself works on several modules at once when each has its own context and target machine, as here.
    """
    return getattr(function, "_cfn", function)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _items(text: str) -> list[_Item]:
    """The top-level things in a text."""
    found: list[_Item] = []
    lines: list[str] = []
    for line in text.splitlines():
        if lines:  # inside a function
            lines.append(line)
            if line == "}":
                found[-1] = _Item(found[-1].name, "\n".join(lines))
                lines = []
            continue
        if not line.strip() or line.startswith(";"):
            continue
        head = _ITEM.match(line)
        if head is None:
            fail(CompileError, "this is no function, declaration or constant", where="compile_module", received=line)
        name = next(group for group in head.groups() if group).strip('"')
        found.append(_Item(name, line.rstrip()))
        if line.startswith("define"):
            lines = [line.rstrip()]
    if lines:
        fail(CompileError, f"the text of @{found[-1].name} has no end", where="compile_module")
    return found


def load_cached(key: str, names: Sequence[str], target: Target | None = None) -> Loaded | None:
    """Functions of machine code that `compile_module` made, by its `Loaded.key`; None if the cache has it no more."""
    begin = time.perf_counter()
    identity = (key, tuple(names), os.getpid())
    with _lock:
        known = _loaded.get(identity)
    if known is not None:
        return known
    objects = ObjectCache(folder()).get(key)
    if objects is None:
        return None
    try:
        loaded = Loaded(_link(objects, names, target or Target.host(), {}), names)
    except RuntimeError:  # it does not load here
        return None
    loaded.key, loaded.cached, loaded.size = key, True, sum(map(len, objects))
    loaded.seconds = time.perf_counter() - begin
    with _lock:
        return _loaded.setdefault(identity, loaded)


def _link(objects: Sequence[bytes], names: Sequence[str], target: Target, symbols: Mapping[str, int]) -> Any:
    """Link object files into this process; RuntimeError when a symbol is missing."""
    import llvmlite.binding as llvm

    # JITLink keeps the parts of an object together, as the small code model needs.
    engine = llvm.create_lljit_compiler(target.machine(), use_jit_link=sys.platform != "win32", suppress_errors=True)
    builder = llvm.JITLibraryBuilder()
    for code in objects:
        builder.add_object_img(code)
    for name, address in (spmd.system_symbols() | dict(symbols)).items():
        builder.import_symbol(name, address)
    builder.add_current_process()
    for name in names:
        builder.export_symbol(name)
    tracker = builder.link(engine, f"amalthea{next(_libraries)}")
    tracker.engine = engine  # which must outlive it
    return tracker


def _load(objects: Sequence[bytes], source: _Source, target: Target, symbols: Mapping[str, int]) -> Loaded:
    """The functions of a source in these object files; CompileError when a symbol is missing."""
    import llvmlite.binding as llvm

    names = sorted(source.functions)
    try:
        return Loaded(_link(objects, names, target, symbols), names)
    except RuntimeError as error:
        called = {name for item in source.functions.values() for name in item.references} - set(names)
        declared = {name for name in called if name in source.helpers and source.helpers[name].declares}
        missing = sorted(
            name
            for name in declared - set(symbols)
            if not name.startswith("llvm.") and llvm.address_of_symbol(name) is None
        )
        fail(
            CompileError,
            f"the machine code cannot be linked: {' '.join(str(error).split())}",
            where="compile_module",
            received=f"calls of {', '.join(missing)}, which exist nowhere" if missing else None,
            fix="give the addresses of functions that are only declared in symbols=",
        )
