"""`Target`: the machine that code is written for, as far as the generators need to know it."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, UnsupportedError, fail

_L3_PER_CORE = 16 << 20


@dataclass(frozen=True)
class Target:
    """A processor: what its vectors, registers and caches hold, and which of the faster instructions it has.

    Attributes:
        name: for people, e.g. "avx2" or LLVM's name of the host's processor.
        triple: LLVM's target triple.
        cpu: LLVM's processor name, which sets instruction costs and default features.
        features: LLVM's feature string, e.g. "+avx2,-avx512f".
        vector_bytes: bytes of one vector register, the natural width of generated vectors.
        registers: number of vector registers.
        fma: fused multiply-add in one instruction.
        l1, l2, l3: bytes of the data caches: first and second level of one core, third level of all of them (0: none).
        has_f16c: conversions between float16 and float32.
        has_fp16: arithmetic on float16 vectors.
        has_bf16_dot: dot products of bfloat16 pairs summed in float32 (AVX512-BF16, Arm BF16).
        has_vnni: dot products of four int8 summed in int32 (x86 VNNI).
        has_i8_dot: the same on Arm (dotprod).
        has_amx: tiles of int8 and bfloat16 (x86 AMX), and for the host also the system's permission to use them.

    >>> avx2 = Target.named("avx2")
    >>> avx2.vector_bytes, avx2.registers, avx2.lanes("float32")
    (32, 16, 8)
    """

    name: str
    triple: str
    cpu: str
    features: str = ""
    vector_bytes: int = 16
    registers: int = 16
    fma: bool = False
    l1: int = 32 << 10
    l2: int = 512 << 10
    l3: int = 8 << 20
    has_f16c: bool = False
    has_fp16: bool = False
    has_bf16_dot: bool = False
    has_vnni: bool = False
    has_i8_dot: bool = False
    has_amx: bool = False

    @staticmethod
    def host() -> Target:
        """This machine; the environment variable AMALTHEA_TARGET can restrict it to a narrower one, e.g. "avx2".

        Raises:
            UnsupportedError: AMALTHEA_TARGET asks for instructions that this machine does not have.

        >>> Target.host().vector_bytes >= 16
        True
        """
        return _restricted(os.environ.get("AMALTHEA_TARGET", ""))

    @staticmethod
    def named(name: str) -> Target:
        """A target by name, to compile for it whether or not this machine is one.

        Args:
            name: one of `Target.names()`: "x86-64" (SSE2), "sse4.2" or "x86-64-v2", "avx2" or "x86-64-v3", "avx512" or
                "x86-64-v4", "sapphirerapids" (AVX-512 with AMX, bfloat16 and float16), "neon" (AArch64) and
                "neon-dot" (AArch64 with dot products and bfloat16).

        >>> Target.named("neon").arch
        'aarch64'
        """
        found = _NAMED.get(name) or _NAMED.get(_ALIASES.get(name, ""))
        if found is None:
            fail(
                ArgumentError,
                "there is no target of this name",
                where="Target.named",
                received=repr(name),
                fix=f"use one of {', '.join(Target.names())}",
            )
        return found

    @staticmethod
    def names() -> tuple[str, ...]:
        """The names that `Target.named` knows.

        >>> "avx2" in Target.names()
        True
        """
        return (*_NAMED, *_ALIASES)

    @property
    def arch(self) -> str:
        """The architecture: "x86_64", "aarch64" or what else the triple begins with."""
        arch = self.triple.split("-")[0]
        return "aarch64" if arch.startswith(("aarch64", "arm64")) else arch

    @property
    def key(self) -> str:
        """All that decides which machine code LLVM makes from a text; part of the cache's hash."""
        return f"{self.triple}|{self.cpu}|{self.features}"

    def lanes(self, dtype: str) -> int:
        """Elements of this dtype in one vector register."""
        return self.vector_bytes // int(dtypes.to_numpy(dtype).itemsize)

    def machine(self, optimization: int = 2) -> Any:
        """A new `llvmlite.binding.TargetMachine`; one belongs to one thread at a time.

        Position-independent code of the small model: constants and calls are addressed relative to the instruction
        pointer, and the loader keeps all sections of a module together.
        """
        import llvmlite.binding as llvm

        _initialize(self.triple.split("-")[0] != llvm.get_process_triple().split("-")[0])
        # On Windows the loader reads ELF objects only.
        triple = self.triple + "-elf" if sys.platform == "win32" and "windows" in self.triple else self.triple
        return llvm.Target.from_triple(triple).create_target_machine(
            self.cpu, self.features, opt=optimization, reloc="pic", codemodel="small", jit=True
        )

    def runs_here(self) -> bool:
        """Whether this machine can execute code for this target.

        >>> Target.host().runs_here()
        True
        """
        host = _host()
        wide = self.vector_bytes <= host.vector_bytes and self.registers <= host.registers
        flags = all(
            getattr(host, flag) or not getattr(self, flag)
            for flag in ("fma", "has_f16c", "has_fp16", "has_bf16_dot", "has_vnni", "has_i8_dot", "has_amx")
        )
        return self.arch == host.arch and wide and flags


@functools.cache
def _initialize(foreign: bool) -> None:
    import llvmlite.binding as llvm

    if foreign:  # takes some milliseconds, and is of use for cross-compiling only
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    else:
        llvm.initialize_native_target()
        llvm.initialize_native_asmparser()  # for inline assembly, which would otherwise end the process
        llvm.initialize_native_asmprinter()


# LLVM's cost tables would rather vectorise loops in 256 bits on most AVX-512 processors, for the frequency that the
# first of them lost in 512; those since Ice Lake lose next to nothing.
_WIDE = "-prefer-256-bit"
_X86 = "x86_64-unknown-linux-gnu"
_ARM = "aarch64-unknown-linux-gnu"

