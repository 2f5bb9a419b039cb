"""The engine: modules are put together, compiled, cached and loaded; mistakes are named; other targets are compiled."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from amalthea.compiler import engine
from amalthea.compiler.emitter import Emitter, llvm_type
from amalthea.compiler.engine import CompileError, Loaded, assembly, compile_module, object_code
from amalthea.compiler.target import Target


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AMALTHEA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=[1_000_000, 0], ids=["one thread", "several threads"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_ALONE", request.param)


def integer_function(loaded: Loaded, name: str, arguments: int = 1) -> Callable[..., int]:
    return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * arguments)(loaded.address(name))


def plus(name: str, number: int) -> str:
    return f"define i64 @{name}(i64 %x) {{\n  %y = add i64 %x, {number}\n  ret i64 %y\n}}"


def multiply_add(lanes: int, name: str = "multiply_add") -> Emitter:
    """z[i] += x[i] * y[i], `lanes` at once; with one lane the vectorisation is left to LLVM."""
    parameters = [("ptr noalias nonnull", label) for label in "xyz"]
    e = Emitter(name, [*parameters, ("i64", "lo"), ("i64", "hi")], attributes="nounwind")
    kind = llvm_type("float32", lanes)
    suffix = "f32" if lanes == 1 else f"v{lanes}f32"

    def body(i: str, _: list[str]) -> list[str]:
        places = [e.value(f"getelementptr float, ptr %{label}, i64 {i}") for label in "xyz"]
        values = [e.value(f"load {kind}, ptr {place}, align 4") for place in places]
        total = e.call(kind, f"llvm.fma.{suffix}", *((kind, value) for value in values))
        e.line(f"store {kind} {total}, ptr {places[2]}, align 4")
        return []

    e.loop("%lo", "%hi", lanes, body)
    e.ret()
    return e


def run_multiply_add(loaded: Loaded) -> None:
    rng = np.random.default_rng(0)
    x, y, z = rng.normal(size=(3, 256)).astype("float32")
    expected = z + x.astype("float64") * y
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64, ctypes.c_int64)
    function(loaded.address("multiply_add"))(x.ctypes.data, y.ctypes.data, z.ctypes.data, 0, 256)
    np.testing.assert_allclose(z, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("threads")
def test_functions_call_each_other_helpers_and_constants() -> None:
    helper = "define internal i64 @square(i64 %x) alwaysinline {\n  %y = mul i64 %x, %x\n  ret i64 %y\n}"
    table = "@table = internal constant [3 x i64] [i64 5, i64 7, i64 9], align 8"
    first = (
        "define i64 @first(i64 %x) {\n  %a = call i64 @square(i64 %x)\n  %b = call i64 @second(i64 %a)\n  ret i64 %b\n}"
    )
    second = (
        "define i64 @second(i64 noundef %x) nounwind {\n  %a = call i64 @square(i64 %x)\n"
        "  %p = getelementptr i64, ptr @table, i64 1\n  %t = load i64, ptr %p\n"
        "  %b = add i64 %a, %t\n  %c = call i64 @unused_but_declared(i64 %b)\n  ret i64 %c\n}"
    )
    third = plus("unused_but_declared", 0)
    declarations = {helper, table, "declare i64 @second(i64)", "declare i64 @first(i64)", "declare void @nowhere()"}
    loaded = compile_module([first, second, third, first], declarations)
    assert integer_function(loaded, "first")(3) == 3**4 + 7
    assert loaded.names == ("first", "second", "unused_but_declared")


@pytest.mark.usefixtures("threads")
def test_named_types_and_metadata_of_several_functions_do_not_meet() -> None:
    texts = []
    for i in range(3):
        loop = (
            f"define i64 @count{i}(i64 %n) {{\nentry:\n  %pair = alloca %two\n  br label %body\nbody:\n"
            "  %i = phi i64 [ 0, %entry ], [ %j, %body ]\n  %j = add i64 %i, 1\n  %more = icmp slt i64 %j, %n\n"
            "  br i1 %more, label %body, label %done, !llvm.loop !0\ndone:\n  ret i64 %j\n}\n"
            '!0 = distinct !{!0, !1}\n!1 = !{!"llvm.loop.unroll.disable"}'
        )
        texts.append(loop)
    loaded = compile_module(texts, {"%two = type { i64, i64 }"})
    assert [integer_function(loaded, f"count{i}")(7 + i) for i in range(3)] == [7, 8, 9]


def test_functions_of_the_c_library_and_of_python_can_be_called() -> None:
    text = (
        "define i64 @through(i64 %x) {\n  %a = call i64 @labs(i64 %x)\n  %b = call i64 @from_python(i64 %a)\n"
        "  ret i64 %b\n}"
    )
    callback = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(lambda x: x + 1)
    address = ctypes.cast(callback, ctypes.c_void_p).value or 0
    declarations = {"declare i64 @labs(i64)", "declare i64 @from_python(i64)"}
    loaded = compile_module([text], declarations, symbols={"from_python": address})
    assert integer_function(loaded, "through")(-41) == 42


def test_two_definitions_of_one_name_are_refused() -> None:
    with pytest.raises(CompileError, match="two different definitions are called @f"):
        compile_module([plus("f", 1), plus("f", 2)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(plus("wrong", 1).replace("%y\n", "%nothing\n"), "in @wrong: .*%nothing", id="undefined value"),
        pytest.param(plus("wrong", 1).replace("ret i64", "ret float"), "in @wrong", id="wrong type"),
        pytest.param("define i64 @wrong(i64 %x) {\n  ret i64 %x", "@wrong has no end", id="no end"),
        pytest.param("fn wrong", "no function, declaration or constant", id="not LLVM"),
        pytest.param("!0 = !{}", "metadata belongs after its function", id="metadata alone"),
    ],
)
def test_a_bad_text_is_named(text: str, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        compile_module([plus("right", 1), text])


def test_a_function_that_exists_nowhere_is_named(own_cache: Path) -> None:
    text = "define void @caller() {\n  call void @nobody_has_this()\n  ret void\n}"
    with pytest.raises(CompileError, match="nobody_has_this"):
        compile_module([text], {"declare void @nobody_has_this()"})
    assert not own_cache.exists()  # what does not load is not kept


def test_the_cache_gives_the_same_code_and_a_damaged_entry_is_compiled_again(own_cache: Path) -> None:
    text, declarations = multiply_add(16).text(), multiply_add(16).declarations
    for damage, cached in [(None, False), (None, True), (b"nonsense", False), (None, True)]:
        gc.collect()
        if damage is not None:
            (entry,) = own_cache.iterdir()
            entry.write_bytes(damage)
        loaded = compile_module([text], declarations)
        run_multiply_add(loaded)
        assert loaded.cached == cached
        del loaded


def test_an_entry_that_cannot_be_loaded_is_compiled_again(own_cache: Path) -> None:
    text = plus("f", 1)
    compile_module([text])
    gc.collect()
    (entry,) = own_cache.iterdir()
    engine.ObjectCache(own_cache).put(entry.stem, [b"\x7fELF but no object file"])
    loaded = compile_module([text])
    assert not loaded.cached and integer_function(loaded, "f")(1) == 2


def test_a_changed_program_compiles_only_the_functions_that_it_does_not_share(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []
    emit = engine._Part.emit

    def counting(part: engine._Part, target: Target) -> bytes:
        compiled.append(part.item.name)
        return emit(part, target)

    monkeypatch.setattr(engine._Part, "emit", counting)
    compile_module([plus("f", 1), plus("g", 2), plus("h", 3)])
    assert sorted(compiled) == ["f", "g", "h"]
    compiled.clear()
    loaded = compile_module([plus("h", 3), plus("i", 4), plus("f", 1)])
    assert compiled == ["i"] and not loaded.cached
    assert [integer_function(loaded, name)(10) for name in "fhi"] == [11, 13, 14]


def test_of_the_same_name_but_another_helper_is_another_function() -> None:
    caller = "define i64 @f(i64 %x) {\n  %y = call i64 @helper(i64 %x)\n  ret i64 %y\n}"
    for number in (1, 2):
        helper = plus("helper", number).replace("define", "define internal", 1)
        loaded = compile_module([caller, plus("other", number)], [helper])
        assert integer_function(loaded, "f")(10) == 10 + number


def test_the_same_module_is_loaded_once_and_freed() -> None:
    first, second = compile_module([plus("f", 1)]), compile_module([plus("f", 1)])
    assert first is second
    count = len(engine._loaded)
    del first, second
    gc.collect()
    assert len(engine._loaded) == count - 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_compiling_leaves_no_memory_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def kilobytes() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024

    def compile_some(first: int) -> None:
        for i in range(first, first + 100):
            compile_module([plus(f"f{i}", i), multiply_add(16, f"g{i}").text()], multiply_add(16).declarations)

    monkeypatch.setenv("AMALTHEA_CACHE", "off")
    compile_some(0)
    before = kilobytes()
    compile_some(100)
    assert kilobytes() - before < 100 * 20


def test_without_a_cache_nothing_is_written(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMALTHEA_CACHE", "off")
    monkeypatch.setenv("HOME", str(own_cache))
    assert integer_function(compile_module([plus("f", 5)]), "f")(1) == 6
    assert not own_cache.exists()


def test_many_threads_compile_at_once() -> None:
    found: dict[int, int] = {}

    def work(i: int) -> None:
        loaded = compile_module([plus(f"f{j}", j) for j in range(i, i + 3)])
        found[i] = integer_function(loaded, f"f{i + 2}")(100)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == {i: 102 + i for i in range(8)}


def test_processes_share_the_cache(own_cache: Path) -> None:
    code = (
        "import ctypes\nfrom amalthea.compiler.engine import compile_module\n"
        "text = 'define i64 @f(i64 %x) {\\n  %y = add i64 %x, 7\\n  ret i64 %y\\n}'\n"
        "loaded = compile_module([text])\n"
        "assert ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(loaded.address('f'))(1) == 8\n"
        "print(loaded.cached)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code]
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    for process in processes:
        process.communicate()
    again = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    assert again.stdout.strip() == "True" and len(list(own_cache.iterdir())) == 1


def test_processes_that_compile_overlapping_programs_at_once_share_functions(own_cache: Path) -> None:
    code = (
        "import ctypes, random, sys\nfrom pathlib import Path\n"
        "from amalthea.compiler.engine import compile_module\n"
        "chance, place = random.Random(int(sys.argv[1])), Path(sys.argv[2])\n"
        "def text(i):\n"
        "    return f'define i64 @f{i}(i64 %x) {{\\n  %y = add i64 %x, {i}\\n  ret i64 %y\\n}}'\n"
        "for _ in range(12):\n"
        "    chosen = chance.sample(range(12), 4)\n"
        "    loaded = compile_module([text(i) for i in chosen])\n"
        "    for i in chosen:\n"
        "        function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(loaded.address(f'f{i}'))\n"
        "        assert function(100) == 100 + i\n"
        "    del loaded\n"
        "    for path in chance.sample(sorted(place.glob('*.o')), 2):\n"
        "        path.unlink(missing_ok=True)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    commands = [[sys.executable, "-c", code, str(seed), str(own_cache)] for seed in range(3)]
    processes = [subprocess.Popen(c, env=environment, stderr=subprocess.PIPE, text=True) for c in commands]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert errors == [""] * 3 and [process.returncode for process in processes] == [0] * 3


@pytest.mark.parametrize("vectors", [True, False], ids=["vectors", "scalar loop"])
@pytest.mark.parametrize("name", [name for name in Target.names() if Target.named(name).runs_here()])
def test_narrower_targets_run_here(name: str, vectors: bool) -> None:
    target = Target.named(name)
    e = multiply_add(target.lanes("float32") if vectors else 1)
    if not target.fma and not vectors:
        e.declarations.clear()
        text = e.text().replace("call float @llvm.fma.f32", "call float @llvm.fmuladd.f32")
        e.need("declare float @llvm.fmuladd.f32(float, float, float)")
    else:
        text = e.text()
    run_multiply_add(compile_module([text], e.declarations, target))


@pytest.mark.parametrize(
    ("name", "lanes", "instruction"),
    [
        ("sse4.2", 1, "mulps"),
        ("avx2", 1, "vfmadd231ps|vfmadd213ps"),
        ("avx2", 8, "vfmadd231ps|vfmadd213ps"),
        ("avx512", 16, "%zmm"),
        ("avx512", 1, "%zmm"),
        ("neon", 4, "fmla"),
        ("neon", 1, "fmla"),
    ],
)
def test_every_target_gets_vector_instructions_of_its_own(name: str, lanes: int, instruction: str) -> None:
    """A scalar loop is vectorised by LLVM to the target's width; AArch64 is compiled here though it cannot run."""
    target = Target.named(name)
    e = multiply_add(lanes)
    text = e.text().replace("llvm.fma.f32", "llvm.fmuladd.f32")
    declarations = {"declare float @llvm.fmuladd.f32(float, float, float)"} if lanes == 1 else e.declarations
    written = assembly([text], declarations, target)
    assert any(alternative in written for alternative in instruction.split("|"))
    wider = {16: ("%ymm", "%zmm"), 32: ("%zmm",), 64: ()}[target.vector_bytes]
    assert not any(register in written for register in wider)
    (code,) = object_code([text], declarations, target)
    machine = {"x86_64": 62, "aarch64": 183}[target.arch]  # e_machine in ELF's header
    assert code[:4] == b"\x7fELF" and int.from_bytes(code[18:20], "little") == machine


def test_functions_with_vectors_are_not_unrolled_or_vectorised_further() -> None:
    plain = assembly([multiply_add(16).text()], multiply_add(16).declarations, Target.named("avx512"))
    assert plain.count("vfmadd") == 1


def test_a_model_of_many_kernels_is_compiled_in_several_modules_and_loads_as_one() -> None:
    kernels = [multiply_add(16 if i % 3 else 1, f"kernel{i}") for i in range(24)]
    calls = "\n".join(f"  call void @kernel{i}(ptr %x, ptr %y, ptr %z, i64 0, i64 16)" for i in range(24))
    program = f"define void @program(ptr %x, ptr %y, ptr %z) {{\n{calls}\n  ret void\n}}"
    declarations = frozenset().union(*(e.declarations for e in kernels))
    texts = [*(e.text() for e in kernels), program]
    assert len(engine._Source(texts, declarations, Target.host().arch).parts()) == 25
    loaded = compile_module(texts, declarations)
    x, y, z = np.ones(16, "float32"), np.full(16, 2, "float32"), np.zeros(16, "float32")
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(loaded.address("program"))
    function(x.ctypes.data, y.ctypes.data, z.ctypes.data)
    np.testing.assert_array_equal(z, 48)
