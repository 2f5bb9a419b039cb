"""Targets: their numbers agree with what LLVM can do for them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from amalthea.compiler import target as targets
from amalthea.compiler.target import Target
from amalthea.core.errors import ArgumentError, UnsupportedError

ADD = """
define void @add(ptr noalias %a, ptr noalias %b) {{
  %x = load <{n} x float>, ptr %a, align 4
  %y = load <{n} x float>, ptr %b, align 4
  %z = call <{n} x float> @llvm.fma.v{n}f32(<{n} x float> %x, <{n} x float> %y, <{n} x float> %x)
  store <{n} x float> %z, ptr %a, align 4
  ret void
}}
declare <{n} x float> @llvm.fma.v{n}f32(<{n} x float>, <{n} x float>, <{n} x float>)
"""


def assembly(target: Target, text: str) -> str:
    import llvmlite.binding as llvm

    machine = target.machine()
    module = llvm.parse_assembly(text, llvm.create_context())
    module.triple = machine.triple
    return machine.emit_assembly(module)


@pytest.mark.parametrize("name", Target.names())
def test_a_named_target_has_registers_of_its_vector_bytes(name: str) -> None:
    target = Target.named(name)
    text = assembly(target, ADD.format(n=target.lanes("float32")))
    register = {"x86_64": {16: "%xmm", 32: "%ymm", 64: "%zmm"}, "aarch64": {16: ".4s"}}[target.arch]
    assert register[target.vector_bytes] in text
    assert ("fmla" in text or "fmadd" in text) == target.fma


def test_the_host_is_described_with_its_caches() -> None:
    host = Target.host()
    assert host.vector_bytes in (16, 32, 64) and host.registers in (16, 32)
    assert 8 << 10 <= host.l1 <= host.l2 and (host.l3 == 0 or host.l3 >= host.l2 // 2)
    assert host.runs_here() and host == Target.host() and host.key


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ArgumentError, match="avx2, avx512"):
        Target.named("itanium")


def test_the_environment_restricts_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = "neon" if Target.host().arch == "aarch64" else "sse4.2"
    host = Target.host()
    monkeypatch.setenv("AMALTHEA_TARGET", narrow)
    target = Target.host()
    assert (target.name, target.vector_bytes) == (narrow, 16)
    assert (target.triple, target.l1, target.l2) == (host.triple, host.l1, host.l2)


def test_the_environment_cannot_widen_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = "sse4.2" if Target.host().arch == "aarch64" else "neon"
    monkeypatch.setenv("AMALTHEA_TARGET", foreign)
    with pytest.raises(UnsupportedError, match="AMALTHEA_TARGET"):
        Target.host()


def test_caches_are_read_from_linux_files_and_nonsense_gives_defaults(tmp_path) -> None:
    for i, (level, kind, size) in enumerate(
        [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "2M"), ("3", "Unified", "480M")]
    ):
        folder = tmp_path / f"index{i}"
        folder.mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(text + "\n")
    assert targets._caches_of_linux(tmp_path) == {"l1": 48 << 10, "l2": 2 << 20, "l3": 480 << 20}
    (tmp_path / "index0" / "size").write_text("much\n")
    assert targets._caches_of_linux(tmp_path) == {}
    assert targets._caches_of_linux(tmp_path / "missing") == {}


def test_importing_the_package_does_not_load_llvm() -> None:
    code = "import sys, amalthea, amalthea.compiler.target; assert not any('llvmlite' in m for m in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
