"""Programs on threads: right sums through many barriers, several callers, busy machines, sleeping workers, forks."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import amalthea as am
from amalthea.compiler import spmd, threads
from amalthea.compiler.emitter import Emitter
from amalthea.compiler.engine import assembly, compile_module
from amalthea.compiler.target import Target
from amalthea.compiler.threads import run
from amalthea.core.errors import ArgumentError

LINUX = sys.platform == "linux"
LINE = 8  # numbers of eight bytes in a line of the cache


def rounds_program() -> Emitter:
    """Each round every thread adds `round + thread` to its own number, meets, sums everybody's, and meets again.

    args: rounds, result of each thread (a line each), number of each thread (a line each, after 64 lines).
    """
    e = Emitter("rounds", [("ptr", "args"), ("i64", "thread"), ("i64", "threads"), ("ptr", "barrier")])
    e.need("declare void @amalthea_barrier(ptr, i64)")
    count = e.value("load i64, ptr %args")

    def place(line: str, first: int) -> str:
        at = e.value(f"mul i64 {e.value(f'add i64 {line}, {first}')}, {LINE}")
        return e.value(f"getelementptr i64, ptr %args, i64 {at}")

    def meet() -> None:
        e.line("call void @amalthea_barrier(ptr %barrier, i64 %threads)")

    result, own = place("%thread", 1), place("%thread", 65)

    def increase(address: str, number: str) -> None:
        before = e.value(f"load i64, ptr {address}")
        e.line(f"store i64 {e.value(f'add i64 {before}, {number}')}, ptr {address}")

    def add(other: str, totals: list[str]) -> list[str]:
        number = e.value(f"load i64, ptr {place(other, 65)}")
        return [e.value(f"add i64 {totals[0]}, {number}")]

    def one_round(i: str, _: list[str]) -> list[str]:
        increase(own, e.value(f"add i64 {i}, %thread"))
        meet()
        increase(result, e.loop("0", "%threads", 1, add, [("i64", "0")])[0])
        meet()
        return []

    e.loop("0", count, 1, one_round)
    e.ret()
    return e


def expected(rounds: int, count: int) -> int:
    total, numbers = 0, [0] * count
    for i in range(rounds):
        numbers = [number + i + thread for thread, number in enumerate(numbers)]
        total += sum(numbers)
    return total


class Rounds:
    def __init__(self) -> None:
        e = rounds_program()
        self.loaded = compile_module([e.text()], e.declarations)
        self.address = self.loaded.address("rounds")

    def __call__(self, rounds: int, count: int) -> None:
        memory = (ctypes.c_int64 * (129 * LINE))(rounds)
        run(self.address, ctypes.addressof(memory), count)
        assert [memory[(1 + i) * LINE] for i in range(count)] == [expected(rounds, count)] * count


@pytest.fixture(scope="module")
def rounds() -> Rounds:
    return Rounds()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_thousand_runs_with_many_barriers(rounds: Rounds, count: int) -> None:
    for i in range(1000):
        rounds(i % 7 + 1, count)
    rounds(2000, count)


def test_several_callers_at_once(rounds: Rounds) -> None:
    errors: list[BaseException] = []

    def call(count: int) -> None:
        try:
            for i in range(100):
                rounds(i % 11, count)
        except BaseException as error:
            errors.append(error)

    callers = [threading.Thread(target=call, args=(count,)) for count in (1, 2, 2, 3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(120)
    assert not errors and not any(caller.is_alive() for caller in callers)
    assert all(len(idle) <= threads._IDLE for idle in threads._pools.values())


def test_more_threads_than_cores_on_a_busy_machine(rounds: Rounds) -> None:
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        for _ in range(5):
            rounds(20, 8)
            rounds(20, 2)
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def test_a_program_may_call_python_which_runs_a_program(rounds: Rounds) -> None:
    def inner() -> None:
        rounds(5, 2)
        seen.append(threading.get_ident())

    seen: list[int] = []
    callback = ctypes.CFUNCTYPE(None)(inner)
    text = (
        "define void @outer(ptr %args, i64 %thread, i64 %threads, ptr %barrier) {\n"
        "  %first = icmp eq i64 %thread, 0\n  br i1 %first, label %call, label %meet\ncall:\n"
        "  call void @python()\n  br label %meet\nmeet:\n"
        "  call void @amalthea_barrier(ptr %barrier, i64 %threads)\n  ret void\n}"
    )
    address = ctypes.cast(callback, ctypes.c_void_p).value or 0
    declarations = {"declare void @python()", "declare void @amalthea_barrier(ptr, i64)"}
    loaded = compile_module([text], declarations, symbols={"python": address})
    run(loaded.address("outer"), threads=2)
    assert seen == [threading.get_ident()]


def test_the_interpreter_goes_on_while_a_program_runs(rounds: Rounds) -> None:
    done, counted = threading.Event(), 0

    def call() -> None:
        rounds(20_000, 2)
        done.set()

    caller = threading.Thread(target=call)
    caller.start()
    while not done.is_set():
        counted += 1
        time.sleep(0)
    caller.join()
    assert counted > 0


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("amalthea-")]


def ticks_and_state(native_id: int | None) -> tuple[int, str]:
    fields = Path(f"/proc/self/task/{native_id}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]), fields[0]


@pytest.mark.skipif(not LINUX, reason="reads /proc")
def test_idle_workers_sleep(rounds: Rounds) -> None:
    rounds(100, 4)
    assert workers()
    deadline = time.monotonic() + 20
    while any(ticks_and_state(worker.native_id)[1] != "S" for worker in workers()):
        assert time.monotonic() < deadline, "workers do not go to sleep"
        time.sleep(0.01)
    before = [ticks_and_state(worker.native_id)[0] for worker in workers()]
    time.sleep(0.3)
    assert [ticks_and_state(worker.native_id)[0] for worker in workers()] == before
    rounds(3, 4)  # and wake again


def test_idle_workers_can_be_sent_home(rounds: Rounds) -> None:
    rounds(3, 3)
    assert workers()
    threads.close_idle_pools()
    assert not workers()
    rounds(3, 3)


def test_no_more_threads_to_be_had(rounds: Rounds, monkeypatch: pytest.MonkeyPatch) -> None:
    threads.close_idle_pools()

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    memory = (ctypes.c_int64 * (129 * LINE))(10)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        run(rounds.address, ctypes.addressof(memory), 3)
    assert memory[LINE] == expected(10, 1)
    threads.close_idle_pools()
    rounds(10, 3)


SCRIPT = """
import os, signal, sys, threading, time
sys.path[:0] = {path!r}
from test_threads import Rounds
rounds = Rounds()
rounds(5, 3)
"""


def script(body: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))}
    text = SCRIPT.format(path=[str(Path(__file__).parent)]) + body
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", text],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="at exit"),
        pytest.param("sys.exit(0)", id="sys.exit"),
        pytest.param("threading.Thread(target=rounds, args=(50_000, 2)).start()", id="while another thread runs"),
        pytest.param(
            "threading.Thread(target=rounds, args=(10**9, 2), daemon=True).start(); time.sleep(0.1)",
            id="while a daemon thread runs for ever",
        ),
        pytest.param("import atexit; atexit.register(rounds, 5, 2)", id="a program at exit"),
        pytest.param(
            "import gc; address = rounds.address; del rounds; gc.collect()",
            id="after the program is gone",
        ),
    ],
)
def test_the_process_ends_cleanly(body: str) -> None:
    process = script(body)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_workers_of_its_own() -> None:
    body = """