_NAMED = {
    target.name: target
    for target in (
        Target("x86-64", _X86, "x86-64"),
        Target("sse4.2", _X86, "x86-64-v2"),
        Target("avx2", _X86, "x86-64-v3", vector_bytes=32, fma=True, has_f16c=True),
        Target("avx512", _X86, "x86-64-v4", _WIDE, vector_bytes=64, registers=32, fma=True, has_f16c=True, l2=1 << 20),
        Target(
            "sapphirerapids",
            _X86,
            "sapphirerapids",
            _WIDE,
            vector_bytes=64,
            registers=32,
            fma=True,
            l1=48 << 10,
            l2=2 << 20,
            has_f16c=True,
            has_fp16=True,
            has_bf16_dot=True,
            has_vnni=True,
            has_amx=True,
        ),
        Target("neon", _ARM, "generic", "+neon", registers=32, fma=True, has_f16c=True),
        Target(
            "neon-dot",
            _ARM,
            "generic",
            "+neon,+fullfp16,+dotprod,+bf16,+i8mm",
            registers=32,
            fma=True,
            has_f16c=True,
            has_fp16=True,
            has_bf16_dot=True,
            has_i8_dot=True,
        ),
    )
}
_ALIASES = {"x86-64-v2": "sse4.2", "x86-64-v3": "avx2", "x86-64-v4": "avx512", "aarch64": "neon"}


@functools.cache
def _restricted(name: str) -> Target:
    host = _host()
    if name in ("", "host", "native"):
        return host
    wanted = Target.named(name)
    if not wanted.runs_here():
        fail(
            UnsupportedError,
            f"this machine ({host.name}, {host.arch}) cannot run code for the target that AMALTHEA_TARGET names",
            where="Target.host",
            received=repr(name),
            fix="unset AMALTHEA_TARGET or name a narrower target",
        )
    return dataclasses.replace(wanted, triple=host.triple, l1=host.l1, l2=host.l2, l3=host.l3)


@functools.cache
def _host() -> Target:
    import llvmlite.binding as llvm

    triple, cpu, found = llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features()
    caches: dict[str, Any] = _caches()
    if triple.startswith(("aarch64", "arm64")):
        fp16, bf16 = bool(found.get("fullfp16")), bool(found.get("bf16"))
        return Target(
            cpu,
            triple,
            cpu,
            found.flatten(),
            registers=32,
            fma=True,
            has_f16c=True,
            has_fp16=fp16,
            has_bf16_dot=bf16,
            has_i8_dot=bool(found.get("dotprod")),
            **caches,
        )
    if not triple.startswith("x86_64"):
        return Target(cpu, triple, cpu, found.flatten(), **caches)
    # The AVX-512 of the oldest processors that have it lacks half of what the generators use: they count as AVX2.
    avx512 = all(found.get(flag) for flag in ("avx512f", "avx512bw", "avx512dq", "avx512vl"))
    amx = all(found.get(flag) for flag in ("amx-tile", "amx-int8", "amx-bf16")) and _allow_amx()
    return Target(
        cpu,
        triple,
        cpu,
        found.flatten() + f",{_WIDE}" if avx512 else found.flatten(),
        vector_bytes=64 if avx512 else 32 if found.get("avx2") else 16,
        registers=32 if avx512 else 16,
        fma=bool(found.get("fma")),
        has_f16c=bool(found.get("f16c")),
        has_fp16=avx512 and bool(found.get("avx512fp16")),
        has_bf16_dot=avx512 and bool(found.get("avx512bf16")),
        has_vnni=(avx512 and bool(found.get("avx512vnni"))) or bool(found.get("avxvnni")),
        has_amx=avx512 and amx,
        **caches,
    )


def _allow_amx() -> bool:
    """Ask Linux for the use of AMX's tile registers in this process; it stays forbidden until a process asks.

    `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA)`:
    https://docs.kernel.org/arch/x86/xstate.html
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    arch_prctl, request, tile_data = 158, 0x1023, 18
    return int(ctypes.CDLL(None).syscall(arch_prctl, request, tile_data)) == 0


def _caches() -> dict[str, int]:
    """The sizes of the data caches where the system tells, as Target's arguments."""
    if sys.platform == "darwin":
        found = _caches_of_macos()
    else:
        found = _caches_of_linux(Path("/sys/devices/system/cpu/cpu0/cache"))
    if "l3" in found:
        # A virtual machine reports the whole cache of a socket that it shares with others.
        found["l3"] = min(found["l3"], _L3_PER_CORE * (os.cpu_count() or 1))
    elif found:
        found["l3"] = 0
    return found


def _caches_of_linux(folder: Path) -> dict[str, int]:
    sizes = {}
    try:
        for index in folder.glob("index*"):
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
            if kind in ("Data", "Unified") and level in "123":
                unit = {"K": 10, "M": 20, "G": 30}.get(size[-1:], 0)
                sizes[f"l{level}"] = int(size.rstrip("KMG")) << unit
    except (OSError, ValueError):
        return {}
    return {level: size for level, size in sizes.items() if size > 0} if {"l1", "l2"} <= sizes.keys() else {}


def _caches_of_macos() -> dict[str, int]:
    library, sizes = ctypes.CDLL(None), {}
    for level, names in (("l1", b"l1dcachesize"), ("l2", b"l2cachesize")):
        for prefix in (b"hw.perflevel0.", b"hw."):
            value, length = ctypes.c_int64(0), ctypes.c_size_t(8)
            if library.sysctlbyname(prefix + names, ctypes.byref(value), ctypes.byref(length), None, 0) == 0:
                if value.value > 0:
                    sizes[level] = value.value
                    break
    return sizes