child = os.fork()
rounds(50, 3)
if child == 0:
    grandchild = os.fork()
    rounds(50, 2)
    if grandchild == 0:
        sys.exit(0)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    process = script(body)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_stops_the_loop_and_leaves_everything_usable() -> None:
    body = """
signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests run in the background it is ignored
try:
    print("ready", flush=True)
    while True:
        rounds(200, 2)
except KeyboardInterrupt:
    rounds(200, 2)
    rounds(200, 3)
    print("went on")
"""
    process = script(body)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "went on\n", "")


def test_the_number_of_threads_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMALTHEA_NUM_THREADS", raising=False)
    am.config.set_num_threads(None)
    assert am.config.num_threads() == threads.available_cores() >= 1
    am.config.set_num_threads(3)
    assert threads.num_threads() == 3
    am.config.set_num_threads(None)
    monkeypatch.setenv("AMALTHEA_NUM_THREADS", "5")
    assert am.config.num_threads() == 5
    am.config.set_num_threads(None)


@pytest.mark.parametrize("wrong", [0, -1, 2.0, "two", True, 5000])
def test_a_wrong_number_of_threads_is_refused(wrong: object) -> None:
    with pytest.raises(ArgumentError, match="number of threads"):
        am.config.set_num_threads(wrong)


@pytest.mark.parametrize("wrong", ["0", "-2", "many", "1.5"])
def test_a_wrong_number_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("AMALTHEA_NUM_THREADS", wrong)
    threads.set_num_threads(None)
    with pytest.raises(ArgumentError, match="AMALTHEA_NUM_THREADS"):
        threads.num_threads()


def test_siblings_count_once_and_a_containers_share_bounds(tmp_path: Path) -> None:
    for cpu, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(siblings + "\n")
    assert [threads._physical(cpus, tmp_path) for cpus in ({0, 1, 2, 3}, {0, 2}, {0}, {7, 8})] == [2, 1, 1, 2]
    assert threads._share(tmp_path) is None
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert threads._share(tmp_path) is None
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("50000\n")
    assert threads._share(tmp_path) == 0.5
    (tmp_path / "cpu.max").write_text("250000 100000\n")
    assert threads._share(tmp_path) == 2.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert threads._share(tmp_path) is None


def test_waiting_compiles_for_aarch64() -> None:
    written = assembly(spmd.functions(machine="aarch64"), target=Target.named("neon"))
    assert "amalthea_work" in written and "isb" in written and "sched_yield" in written
    assert "ldaxr" in written or "ldadd" in written  # atomic additions
